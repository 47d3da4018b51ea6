package worker

import (
	"context"
	"errors"

	"weir/transcoder/internal/cmaf"
	"weir/transcoder/internal/encrypt"
	"weir/transcoder/internal/job"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
	"weir/transcoder/internal/publish"
	"weir/transcoder/internal/ts"
)

// wrap plans how the segments are written.
func (w *Worker) wrap(p plan.Plan, s job.Spec) (plan.Plan, error) {
	p.SegmentFormat = s.SegmentFormat
	if !s.Encrypt {
		return p, nil
	}
	key, err := w.derive(s.VideoID)
	p.KeyID = key.ID()
	return p, err
}

// derive makes the key of a video.
func (w *Worker) derive(videoID string) (encrypt.Video, error) {
	if !w.EncryptionKey.Known() {
		return encrypt.Video{}, errors.New("the video is to be encrypted, and ENCRYPTION_KEY is not set: give all transcoders and the Worker the same")
	}
	return w.EncryptionKey.Video(videoID)
}

// key is what the plan wants the segments encrypted with; nil leaves them in the clear.
func (w *Worker) key(videoID string, p plan.Plan) (*encrypt.Video, error) {
	if p.KeyID == "" {
		return nil, nil
	}
	key, err := w.derive(videoID)
	if err == nil && key.ID() != p.KeyID {
		err = errors.New("ENCRYPTION_KEY is another than when the video was begun: give all transcoders and the Worker the same")
	}
	return &key, err
}

// packager publishes the segments that an encoder makes of a rendition in the form that the plan wants.
type packager struct {
	tree   publish.Tree
	stream *ts.Track      // nil: they stay CMAF
	key    *encrypt.Video // nil: they stay in the clear
}

func (s *sink) packager(init cmaf.Init) (pack packager, err error) {
	pack = packager{tree: s.tree, key: s.key}
	if s.plan.SegmentFormat.Stream() {
		pack.stream, err = ts.NewTrack(init.Data)
	}
	return pack, err
}

// init publishes the init segment of a rendition, if it has one. It is in the clear: what it says, the playlists say as well.
func (p packager) init(ctx context.Context, r *media.Rendition, init cmaf.Init) (err error) {
	if p.stream != nil {
		return nil
	}
	r.InitBytes = int64(len(init.Data))
	r.Init, err = p.tree.Init(ctx, r.Name, init.Data)
	return err
}

// segment publishes a segment, and says what was published.
func (p packager) segment(ctx context.Context, rendition string, s cmaf.Segment) (media.Segment, error) {
	out := media.Segment{Number: s.Number, Ticks: s.Ticks, KeyFrames: s.KeyFrames}
	data, write := s.Data, p.tree.Segment
	var err error
	if p.stream != nil {
		write = p.tree.Stream
		if data, out.KeyFrames, err = p.stream.Segment(s.Number, data); err != nil {
			return out, err
		}
	}
	if p.key != nil {
		out.KeyFrames = nil // their bytes cannot be decrypted alone
		if data, out.IV, err = p.key.Segment(data); err != nil {
			return out, err
		}
	}
	out.Bytes = int64(len(data))
	out.Name, err = write(ctx, rendition, s.Number, data)
	return out, err
}

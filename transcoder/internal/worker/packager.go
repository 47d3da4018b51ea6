package worker

import (
	"context"
	"errors"
	"slices"

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
	data := s.Data
	var err error
	if p.stream != nil {
		if data, out.KeyFrames, err = p.stream.Segment(s.Number, data); err != nil {
			return out, err
		}
	}
	if p.key != nil {
		if out.KeyFrames, err = p.keyFrames(ctx, rendition, s.Number, data, out.KeyFrames); err != nil {
			return out, err
		}
		if data, out.IV, err = p.key.Segment(data); err != nil {
			return out, err
		}
	}
	out.Bytes = int64(len(data))
	out.Name, err = p.write(ctx, rendition, s.Number, data)
	return out, err
}

// keyFrames publishes a segment's key frames as objects of their own, encrypted, and says what was published.
func (p packager) keyFrames(ctx context.Context, rendition string, number int, segment []byte, frames []media.KeyFrame) ([]media.KeyFrame, error) {
	var out []media.KeyFrame
	for _, k := range frames {
		var alone []byte
		var err error
		if p.stream != nil {
			alone = slices.Concat(segment[:frames[0].Offset], segment[k.Offset:k.Offset+k.Bytes]) // the tables, and its packets
		} else if alone, err = cmaf.Alone(segment, k); err != nil {
			return nil, err
		}
		own := media.KeyFrame{Ticks: k.Ticks}
		if alone, own.IV, err = p.key.Segment(alone); err != nil {
			return nil, err
		}
		own.Bytes = int64(len(alone))
		if own.Name, err = p.write(ctx, rendition, number, alone); err != nil {
			return nil, err
		}
		out = append(out, own)
	}
	return out, nil
}

// write publishes media of a segment and returns its name.
func (p packager) write(ctx context.Context, rendition string, number int, data []byte) (string, error) {
	if p.stream != nil {
		return p.tree.Stream(ctx, rendition, number, data)
	}
	return p.tree.Segment(ctx, rendition, number, data)
}

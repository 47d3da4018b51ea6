package worker

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"weir/transcoder/internal/ffmpeg"
	"weir/transcoder/internal/hls"
	"weir/transcoder/internal/job"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
	"weir/transcoder/internal/publish"
	"weir/transcoder/internal/subtitle"
	"weir/transcoder/internal/ts"
)

// textsAtOnce is how many segments of subtitles are uploaded side by side: small ones, so it is their number that takes time.
const textsAtOnce = 16

// subtitles does the task for the subtitles, and commits its outcome.
func (w *Worker) subtitles(ctx context.Context, m taskMessage, p plan.Plan) error {
	cues, err := w.readSubtitles(ctx, m.Ticket, p)
	if err != nil {
		return err
	}
	var out outcome
	for n, s := range p.Subtitles {
		track := subtitle.Track(cues[n], seconds(p.Duration()))
		if len(track) == 0 {
			w.Log.Warn("a subtitle track was left out: there is no text in it", "job", m.VideoID, "run", m.Run, "stream", s.Index)
			continue
		}
		made, err := w.makeText(ctx, m.Ticket, p, s, track)
		if err != nil {
			return err
		}
		out.Texts = append(out.Texts, made)
	}
	return w.commit(ctx, m.Ticket, plan.SubtitlesTask, out)
}

// readSubtitles reads all tracks in one go. Where FFmpeg fails on that, it reads one after another, so that each stands for
// itself: those on which it fails then are left out, and the video is none the worse.
func (w *Worker) readSubtitles(ctx context.Context, t job.Ticket, p plan.Plan) ([][]subtitle.Cue, error) {
	read := func(tracks []plan.Subtitle) (cues [][]subtitle.Cue, err error) {
		err = w.examine(ctx, p, func(url string) (err error) {
			cues, err = w.Encoder.Subtitles(ctx, p, tracks, url)
			return err
		})
		return cues, err
	}
	failed := (*ffmpeg.Error)(nil)
	all, err := read(p.Subtitles)
	if !errors.As(err, &failed) {
		return all, err
	}
	for n, s := range p.Subtitles {
		cues, err := read(p.Subtitles[n : n+1])
		switch {
		case errors.As(err, &failed):
			w.Log.Warn("a subtitle track was left out", "job", t.VideoID, "run", t.Run, "stream", s.Index, "codec", s.Codec, "error", err)
			all[n] = nil
		case err != nil:
			return nil, err
		default:
			all[n] = cues[0]
		}
	}
	return all, nil
}

// makeText uploads a track in segments that are as long as the picture's, and once more as a whole.
func (w *Worker) makeText(ctx context.Context, t job.Ticket, p plan.Plan, s plan.Subtitle, cues []subtitle.Cue) (media.TextRendition, error) {
	tree, rate := publish.NewTree(w.Bucket, t.VideoID), p.Rate()
	out := media.TextRendition{
		Rendition: media.Rendition{
			Name: s.Name, Codecs: "wvtt", Timescale: uint32(rate.Num), Segments: make([]media.Segment, p.Segments()),
		},
		Cues: len(cues),
	}
	zero := 0
	if p.SegmentFormat.Stream() {
		zero = ts.Offset
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(textsAtOnce)
	for n := range out.Segments {
		first, end := p.Start(n), p.Start(n+1)
		g.Go(func() error {
			data := subtitle.Segment(cues, seconds(rate.Seconds(first)), seconds(rate.Seconds(end)), zero)
			name, err := tree.Text(gctx, s.Name, n, data)
			out.Segments[n] = media.Segment{Number: n, Name: name, Ticks: uint64((end - first) * rate.Den), Bytes: int64(len(data))}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return out, err
	}
	whole := subtitle.File(cues)
	out.FileBytes = int64(len(whole))
	var err error
	out.File, err = tree.TextTrack(ctx, s.Name, whole)
	return out, err
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// addTexts adds the playlists of subtitles to those of the other renditions.
func addTexts(playlists map[string][]byte, p plan.Plan, texts []media.TextRendition) error {
	for _, t := range texts {
		list, err := hls.Media(t.Rendition, p.TargetDuration(), hls.VOD)
		if err != nil {
			return err
		}
		playlists[t.Name] = list
	}
	return nil
}

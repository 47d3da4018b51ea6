// Package encode makes CMAF segments out of an upload: one FFmpeg process a task, one decode for all renditions.
//
// [Encoder.Picture] encodes a chunk in every rung of the ladder in one codec, [Encoder.Sound] the sound of one or more chunks, every
// track in every bit rate. Both hand segments on while the process runs; what becomes of them is the sink's business. The
// arguments are made by pure functions in args.go and codecs.go, each with its reason.
package encode

import (
	"context"
	"fmt"
	"image"
	"io"
	"slices"

	"weir/transcoder/internal/cmaf"
	"weir/transcoder/internal/ffmpeg"
	"weir/transcoder/internal/job"
	"weir/transcoder/internal/plan"
	"weir/transcoder/internal/remux"
)

// Encoder runs the tasks of plans.
type Encoder struct {
	Tools ffmpeg.Tools
	// Preset is x264's: how much time a frame may take.
	Preset string
	// Further are the codecs beside H.264 for which there is an encoder.
	Further job.Codecs
}

const (
	// VideoEncoder is FFmpeg's name of the pictures' encoder.
	VideoEncoder = "libx264"
	// CRF is the quality that is aimed at; the rung's bit rate caps it. Easy content takes half the bytes that a constant rate
	// would spend on it.
	CRF = 22
)

// Sink takes what a task makes. For one rendition the calls come in order, the init segment first; for several they
// come side by side. A task that has to start over makes the same calls again.
type Sink interface {
	Init(ctx context.Context, rendition string, init cmaf.Init) error
	Segment(ctx context.Context, rendition string, segment cmaf.Segment) error
	// Tiles takes the storyboard's tiles of a chunk, in their order, at the end of the task.
	Tiles(ctx context.Context, tiles []*image.YCbCr) error
}

// Progress is told the finished share of a task, from 0 to 1.
type Progress func(share float64)

// Picture encodes one chunk. It delivers exactly the chunk's frames, or fails: with a [job.Failure] of
// [job.SourceTruncated] where the upload holds fewer pictures than it promised.
func (e Encoder) Picture(ctx context.Context, p plan.Plan, c plan.Chunk, url string, sink Sink, progress Progress) error {
	want := int(c.End - c.First)
	for _, seek := range seeks(p, c) {
		got, err := e.picture(ctx, p, c, ffmpeg.Input{URL: url, Demuxer: p.Source.Demuxer, Seek: seek}, sink, progress)
		if err != nil {
			return err
		}
		if got == want {
			return nil
		}
		// Formats without an index may start reading too late. Once more, from the beginning.
	}
	return &job.Failure{Code: job.SourceTruncated, Message: fmt.Sprintf(
		"The video ends before the %.1f s that its headers promise: upload the complete file again.", p.Duration())}
}

// Copy hands on a chunk of the source's own pictures, where the plan publishes them. It is an error if they are not what the index
// of the source said.
func Copy(ctx context.Context, p plan.Plan, c plan.Chunk, source remux.Source, sink Sink) error {
	track, err := remux.Open(source)
	if err != nil {
		return err
	}
	return track.Copy(p, c, videoCut(p, c), deliver(ctx, sink, p.Video[0].Name))
}

// picture returns the smallest number of frames that a rendition got.
func (e Encoder) picture(ctx context.Context, p plan.Plan, c plan.Chunk, in ffmpeg.Input, sink Sink, progress Progress) (int, error) {
	cut := videoCut(p, c)
	var tiles []*image.YCbCr
	outputs := tileOutputs(p, c, &tiles)
	frames := make([]int, len(p.Video))
	for i, v := range p.Video {
		outputs = append(outputs, ffmpeg.Output{
			Args: e.pictureArgs(p, i),
			Read: func(r io.Reader) (err error) {
				frames[i], err = cmaf.Read(r, cut, deliver(ctx, sink, v.Name))
				return err
			},
		})
	}
	input := append(videoInputArgs(p, in), "-filter_complex", videoGraph(p, c))
	if p.Strict {
		// FFmpeg's decoders see all damage with one thread only: of several, one may hide what another has not told yet.
		input = append([]string{"-xerror", "-err_detect:v", "+explode", "-threads:v", "1"}, input...)
	}
	seconds := p.Source.Video.Rate.Seconds(c.End - c.First)
	err := e.Tools.Run(ctx, ffmpeg.Options{Nice: urgency(p, c), Limit: limit(seconds)}, input, outputs, share(progress, seconds))
	got := slices.Min(frames)
	if err == nil && got == int(c.End-c.First) && len(tiles) > 0 {
		err = sink.Tiles(ctx, tiles)
	}
	return got, err
}

func deliver(ctx context.Context, sink Sink, rendition string) cmaf.Sink {
	return cmaf.Sink{
		Init:    func(i cmaf.Init) error { return sink.Init(ctx, rendition, i) },
		Segment: func(s cmaf.Segment) error { return sink.Segment(ctx, rendition, s) },
	}
}

// share turns FFmpeg's output time into a share of the task.
func share(progress Progress, total float64) func(seconds float64) {
	if progress == nil {
		return nil
	}
	return func(seconds float64) { progress(min(seconds/total, 1)) }
}

package encode

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"strings"

	"weir/transcoder/internal/ffmpeg"
	"weir/transcoder/internal/plan"
	"weir/transcoder/internal/still"
)

// posterFrames is how many frames of a scene are compared with each other: enough of them, and a bound on the memory.
const posterFrames = 30

// errNoPicture says that a frame of the plan did not come.
var errNoPicture = errors.New("no picture was found where one was planned")

// Poster finds the picture that stands for the video: the most usual one of the first scene that shows something, or, if none
// does, that of the scene that shows most.
func (e Encoder) Poster(ctx context.Context, p plan.Plan, url string) (*image.YCbCr, error) {
	var best *image.YCbCr
	err := errNoPicture
	for _, scene := range p.Poster.Scenes {
		picture, sceneErr := e.scene(ctx, p, scene, url)
		if sceneErr != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			err = sceneErr
			continue // a place that is damaged: the chunks' encoders say whether the video is
		}
		if best == nil || still.Contrast(picture) > still.Contrast(best) {
			best = picture
		}
		if still.Contrast(best) >= still.Plain {
			break
		}
	}
	if best == nil {
		return nil, err
	}
	return best, nil
}

// scene returns the most usual picture of a scene.
func (e Encoder) scene(ctx context.Context, p plan.Plan, scene plan.Chunk, url string) (*image.YCbCr, error) {
	// The scene goes the way of a chunk of a video with one rendition, so its picture is that which players show.
	whole := p
	whole.Storyboard = nil
	whole.Video = []plan.VideoRendition{{Width: p.Poster.Width, Height: p.Poster.Height}}
	filters := posterFilters(whole, scene)
	seconds := p.Source.Video.Rate.Seconds(scene.End - scene.First)
	for _, seek := range seeks(whole, scene) {
		var pictures []*image.YCbCr
		in := ffmpeg.Input{URL: url, Demuxer: p.Source.Demuxer, Seek: seek}
		input := append(videoInputArgs(whole, in), "-filter_complex", videoGraph(whole, scene)+";[v0]"+filters+"[poster]")
		outputs := []ffmpeg.Output{rawOutput("[poster]", p.Poster.Width, p.Poster.Height, &pictures)}
		if err := e.Tools.Run(ctx, ffmpeg.Options{Nice: maxNice, Limit: limit(seconds)}, input, outputs, nil); err != nil {
			return nil, err
		}
		if len(pictures) > 0 {
			return pictures[0], nil
		}
		// As with chunks: once more, from the beginning.
	}
	return nil, errNoPicture
}

// Tiles makes the storyboard's tiles of a chunk, and nothing else.
func (e Encoder) Tiles(ctx context.Context, p plan.Plan, c plan.Chunk, url string) ([]*image.YCbCr, error) {
	first, end := p.TilesOf(c)
	small := p
	small.Video = p.Video[len(p.Video)-1:]
	seconds := p.Source.Video.Rate.Seconds(c.End - c.First)
	for _, seek := range seeks(p, c) {
		var tiles []*image.YCbCr
		in := ffmpeg.Input{URL: url, Demuxer: p.Source.Demuxer, Seek: seek}
		input := append(videoInputArgs(p, in), "-filter_complex", videoGraph(small, c)+";[v0]nullsink")
		err := e.Tools.Run(ctx, ffmpeg.Options{Nice: maxNice, Limit: limit(seconds)}, input, tileOutputs(p, c, &tiles), nil)
		if err != nil {
			return nil, err
		}
		if len(tiles) == end-first {
			return tiles, nil
		}
	}
	return nil, errNoPicture
}

// posterFilters choose one of the frames of a scene.
func posterFilters(p plan.Plan, scene plan.Chunk) string {
	step := (scene.End - scene.First + posterFrames - 1) / posterFrames
	return fmt.Sprintf("framestep=%d,thumbnail=n=%d,%s", step, posterFrames, jpegFilters(p.Poster.Width, p.Poster.Height))
}

// tileFilters turn the frames of a chunk in the smallest size into the storyboard's tiles; "" where the chunk has none.
func tileFilters(p plan.Plan, c plan.Chunk) string {
	first, end := p.TilesOf(c)
	if first == end {
		return ""
	}
	var frames []string
	for n := first; n < end; n++ {
		frames = append(frames, fmt.Sprintf("eq(n,%d)", p.Tile(n).Middle-c.First))
	}
	return fmt.Sprintf("select='%s',%s", strings.Join(frames, "+"), jpegFilters(p.Storyboard.Width, p.Storyboard.Height))
}

// jpegFilters make a picture what a JPEG file holds: BT.601 in full range (JFIF 1.02).
func jpegFilters(width, height int) string {
	return fmt.Sprintf("scale=%d:%d:flags=area:out_color_matrix=bt601:out_range=pc,format=yuvj420p", width, height)
}

// tileOutputs is the output of a chunk's tiles, if it has any. When all are read, they are put into tiles.
func tileOutputs(p plan.Plan, c plan.Chunk, tiles *[]*image.YCbCr) []ffmpeg.Output {
	first, end := p.TilesOf(c)
	if first == end {
		return nil
	}
	return []ffmpeg.Output{rawOutput("[tiles]", p.Storyboard.Width, p.Storyboard.Height, tiles)}
}

// rawOutput is an output of pictures as they are.
func rawOutput(label string, width, height int, pictures *[]*image.YCbCr) ffmpeg.Output {
	return ffmpeg.Output{
		Args: []string{
			"-map", label,
			// The graph has chosen the frames: none is to be repeated or dropped.
			"-fps_mode", "passthrough",
			"-c:v", "rawvideo", "-f", "rawvideo",
		},
		Read: func(r io.Reader) error {
			for {
				picture, err := still.Read(r, width, height)
				switch {
				case errors.Is(err, io.EOF):
					return nil
				case err != nil:
					return err
				}
				*pictures = append(*pictures, picture)
			}
		},
	}
}

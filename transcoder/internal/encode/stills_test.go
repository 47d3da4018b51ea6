package encode

import (
	"context"
	"image"
	"math"
	"os/exec"
	"path/filepath"
	"testing"

	"weir/transcoder/internal/cmaf"
	"weir/transcoder/internal/job"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
)

// album is a sink that keeps the tiles alone.
type album struct{ tiles []*image.YCbCr }

func (*album) Init(context.Context, string, cmaf.Init) error       { return nil }
func (*album) Segment(context.Context, string, cmaf.Segment) error { return nil }
func (a *album) Tiles(_ context.Context, tiles []*image.YCbCr) error {
	a.tiles = tiles
	return nil
}

// Tiles that come with the encoding and tiles that are made alone, of chunks anywhere, are the plan's frames; their grey says
// which these are.
func TestTilesAreThePlansFrames(t *testing.T) {
	const seconds = 20
	file := filepath.Join(t.TempDir(), "greys.mp4")
	cmd := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "color=s=160x90:r=25:d=20",
		"-vf", "format=gray,geq=lum='40+mod(N*37,160)',format=yuv420p", "-c:v", "libx264", "-preset", "ultrafast", "-g", "250", file)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	url, tools, ladder := serve(t, file, "90:300k:64k,64:100k:64k")
	p := plan.Make("k", "e", 1, media.Source{
		Demuxer: "mov",
		Video:   media.Video{Width: 160, Height: 90, Rate: media.Rate{Num: 25, Den: 1}, End: seconds},
	}, ladder).Illustrate(nil, job.Storyboard{Interval: 1, Columns: 5, Rows: 5, Width: 64})
	e := Encoder{Tools: tools, Preset: "ultrafast"}
	for _, c := range []plan.Chunk{p.Chunks[0], p.Chunks[len(p.Chunks)-1]} {
		first, end := p.TilesOf(c)
		var beside album
		if err := e.Picture(t.Context(), p, c, url, &beside, nil); err != nil {
			t.Fatal(err)
		}
		alone, err := e.Tiles(t.Context(), p, c, url)
		if err != nil {
			t.Fatal(err)
		}
		for name, tiles := range map[string][]*image.YCbCr{"beside the encoding": beside.tiles, "alone": alone} {
			if len(tiles) != end-first {
				t.Fatalf("chunk %d, %s: %d tiles, want %d", c.Number, name, len(tiles), end-first)
			}
			for i, tile := range tiles {
				n := p.Tile(first + i).Middle
				want := float64(40 + n*37%160)
				if got := float64(tile.YCbCrAt(32, 18).Y); math.Abs(got-want) > 8 {
					t.Errorf("chunk %d, %s: tile %d has luma %.0f, frame %d has %.0f", c.Number, name, first+i, got, n, want)
				}
			}
		}
	}
}

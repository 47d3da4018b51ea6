package still_test

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"weir/transcoder/internal/job"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
	"weir/transcoder/internal/still"
)

func video(t *testing.T, seconds float64, wanted job.Storyboard) plan.Plan {
	t.Helper()
	ladder, err := plan.ParseLadder("360:800k:96k")
	if err != nil {
		t.Fatal(err)
	}
	return plan.Make("a", "e", 1, media.Source{
		Video: media.Video{Width: 640, Height: 360, Rate: media.Rate{Num: 30000, Den: 1001}, End: seconds},
	}, ladder).Illustrate(nil, wanted)
}

// grey is a picture of one grey.
func grey(t *testing.T, width, height int, luma byte) *image.YCbCr {
	t.Helper()
	raw := slices.Concat(bytes.Repeat([]byte{luma}, width*height), bytes.Repeat([]byte{128}, width*height/2))
	m, err := still.Read(bytes.NewReader(raw), width, height)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func luma(n int) byte { return byte(30 + n*37%200) }

func TestEachTileStandsInItsPlace(t *testing.T) {
	p := video(t, 47, job.Storyboard{Interval: 2, Columns: 3, Rows: 3, Width: 64})
	if len(p.Chunks) < 3 || p.Sheets() != 3 || p.Tiles() != 24 {
		t.Fatalf("%d chunks, %d sheets, %d tiles", len(p.Chunks), p.Sheets(), p.Tiles())
	}
	var sheets []image.Image
	var asked []int
	err := still.Sheets(p, func(c plan.Chunk) ([]byte, error) {
		asked = append(asked, c.Number)
		var tiles []*image.YCbCr
		for n, end := p.TilesOf(c); n < end; n++ {
			tiles = append(tiles, grey(t, p.Storyboard.Width, p.Storyboard.Height, luma(n)))
		}
		return still.Strip(tiles)
	}, func(data []byte) error {
		m, err := jpeg.Decode(bytes.NewReader(data))
		sheets = append(sheets, m)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(sheets) != p.Sheets() || !slices.IsSorted(asked) || len(slices.Compact(asked)) != len(asked) {
		t.Fatalf("%d sheets of the chunks %v", len(sheets), asked)
	}
	for n := range p.Tiles() {
		sheet, place := sheets[n/9], n%9
		if size := sheet.Bounds().Size(); size != image.Pt(3*64, 3*36) {
			t.Fatalf("the sheet has %v", size)
		}
		for _, corner := range []image.Point{{2, 2}, {61, 33}} {
			at := image.Pt(place%3*64, place/3*36).Add(corner)
			if got := sheet.(*image.YCbCr).YCbCrAt(at.X, at.Y).Y; math.Abs(float64(got)-float64(luma(n))) > 4 {
				t.Errorf("tile %d has luma %d at %v, want %d", n, got, corner, luma(n))
			}
		}
	}
}

func TestAStripThatIsNotItsChunksIsRefused(t *testing.T) {
	p := video(t, 4, job.Storyboard{Interval: 1, Columns: 3, Rows: 3, Width: 64})
	broken := errors.New("broken")
	for name, strip := range map[string]func(plan.Chunk) ([]byte, error){
		"cannot be read":  func(plan.Chunk) ([]byte, error) { return nil, broken },
		"no picture":      func(plan.Chunk) ([]byte, error) { return []byte("text"), nil },
		"of another size": func(plan.Chunk) ([]byte, error) { return still.Strip([]*image.YCbCr{grey(t, 32, 18, 99)}) },
		"with too many rows": func(plan.Chunk) ([]byte, error) {
			return still.Strip(slices.Repeat([]*image.YCbCr{grey(t, 64, 36, 99)}, 20))
		},
	} {
		if err := still.Sheets(p, strip, func([]byte) error { return nil }); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestCuesTouchAndCoverTheVideo(t *testing.T) {
	p := video(t, 3.7, job.Storyboard{Interval: 1, Columns: 2, Rows: 1, Width: 64})
	got, err := still.VTT(p, []media.Sheet{{Name: "segment_0_a.jpg"}, {Name: "segment_1_b.jpg"}})
	if err != nil {
		t.Fatal(err)
	}
	const want = `WEBVTT

00:00:00.000 --> 00:00:01.001
segment_0_a.jpg#xywh=0,0,64,36

00:00:01.001 --> 00:00:02.002
segment_0_a.jpg#xywh=64,0,64,36

00:00:02.002 --> 00:00:03.003
segment_1_b.jpg#xywh=0,0,64,36

00:00:03.003 --> 00:00:03.704
segment_1_b.jpg#xywh=64,0,64,36
`
	if string(got) != want {
		t.Errorf("got\n%s", got)
	}
	if _, err := still.VTT(p, []media.Sheet{{Name: "segment_0_a.jpg"}}); err == nil {
		t.Error("a sheet that is missing is no error")
	}
	long := video(t, 7200, job.Storyboard{Interval: 1, Columns: 10, Rows: 10, Width: 64})
	sheets := make([]media.Sheet, long.Sheets())
	if got, err = still.VTT(long, sheets); err != nil || !strings.Contains(string(got), "01:59:59.192 --> 01:59:59.993\n") {
		t.Errorf("two hours end elsewhere: %v %s", err, got[max(len(got)-80, 0):])
	}
}

func TestContrastTellsPlainPicturesFromOthers(t *testing.T) {
	half := grey(t, 64, 36, 16)
	for i := range half.Y[:len(half.Y)/2] {
		half.Y[i] = 235
	}
	for name, c := range map[string]struct {
		picture *image.YCbCr
		plain   bool
	}{
		"black": {grey(t, 64, 36, 16), true}, "white": {grey(t, 64, 36, 235), true}, "black and white": {half, false},
		"a part that is grey": {half.SubImage(image.Rect(0, 20, 64, 36)).(*image.YCbCr), true},
	} {
		if got := still.Contrast(c.picture); (got < still.Plain) != c.plain {
			t.Errorf("%s has a contrast of %g", name, got)
		}
	}
}

func TestHalfAPictureIsNone(t *testing.T) {
	whole := make([]byte, 64*36*3/2)
	for _, n := range []int{0, 1, 64 * 36, len(whole) - 1} {
		if _, err := still.Read(bytes.NewReader(whole[:n]), 64, 36); !errors.Is(err, io.EOF) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, err := still.Read(bytes.NewReader(whole), 64, 36); err != nil {
		t.Error(fmt.Errorf("a whole one: %w", err))
	}
}

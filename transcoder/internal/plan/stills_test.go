package plan_test

import (
	"fmt"
	"strings"
	"testing"

	"weir/transcoder/internal/job"
	"weir/transcoder/internal/plan"
)

func illustrated(t *testing.T, width, height int, seconds float64, at *float64, wanted job.Storyboard) plan.Plan {
	t.Helper()
	defaults, err := plan.ParseStoryboard(plan.DefaultStoryboard)
	if err != nil {
		t.Fatal(err)
	}
	p := plan.Make("a", "e", 1, source(width, height, seconds, false), ladder(t, plan.DefaultLadder))
	return p.Illustrate(at, wanted.Or(defaults))
}

func TestAStoryboardFitsItsVideo(t *testing.T) {
	for _, c := range []struct {
		name          string
		width, height int
		seconds       float64
		wanted        job.Storyboard
		want          string // interval in seconds, size of a tile, layout of a sheet, sheets
	}{
		{"a minute has a picture a second on a sheet of its size", 1920, 1080, 60, job.Storyboard{}, "1 s, 160x90, 10x6, 1 sheets of 60 tiles"},
		{"ten minutes", 1920, 1080, 600, job.Storyboard{}, "1 s, 160x90, 10x10, 6 sheets of 600 tiles"},
		{"two hours have no more than ten sheets", 1920, 1080, 7200, job.Storyboard{}, "8 s, 160x90, 10x10, 9 sheets of 900 tiles"},
		{"exactly ten sheets", 1920, 1080, 1000, job.Storyboard{}, "1 s, 160x90, 10x10, 10 sheets of 1000 tiles"},
		{"a second more", 1920, 1080, 1001, job.Storyboard{}, "2 s, 160x90, 10x10, 6 sheets of 501 tiles"},
		{"two days", 1920, 1080, 172800, job.Storyboard{}, "173 s, 160x90, 10x10, 10 sheets of 999 tiles"},
		{"shorter than an interval", 1920, 1080, 0.4, job.Storyboard{}, "1 s, 160x90, 1x1, 1 sheets of 1 tiles"},
		{"portrait keeps its shape", 1080, 1920, 60, job.Storyboard{}, "1 s, 160x284, 10x6, 1 sheets of 60 tiles"},
		{"nothing is scaled up", 100, 76, 5, job.Storyboard{Width: 320}, "1 s, 100x76, 5x1, 1 sheets of 5 tiles"},
		{"a tall picture becomes narrow, not high", 360, 3600, 200, job.Storyboard{}, "1 s, 64x640, 10x6, 4 sheets of 200 tiles"},
		{"what is asked for", 1280, 720, 60, job.Storyboard{Interval: 5, Columns: 4, Rows: 2, Width: 320}, "5 s, 320x180, 4x2, 2 sheets of 12 tiles"},
		{"small sheets make a long video coarse", 1280, 720, 600, job.Storyboard{Columns: 1, Rows: 1}, "60 s, 160x90, 1x1, 10 sheets of 10 tiles"},
		{"a width that leaves room for fewer columns", 1280, 720, 60, job.Storyboard{Width: 640}, "1 s, 640x360, 6x10, 1 sheets of 60 tiles"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := illustrated(t, c.width, c.height, c.seconds, nil, c.wanted)
			s := p.Storyboard
			got := fmt.Sprintf("%g s, %dx%d, %dx%d, %d sheets of %d tiles",
				p.Source.Video.Rate.Seconds(s.Interval), s.Width, s.Height, s.Columns, s.Rows, p.Sheets(), p.Tiles())
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if s.Columns*s.Width > 4096 || s.Rows*s.Height > 4096 {
				t.Errorf("a sheet has %dx%d pixels", s.Columns*s.Width, s.Rows*s.Height)
			}
			// Tiles touch and cover the video; each is made by one chunk, and stands on one sheet.
			at := int64(0)
			for n := range p.Tiles() {
				tile := p.Tile(n)
				if tile.First != at || tile.End <= tile.First || tile.Middle < tile.First || tile.Middle >= tile.End {
					t.Fatalf("tile %d is %+v after %d", n, tile, at)
				}
				at = tile.End
			}
			if at != p.Frames {
				t.Errorf("the tiles end at %d of %d frames", at, p.Frames)
			}
			next := 0
			for _, chunk := range p.Chunks {
				first, end := p.TilesOf(chunk)
				if first != next {
					t.Fatalf("chunk %d makes tiles from %d, not %d", chunk.Number, first, next)
				}
				for n := first; n < end; n++ {
					if m := p.Tile(n).Middle; m < chunk.First || m >= chunk.End {
						t.Fatalf("chunk %d has no frame %d", chunk.Number, m)
					}
				}
				next = end
			}
			if next != p.Tiles() {
				t.Errorf("the chunks make %d of %d tiles", next, p.Tiles())
			}
			if _, end := p.Sheet(p.Sheets() - 1); end != p.Tiles() {
				t.Errorf("the sheets show %d of %d tiles", end, p.Tiles())
			}
		})
	}
}

func TestAPosterIsLookedForWhereTheVideoIsUnderWay(t *testing.T) {
	second := func(s float64) *float64 { return &s }
	for _, c := range []struct {
		name          string
		width, height int
		seconds       float64
		at            *float64
		want          string
	}{
		{"full HD is scaled down", 1920, 1080, 100, nil, "1280x720 from 300-390 900-990 1500-1590 2100-2190"},
		{"portrait goes by its height", 1080, 1920, 100, nil, "720x1280 from 300-390 900-990 1500-1590 2100-2190"},
		{"a small one stays as it is", 640, 360, 100, nil, "640x360 from 300-390 900-990 1500-1590 2100-2190"},
		{"a short one", 640, 360, 1, nil, "640x360 from 3-30 9-30 15-30 21-30"},
		{"a single frame", 640, 360, 0.03, nil, "640x360 from 0-1 0-1 0-1 0-1"},
		{"a position", 640, 360, 100, second(12.5), "640x360 from 375-376"},
		{"the very start", 640, 360, 100, second(0), "640x360 from 0-1"},
		{"beyond the end is the last picture", 640, 360, 100, second(500), "640x360 from 2999-3000"},
	} {
		p := illustrated(t, c.width, c.height, c.seconds, c.at, job.Storyboard{}).Poster
		var scenes []string
		for _, s := range p.Scenes {
			scenes = append(scenes, fmt.Sprintf("%d-%d", s.First, s.End))
		}
		if got := fmt.Sprintf("%dx%d from %s", p.Width, p.Height, strings.Join(scenes, " ")); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestPicturesAreTasksThatWeighNothing(t *testing.T) {
	p := illustrated(t, 640, 360, 60, nil, job.Storyboard{})
	sum := 0.0
	for _, task := range p.Tasks() {
		sum += task.Weight
		if task.Still && (task.First() || task.Weight != 0 || strings.Join(task.Outcomes(), " ") != task.ID) {
			t.Errorf("the task %+v is no picture's", task)
		}
	}
	if sum < 0.999 || sum > 1.001 {
		t.Errorf("the weights sum up to %g", sum)
	}
	for _, id := range []string{plan.PosterTask, plan.StoryboardTask} {
		if _, ok := p.Task(id); !ok {
			t.Errorf("there is no task %s", id)
		}
	}
	p.Poster, p.Storyboard = nil, nil // as in plans of old
	if _, ok := p.Task(plan.PosterTask); ok || p.Tiles() != 0 || p.Sheets() != 0 {
		t.Error("a plan of old has pictures")
	}
}

func TestWhatIsNoStoryboardIsRefused(t *testing.T) {
	if s, err := plan.ParseStoryboard("2:5x4:320"); err != nil || s != (job.Storyboard{Interval: 2, Columns: 5, Rows: 4, Width: 320}) {
		t.Errorf("read as %+v, %v", s, err)
	}
	for _, text := range []string{"", "1", "1:10:160", "1:10x10", "0:10x10:160", "1:10x10:160:9", "1:10x10:160 9", "1:10x30:160", "1:10x10:2000", "1:20x10:640", "-1:10x10:160"} {
		if s, err := plan.ParseStoryboard(text); err == nil {
			t.Errorf("%q is read as %+v", text, s)
		}
	}
}

package plan

import (
	"errors"
	"fmt"
	"slices"
	"sort"

	"weir/transcoder/internal/job"
)

const (
	// maxSheets bounds what a page loads when somebody moves along the time line of a film.
	maxSheets = 10
	// maxTileHeight and maxSheetHeight bound the tiles of a tall picture, in pixels.
	maxTileHeight, maxSheetHeight = 640, 4096
	// maxPosterSide is the poster's long side: a picture of 100 to 200 KB.
	maxPosterSide = 1280
	// posterSeconds is how much of the video is looked at to find one picture that stands for it.
	posterSeconds = 3
)

// posterPlaces are where a poster is looked for, as shares of the video: after the titles, and on where there is nothing to see.
var posterPlaces = []float64{0.1, 0.3, 0.5, 0.7}

// The tasks whose outcomes are pictures; each has one, under its own name.
const (
	PosterTask     = "poster"
	StoryboardTask = "storyboard"
)

// Poster is the picture that stands for a video.
type Poster struct {
	Width  int `json:"width"`
	Height int `json:"height"`
	// Scenes are the ranges of frames that it may be taken from; the next is for where the one before shows nothing.
	Scenes []Chunk `json:"scenes"`
}

// Storyboard is the pictures along a video's time line. They are tiles of sheets, in rows. Its tiles touch and cover all frames.
type Storyboard struct {
	Interval int64 `json:"interval"` // frames from one tile to the next
	Width    int   `json:"width"`    // of a tile, in pixels
	Height   int   `json:"height"`
	Columns  int   `json:"columns"` // of a sheet
	Rows     int   `json:"rows"`
}

// Tile is the picture of the half-open range of frames [First, End): the frame in its middle.
type Tile struct{ First, Middle, End int64 }

// DefaultStoryboard is how storyboards are made unless the configuration or the request says otherwise.
const DefaultStoryboard = "1:10x10:160"

// ParseStoryboard reads the form of [DefaultStoryboard]: seconds from one picture to the next, columns and rows of a sheet, and
// the width of a picture.
func ParseStoryboard(text string) (job.Storyboard, error) {
	var s job.Storyboard
	var rest string
	n, _ := fmt.Sscanf(text+" .", "%d:%dx%d:%d %s", &s.Interval, &s.Columns, &s.Rows, &s.Width, &rest)
	if n != 5 || rest != "." || slices.Contains([]int{s.Interval, s.Columns, s.Rows, s.Width}, 0) {
		return s, errors.New("write INTERVAL:COLUMNSxROWS:WIDTH, in seconds and pixels, such as " + DefaultStoryboard)
	}
	return s, s.Validate()
}

// Illustrate adds the poster, at a position in seconds if one is asked for, and the storyboard. No number in wanted is 0. Sound alone
// has neither.
func (p Plan) Illustrate(posterAt *float64, wanted job.Storyboard) Plan {
	if !p.Source.HasPicture() {
		return p
	}
	p.Poster = p.poster(posterAt)
	p.Storyboard = p.storyboard(wanted)
	return p
}

func (p Plan) poster(at *float64) *Poster {
	top := p.Video[0]
	out := &Poster{Width: top.Width, Height: top.Height}
	if long := max(top.Width, top.Height); long > maxPosterSide {
		out.Width, out.Height = scale(top.Width, top.Height, even(min(top.Width, top.Height)*maxPosterSide/long))
	}
	rate := p.Source.Video.Rate
	first, end := p.Pictures()
	within := func(frame int64) int64 { return max(min(frame, end-1), first, 0) }
	if at != nil {
		frame := within(rate.Frames(*at))
		out.Scenes = []Chunk{{First: frame, End: frame + 1}}
		return out
	}
	for _, place := range posterPlaces {
		from := within(first + int64(place*float64(end-first)))
		to := max(min(from+rate.Frames(posterSeconds), end, p.Frames), from+1)
		out.Scenes = append(out.Scenes, Chunk{First: from, End: to})
	}
	return out
}

func (p Plan) storyboard(wanted job.Storyboard) *Storyboard {
	// The smallest rendition is what tiles are made from: nothing is scaled up.
	source := p.Video[len(p.Video)-1]
	s := &Storyboard{Columns: wanted.Columns, Rows: wanted.Rows}
	s.Width = even(min(wanted.Width, source.Width))
	s.Height = nearestEven(source.Height, s.Width, source.Width)
	if s.Height > maxTileHeight {
		s.Height = maxTileHeight
		s.Width = nearestEven(source.Width, s.Height, source.Height)
	}
	s.Rows = max(min(s.Rows, maxSheetHeight/s.Height), 1)

	rate := p.Source.Video.Rate
	for seconds := wanted.Interval; ; seconds++ {
		s.Interval = max(rate.Frames(float64(seconds)), 1)
		if p.Frames <= s.Interval*int64(maxSheets*s.Columns*s.Rows) {
			break
		}
	}
	// A video whose tiles fill no sheet gets a smaller one.
	if tiles := int((p.Frames + s.Interval - 1) / s.Interval); tiles < s.Columns*s.Rows {
		s.Columns = min(s.Columns, tiles)
		s.Rows = (tiles + s.Columns - 1) / s.Columns
	}
	return s
}

// Tiles is the number of the storyboard's tiles; 0 without one.
func (p Plan) Tiles() int {
	if p.Storyboard == nil {
		return 0
	}
	return int((p.Frames + p.Storyboard.Interval - 1) / p.Storyboard.Interval)
}

// Tile is the storyboard's tile n, from 0.
func (p Plan) Tile(n int) Tile {
	first := int64(n) * p.Storyboard.Interval
	end := min(first+p.Storyboard.Interval, p.Frames)
	return Tile{First: first, Middle: first + (end-first)/2, End: end}
}

// TilesOf is the half-open range of tiles whose frames a chunk has.
func (p Plan) TilesOf(c Chunk) (first, end int) {
	at := func(frame int64) int {
		return sort.Search(p.Tiles(), func(n int) bool { return p.Tile(n).Middle >= frame })
	}
	return at(c.First), at(c.End)
}

// Sheet is the half-open range of tiles that a sheet shows; sheets are numbered from 0.
func (p Plan) Sheet(n int) (first, end int) {
	size := p.Storyboard.Columns * p.Storyboard.Rows
	return n * size, min((n+1)*size, p.Tiles())
}

// Sheets is the number of the storyboard's sheets.
func (p Plan) Sheets() int {
	if p.Storyboard == nil {
		return 0
	}
	size := p.Storyboard.Columns * p.Storyboard.Rows
	return (p.Tiles() + size - 1) / size
}

// stillTasks are those that make pictures. They weigh nothing: beside an encoder they take no time.
func (p Plan) stillTasks() []Task {
	var tasks []Task
	if p.Poster != nil {
		tasks = append(tasks, Task{ID: PosterTask, Still: true})
	}
	if p.Storyboard != nil {
		tasks = append(tasks, Task{ID: StoryboardTask, Still: true})
	}
	return tasks
}

package job

import (
	"errors"
	"fmt"
)

// Storyboard is how the pictures along a video's time line are wanted. What is 0 is left to the configuration.
type Storyboard struct {
	Interval int `json:"interval_s,omitempty"` // from one picture to the next; it grows where there would be too many sheets
	Columns  int `json:"columns,omitempty"`    // pictures side by side on a sheet
	Rows     int `json:"rows,omitempty"`
	Width    int `json:"width,omitempty"` // of one picture, in pixels; the height follows
}

// The limits of a storyboard. A sheet must be a picture that a phone decodes at once.
const (
	maxInterval                = 3600 // seconds
	maxColumns                 = 20   // and rows
	minTileWidth, maxTileWidth = 64, 640
	maxSheetWidth              = 4096
)

// maxPosterAt is longer than any video, in seconds.
const maxPosterAt = 7 * 24 * 60 * 60

// Validate reports every problem of what is not 0.
func (s Storyboard) Validate() error {
	within := func(name string, value, low, high int) error {
		if value == 0 || value >= low && value <= high {
			return nil
		}
		return fmt.Errorf("%s is %d: it must be a number from %d to %d", name, value, low, high)
	}
	err := errors.Join(
		within("storyboard.interval_s", s.Interval, 1, maxInterval),
		within("storyboard.columns", s.Columns, 1, maxColumns),
		within("storyboard.rows", s.Rows, 1, maxColumns),
		within("storyboard.width", s.Width, minTileWidth, maxTileWidth),
	)
	if err == nil && s.Columns*s.Width > maxSheetWidth {
		return fmt.Errorf("storyboard.columns × storyboard.width is %d: it must be at most %d, the pixels that are shown everywhere",
			s.Columns*s.Width, maxSheetWidth)
	}
	return err
}

// Or fills in what is left to the defaults. Where both together make a sheet too wide, it has fewer columns.
func (s Storyboard) Or(defaults Storyboard) Storyboard {
	pick := func(value, otherwise int) int {
		if value == 0 {
			return otherwise
		}
		return value
	}
	s.Interval, s.Columns = pick(s.Interval, defaults.Interval), pick(s.Columns, defaults.Columns)
	s.Rows, s.Width = pick(s.Rows, defaults.Rows), pick(s.Width, defaults.Width)
	s.Columns = min(s.Columns, maxSheetWidth/max(s.Width, 1))
	return s
}

func validatePosterAt(seconds *float64) error {
	if seconds != nil && !(*seconds >= 0 && *seconds <= maxPosterAt) {
		return fmt.Errorf("poster_at_s is %g: give the position of the picture, in seconds from the start", *seconds)
	}
	return nil
}

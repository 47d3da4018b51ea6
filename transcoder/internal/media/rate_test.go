package media_test

import (
	"testing"

	"weir/transcoder/internal/media"
)

func TestNominalRate(t *testing.T) {
	for _, c := range []struct {
		name          string
		average, base media.Rate
		want          media.Rate
	}{
		{"a constant rate is kept", media.Rate{Num: 25, Den: 1}, media.Rate{Num: 25, Den: 1}, media.Rate{Num: 25, Den: 1}},
		{"NTSC is exact, not 29.97", media.Rate{Num: 2997, Den: 100}, media.Rate{Num: 30000, Den: 1001}, media.Rate{Num: 30000, Den: 1001}},
		{"30 is not mistaken for NTSC", media.Rate{Num: 30, Den: 1}, media.Rate{Num: 30, Den: 1}, media.Rate{Num: 30, Den: 1}},
		{"an odd constant rate is kept", media.Rate{Num: 15, Den: 1}, media.Rate{Num: 15, Den: 1}, media.Rate{Num: 15, Den: 1}},
		{"a half frame rate is kept", media.Rate{Num: 25, Den: 2}, media.Rate{Num: 25, Den: 2}, media.Rate{Num: 25, Den: 2}},
		{"a variable rate loses no frame", media.Rate{Num: 273, Den: 10}, media.Rate{Num: 600, Den: 1}, media.Rate{Num: 30000, Den: 1001}},
		{"a rate with pictures left out is kept", media.Rate{Num: 50, Den: 3}, media.Rate{Num: 25, Den: 1}, media.Rate{Num: 25, Den: 1}},
		{"a phone's almost-30 is 30", media.Rate{Num: 29995, Den: 1000}, media.Rate{Num: 90000, Den: 1}, media.Rate{Num: 30, Den: 1}},
		{"slow motion is capped", media.Rate{Num: 240, Den: 1}, media.Rate{Num: 240, Den: 1}, media.Rate{Num: 60, Den: 1}},
		{"of 100 each second frame", media.Rate{Num: 100, Den: 1}, media.Rate{Num: 100, Den: 1}, media.Rate{Num: 50, Den: 1}},
		{"of 144 each third frame", media.Rate{Num: 144, Den: 1}, media.Rate{Num: 144, Den: 1}, media.Rate{Num: 48, Den: 1}},
		{"of 119.88 each second frame", media.Rate{Num: 120000, Den: 1001}, media.Rate{Num: 120, Den: 1}, media.Rate{Num: 60000, Den: 1001}},
		{"a clock of milliseconds is no rate", media.Rate{Num: 1000, Den: 1}, media.Rate{Num: 1000, Den: 1}, media.Rate{Num: 60, Den: 1}},
		{"no average: the base", media.Rate{}, media.Rate{Num: 24, Den: 1}, media.Rate{Num: 24, Den: 1}},
		{"nothing known", media.Rate{}, media.Rate{}, media.Rate{Num: 30, Den: 1}},
		{"a slide show has one frame a second", media.Rate{Num: 1, Den: 10}, media.Rate{Num: 1, Den: 10}, media.Rate{Num: 1, Den: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := media.Nominal(c.average, c.base); got != c.want {
				t.Errorf("Nominal(%v, %v) = %v, want %v", c.average, c.base, got, c.want)
			}
		})
	}
}

func TestTimescaleHoldsWholeFrames(t *testing.T) {
	for _, r := range []media.Rate{{Num: 24, Den: 1}, {Num: 30000, Den: 1001}, {Num: 25, Den: 2}, {Num: 60, Den: 1}, {Num: 27300, Den: 1000}} {
		scale, frame := r.Timescale()
		if scale < 1000 || int64(frame)*r.Num != int64(scale)*r.Den {
			t.Errorf("%v: timescale %d with %d ticks a frame", r, scale, frame)
		}
	}
}

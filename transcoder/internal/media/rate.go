package media

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Rate is a frame rate, Num frames in Den seconds: 30000/1001 is NTSC's 29.97.
type Rate struct {
	Num int64 `json:"num"`
	Den int64 `json:"den"`
}

// MaxRate is the highest frame rate that is published (Apple HLS authoring rule 1.19).
const MaxRate = 60

func (r Rate) String() string { return fmt.Sprintf("%d/%d", r.Num, r.Den) }

// Float is the rate in frames per second.
func (r Rate) Float() float64 { return float64(r.Num) / float64(r.Den) }

// Valid tells whether the rate can be that of a video.
func (r Rate) Valid() bool { return r.Num > 0 && r.Den > 0 }

// Seconds is when frame n starts.
func (r Rate) Seconds(n int64) float64 { return float64(n) * float64(r.Den) / float64(r.Num) }

// Frames is the number of whole frames nearest to a time in seconds.
func (r Rate) Frames(seconds float64) int64 {
	return int64(math.Round(seconds * float64(r.Num) / float64(r.Den)))
}

// Timescale returns the ticks per second of a track at this rate and the ticks of one frame. A frame is a whole number of
// ticks, so that times never drift; the scale is at least 1,000, which players' own rounding needs.
func (r Rate) Timescale() (scale uint32, frame uint32) {
	k := int64(1)
	for r.Num*k < 1000 {
		k *= 10
	}
	return uint32(r.Num * k), uint32(r.Den * k)
}

// standard are the rates that cameras and editors mean when a file says something near them.
var standard = []Rate{
	{24000, 1001}, {24, 1}, {25, 1}, {30000, 1001}, {30, 1}, {48, 1}, {50, 1}, {60000, 1001}, {60, 1},
}

// Nominal returns the constant rate at which a source with this average and this base rate is published. base is the
// container's guess of the rate that can represent all timestamps (FFmpeg's r_frame_rate); the two differ in a
// variable-rate file, which gets its base where that is a standard rate, or else the next standard rate above its average,
// so that few frames of it are lost. A constant
// rate is kept, as the standard rate where one lies within 1 %. Of one above [MaxRate], each second frame is published, or
// each third, so that movement stays even.
func Nominal(average, base Rate) Rate {
	switch {
	case !average.Valid() && !base.Valid():
		return Rate{30, 1}
	case !average.Valid():
		average = base
	case !base.Valid():
		base = average
	}
	if nearest := nearest(average); near(average, nearest) {
		return nearest
	}
	if average.Float() > MaxRate {
		every := int64(math.Ceil(average.Float() / (MaxRate * 1.01)))
		if every > maxStep || !near(average, base) {
			return Rate{MaxRate, 1}
		}
		part := Rate{average.Num, average.Den * every}
		return Nominal(part, part)
	}
	if s := nearest(base); near(base, s) && base.Float() > average.Float() {
		return s // with pictures left out here and there
	}
	if !near(average, base) {
		for _, s := range standard {
			if s.Float() > average.Float() {
				return s
			}
		}
	}
	// An odd constant rate: kept to a thousandth, so that the timescale stays small.
	return Rate{max(int64(math.Round(average.Float()*1000)), 1000), 1000}.reduced()
}

// maxStep is the largest step from frame to frame that is kept even. Beyond it nobody sees the difference, and the rate is
// that of a clock rather than of a camera.
const maxStep = 4

// near tells whether two rates differ by less than 1 %.
func near(a, b Rate) bool { return math.Abs(a.Float()/b.Float()-1) < 0.01 }

func nearest(r Rate) Rate {
	return slices.MinFunc(standard, func(a, b Rate) int {
		return cmp.Compare(math.Abs(r.Float()-a.Float()), math.Abs(r.Float()-b.Float()))
	})
}

func (r Rate) reduced() Rate {
	a, b := r.Num, r.Den
	for b != 0 {
		a, b = b, a%b
	}
	return Rate{r.Num / a, r.Den / a}
}

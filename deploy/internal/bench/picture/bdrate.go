package picture

import (
	"errors"
	"math"
	"slices"
)

// point is one operating point of an encoder.
type point struct{ rate, quality float64 }

// curve is an encoder's rate-distortion curve, by its operating points.
type curve []point

// bjontegaard is the Bjøntegaard delta rate of test to reference, in percent: the mean, over the qualities that both reach, of how
// much more rate the same quality takes. Between the points, the logarithm of the rate is a monotone cubic of the quality
// (ITU-T VCEG-M33, with the piecewise interpolation of JCTVC-E137).
func bjontegaard(reference, test curve) (percent float64, err error) {
	a, errA := newSpline(reference)
	b, errB := newSpline(test)
	if err := errors.Join(errA, errB); err != nil {
		return 0, err
	}
	low, high := max(a.x[0], b.x[0]), min(a.x[len(a.x)-1], b.x[len(b.x)-1])
	if low >= high {
		return 0, errors.New("the two encoders reach no quality in common")
	}
	mean := (b.integral(low, high) - a.integral(low, high)) / (high - low)
	return (math.Exp(mean) - 1) * 100, nil
}

// spline is a monotone piecewise cubic (Fritsch and Carlson, 1980): y of x, with slopes m.
type spline struct{ x, y, m []float64 }

func newSpline(c curve) (spline, error) {
	c = slices.Clone(c)
	slices.SortFunc(c, func(a, b point) int { return int(math.Copysign(1, a.quality-b.quality)) })
	var s spline
	for i, p := range c {
		if i > 0 && p.quality <= c[i-1].quality || i > 0 && p.rate <= c[i-1].rate {
			return s, errors.New("an encoder's quality does not grow with its rate")
		}
		s.x, s.y = append(s.x, p.quality), append(s.y, math.Log(p.rate))
	}
	n := len(s.x)
	if n < 2 {
		return s, errors.New("a curve takes two points")
	}
	h, d := make([]float64, n-1), make([]float64, n-1)
	for i := range n - 1 {
		h[i] = s.x[i+1] - s.x[i]
		d[i] = (s.y[i+1] - s.y[i]) / h[i]
	}
	s.m = make([]float64, n)
	s.m[0], s.m[n-1] = d[0], d[n-2]
	for i := 1; i < n-1; i++ { // the weighted harmonic mean of the secants keeps it monotone
		w1, w2 := 2*h[i]+h[i-1], h[i]+2*h[i-1]
		s.m[i] = (w1 + w2) / (w1/d[i-1] + w2/d[i])
	}
	return s, nil
}

// integral is that from low to high, which are within the spline: exactly, by the rule of Gauss with two points a piece.
func (s spline) integral(low, high float64) (sum float64) {
	for i := range len(s.x) - 1 {
		from, to := max(low, s.x[i]), min(high, s.x[i+1])
		if from >= to {
			continue
		}
		half, middle := (to-from)/2, (to+from)/2
		for _, at := range []float64{-1 / math.Sqrt(3), 1 / math.Sqrt(3)} {
			sum += half * s.at(i, middle+half*at)
		}
	}
	return sum
}

// at is the value at x, in piece i.
func (s spline) at(i int, x float64) float64 {
	h := s.x[i+1] - s.x[i]
	t := (x - s.x[i]) / h
	return s.y[i]*(1+2*t)*(1-t)*(1-t) + s.m[i]*h*t*(1-t)*(1-t) + s.y[i+1]*t*t*(3-2*t) - s.m[i+1]*h*t*t*(1-t)
}

package picture

import (
	"math"
	"testing"
)

func TestBDRate(t *testing.T) {
	reference := curve{{1000, 32}, {2000, 35}, {4000, 38}, {8000, 40.5}}
	scaled := func(by float64) (c curve) {
		for _, p := range reference {
			c = append(c, point{p.rate * by, p.quality})
		}
		return c
	}
	for _, c := range []struct {
		name      string
		test      curve
		want, off float64
	}{
		{"itself", reference, 0, 1e-9},
		{"a tenth more at each quality", scaled(1.1), 10, 1e-9},
		{"half", scaled(0.5), -50, 1e-9},
		{"points in another order", curve{{8800, 40.5}, {1100, 32}, {4400, 38}, {2200, 35}}, 10, 1e-9},
		// Over 33.5 to 38 the rate of the other is 1.25 times as high: where the points lie makes little difference.
		{"other operating points of much the same curve", curve{{1768, 33.5}, {2500, 35}, {3536, 36.5}, {5000, 38}}, 25, 1.5},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := bjontegaard(reference, c.test); err != nil || math.Abs(got-c.want) > c.off {
				t.Errorf("got %v, %v, want %v", got, err, c.want)
			}
		})
	}
	for name, c := range map[string]curve{
		"no quality in common":   {{1000, 20}, {2000, 25}},
		"a rate that falls":      {{2000, 32}, {1000, 35}},
		"one point":              {{1000, 35}},
		"the same quality twice": {{1000, 35}, {2000, 35}},
	} {
		if got, err := bjontegaard(reference, c); err == nil {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

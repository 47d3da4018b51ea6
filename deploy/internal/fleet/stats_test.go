package fleet_test

import (
	"testing"
	"time"

	"weir/deploy/internal/fleet"
)

func TestQuantileAndMedian(t *testing.T) {
	var hundred []time.Duration
	for i := 100; i > 0; i-- {
		hundred = append(hundred, time.Duration(i))
	}
	for _, c := range []struct {
		name      string
		values    []time.Duration
		p99, most time.Duration
		median    time.Duration
	}{
		{"none", nil, 0, 0, 0},
		{"one", []time.Duration{7}, 7, 7, 7},
		{"two", []time.Duration{9, 7}, 9, 9, 8},
		{"three", []time.Duration{3, 1, 2}, 3, 3, 2},
		{"a hundred", hundred, 99, 100, 50},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := fleet.Quantile(c.values, 0.99); got != c.p99 {
				t.Errorf("p99 is %d, want %d", got, c.p99)
			}
			if got := fleet.Quantile(c.values, 1); got != c.most {
				t.Errorf("the most is %d, want %d", got, c.most)
			}
			if got := fleet.Median(c.values); got != c.median {
				t.Errorf("the median is %d, want %d", got, c.median)
			}
		})
	}
}

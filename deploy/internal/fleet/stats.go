package fleet

import (
	"math"
	"slices"
	"time"
)

// Quantile is the value that the share q of all values does not exceed (nearest rank); 0 of none.
func Quantile(values []time.Duration, q float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[min(max(rank, 0), len(sorted)-1)]
}

// Median is the middle value, or the mean of the two in the middle; 0 of none.
func Median(values []time.Duration) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// Seconds is a duration in seconds, to a millisecond: for results.
func Seconds(d time.Duration) float64 { return math.Round(d.Seconds()*1000) / 1000 }

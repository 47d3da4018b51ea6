package edge

import (
	"fmt"
	"math"
	"slices"
)

// spread is where the values of many rounds lie: their quartiles.
type spread struct{ low, median, high float64 }

// spreadOf is the spread of values, of which there is at least one.
func spreadOf(values []float64) spread {
	sorted := slices.Sorted(slices.Values(values))
	at := func(share float64) float64 { // interpolated
		place := share * float64(len(sorted)-1)
		below := int(place)
		above := min(below+1, len(sorted)-1)
		return sorted[below] + (sorted[above]-sorted[below])*(place-float64(below))
	}
	return spread{at(0.25), at(0.5), at(0.75)}
}

func (s spread) text(decimals int) string {
	return fmt.Sprintf("%.*f (%.*f–%.*f)", decimals, s.median, decimals, s.low, decimals, s.high)
}

// rounded is for results.
func rounded(x float64, decimals int) float64 {
	unit := math.Pow10(decimals)
	return math.Round(x*unit) / unit
}

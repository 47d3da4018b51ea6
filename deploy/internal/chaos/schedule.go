package chaos

import (
	"math/rand/v2"
	"time"
)

// Between these moments after a start lies all that a node does first: it reads its queue, takes requests, probes, plans,
// encodes, publishes and tells.
const earliest, latest = 50 * time.Millisecond, 4 * time.Second

// death is when a node is to be killed.
type death struct {
	after time.Duration // since its start
	// waits lets the node live until it has got something done. Every second one does: a node that is always killed before
	// it has recovered would never tell how long that takes.
	waits bool
}

// deaths draws a schedule: a third of the moments are evenly spread, the others crowd together near the start, where a node
// is in a new state every few milliseconds.
func deaths(rng *rand.Rand, n int) []death {
	all := make([]death, n)
	for i := range all {
		span := latest - earliest
		if i%3 != 0 {
			span = time.Duration(float64(span) * rng.Float64())
		}
		all[i] = death{after: earliest + time.Duration(rng.Int64N(int64(span)+1)), waits: i%2 == 1}
	}
	return all
}

// between draws a duration.
func between(rng *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(rng.Int64N(int64(high-low)+1))
}

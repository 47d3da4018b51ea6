// Package campaign runs a comparison many times, on all cores, and counts what came of it. It is for tests alone.
//
// Start at [Run]. A campaign is short in the test suite, to see that nothing has changed, and as long as its flag says when an
// operator wants proof (`go tool task fuzz`). What it does depends on -fuzz.seed and on nothing else, not even on how many cores
// there are, so that a fault can be looked at again.
package campaign

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"
)

// How long the campaigns are, in trials.
var (
	Tokens  = flag.Int("fuzz.tokens", 30_000, "how many tokens to compare with golang-jwt")
	Paths   = flag.Int("fuzz.paths", 20_000, "how many request URLs to compare with net/url")
	Headers = flag.Int("fuzz.headers", 40_000, "how many requests to compare with net/http")
)

var seed = flag.Uint64("fuzz.seed", 1, "what the campaigns draw from")

// batch is how many trials share a source of randomness.
const batch = 1000

// maxFaults is how many faults end a campaign: the first ones tell enough.
const maxFaults = 5

// Table counts by row and column: what was tried, and what came of it.
type Table map[string]map[string]int

// Count adds one.
func (t Table) Count(row, column string) { t.Add(row, column, 1) }

// Add adds n. To add 0 is to show a column that should stay empty.
func (t Table) Add(row, column string, n int) {
	if t[row] == nil {
		t[row] = map[string]int{}
	}
	t[row][column] += n
}

// Require reports a row that did not come to exactly these columns, each at least once.
func (t Table) Require(tb testing.TB, row string, columns ...string) {
	tb.Helper()
	got := slices.Sorted(maps.Keys(t[row]))
	slices.Sort(columns)
	if !slices.Equal(got, columns) {
		tb.Errorf("%s: came to %q, want %q", row, got, columns)
	}
}

// A Trial tries one thing that it draws from r, and counts it. An error is a fault.
type Trial func(r *rand.Rand, t Table) error

// Run makes so many trials and gives their counts. start makes the trial of each batch, with whatever state it has. Run reports
// the first faults, as errors of tb; with -v it prints the counts as a table, and RESULT with them as JSON on a line.
func Run(tb testing.TB, name string, trials int, start func() Trial) Table {
	tb.Helper()
	began := time.Now()
	total, faults := run(trials, start)
	for _, f := range faults {
		tb.Error(f)
	}
	if testing.Verbose() {
		if err := total.print(os.Stdout, name, trials, len(faults), time.Since(began)); err != nil {
			tb.Error(err)
		}
	}
	return total
}

// Catches reports whether so many trials find a fault.
func Catches(trials int, start func() Trial) bool {
	_, faults := run(trials, start)
	return len(faults) > 0
}

func run(trials int, start func() Trial) (total Table, faults []error) {
	total = Table{}
	var (
		next    atomic.Int64
		mu      sync.Mutex // guards total and faults
		workers sync.WaitGroup
	)
	enough := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(faults) >= maxFaults
	}
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			counts := Table{}
			for !enough() {
				b := int(next.Add(1)) - 1
				if b*batch >= trials {
					break
				}
				random, try := rand.New(rand.NewPCG(*seed, uint64(b))), start() //nolint:gosec // a campaign must be repeatable
				for range min(batch, trials-b*batch) {
					if err := try(random, counts); err != nil {
						mu.Lock()
						faults = append(faults, fmt.Errorf("-fuzz.seed=%d, batch %d: %w", *seed, b, err))
						mu.Unlock()
						break
					}
				}
			}
			mu.Lock()
			defer mu.Unlock()
			for row, columns := range counts {
				for column, n := range columns {
					total.Add(row, column, n)
				}
			}
		})
	}
	workers.Wait()
	return total, faults
}

// print writes the table, and RESULT.
func (t Table) print(w io.Writer, name string, trials, faults int, took time.Duration) error {
	_, _ = fmt.Fprintf(w, "\n%s: seed %d, %d trials, %d cores\n\n", name, *seed, trials, runtime.GOMAXPROCS(0))
	columns := map[string]bool{}
	for _, counts := range t {
		for c := range counts {
			columns[c] = true
		}
	}
	names := slices.Sorted(maps.Keys(columns))
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, c := range names {
		_, _ = fmt.Fprint(table, c, "\t")
	}
	_, _ = fmt.Fprintln(table)
	for _, row := range slices.Sorted(maps.Keys(t)) {
		for _, c := range names {
			_, _ = fmt.Fprint(table, t[row][c], "\t")
		}
		_, _ = fmt.Fprintln(table, "  "+row)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	line, err := json.Marshal(map[string]any{
		"campaign": name, "seed": *seed, "trials": trials, "faults": faults, "cores": runtime.GOMAXPROCS(0),
		"seconds": took.Seconds(), "trialsPerSecond": float64(trials) / took.Seconds(), "counts": t,
	})
	if err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	_, err = fmt.Fprintf(w, "\nRESULT %s\n", line)
	return err
}

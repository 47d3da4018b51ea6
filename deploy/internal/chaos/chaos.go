// Package chaos is the fault runs: it breaks a real Weir in the ways in which machines break, and tells whether a promise
// broke with it.
//
// Each fault run (kills.go, zombies.go, posts.go, deletes.go, outages.go) has the real parts to itself: a local Cloudflare, transcoders
// as processes of their own, ffmpeg, a backend that verifies its webhooks. While it does its harm, a witness looks at every
// object of every job ten times a second; in the end each job is judged (scene.go). Every fault run is known to bite:
// mutants.go breaks the transcoder on purpose, and demands that it is noticed. Start at [Run].
package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"weir/deploy/internal/fleet"
	"weir/deploy/local"
)

// Options are what the command line says.
type Options struct {
	Kills, Wipes, Zombies, Takeovers, Posts, Deletes int           // how often
	Bucket, Queue                                    time.Duration // how long away

	// Short runs side by side and leaves out what takes minutes, above all the wait for the last sweeps.
	Short   bool
	Only    []string // names of fault runs; empty is all
	Mutants bool     // break the transcoder instead, and see whether that is noticed
	Seed    uint64
	// Transcoder is a binary to use; "" builds that of the checkout.
	Transcoder string
	Log        io.Writer // what the transcoders say; nil is nowhere
}

// Full are the figures that the README states, Short those of the test suite.
var (
	Full = Options{
		Kills: 200, Wipes: 20, Zombies: 50, Takeovers: 4, Posts: 10_000, Deletes: 50,
		Bucket: 10 * time.Minute, Queue: 30 * time.Minute,
	}
	Short = Options{
		Kills: 6, Wipes: 2, Zombies: 2, Takeovers: 1, Posts: 500, Deletes: 4,
		Bucket: 20 * time.Second, Queue: 30 * time.Second, Short: true,
	}
)

// Result is the last line of a run.
type Result struct {
	Kills           int     `json:"kills"`
	Jobs            int     `json:"jobs"`
	Lost            int     `json:"lost"`
	Stuck           int     `json:"stuck"`
	Recovery        float64 `json:"recovery_p99_s"`
	Rerun           int     `json:"rerun_chunks_max"` // a kill and worker
	Wipes           int     `json:"wipes"`
	WipeLost        int     `json:"wipe_lost"`
	WipeReencoded   int     `json:"wipe_reencoded"`
	Zombies         int     `json:"zombies"`
	ZombieCommits   int     `json:"zombie_commits"`
	Takeovers       int     `json:"takeovers"`
	Takeover        float64 `json:"takeover_max_s"`
	Posts           int     `json:"posts"`
	PostJobs        int     `json:"post_jobs"`
	Deletes         int     `json:"deletes"`
	DeleteLeftovers int     `json:"delete_leftovers"`
	BucketAway      float64 `json:"bucket_away_s"`
	BucketLost      int     `json:"bucket_lost"`
	BucketResumed   float64 `json:"bucket_resumed_s"` // after it was back
	QueueAway       float64 `json:"queue_away_s"`
	QueueLost       int     `json:"queue_lost"`
	QueueResumed    float64 `json:"queue_resumed_s"`
	InvalidLists    int     `json:"invalid_playlists"`
	Broken          int     `json:"broken"` // promises, of every kind
	Seed            uint64  `json:"seed"`
}

// ErrBroken says that a promise was seen broken; what was printed says which.
var ErrBroken = errors.New("a promise was broken")

// part is one fault run.
type part struct {
	name string
	do   func(*run, context.Context) error
	// lane puts parts of a short run one after the other, so that what waits runs beside what works.
	lane int
}

var parts = []part{
	{"kills", (*run).kills, 0},
	{"wipes", (*run).wipes, 0},
	{"zombies", (*run).zombies, 1},
	{"takeovers", (*run).takeovers, 2},
	{"posts", (*run).posts, 0},
	{"deletes", (*run).deletes, 2},
	{"bucket", (*run).bucket, 3},
	{"queue", (*run).queue, 3},
}

// Parts are the names of the fault runs.
func Parts() []string {
	var names []string
	for _, p := range parts {
		names = append(names, p.name)
	}
	return names
}

// run is a run of some parts.
type run struct {
	opts   Options
	short  bool
	hasty  bool // see scene
	binary string
	log    io.Writer

	mu       sync.Mutex
	result   Result
	rows     []row
	problems []string
}

// row is a line of the table.
type row struct {
	part, text string
	broken     int
}

// Run does what the options say, prints a table, and RESULT as its last line. A broken promise is [ErrBroken].
func Run(ctx context.Context, opts Options, out io.Writer) (err error) {
	root, err := local.Root()
	if err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "weir-chaos-")
	if err != nil {
		return fmt.Errorf("prepare the fault runs: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	if opts.Seed == 0 {
		opts.Seed = rand.Uint64N(1_000_000) //nolint:gosec // it is printed, so that the run can be repeated
	}
	say(out, "seed %d\n", opts.Seed)
	if opts.Mutants {
		return runMutants(ctx, opts, root, temp, out)
	}
	binary, err := fleet.Binary(ctx, root, opts.Transcoder, temp)
	if err != nil {
		return err
	}
	r := newRun(opts, binary)
	if err := r.all(ctx, parts, out); err != nil {
		return interrupted(ctx, err)
	}
	r.print(out)
	line, err := json.Marshal(r.result)
	if err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	say(out, "RESULT %s\n", line)
	if r.result.Broken > 0 {
		return fmt.Errorf("%w: %d of them, see above", ErrBroken, r.result.Broken)
	}
	return nil
}

func newRun(opts Options, binary string) *run {
	return &run{
		opts: opts, short: opts.Short, binary: binary, log: opts.Log,
		result: Result{Seed: opts.Seed},
	}
}

// all runs the parts: a short run in lanes side by side, a full one in turn, so that each has the machine to itself.
func (r *run) all(ctx context.Context, parts []part, out io.Writer) error {
	lanes := map[int][]part{}
	for _, p := range parts {
		if len(r.opts.Only) > 0 && !slices.Contains(r.opts.Only, p.name) {
			continue
		}
		if !r.short {
			p.lane = 0
		}
		lanes[p.lane] = append(lanes[p.lane], p)
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, lane := range lanes {
		g.Go(func() error {
			for _, p := range lane {
				began := time.Now()
				if err := p.do(r, ctx); err != nil {
					return fmt.Errorf("%s: %w", p.name, err)
				}
				r.say(out, "%s … %.0f s\n", p.name, time.Since(began).Seconds())
			}
			return nil
		})
	}
	return g.Wait()
}

// interrupted prefers the end of ctx to what failed because of it.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// random returns the dice of a part, which depend on nothing but the seed.
func (r *run) random(part string) *rand.Rand {
	name := fnv.New64a()
	_, _ = name.Write([]byte(part))                         // never fails
	return rand.New(rand.NewPCG(r.opts.Seed, name.Sum64())) //nolint:gosec // a schedule is no secret
}

// finish takes in what a part has seen.
func (r *run) finish(part string, s *scene, fill func(*Result), format string, args ...any) {
	broken := s.broken()
	r.mu.Lock()
	defer r.mu.Unlock()
	fill(&r.result)
	r.result.Broken += len(broken)
	for _, p := range broken {
		if p.Kind == fleet.Invalid || p.Kind == fleet.Shrunk {
			r.result.InvalidLists++
		}
		r.problems = append(r.problems, part+": "+p.String())
	}
	for _, e := range s.fleet.Journal.Complaints() {
		r.problems = append(r.problems, fmt.Sprintf("%s: (logged) %s: %s: %s", part, e.Life, e.Message, e.Error))
	}
	pauses := s.watch.Pauses()
	format += "; looked at every %.2f s (median), %.2f s (p99)"
	args = append(args, fleet.Median(pauses).Seconds(), fleet.Quantile(pauses, 0.99).Seconds())
	r.rows = append(r.rows, row{part: part, text: fmt.Sprintf(format, args...), broken: len(broken)})
}

// maxShown is how many problems are printed of a run that has a thousand.
const maxShown = 40

func (r *run) print(out io.Writer) {
	say(out, "\n%-10s %6s  %s\n", "fault run", "broken", "")
	for _, name := range Parts() {
		for _, row := range r.rows {
			if row.part == name {
				say(out, "%-10s %6d  %s\n", row.part, row.broken, row.text)
			}
		}
	}
	say(out, "\n")
	for i, p := range r.problems {
		if i == maxShown {
			say(out, "… and %d more\n", len(r.problems)-i)
			break
		}
		say(out, "%s\n", p)
	}
}

// say prints while other lanes may as well.
func (r *run) say(out io.Writer, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	say(out, format, args...)
}

// say prints; an operator who closed the output has no use for an error about it.
func say(out io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(out, format, args...) }

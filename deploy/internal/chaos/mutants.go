package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"weir/deploy/internal/fleet"
)

// mutant is a transcoder with one safeguard taken out.
type mutant struct {
	name  string
	edits []edit
	part  string // the fault run that must notice
}

// edit replaces the one place where a text occurs in a file of the checkout.
type edit struct{ file, old, new string }

// errMutation is a mutant that cannot be made: the code has changed, and the table must follow.
var errMutation = errors.New("the mutant does not fit the code any more")

const (
	publishFile = "transcoder/internal/publish/publish.go"
	taskFile    = "transcoder/internal/worker/task.go"
	followFile  = "transcoder/internal/worker/follow.go"
	shareFile   = "transcoder/internal/worker/progress.go"
	stillsFile  = "transcoder/internal/worker/stills.go"
	recordFile  = "transcoder/internal/worker/record.go"
	catalogFile = "transcoder/internal/catalog/catalog.go"
	mainFile    = "transcoder/main.go"
	deliverFile = "transcoder/internal/queue/deliver.go"
	claimFile   = "transcoder/internal/queue/claim.go"
	queueFile   = "transcoder/internal/queue/queue.go"
)

// undying lets a worker go on whatever became of its message and of its job meanwhile: the fences of the queue are down, and
// the job's end goes unnoticed. That alone does no harm, because the bucket is written with care; so it goes with a mutation
// of that.
var undying = []edit{
	{deliverFile, "	if ctx.Err() != nil {\n		return context.Cause(ctx)\n	}\n	return do(ctx)\n", "	return do(context.WithoutCancel(ctx))\n"},
	{deliverFile, "if err := h.claim.check(ctx); err != nil {", "if err := h.claim.check(ctx); err != nil && !errors.Is(err, ErrLost) {"},
	{taskFile, "	if err == nil && j.State.Ended() {", "	if err != nil && j.State.Ended() {"},
	{shareFile, "	if err == nil && j.State.Ended() {", "	if err != nil && j.State.Ended() {"},
}

// blind writes playlists without a look at what is there.
var blind = edit{publishFile, "return follows(old, data)", "return true"}

// forgetful begins a walk without a look at what is finished.
var forgetful = edit{followFile, "	if err := f.poll(ctx); err != nil {\n		return media.Output{}, err\n	}\n	f.began", "	f.began"}

var mutants = []mutant{
	{"a segment is listed before it is there", []edit{
		{publishFile, "	\"strings\"\n", "	\"strings\"\n	\"time\"\n"},
		{publishFile, "	return name, t.once(ctx, t.key(rendition, name), data, segmentClass)",
			"	go func() {\n		time.Sleep(2 * time.Second)\n" +
				"		_ = t.once(context.WithoutCancel(ctx), t.key(rendition, name), data, segmentClass)\n	}()\n	return name, nil"},
	}, "kills"},
	{"each walk begins its playlists anew", []edit{forgetful, blind}, "kills"},
	{"the poster stays where nobody sees it", []edit{{stillsFile, "	if key == \"\" {", "	if key != \".\" {"}}, "kills"},
	{"finished chunks are encoded again", []edit{forgetful, {taskFile, "		if !names[name] {", "		if !names[name] || i == 0 {"}}, "wipes"},
	{"nobody looks for open jobs in the bucket", []edit{
		{mainFile, "	g.Go(func() error { return w.Reconcile(ctx, reconcileInterval) })\n", ""},
	}, "wipes"},
	{"who comes late writes over a finished task's record", append([]edit{
		{recordFile, "	err = b.Create(ctx, key, data, private)", "	_ = b.Delete(ctx, key)\n	err = b.Create(ctx, key, data, private)"},
	}, undying...), "zombies"},
	{"who comes late writes over playlists", append([]edit{blind}, undying...), "zombies"},
	{"a dead worker keeps its messages for ten minutes", []edit{
		{queueFile, "ackWait:   30 * time.Second,", "ackWait:   10 * time.Minute,"},
	}, "takeovers"},
	{"each request is a new job", []edit{
		{catalogFile, "	err := c.bucket.Create(ctx, recordKey(spec.VideoID), encode(j), private)",
			"	err := c.bucket.Write(ctx, recordKey(spec.VideoID), encode(j), private)"},
	}, "posts"},
	{"work that wanted the bucket comes again after ten minutes", []edit{
		{deliverFile, "	after := min(firstRetry<<min(max(n-1, 0), 20), last)", "	after := max(10*time.Minute, last)"},
	}, "bucket"},
	{"a node does not look for its cluster for long", []edit{
		{queueFile, "nats.MaxReconnects(-1)", "nats.MaxReconnects(3)"},
	}, "queue"},
	{"tasks of a deleted video go on", []edit{
		{taskFile, "w.Queue.Listen(stopID(t), func(string, []byte) { cancel(errStopped) })", "w.Queue.Listen(stopID(t), func(string, []byte) {})"},
		{taskFile, "	if err == nil && j.State.Ended() {", "	if err != nil && j.State.Ended() {"},
	}, "deletes"},
}

// MutantResult is the last line of a run of mutants.
type MutantResult struct {
	Mutants int      `json:"mutants"`
	Caught  int      `json:"caught"`
	Missed  []string `json:"missed,omitempty"`
	Seed    uint64   `json:"seed"`
}

// runMutants lets each mutant go through the fault run that is there for it.
func runMutants(ctx context.Context, opts Options, root, temp string, out io.Writer) error {
	result := MutantResult{Seed: opts.Seed}
	for _, m := range mutants {
		if len(opts.Only) > 0 && !slices.Contains(opts.Only, m.part) {
			continue
		}
		caught, err := m.run(ctx, opts, root, filepath.Join(temp, "mutant"))
		if err != nil {
			return interrupted(ctx, fmt.Errorf("mutant %q: %w", m.name, err))
		}
		result.Mutants++
		if len(caught) > 0 {
			result.Caught++
			say(out, "caught  %-60s %s\n", m.name, caught[0])
		} else {
			result.Missed = append(result.Missed, m.name)
			say(out, "MISSED  %-60s\n", m.name)
		}
	}
	line, err := json.Marshal(result)
	if err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	say(out, "RESULT %s\n", line)
	if len(result.Missed) > 0 {
		return fmt.Errorf("%w: no fault run noticed %s", ErrBroken, strings.Join(result.Missed, ", "))
	}
	return nil
}

// run builds the mutant and returns what its fault run noticed.
func (m mutant) run(ctx context.Context, opts Options, root, binary string) ([]string, error) {
	overlay, err := m.overlay(root)
	if err != nil {
		return nil, err
	}
	if err := fleet.Build(ctx, root, binary, overlay); err != nil {
		return nil, err
	}
	short := Short
	// What a worker is about to do when it dies or is frozen is a matter of luck. The first thing noticed ends the run.
	short.Kills *= 5
	short.Zombies *= 5
	short.Bucket *= 3 // handlers try for half a minute before they hand a message back
	short.Seed, short.Log, short.Only = opts.Seed, opts.Log, []string{m.part}
	r := newRun(short, binary)
	r.hasty = true
	if err := r.all(ctx, parts, io.Discard); err != nil {
		return nil, err
	}
	return r.problems, nil
}

// overlay is the mutated files.
func (m mutant) overlay(root string) (map[string][]byte, error) {
	overlay := map[string][]byte{}
	for _, e := range m.edits {
		text, ok := overlay[e.file]
		if !ok {
			var err error
			if text, err = os.ReadFile(filepath.Join(root, e.file)); err != nil {
				return nil, fmt.Errorf("%w: %w", errMutation, err)
			}
		}
		if n := bytes.Count(text, []byte(e.old)); n != 1 {
			return nil, fmt.Errorf("%w: %q is %d times in %s", errMutation, e.old, n, e.file)
		}
		overlay[e.file] = bytes.Replace(text, []byte(e.old), []byte(e.new), 1)
	}
	return overlay, nil
}

package catalog_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/transcoder/internal/catalog"
	"weir/transcoder/internal/job"
	"weir/transcoder/internal/r2/r2test"
)

var spec = job.Spec{VideoID: "intro", Key: "uploads/intro.mp4", WebhookURL: "https://example.com/hook"}

func open(b *r2test.Bucket) *catalog.Catalog { return catalog.New(b, time.Now) }

func accept(t *testing.T, c *catalog.Catalog, s job.Spec) job.Job {
	t.Helper()
	j, err := c.Accept(t.Context(), s, false)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func update(t *testing.T, c *catalog.Catalog, ticket job.Ticket, change func(*job.Job)) job.Job {
	t.Helper()
	j, err := c.Update(t.Context(), ticket, change)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func ids(t *testing.T, c *catalog.Catalog) []string {
	t.Helper()
	var out []string
	for id, err := range c.Open(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, id)
	}
	return out
}

func TestOfManyEqualRequestsThereIsOneJob(t *testing.T) {
	c := open(&r2test.Bucket{})
	var wg sync.WaitGroup
	runs := make([]string, 50)
	for i := range runs {
		wg.Go(func() {
			j, err := c.Accept(t.Context(), spec, false)
			if err != nil {
				t.Error(err)
			}
			runs[i] = j.Run
		})
	}
	wg.Wait()
	if slices.Sort(runs); runs[0] != runs[len(runs)-1] {
		t.Errorf("runs %v", slices.Compact(runs))
	}
}

func TestAnAnswerThatIsNotHeardLosesNothing(t *testing.T) {
	for _, fault := range []r2test.Fault{r2test.Lost, r2test.Unheard} {
		for _, key := range []string{"jobs/intro.json", "open/intro"} {
			b := &r2test.Bucket{}
			c := open(b)
			b.Inject(func(operation, k string) r2test.Fault {
				if k == key && operation != "read" {
					return fault
				}
				return r2test.None
			})
			if _, err := c.Accept(t.Context(), spec, false); err == nil {
				t.Errorf("fault %d on %s: accepted", fault, key)
			}
			b.Inject(nil)
			j := accept(t, c, spec)
			if got := ids(t, c); !slices.Equal(got, []string{"intro"}) {
				t.Errorf("fault %d on %s: open %v", fault, key, got)
			}
			if again := accept(t, c, spec); again.Run != j.Run {
				t.Errorf("fault %d on %s: two runs", fault, key)
			}
		}
	}
}

func TestConcurrentUpdatesAllCount(t *testing.T) {
	c := open(&r2test.Bucket{})
	ticket := accept(t, c, spec).Ticket()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := c.Update(t.Context(), ticket, func(j *job.Job) { j.Advance(j.Progress + 1) }); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if j, err := c.Get(t.Context(), "intro"); err != nil || j.Progress != 20 {
		t.Errorf("%v updates counted, %v", j.Progress, err)
	}
}

func TestARequestOfAnotherPriorityIsTheSameJob(t *testing.T) {
	c := open(&r2test.Bucket{})
	first := accept(t, c, spec)
	urgent := spec
	urgent.Priority = spec.Priority + 1
	if again := accept(t, c, urgent); again.Run != first.Run || again.Priority != spec.Priority {
		t.Errorf("accepted as %+v", again)
	}
}

func TestOnlyAFailedJobStartsOver(t *testing.T) {
	c := open(&r2test.Bucket{})
	other := spec
	other.Key = "uploads/other.mp4"
	old := accept(t, c, spec)
	if _, err := c.Accept(t.Context(), other, false); !errors.Is(err, job.ErrConflict) {
		t.Errorf("another request for a queued video: %v", err)
	}
	update(t, c, old.Ticket(), func(j *job.Job) { j.Fail(job.Failure{Code: job.SourceNotFound, Message: "…"}, time.Now()) })
	fresh := accept(t, c, other)
	if fresh.Run == old.Run || fresh.State != job.Queued || fresh.Key != other.Key || fresh.Failure != nil {
		t.Errorf("started over as %+v", fresh)
	}
	if _, err := c.Update(t.Context(), old.Ticket(), (*job.Job).Begin); !errors.Is(err, catalog.ErrSuperseded) {
		t.Errorf("an update of the old run: %v", err)
	}
}

func TestAnEndedJobStaysEnded(t *testing.T) {
	c := open(&r2test.Bucket{})
	ticket := accept(t, c, spec).Ticket()
	first := update(t, c, ticket, func(j *job.Job) { j.Finish(job.Result{Segments: 3}, time.Now()) })
	for _, change := range []func(*job.Job){
		(*job.Job).Begin,
		func(j *job.Job) { j.Publish(time.Now()) },
		func(j *job.Job) { j.Advance(5) },
		func(j *job.Job) { j.Fail(job.Failure{Code: job.SourceChanged}, time.Now()) },
		func(j *job.Job) { j.Finish(job.Result{}, time.Now()) },
	} {
		if got, want := written(t, update(t, c, ticket, change)), written(t, first); got != want {
			t.Errorf("changed to %s from %s", got, want)
		}
	}
}

func written(t *testing.T, j job.Job) string {
	t.Helper()
	data, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestAJobIsOpenUntilItIsToldAndSwept(t *testing.T) {
	c := open(&r2test.Bucket{})
	ticket := accept(t, c, spec).Ticket()
	at := time.Now()
	for _, step := range []struct {
		name   string
		change func(*job.Job)
		open   int
	}{
		{"playable", func(j *job.Job) { j.Publish(at) }, 1},
		{"finished", func(j *job.Job) { j.Finish(job.Result{}, at) }, 1},
		{"told once", func(j *job.Job) { j.Notices[0].DeliveredAt = &at }, 1},
		{"told and given up", func(j *job.Job) { j.Notices[1].GivenUp = true }, 1},
		{"swept", func(j *job.Job) { j.SweepAt = time.Time{} }, 0},
	} {
		update(t, c, ticket, step.change)
		if err := c.Close(t.Context(), ticket); err != nil {
			t.Fatal(err)
		}
		if got := ids(t, c); len(got) != step.open {
			t.Errorf("%s: open %v", step.name, got)
		}
	}
	accept(t, c, spec)
	if got := ids(t, c); len(got) != 0 {
		t.Errorf("asked for again when it is there: open %v", got)
	}
}

func TestClosingAnOldRunLeavesTheNewOneOpen(t *testing.T) {
	c := open(&r2test.Bucket{})
	old := accept(t, c, spec).Ticket()
	update(t, c, old, func(j *job.Job) { j.Fail(job.Failure{Code: job.SourceNotFound}, time.Now()) })
	accept(t, c, spec)
	if err := c.Close(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	if got := ids(t, c); len(got) != 1 {
		t.Errorf("open %v", got)
	}
}

func TestAProcessedVideoIsReplacedOnRequest(t *testing.T) {
	c := open(&r2test.Bucket{})
	other := spec
	other.Key = "uploads/better.mp4"
	old := accept(t, c, spec)
	if _, err := c.Accept(t.Context(), other, true); !errors.Is(err, job.ErrBusy) {
		t.Errorf("while it is worked on: %v", err)
	}
	if j, err := c.Accept(t.Context(), spec, true); err != nil || j.Run != old.Run {
		t.Errorf("the same request again: %v, %v", j, err)
	}
	update(t, c, old.Ticket(), func(j *job.Job) { j.Publish(time.Now()) })
	update(t, c, old.Ticket(), func(j *job.Job) { j.Duration = 30; j.Finish(job.Result{}, time.Now()) })
	j, err := c.Accept(t.Context(), other, true)
	if err != nil || j.Run == old.Run || j.Version != 2 || j.Published != 1 || !j.Watchable() || !j.Replaces() || j.Duration != 30 || len(j.Notices) != 0 {
		t.Fatalf("replaced by %+v, %v", j, err)
	}
	failed := update(t, c, j.Ticket(), func(j *job.Job) { j.Fail(job.Failure{Code: job.SourceNotFound}, time.Now()) })
	if !failed.Watchable() {
		t.Error("a replacement that failed took the old version with it")
	}
	j = accept(t, c, spec)
	if j.Version != 3 || !j.Replaces() {
		t.Errorf("after a failed replacement: %+v", j)
	}
	j = update(t, c, j.Ticket(), func(j *job.Job) { j.Finish(job.Result{}, time.Now()) })
	if j.Published != 3 || j.SweepAt.Sub(j.EndedAt) < time.Hour {
		t.Errorf("the old version is not kept for those who watch it: %+v", j)
	}
}

// When Revoke returns, tokens that were issued before are older than what it wrote, and those to come are not.
func TestRevokedTokensAreOlderThanTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := &r2test.Bucket{}
		c := open(bucket)
		if _, err := c.Revoke(t.Context(), "intro"); !errors.Is(err, job.ErrNotFound) {
			t.Errorf("a video that is not there: %v", err)
		}
		accept(t, c, spec)
		time.Sleep(300 * time.Millisecond)
		issued := time.Now().Unix()
		before, err := c.Revoke(t.Context(), "intro")
		data, _, readErr := bucket.Read(t.Context(), "epochs/intro")
		if err := errors.Join(err, readErr); err != nil || string(data) != strconv.FormatInt(before.Unix(), 10) {
			t.Fatalf("wrote %q, %v", data, err)
		}
		if next := time.Now().Unix(); issued >= before.Unix() || next < before.Unix() {
			t.Errorf("tokens of %d and %d, revoked before %d", issued, next, before.Unix())
		}
	})
}

func TestADeletedVideoIsNotToldOf(t *testing.T) {
	c := open(&r2test.Bucket{})
	if _, err := c.Delete(t.Context(), "intro"); !errors.Is(err, job.ErrNotFound) {
		t.Errorf("a video that is not there: %v", err)
	}
	old := accept(t, c, spec)
	update(t, c, old.Ticket(), func(j *job.Job) { j.Publish(time.Now()) })
	for range 2 {
		j, err := c.Delete(t.Context(), "intro")
		if err != nil || j.State != job.Deleted || j.Watchable() || len(j.Notices) != 0 || j.SweepAt.IsZero() {
			t.Errorf("deleted as %+v, %v", j, err)
		}
	}
	if got := ids(t, c); len(got) != 1 {
		t.Errorf("not swept yet: open %v", got)
	}
	for _, change := range []func(*job.Job){(*job.Job).Begin, func(j *job.Job) { j.Publish(time.Now()) }, func(j *job.Job) { j.Finish(job.Result{}, time.Now()) }} {
		if j := update(t, c, old.Ticket(), change); j.State != job.Deleted || j.Watchable() {
			t.Errorf("it came back as %+v", j)
		}
	}
	fresh := accept(t, c, spec)
	if fresh.Run == old.Run || fresh.NotBefore.IsZero() || fresh.Watchable() {
		t.Errorf("posted again while it is being removed: %+v", fresh)
	}
}

func TestADeadLetterIsListedAndReplayed(t *testing.T) {
	b := &r2test.Bucket{}
	c := open(b)
	ticket := accept(t, c, spec).Ticket()
	j := update(t, c, ticket, func(j *job.Job) {
		j.Fail(job.Failure{Code: job.SourceNotFound}, time.Now())
		j.SweepAt = time.Time{}
		n := &j.Notices[0]
		n.Attempts, n.LastError, n.GivenUp = 10, "the receiver answered 500", true
	})
	event := j.Notices[0]
	if err := c.Bury(t.Context(), j, event); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(t.Context(), ticket); err != nil {
		t.Fatal(err)
	}
	list := func() (out []job.DeadLetter) {
		for l, err := range c.DeadLetters(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, l)
		}
		return out
	}
	if got := list(); len(got) != 1 || got[0].EventID != event.EventID || got[0].VideoID != "intro" || got[0].Attempts != 10 {
		t.Errorf("listed %+v", got)
	}
	for _, unknown := range []string{"evt_intro_" + j.Run + "_playable", "evt_other_x_failed", "nonsense", "evt__", "evt_a/b_c_d"} {
		if _, err := c.Replay(t.Context(), unknown); !errors.Is(err, job.ErrNotFound) {
			t.Errorf("replayed %q: %v", unknown, err)
		}
	}
	j, err := c.Replay(t.Context(), event.EventID)
	if err != nil || j.Notices[0].Settled() || j.Notices[0].Attempts != 0 || len(ids(t, c)) != 1 {
		t.Errorf("replayed: %+v, %v, open %v", j, err, ids(t, c))
	}
	if err := c.Unbury(t.Context(), event.EventID); err != nil || len(list()) != 0 {
		t.Errorf("still listed: %v, %v", list(), err)
	}
}

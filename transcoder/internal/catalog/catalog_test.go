package catalog_test

import (
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"weir/transcoder/internal/catalog"
	"weir/transcoder/internal/job"
	"weir/transcoder/internal/r2/r2test"
)

var spec = job.Spec{VideoID: "intro", Key: "uploads/intro.mp4", WebhookURL: "https://example.com/hook"}

func open(b *r2test.Bucket) *catalog.Catalog { return catalog.New(b, time.Now) }

func accept(t *testing.T, c *catalog.Catalog, s job.Spec) job.Job {
	t.Helper()
	j, err := c.Accept(t.Context(), s)
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
			j, err := c.Accept(t.Context(), spec)
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
			b.Inject = func(operation, k string) r2test.Fault {
				if k == key && operation != "read" {
					return fault
				}
				return r2test.None
			}
			if _, err := c.Accept(t.Context(), spec); err == nil {
				t.Errorf("fault %d on %s: accepted", fault, key)
			}
			b.Inject = nil
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
			if _, err := c.Update(t.Context(), ticket, func(j *job.Job) { j.Notice.Attempts++ }); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if j, err := c.Get(t.Context(), "intro"); err != nil || j.Notice.Attempts != 20 {
		t.Errorf("%d updates counted, %v", j.Notice.Attempts, err)
	}
}

func TestOnlyAFailedJobStartsOver(t *testing.T) {
	c := open(&r2test.Bucket{})
	other := spec
	other.Key = "uploads/other.mp4"
	old := accept(t, c, spec)
	if _, err := c.Accept(t.Context(), other); !errors.Is(err, job.ErrConflict) {
		t.Errorf("another request for a queued video: %v", err)
	}
	update(t, c, old.Ticket(), func(j *job.Job) { j.Fail(job.Failure{Code: job.SourceNotFound, Message: "…"}) })
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
	first := update(t, c, ticket, func(j *job.Job) { j.Finish(job.Result{Segments: 3}) })
	for _, change := range []func(*job.Job){
		(*job.Job).Begin, (*job.Job).Publish,
		func(j *job.Job) { j.Advance(5) },
		func(j *job.Job) { j.Fail(job.Failure{Code: job.SourceChanged}) },
		func(j *job.Job) { j.Finish(job.Result{}) },
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

func TestAJobIsOpenUntilItsEndWasTold(t *testing.T) {
	c := open(&r2test.Bucket{})
	ticket := accept(t, c, spec).Ticket()
	update(t, c, ticket, func(j *job.Job) { j.Finish(job.Result{}) })
	if got := ids(t, c); len(got) != 1 {
		t.Errorf("finished but not told: open %v", got)
	}
	at := time.Now()
	update(t, c, ticket, func(j *job.Job) { j.Notice.DeliveredAt = &at })
	if err := c.Close(t.Context(), ticket); err != nil {
		t.Fatal(err)
	}
	if got := ids(t, c); len(got) != 0 {
		t.Errorf("told: open %v", got)
	}
	accept(t, c, spec)
	if got := ids(t, c); len(got) != 0 {
		t.Errorf("asked for again when it is there: open %v", got)
	}
}

func TestClosingAnOldRunLeavesTheNewOneOpen(t *testing.T) {
	c := open(&r2test.Bucket{})
	old := accept(t, c, spec).Ticket()
	update(t, c, old, func(j *job.Job) { j.Fail(job.Failure{Code: job.SourceNotFound}) })
	accept(t, c, spec)
	if err := c.Close(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	if got := ids(t, c); len(got) != 1 {
		t.Errorf("open %v", got)
	}
}

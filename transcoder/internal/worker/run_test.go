package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/transcoder/internal/catalog"
	"weir/transcoder/internal/job"
	"weir/transcoder/internal/metrics"
	"weir/transcoder/internal/queue"
	"weir/transcoder/internal/r2"
	"weir/transcoder/internal/r2/r2test"
	"weir/transcoder/internal/source"
	"weir/transcoder/internal/worker"
)

func open(t *testing.T) *queue.Queue {
	t.Helper()
	q, err := queue.Open(t.Context(), queue.Config{Dir: t.TempDir()}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.Close)
	return q
}

// A job that Weir itself fails on is tried for hours, and then the backend is told: no job is stuck for ever.
func TestAJobIsGivenUpAtLast(t *testing.T) {
	bucket := &r2test.Bucket{}
	c := catalog.New(bucket, time.Now)
	j, err := c.Accept(t.Context(), job.Spec{VideoID: "intro", Key: "uploads/intro.mp4", WebhookURL: "https://example.com"}, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := bucket.Write(t.Context(), "work/intro/"+j.Run+"/plan.json", []byte("no plan"), r2.Meta{}); err != nil {
		t.Fatal(err)
	}
	away := false
	bucket.Inject(func(_, key string) r2test.Fault {
		if away && strings.HasSuffix(key, "plan.json") {
			return r2test.Lost
		}
		return r2test.None
	})
	data, err := json.Marshal(j.Ticket())
	if err != nil {
		t.Fatal(err)
	}
	q := open(t)
	w := &worker.Worker{Log: slog.New(slog.DiscardHandler), Now: time.Now, Meter: metrics.New(), Bucket: bucket, Catalog: c, Queue: q}
	state := func() job.State {
		j, err := c.Get(t.Context(), "intro")
		if err != nil {
			t.Fatal(err)
		}
		return j.State
	}
	var fault *queue.Fault
	for faults := range 19 {
		if err := w.Run(t.Context(), queue.Delivery{Data: data, Faults: faults}); !errors.As(err, &fault) || state() != job.Processing {
			t.Fatalf("after %d faults: %v, the job is %s", faults, err, state())
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Run(ended, queue.Delivery{Data: data, Faults: 19}); err == nil || state() != job.Processing {
		t.Fatalf("cut off at the last attempt: %v, the job is %s", err, state())
	}
	away = true
	if err := w.Run(t.Context(), queue.Delivery{Data: data, Attempt: 1000, Faults: 19}); err == nil || errors.As(err, &fault) || state() != job.Processing {
		t.Fatalf("while the bucket is away: %v, the job is %s", err, state())
	}
	away = false
	if err := w.Run(t.Context(), queue.Delivery{Data: data, Faults: 19}); err != nil || state() != job.Failed {
		t.Fatalf("the last attempt: %v, the job is %s", err, state())
	}
	told := make(chan string, 1)
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- q.Serve(ctx, queue.Hooks, 1, func(_ context.Context, d queue.Delivery) error { told <- d.ID; return nil })
	}()
	select {
	case id := <-told:
		if id != "intro."+j.Run+".failed" {
			t.Errorf("told of %q", id)
		}
	case <-time.After(20 * time.Second):
		t.Error("the backend is not told")
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// So is a job with which they die before it has tasks.
func TestAJobThatEndsItsNodesIsGivenUpAtLast(t *testing.T) {
	bucket := &r2test.Bucket{}
	c := catalog.New(bucket, time.Now)
	j, err := c.Accept(t.Context(), job.Spec{VideoID: "intro", Key: "uploads/intro.mp4", WebhookURL: "https://example.com"}, false)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(j.Ticket())
	if err != nil {
		t.Fatal(err)
	}
	q := &board{sent: map[queue.Lane][]string{}, ears: map[string]func(string, []byte){}}
	w := &worker.Worker{Log: slog.New(slog.DiscardHandler), Now: time.Now, Meter: metrics.New(), Bucket: bucket, Catalog: c, Queue: q}
	if err := w.Run(t.Context(), queue.Delivery{Data: data, Attempt: 22, Crashes: 21, Since: time.Now().Add(-time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if j, err = c.Get(t.Context(), "intro"); err != nil || j.State != job.Failed || j.Failure.Code != job.Internal || q.on(queue.Hooks) != "failed" {
		t.Errorf("the job is %+v, %v", j, err)
	}
}

// Nodes die for many reasons. Only a task with which they die again and again, for a long time, is to blame for it.
func TestATaskThatEndsItsNodesIsGivenUpAtLast(t *testing.T) {
	for _, c := range []struct {
		name    string
		crashes int
		since   time.Duration
		blamed  bool
	}{
		{"often, in a short time", 100, 10 * time.Minute, false},
		{"seldom, in a long time", 5, 5 * time.Hour, false},
		{"often, for a long time", 21, time.Hour, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := walk(t)
				sources, err := source.Listen(t.Context(), d.bucket, source.Scratch{Dir: t.TempDir(), Bytes: 64 << 20}, d.worker.Log)
				if err != nil {
					t.Fatal(err)
				}
				d.worker.Sources = sources
				message := fmt.Appendf(nil, `{"video_id":"intro","run":%q,"task":"chunk_0"}`, d.job.Run)
				err = d.worker.RunTask(t.Context(), queue.Delivery{Data: message, Attempt: 200, Crashes: c.crashes, Since: time.Now().Add(-c.since)})
				if blamed := err == nil; blamed != c.blamed {
					t.Errorf("the task is to blame: %v (%v)", blamed, err)
				}
				if !c.blamed {
					d.end()
					return
				}
				d.say("outcome", d.job.Ticket().String(), "chunk_0", "1")
				if err := <-d.ended; err != nil || d.state() != job.Failed {
					t.Errorf("the job is %s, %v", d.state(), err)
				}
				counted(t, d.worker, `weir_tasks_total{kind="h264",outcome="failed"} 1`, `weir_jobs_total{code="internal",state="failed"} 1`)
			})
		})
	}
}

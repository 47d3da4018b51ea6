package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"weir/transcoder/internal/catalog"
	"weir/transcoder/internal/job"
	"weir/transcoder/internal/metrics"
	"weir/transcoder/internal/queue"
	"weir/transcoder/internal/r2/r2test"
	"weir/transcoder/internal/webhook"
	"weir/transcoder/internal/worker"
)

// backend is a receiver that answers as it is told, and keeps what it heard.
type backend struct {
	answer error
	ids    []string
	bodies []job.Event
}

func (b *backend) Send(_ context.Context, _, id string, _ time.Time, body []byte) error {
	var e job.Event
	if err := json.Unmarshal(body, &e); err != nil {
		return err
	}
	b.ids, b.bodies = append(b.ids, id), append(b.bodies, e)
	return b.answer
}

// ended returns a worker and the message that tells of a job that has just ended.
func ended(t *testing.T, b *backend) (*worker.Worker, *r2test.Bucket, queue.Delivery) {
	t.Helper()
	bucket := &r2test.Bucket{}
	c := catalog.New(bucket, time.Now)
	j, err := c.Accept(t.Context(), job.Spec{VideoID: "intro", Key: "uploads/intro.mp4", WebhookURL: "https://example.com"}, false)
	if err != nil {
		t.Fatal(err)
	}
	if j, err = c.Update(t.Context(), j.Ticket(), func(j *job.Job) {
		j.Fail(job.Failure{Code: job.SourceNotFound, Message: "There is no such object."}, time.Now())
		j.SweepAt = time.Time{}
	}); err != nil {
		t.Fatal(err)
	}
	data := fmt.Appendf(nil, `{"video_id":"intro","run":%q,"event_id":%q}`, j.Run, j.Notices[0].EventID)
	w := &worker.Worker{Log: slog.New(slog.DiscardHandler), Now: time.Now, Meter: metrics.New(), Bucket: bucket, Catalog: c, Sender: b}
	return w, bucket, queue.Delivery{ID: "intro." + j.Run + ".failed", Data: data, Attempt: 1}
}

func notice(t *testing.T, w *worker.Worker) job.Notice {
	t.Helper()
	j, err := w.Catalog.Get(t.Context(), "intro")
	if err != nil {
		t.Fatal(err)
	}
	return j.Notices[0]
}

func TestABackendIsToldOnce(t *testing.T) {
	b := &backend{}
	w, bucket, d := ended(t, b)
	for range 3 { // the message may come again
		if err := w.Tell(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	if len(b.ids) != 1 || b.bodies[0].Type != "video.failed" || b.bodies[0].VideoID != "intro" || b.bodies[0].Status != job.Failed {
		t.Errorf("told %+v", b.bodies)
	}
	if n := notice(t, w); n.DeliveredAt == nil || n.Attempts != 1 {
		t.Errorf("recorded %+v", n)
	}
	if open := bucket.Keys("open/"); len(open) != 0 {
		t.Errorf("still open: %v", open)
	}
}

// The schedule of the Standard Webhooks specification, in its own time.
func TestABackendThatDoesNotAnswerIsToldTenTimesInThreeDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{answer: &webhook.Failure{Reason: "the receiver answered 500"}}
		w, bucket, d := ended(t, b)
		const whole = 75*time.Hour + 35*time.Minute + 5*time.Second
		began := time.Now()
		var later *queue.Later
		err := w.Tell(t.Context(), d)
		for ; errors.As(err, &later); err = w.Tell(t.Context(), d) {
			if open := bucket.Keys("open/"); len(open) != 1 {
				t.Fatalf("after %v: open %v", time.Since(began), open)
			}
			time.Sleep(later.After)
		}
		if took := time.Since(began); took < whole || took > whole*11/10 {
			t.Errorf("it took %v, want %v and up to a tenth more", took, whole)
		}
		var dead *queue.Dead
		if !errors.As(err, &dead) {
			t.Errorf("the last attempt: %v", err)
		}
		if n := notice(t, w); !n.GivenUp || n.Attempts != 10 || n.LastError != "the receiver answered 500" {
			t.Errorf("recorded %+v", n)
		}
		if open, dead := bucket.Keys("open/"), bucket.Keys("dead/"); len(open) != 0 || len(dead) != 1 {
			t.Errorf("open %v, dead letters %v", open, dead)
		}
		for i, id := range b.ids {
			if len(b.ids) != 10 || id != b.ids[0] || !b.bodies[i].Timestamp.Equal(b.bodies[0].Timestamp) || b.bodies[i].Timestamp.IsZero() {
				t.Errorf("the event changes from attempt to attempt: %v, %+v", b.ids, b.bodies)
			}
		}

		// Somebody mends the receiver and has it told once more.
		b.answer = nil
		if _, err := w.Catalog.Replay(t.Context(), b.ids[0]); err != nil {
			t.Fatal(err)
		}
		if err := w.Tell(t.Context(), d); err != nil {
			t.Errorf("replayed: %v", err)
		}
		if open, dead := bucket.Keys("open/"), bucket.Keys("dead/"); len(b.ids) != 11 || len(open) != 0 || len(dead) != 0 {
			t.Errorf("replayed: told %v, open %v, dead letters %v", b.ids, open, dead)
		}
		counted(t, w, `weir_webhook_attempts_total{outcome="failed"} 9`, `weir_webhook_attempts_total{outcome="given_up"} 1`,
			`weir_webhook_attempts_total{outcome="told"} 1`)
	})
}

func TestAReceiverMayAskForTimeOrForNoMore(t *testing.T) {
	b := &backend{answer: &webhook.Failure{Reason: "the receiver answered 503", RetryAfter: time.Hour}}
	w, _, d := ended(t, b)
	var later *queue.Later
	if err := w.Tell(t.Context(), d); !errors.As(err, &later) || later.After != time.Hour {
		t.Errorf("asked for an hour: %v", err)
	}
	b.answer = &webhook.Failure{Reason: "the receiver answered 410", Gone: true}
	var dead *queue.Dead
	if err := w.Tell(t.Context(), d); !errors.As(err, &dead) || !notice(t, w).GivenUp {
		t.Errorf("gone: %v, %+v", err, notice(t, w))
	}
}

func TestAnEndThatIsNotRecordedIsToldAgain(t *testing.T) {
	b := &backend{}
	w, bucket, d := ended(t, b)
	bucket.Inject(func(operation, _ string) r2test.Fault {
		if operation == "replace" {
			return r2test.Lost
		}
		return r2test.None
	})
	if err := w.Tell(t.Context(), d); err == nil {
		t.Error("no error")
	}
	bucket.Inject(nil)
	if err := w.Tell(t.Context(), d); err != nil {
		t.Error(err)
	}
	if len(b.ids) != 2 || b.ids[0] != b.ids[1] {
		t.Errorf("told under the ids %v", b.ids)
	}
}

func TestMessagesThatNobodyNeedsAreDropped(t *testing.T) {
	b := &backend{}
	w, _, d := ended(t, b)
	w.Queue = open(t)
	for _, data := range []string{"", "{", `{"video_id":"other","run":"x"}`, `{"video_id":"intro","run":"x"}`} {
		d.Data = []byte(data)
		for name, handle := range map[string]queue.Handler{"Tell": w.Tell, "Run": w.Run, "RunTask": w.RunTask, "Sweep": w.Sweep} {
			if err := handle(t.Context(), d); err != nil {
				t.Errorf("%s of %q: %v", name, data, err)
			}
		}
	}
	if len(b.ids) != 0 {
		t.Errorf("told %v", b.ids)
	}
}

package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"time"

	"weir/transcoder/internal/catalog"
	"weir/transcoder/internal/job"
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
	j, err := c.Accept(t.Context(), job.Spec{VideoID: "intro", Key: "uploads/intro.mp4", WebhookURL: "https://example.com"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Update(t.Context(), j.Ticket(), func(j *job.Job) {
		j.Fail(job.Failure{Code: job.SourceNotFound, Message: "There is no such object."})
	}); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(j.Ticket())
	if err != nil {
		t.Fatal(err)
	}
	w := &worker.Worker{Log: slog.New(slog.DiscardHandler), Now: time.Now, Bucket: bucket, Catalog: c, Sender: b}
	return w, bucket, queue.Delivery{ID: "intro." + j.Run, Data: data, Attempt: 1}
}

func notice(t *testing.T, w *worker.Worker) job.Notice {
	t.Helper()
	j, err := w.Catalog.Get(t.Context(), "intro")
	if err != nil {
		t.Fatal(err)
	}
	return j.Notice
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

func TestABackendThatDoesNotAnswerIsToldTenTimes(t *testing.T) {
	b := &backend{answer: &webhook.Failure{Reason: "the receiver answered 500"}}
	w, bucket, d := ended(t, b)
	pauses := []time.Duration{5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour}
	for i, pause := range pauses {
		var later *queue.Later
		if err := w.Tell(t.Context(), d); !errors.As(err, &later) || later.After < pause || later.After > pause*11/10+1 {
			t.Fatalf("attempt %d: %v, want a pause of %v", i+1, err, pause)
		}
		if open := bucket.Keys("open/"); len(open) != 1 {
			t.Fatalf("attempt %d: open %v", i+1, open)
		}
	}
	if err := w.Tell(t.Context(), d); err != nil {
		t.Fatalf("the last attempt: %v", err)
	}
	if n := notice(t, w); !n.GivenUp || n.Attempts != 10 || n.LastError != "the receiver answered 500" {
		t.Errorf("recorded %+v", n)
	}
	if open := bucket.Keys("open/"); len(open) != 0 {
		t.Errorf("still open: %v", open)
	}
	for i, id := range b.ids {
		if id != b.ids[0] || !b.bodies[i].Timestamp.Equal(b.bodies[0].Timestamp) || b.bodies[i].Timestamp.IsZero() {
			t.Errorf("the event changes from attempt to attempt: %v, %+v", b.ids, b.bodies)
		}
	}
}

func TestAReceiverMayAskForTimeOrForNoMore(t *testing.T) {
	b := &backend{answer: &webhook.Failure{Reason: "the receiver answered 503", RetryAfter: time.Hour}}
	w, _, d := ended(t, b)
	var later *queue.Later
	if err := w.Tell(t.Context(), d); !errors.As(err, &later) || later.After != time.Hour {
		t.Errorf("asked for an hour: %v", err)
	}
	b.answer = &webhook.Failure{Reason: "the receiver answered 410", Gone: true}
	if err := w.Tell(t.Context(), d); err != nil || !notice(t, w).GivenUp {
		t.Errorf("gone: %v, %+v", err, notice(t, w))
	}
}

func TestAnEndThatIsNotRecordedIsToldAgain(t *testing.T) {
	b := &backend{}
	w, bucket, d := ended(t, b)
	bucket.Inject = func(operation, _ string) r2test.Fault {
		if operation == "replace" {
			return r2test.Lost
		}
		return r2test.None
	}
	if err := w.Tell(t.Context(), d); err == nil {
		t.Error("no error")
	}
	bucket.Inject = nil
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
		for name, handle := range map[string]queue.Handler{"Tell": w.Tell, "Run": w.Run, "RunTask": w.RunTask} {
			if err := handle(t.Context(), d); err != nil {
				t.Errorf("%s of %q: %v", name, data, err)
			}
		}
	}
	if len(b.ids) != 0 {
		t.Errorf("told %v", b.ids)
	}
}

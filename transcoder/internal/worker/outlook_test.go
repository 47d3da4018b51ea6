package worker_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"weir/transcoder/internal/catalog"
	"weir/transcoder/internal/job"
	"weir/transcoder/internal/metrics"
	"weir/transcoder/internal/queue"
	"weir/transcoder/internal/r2/r2test"
	"weir/transcoder/internal/worker"
)

// silent is a queue that takes messages and delivers none.
type silent struct{ worker.Queue }

func (silent) Send(context.Context, queue.Lane, int, string, []byte) error { return nil }

func TestTheOutlookIsWhatReconcileSaw(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := &r2test.Bucket{}
		w := &worker.Worker{Log: slog.New(slog.DiscardHandler), Now: time.Now, Meter: metrics.New(), Bucket: bucket, Catalog: catalog.New(bucket, time.Now), Queue: silent{}}
		want := func(when string, want job.Outlook) {
			t.Helper()
			if got := w.Outlook(); got.Busy != want.Busy || !got.DueAt.Equal(want.DueAt) {
				t.Errorf("%s: %+v, want %+v", when, got, want)
			}
		}
		want("before all jobs were seen", job.Outlook{Busy: true})

		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Reconcile(ctx, time.Minute) }()
		synctest.Wait()
		want("without a job", job.Outlook{})

		j, err := w.Catalog.Accept(t.Context(), job.Spec{VideoID: "intro", Key: "uploads/intro.mp4", WebhookURL: "https://example.com"}, false)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		want("with one", job.Outlook{Busy: true})

		if j, err = w.Catalog.Update(t.Context(), j.Ticket(), func(j *job.Job) {
			j.Finish(job.Result{}, time.Now())
			told := time.Now()
			j.Notices[0].DeliveredAt = &told
		}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		want("when it has ended", job.Outlook{DueAt: j.SweepAt})

		bucket.Inject(func(_, _ string) r2test.Fault { return r2test.Lost })
		time.Sleep(time.Minute)
		synctest.Wait()
		want("while the bucket is away", job.Outlook{Busy: true})
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

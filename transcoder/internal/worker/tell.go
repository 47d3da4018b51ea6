package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"weir/transcoder/internal/job"
	"weir/transcoder/internal/queue"
	"weir/transcoder/internal/webhook"
)

// Tell handles a message of the hooks lane: it makes one attempt to tell the backend, and keeps count in the job's record.
func (w *Worker) Tell(ctx context.Context, d queue.Delivery) error {
	t, err := decode[job.Ticket](d.Data)
	if err != nil {
		return w.discard(d, err)
	}
	j, err := w.Catalog.Get(ctx, t.VideoID)
	if errors.Is(err, job.ErrNotFound) || err == nil && j.Run != t.Run {
		return w.discard(d, fmt.Errorf("the job is gone: %w", err))
	}
	if err != nil {
		return err
	}
	if j.Notice.Settled() {
		return w.Catalog.Close(ctx, t)
	}
	body, err := json.Marshal(j.Event())
	if err != nil {
		return fmt.Errorf("write the event: %w", err)
	}
	log := w.Log.With("job", j.VideoID, "run", j.Run, "event", j.Notice.EventID, "attempt", j.Notice.Attempts+1)

	now := w.Now()
	sendErr := w.Sender.Send(ctx, j.WebhookURL, j.Notice.EventID, now, body)
	if ctx.Err() != nil {
		return ctx.Err() // cut off: not the receiver's fault, not an attempt
	}
	var failure *webhook.Failure
	if sendErr != nil && !errors.As(sendErr, &failure) {
		return sendErr
	}
	after, more := webhook.Schedule(j.Notice.Attempts + 1)
	j, err = w.Catalog.Update(ctx, t, func(j *job.Job) {
		j.Notice.Attempts++
		switch {
		case failure == nil:
			at := now.UTC()
			j.Notice.DeliveredAt, j.Notice.LastError = &at, ""
		default:
			j.Notice.LastError = failure.Reason
			j.Notice.GivenUp = failure.Gone || !more
		}
	})
	if err != nil {
		return err
	}
	switch {
	case failure == nil:
		log.Info("the backend was told")
	case j.Notice.GivenUp:
		log.Error("the backend could not be told", "error", failure)
	default:
		after = max(after, failure.RetryAfter)
		log.Warn("the backend is told again later", "after", after, "error", failure)
		return &queue.Later{After: after, Err: failure}
	}
	return w.Catalog.Close(ctx, t)
}

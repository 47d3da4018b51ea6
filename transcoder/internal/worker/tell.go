package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"weir/transcoder/internal/job"
	"weir/transcoder/internal/queue"
	"weir/transcoder/internal/webhook"
)

// hookMessage is what the hooks lane carries.
type hookMessage struct {
	job.Ticket
	EventID string `json:"event_id"`
}

// hookID is the name of a notice in the queue: of its job, with the state that it tells of.
func hookID(t job.Ticket, n job.Notice) string {
	return t.String() + n.Type[strings.LastIndexByte(n.Type, '.'):]
}

// Tell handles a message of the hooks lane: it makes one attempt to tell the backend, and keeps count in the job's record.
func (w *Worker) Tell(ctx context.Context, d queue.Delivery) error {
	m, err := decode[hookMessage](d.Data)
	if err != nil {
		return w.discard(d, err)
	}
	j, err := w.Catalog.Update(ctx, m.Ticket, func(*job.Job) {})
	if gone(err) {
		return w.discard(d, err)
	}
	if err != nil {
		return err
	}
	n := j.Notice(m.EventID)
	if n == nil {
		return w.discard(d, fmt.Errorf("the job has no event %q", m.EventID))
	}
	if n.Settled() {
		return w.told(ctx, j, *n)
	}
	body, err := json.Marshal(j.Event(*n))
	if err != nil {
		return fmt.Errorf("write the event: %w", err)
	}
	log := w.Log.With("job", j.VideoID, "run", j.Run, "event", n.EventID, "attempt", n.Attempts+1)

	now := w.Now()
	sendErr := w.Sender.Send(ctx, j.WebhookURL, n.EventID, now, body)
	if ctx.Err() != nil {
		return ctx.Err() // cut off: not the receiver's fault, not an attempt
	}
	var failure *webhook.Failure
	if sendErr != nil && !errors.As(sendErr, &failure) {
		return sendErr
	}
	after, more := webhook.Schedule(n.Attempts + 1)
	j, err = w.Catalog.Update(ctx, m.Ticket, func(j *job.Job) {
		n := j.Notice(m.EventID)
		if n == nil {
			return // deleted meanwhile
		}
		n.Attempts++
		switch {
		case failure == nil:
			at := now.UTC()
			n.DeliveredAt, n.LastError = &at, ""
		default:
			n.LastError = failure.Reason
			n.GivenUp = failure.Gone || !more
		}
	})
	if err != nil {
		return err
	}
	if n = j.Notice(m.EventID); n == nil {
		return nil
	}
	w.Meter.Told(*n)
	switch {
	case failure == nil:
		log.Info("the backend was told")
	case n.GivenUp:
		log.Error("the backend could not be told", "error", failure)
	default:
		after = max(after, failure.RetryAfter)
		log.Warn("the backend is told again later", "after", after, "error", failure)
		return &queue.Later{After: after, Err: failure}
	}
	return w.told(ctx, j, *n)
}

// told deals with a notice that is settled, one way or the other.
func (w *Worker) told(ctx context.Context, j job.Job, n job.Notice) error {
	var err error
	if n.GivenUp {
		err = w.Catalog.Bury(ctx, j, n)
	} else {
		err = w.Catalog.Unbury(ctx, n.EventID)
	}
	if err == nil {
		err = w.close(ctx, j)
	}
	if err == nil && n.GivenUp {
		return &queue.Dead{Reason: errors.New(n.LastError)}
	}
	return err
}

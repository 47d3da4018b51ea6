package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
)

const (
	// fetchWait is how long one request for a message stays open.
	fetchWait = 30 * time.Second
	// ackTimeout is for an acknowledgement that the server has confirmed.
	ackTimeout = 5 * time.Second
	// firstRetry and lastRetry bound the pauses between tries, which double.
	firstRetry, lastRetry = 5 * time.Second, 10 * time.Minute
)

// Delivery is a message in the hands of a handler.
type Delivery struct {
	ID      string
	Data    []byte
	Attempt int // from 1; a restart may repeat a number
}

// Handler deals with a message. nil means that it is done; a [Later] that it is to come again after the pause that it
// names; any other error that it is to come again after a pause that grows with the attempts. The context ends with the
// queue's; then the message goes to another node at once, whatever the handler returns.
type Handler func(ctx context.Context, d Delivery) error

// Later is a handler's wish to get its message again after a pause of its own choice.
type Later struct {
	After time.Duration
	Err   error
}

func (l *Later) Error() string { return fmt.Sprintf("again after %v: %v", l.After, l.Err) }
func (l *Later) Unwrap() error { return l.Err }

// Serve hands the messages of a lane to a handler, slots at a time, until the context ends. It returns when all handlers
// have.
func (q *Queue) Serve(ctx context.Context, lane Lane, slots int, handle Handler) error {
	consumer, err := q.js.Consumer(ctx, lane.stream(), "weir")
	if err != nil {
		return fmt.Errorf("serve %s: %w", lane, err)
	}
	var g errgroup.Group
	for range slots {
		g.Go(func() error {
			for ctx.Err() == nil {
				// One message a free slot: a message that waits in a buffer would time out there.
				m, err := next(ctx, consumer)
				if err != nil {
					if ctx.Err() == nil {
						q.log.Warn("a message could not be fetched", "lane", lane, "error", err)
						pause(ctx, time.Second)
					}
					continue
				}
				if m != nil {
					q.deliver(ctx, lane, m, handle)
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// next waits for a message; nil means that none came for a while.
func next(ctx context.Context, consumer jetstream.Consumer) (jetstream.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchWait)
	defer cancel()
	m, err := consumer.Next(jetstream.FetchContext(ctx))
	if errors.Is(err, nats.ErrTimeout) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, jetstream.ErrNoMessages) {
		return nil, nil
	}
	return m, err
}

func (q *Queue) deliver(ctx context.Context, lane Lane, m jetstream.Msg, handle Handler) {
	d := Delivery{ID: m.Subject()[len(lane.subject("")):], Data: m.Data(), Attempt: 1}
	if meta, err := m.Metadata(); err == nil {
		d.Attempt = int(meta.NumDelivered)
	}
	log := q.log.With("lane", lane, "id", d.ID, "attempt", d.Attempt)

	stop := beat(m, log)
	err := handle(ctx, d)
	stop()

	var later *Later
	switch {
	case err == nil:
		err = ack(ctx, m)
	case ctx.Err() != nil:
		// This node ends; the next one may start at once.
		err = m.Nak()
	case errors.As(err, &later):
		err = m.NakWithDelay(later.After)
	default:
		after := Backoff(d.Attempt)
		log.Warn("a message is tried again", "after", after, "error", err)
		err = m.NakWithDelay(after)
	}
	if err != nil {
		// The message comes again after ackWait; handlers find their work done.
		log.Warn("a message could not be settled", "error", err)
	}
}

// ack waits for the server's confirmation, also when the node is about to end.
func ack(ctx context.Context, m jetstream.Msg) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ackTimeout)
	defer cancel()
	return m.DoubleAck(ctx)
}

// beat keeps the message with its handler until the returned function is called.
func beat(m jetstream.Msg, log *slog.Logger) (stop func()) {
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(heartbeat)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				if err := m.InProgress(); err != nil {
					log.Warn("a heartbeat was not sent", "error", err)
				}
			}
		}
	}()
	return func() { close(done); <-ended }
}

// Backoff is the pause after a failed attempt: doubling from firstRetry to lastRetry, with up to a quarter more so that
// what failed together does not come again together.
func Backoff(attempt int) time.Duration {
	after := min(firstRetry<<min(max(attempt-1, 0), 20), lastRetry)
	return after + rand.N(after/4) //nolint:gosec // it spreads load and is no secret
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

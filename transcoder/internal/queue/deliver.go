package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// firstRetry is the first pause between tries. They double up to lastRetry, so that work goes on soon when what was away
	// is back, or up to lastFault after tries that have little hope.
	firstRetry, lastRetry, lastFault = 5 * time.Second, 30 * time.Second, 10 * time.Minute
	// unclaimedPause is before a message comes again that could not be claimed.
	unclaimedPause = time.Second
	// partingTimeout is for the last words about a message when Serve's context has ended.
	partingTimeout = 5 * time.Second
	// maxReason bounds a dead letter's reason, which has to fit into a header.
	maxReason = 4 << 10
)

// Delivery is a message in the hands of a handler.
type Delivery struct {
	ID   string
	Data []byte
	// Attempt counts from 1, before the handler runs: also those count that ended with their process, but not those that
	// were cut off because Serve's context ended. It starts over when a message was done and is sent again.
	Attempt int
	// Crashes counts the earlier attempts that ended with their process or were lost to another handler, and Faults those
	// that ended with a [Fault].
	Crashes, Faults int
	// Since is when the first attempt began.
	Since time.Time
}

// Handler deals with a message. nil means that it is done; a [Later] that it is to come again after the pause that it
// names; a [Dead] that it is not to come again; a [Fault] that it is to come again after a pause that grows with the faults,
// up to ten minutes; any other error that something was away, and that it is to come again within half a minute.
//
// The context ends with Serve's; then, unless the handler returns nil, the message goes to another node at once. And it ends
// with the cause [ErrLost] when the message has, or may have, gone to another already; then it does not matter what the
// handler returns.
type Handler func(ctx context.Context, d Delivery) error

// Later is a handler's wish to get its message again after a pause of its own choice. The attempt counts like any other.
type Later struct {
	After time.Duration
	Err   error
}

func (l *Later) Error() string { return fmt.Sprintf("again after %v: %v", l.After, l.Err) }
func (l *Later) Unwrap() error { return l.Err }

// Fault is a handler's wish to get its message again, and to have this attempt counted as one that failed because of what
// the message asks for, and not because something else was away.
type Fault struct{ Err error }

func (f *Fault) Error() string { return f.Err.Error() }
func (f *Fault) Unwrap() error { return f.Err }

// Dead is a handler's verdict that its message is not to come again. It becomes a dead letter in the stream WEIR_DEAD, under
// weir.dead.{lane}.{id}: the message as it was sent, with the headers Weir-Reason and Weir-Attempt, for 30 days.
type Dead struct{ Reason error }

func (d *Dead) Error() string { return fmt.Sprintf("given up: %v", d.Reason) }
func (d *Dead) Unwrap() error { return d.Reason }

// deliver claims a message, has it handled and settles it.
func (q *Queue) deliver(ctx context.Context, l level, m jetstream.Msg, handle Handler) {
	h := &hold{q: q, level: l, m: m, id: strings.TrimPrefix(m.Subject(), l.subject("")), seen: time.Now()}
	h.log = q.log.With("lane", l.lane, "id", h.id)
	err := h.outlive(ctx, func(ctx context.Context) (err error) {
		h.claim, err = q.claim(ctx, l.key(h.id))
		return err
	})
	if err != nil {
		h.log.Warn("a message could not be claimed", "error", err)
		// If this is lost, it comes again after ackWait.
		_ = h.outlive(ctx, func(context.Context) error { return m.NakWithDelay(unclaimedPause) })
		return
	}
	h.log = h.log.With("attempt", h.claim.count.Attempt)

	running, lose := context.WithCancelCause(ctx)
	defer lose(nil)
	stop := h.beat(ctx, lose)
	err = handle(running, Delivery{
		ID: h.id, Data: m.Data(),
		Attempt: h.claim.count.Attempt, Crashes: h.claim.count.Crashes, Faults: h.claim.count.Faults,
		Since: time.Unix(h.claim.count.Since, 0),
	})
	stop()
	err = h.outlive(ctx, func(settling context.Context) error {
		return h.settle(settling, err, ctx.Err() != nil)
	})
	switch {
	case errors.Is(err, ErrLost):
		h.log.Warn("a message was lost", "error", err)
	case err != nil:
		// It comes again after ackWait; handlers find their work done.
		h.log.Warn("a message could not be settled", "error", err)
	}
}

// hold is a message in this process's hands.
type hold struct {
	q     *Queue
	level level
	m     jetstream.Msg
	id    string
	claim *claim
	log   *slog.Logger
	seen  time.Time // when the message was last known to be here
	lost  error     // why it is not any more, if the heartbeats found out
}

// within does something as long as the message can be in no other hands: the server waits for ackWait since seen, and the
// lease is shorter. It holds also for a process that was stopped meanwhile.
func (h *hold) within(ctx context.Context, do func(context.Context) error) error {
	if h.lost != nil {
		return h.lost
	}
	ctx, cancel := context.WithDeadlineCause(ctx, h.seen.Add(h.q.pace.lease), ErrLost)
	defer cancel()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return do(ctx)
}

// outlive is within for a moment longer than ctx: what was done is done, also when this node is about to end.
func (h *hold) outlive(ctx context.Context, do func(context.Context) error) error {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(partingTimeout, cancel) })()
	return h.within(longer, do)
}

// beat keeps the message with its handler until the returned function is called. If that fails for too long, or if the claim
// is another's, the message is lost.
func (h *hold) beat(ctx context.Context, lose context.CancelCauseFunc) (stop func()) {
	beating, cancel := context.WithCancel(context.WithoutCancel(ctx)) // handlers that were told to end still have their message
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(h.q.pace.heartbeat)
		defer tick.Stop()
		for {
			select {
			case <-beating.Done():
				return
			case <-tick.C:
			}
			var sent time.Time
			err := h.within(beating, func(ctx context.Context) error {
				return insist(ctx, func(ctx context.Context) error {
					if err := h.claim.check(ctx); err != nil {
						return err
					}
					sent = time.Now()
					return h.m.InProgress()
				})
			})
			if beating.Err() != nil {
				return
			}
			if err != nil {
				if h.lost = err; !errors.Is(err, ErrLost) {
					h.lost = fmt.Errorf("%w, perhaps: %w", ErrLost, err)
				}
				lose(ErrLost)
				return
			}
			h.seen = sent
		}
	}()
	return func() { cancel(); <-ended }
}

// settle carries out a handler's verdict. Each case writes the claim first, which only its owner can.
func (h *hold) settle(ctx context.Context, verdict error, cutOff bool) error {
	var later *Later
	var deadly *Dead
	var fault *Fault
	count := h.claim.count
	switch {
	case verdict == nil:
		if err := h.claim.drop(ctx); err != nil {
			return err
		}
		return insist(ctx, h.m.DoubleAck)
	case cutOff:
		// Not the message's fault: a rolling restart uses up no attempts.
		count.Attempt--
		if err := h.claim.keep(ctx, count); err != nil {
			return err
		}
		return h.m.Nak()
	case errors.As(verdict, &deadly):
		if err := h.claim.keep(ctx, count); err != nil {
			return err
		}
		if err := h.bury(ctx, deadly.Reason); err != nil {
			return err
		}
		if err := h.m.TermWithReason(oneLine(deadly.Reason)); err != nil {
			return err
		}
		h.log.Error("a message was given up", "error", deadly.Reason)
		return h.claim.drop(ctx)
	case errors.As(verdict, &later):
		if err := h.claim.keep(ctx, count); err != nil {
			return err
		}
		return h.m.NakWithDelay(later.After)
	default:
		after := backoff(count.Attempt, lastRetry)
		if errors.As(verdict, &fault) {
			count.Faults++
			after = backoff(count.Faults, lastFault)
		}
		if err := h.claim.keep(ctx, count); err != nil {
			return err
		}
		h.log.Warn("a message is tried again", "after", after, "error", verdict)
		return h.m.NakWithDelay(after)
	}
}

// bury writes the dead letter.
func (h *hold) bury(ctx context.Context, reason error) error {
	letter := nats.NewMsg(dead + string(h.level.lane) + "." + h.id)
	letter.Data = h.m.Data()
	letter.Header.Set("Weir-Reason", oneLine(reason))
	letter.Header.Set("Weir-Attempt", strconv.Itoa(h.claim.count.Attempt))
	return insist(ctx, func(ctx context.Context) error {
		_, err := h.q.js.PublishMsg(ctx, letter)
		return err
	})
}

// oneLine is a reason as headers and advisories can hold it.
func oneLine(reason error) string {
	text := strings.Join(strings.Fields(fmt.Sprint(reason)), " ")
	return strings.ToValidUTF8(text[:min(len(text), maxReason)], "") // a cut may be within a letter
}

// backoff is the pause after the nth failure: doubling from firstRetry up to last, with up to a quarter more so that what
// failed together does not come again together.
func backoff(n int, last time.Duration) time.Duration {
	after := min(firstRetry<<min(max(n-1, 0), 20), last)
	return after + rand.N(after/4) //nolint:gosec // it spreads load and is no secret
}

package queue

import (
	"context"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Pace is a queue's patience in tests.
type Pace struct {
	Start   time.Duration // of Open
	AckWait time.Duration
	Asleep  bool // handlers send no heartbeats and do not notice: what a stopped process does
}

// OpenPaced is Open in a hurry.
func OpenPaced(ctx context.Context, c Config, log *slog.Logger, p Pace) (*Queue, error) {
	hasty := pace{
		start: p.Start, ackWait: p.AckWait, heartbeat: p.AckWait / 3, lease: p.AckWait * 2 / 3, health: 200 * time.Millisecond,
	}
	if p.Asleep {
		hasty.heartbeat, hasty.lease = time.Hour, time.Hour
	}
	return open(ctx, c, log, hasty)
}

// Pauses are the pauses after the nth failure: if something was away, and if it was a fault.
func Pauses(n int) (away, fault time.Duration) { return backoff(n, lastRetry), backoff(n, lastFault) }

// BreakFences is the mutant: claims are written whoever has them now.
func (q *Queue) BreakFences() { q.claims = unfenced{q.claims} }

type unfenced struct{ jetstream.KeyValue }

func (u unfenced) Update(ctx context.Context, key string, value []byte, _ uint64) (uint64, error) {
	return u.Put(ctx, key, value)
}

func (u unfenced) Purge(ctx context.Context, key string, _ ...jetstream.KVDeleteOpt) error {
	return u.KeyValue.Purge(ctx, key)
}

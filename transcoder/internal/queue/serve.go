package queue

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// firstLook and lastLook bound the pauses between two looks at an empty lane, which double. A server of a cluster may be
	// some milliseconds behind the one that said that a message is there; and a message that is to come again comes without
	// a wake-up.
	firstLook, lastLook = 4 * time.Millisecond, time.Second
	// listEvery is how often the priorities are listed, for the case that the wake-up of a new one was missed.
	listEvery = 30 * time.Second
)

// Serve hands the messages of a lane to a handler, slots at a time, until the context ends; it returns when all handlers
// have. While the servers are away, it waits for them.
func (q *Queue) Serve(ctx context.Context, lane Lane, slots int, handle Handler) error {
	f := &feed{q: q, lane: lane, wake: make(chan struct{}, 1), consumers: map[level]jetstream.Consumer{}}
	hearing, err := q.conn.Subscribe(wakes+string(lane)+".>", f.hear)
	if err != nil {
		return fmt.Errorf("serve %s: %w", lane, err)
	}
	defer func() { _ = hearing.Unsubscribe() }()

	var handlers sync.WaitGroup
	defer handlers.Wait()
	free := make(chan struct{}, slots)
	for {
		// The slot first: a message that waits for one in this process could be handled in another.
		select {
		case <-ctx.Done():
			return nil
		case free <- struct{}{}:
		}
		m, l, err := f.next(ctx)
		if err != nil {
			return fmt.Errorf("serve %s: %w", lane, err)
		}
		if m == nil {
			return nil
		}
		handlers.Go(func() {
			defer func() { <-free }()
			q.deliver(ctx, l, m, handle)
		})
	}
}

// feed finds a lane's next message. Its methods but hear are for one goroutine.
type feed struct {
	q    *Queue
	lane Lane
	wake chan struct{}

	mu     sync.Mutex
	levels []level // from high to low

	consumers map[level]jetstream.Consumer
	listed    time.Time
	failing   bool
}

// hear takes a wake-up.
func (f *feed) hear(m *nats.Msg) {
	tokens := strings.Split(m.Subject, ".")
	if priority, err := strconv.Atoi(tokens[3]); err == nil {
		f.add(level{f.lane, priority})
	}
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *feed) add(l level) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i, found := slices.BinarySearchFunc(f.levels, l, func(a, b level) int { return b.priority - a.priority })
	if !found {
		f.levels = slices.Insert(f.levels, i, l)
	}
}

func (f *feed) forget(l level) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.levels = slices.DeleteFunc(f.levels, func(other level) bool { return other == l })
}

// next waits for a message; nil when the context has ended. It is an error that the queue was closed.
func (f *feed) next(ctx context.Context) (jetstream.Msg, level, error) {
	wait := firstLook
	for ctx.Err() == nil {
		m, l, err := f.look(ctx)
		if f.q.conn.IsClosed() {
			return nil, level{}, nats.ErrConnectionClosed
		}
		f.tell(ctx, err)
		if m != nil {
			return m, l, nil
		}
		select {
		case <-ctx.Done():
		case <-f.wake:
			wait = firstLook
		case <-time.After(wait):
			wait = min(2*wait, lastLook)
		}
	}
	return nil, level{}, nil
}

// look asks for one message, level by level from high to low; nil if none waits.
func (f *feed) look(ctx context.Context) (jetstream.Msg, level, error) {
	var failed error
	if time.Since(f.listed) > listEvery {
		levels, err := f.q.known(ctx, f.lane)
		if err == nil {
			f.listed = time.Now()
		}
		failed = err
		for _, l := range levels {
			f.add(l)
		}
	}
	f.mu.Lock()
	levels := slices.Clone(f.levels)
	f.mu.Unlock()
	for _, l := range levels {
		m, err := f.fetch(ctx, l)
		if m != nil {
			return m, l, nil
		}
		if err != nil {
			// Perhaps it is not there any more; the list will tell.
			failed = err
			f.forget(l)
			f.listed = time.Time{}
		}
	}
	return nil, level{}, failed
}

// fetch asks for one message of a level, and no more: one that waits in a buffer would time out there.
func (f *feed) fetch(ctx context.Context, l level) (jetstream.Msg, error) {
	consumer := f.consumers[l]
	if consumer == nil {
		var err error
		if consumer, err = f.q.js.Consumer(ctx, l.lane.stream(), l.consumer()); err != nil {
			return nil, err
		}
		f.consumers[l] = consumer
	}
	batch, err := consumer.FetchNoWait(1)
	if err != nil {
		return nil, err
	}
	if m := <-batch.Messages(); m != nil {
		return m, nil
	}
	return nil, batch.Error()
}

// tell logs that messages cannot be fetched, and that they can be again.
func (f *feed) tell(ctx context.Context, err error) {
	switch {
	case err != nil && !f.failing && ctx.Err() == nil:
		f.q.log.Warn("no messages could be fetched", "lane", f.lane, "error", err)
	case err == nil && f.failing:
		f.q.log.Info("messages could be fetched again", "lane", f.lane)
	}
	f.failing = err != nil
}

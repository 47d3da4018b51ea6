// Package queue holds the work that is waiting or running, and nothing else: NATS JetStream, in the process or a cluster.
//
// The bucket is the record; the queue only dispatches. What it forgets is sent again by whoever reads the bucket, so sending
// a message that is there already is no error, and a message may arrive twice. A message belongs to one handler at a time: a
// handler claims it first, which counts the attempt and makes it the owner; while it runs, its heartbeats keep the message.
// When it dies, another gets the message after a while, and claims it; a handler that was only asleep is told by [ErrLost],
// and nothing that it does afterwards touches the message of its successor.
//
// Start at [Open], [Queue.Send] and [Queue.Serve]. Only this package imports NATS.
package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// sendTimeout is longer than a cluster takes to elect a leader after one has died: 4 to 9 s.
	sendTimeout = 12 * time.Second
	// tryTimeout is for one request. The slowest writes a message to the disks of most servers. Between two leaders nobody
	// answers, and the next one hears only what is sent again.
	tryTimeout = 2 * time.Second
	// tryPause is between two tries: a new leader is there at once or in seconds.
	tryPause = 100 * time.Millisecond
	// readyTimeout is shorter than the patience of those who ask for a process's health.
	readyTimeout = 2 * time.Second
	// pingEvery finds a connection that is dead without having been closed, after two pings without an answer.
	pingEvery = 10 * time.Second
)

// Config says where the queue is.
type Config struct {
	// Dir holds the files of JetStream inside the process.
	Dir string
	// URL names the servers of a NATS cluster (2.11 or newer), separated by commas; then Dir is not used. The servers must
	// say `sync_interval: always` in their jetstream block: otherwise what was sent is only in their memory for up to two
	// minutes. A client cannot see that setting, so nobody warns.
	URL string
	// Replicas is on how many servers of the cluster each message is: 1, 3 or 5.
	Replicas int
}

// pace is how patient the queue is.
type pace struct {
	start     time.Duration // for the servers to be there
	ackWait   time.Duration // how long a message stays with a handler that is not heard of
	heartbeat time.Duration // between two signs of life
	lease     time.Duration // how long a handler without a successful heartbeat may think that it has its message
	health    time.Duration // between two looks at the embedded server
}

// steady is the pace outside tests. A handler gives up one heartbeat before its message goes to another, so that at no time
// two of them work on it; two heartbeats in a row may fail.
var steady = pace{
	start:     30 * time.Second,
	ackWait:   30 * time.Second,
	heartbeat: 10 * time.Second,
	lease:     20 * time.Second,
	health:    5 * time.Second,
}

// Queue is an open queue.
type Queue struct {
	pace     pace
	replicas int
	log      *slog.Logger
	embedded *embedded // nil: a cluster
	conn     *nats.Conn
	js       jetstream.JetStream
	claims   jetstream.KeyValue
	levels   sync.Map // of level: those that this process has declared
}

// Open starts the embedded JetStream or connects to a cluster, and declares what the queue needs there.
func Open(ctx context.Context, c Config, log *slog.Logger) (*Queue, error) {
	return open(ctx, c, log, steady)
}

func open(ctx context.Context, c Config, log *slog.Logger, p pace) (_ *Queue, err error) {
	q := &Queue{pace: p, replicas: c.Replicas, log: log}
	defer func() {
		if err != nil {
			q.Close()
		}
	}()
	options := []nats.Option{
		nats.Name("weir"),
		// However long the servers are away, the connection comes back.
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(),
		// What cannot be sent now is an error now.
		nats.ReconnectBufSize(-1),
		nats.PingInterval(pingEvery),
		nats.MaxPingsOutstanding(2),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("the queue's connection was lost", "error", err)
			}
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			log.Warn("the queue's connection had an error", "error", err)
		}),
		nats.ReconnectHandler(func(*nats.Conn) {
			// The servers may have lost their disks.
			q.levels.Clear()
			log.Info("the queue was connected again")
		}),
	}
	if c.URL == "" {
		q.replicas = 1
		if q.embedded, err = startEmbedded(ctx, c.Dir, p, log); err != nil {
			return nil, err
		}
		options = append(options, nats.InProcessServer(q.embedded), nats.ReconnectWait(tryPause))
	}
	if q.conn, err = nats.Connect(c.URL, options...); err != nil {
		return nil, fmt.Errorf("connect to the queue: %w", err)
	}
	if q.js, err = jetstream.New(q.conn); err != nil {
		return nil, fmt.Errorf("connect to the queue: %w", err)
	}
	starting, cancel := context.WithTimeout(ctx, p.start)
	defer cancel()
	if c.URL != "" {
		if err := q.greet(starting); err != nil {
			return nil, err
		}
	}
	if q.claims, err = q.declare(starting); err != nil {
		return nil, q.advise(err)
	}
	if q.embedded != nil {
		if err := q.adopt(ctx); err != nil {
			return nil, fmt.Errorf("take over the queue's messages: %w", err)
		}
	}
	return q, nil
}

// Close ends the queue. What is in it is there again when it is opened.
func (q *Queue) Close() {
	if q.conn != nil {
		q.conn.Close()
	}
	if q.embedded != nil {
		q.embedded.close()
	}
}

// Ready tells whether the queue takes messages.
func (q *Queue) Ready() error {
	if err := q.healthy(); err != nil {
		return err
	}
	if !q.conn.IsConnected() {
		return errors.New("the queue is not connected")
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	stream, err := q.js.Stream(ctx, Jobs.stream())
	if err != nil {
		return fmt.Errorf("the queue does not answer: %w", err)
	}
	return quorate(stream.CachedInfo().Cluster)
}

// Depths are how many messages wait or are worked on in each lane.
func (q *Queue) Depths() (map[string]uint64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	depths := map[string]uint64{}
	for _, lane := range lanes {
		stream, err := q.js.Stream(ctx, lane.stream())
		if err != nil {
			return nil, fmt.Errorf("ask for the depth of the %s lane: %w", lane, err)
		}
		depths[string(lane)] = stream.CachedInfo().State.Msgs
	}
	return depths, nil
}

// healthy tells whether the embedded server stores messages.
func (q *Queue) healthy() error {
	if q.embedded == nil {
		return nil
	}
	if err := q.embedded.health(); err != nil {
		return fmt.Errorf("the queue takes no messages: %w", err)
	}
	return nil
}

// Send puts a message into a lane, on disk when it returns. If one with the same id and priority is there, nothing happens.
// Of the messages that wait, those of the highest priority (0 to 100) go first, and those of one priority as they were sent.
// Each priority that is in use costs the servers a consumer: a handful is meant, not all 101.
func (q *Queue) Send(ctx context.Context, lane Lane, priority int, id string, data []byte) error {
	if err := valid(id); err != nil {
		return fmt.Errorf("send to the %s lane: %w", lane, err)
	}
	if priority < 0 || priority > topPriority {
		return fmt.Errorf("send %s %s: priority %d is not within 0 to %d", lane, id, priority, topPriority)
	}
	if err := q.healthy(); err != nil {
		return fmt.Errorf("send %s %s: %w", lane, id, err) // it would wait for nothing
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	l := level{lane, priority}
	err := insist(ctx, func(ctx context.Context) error {
		if err := q.know(ctx, l); err != nil {
			return err
		}
		_, err := q.js.Publish(ctx, l.subject(id), data)
		if code(err) == storeFailed && strings.Contains(err.Error(), "per subject") {
			return nil // it is there
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("send %s %s: %w", lane, id, err)
	}
	// Not before the message is on disk: a message's own subject would wake them too early. A server that does not hear it
	// looks for itself a moment later.
	_ = q.conn.Publish(l.wake(), nil)
	return nil
}

// Drop removes the messages of a lane whose ids start with the tokens of prefix, whatever their priority. A handler that has
// one of them loses it, and hears of it with its next heartbeat.
func (q *Queue) Drop(ctx context.Context, lane Lane, prefix string) error {
	if err := valid(prefix); err != nil {
		return fmt.Errorf("drop from the %s lane: %w", lane, err)
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	for _, of := range []struct{ stream, subject string }{
		{lane.stream(), "weir." + string(lane) + ".*." + prefix},
		{claimsStream, claimsSubject + string(lane) + ".*." + prefix},
	} {
		for _, subject := range []string{of.subject, of.subject + ".>"} {
			err := insist(ctx, func(ctx context.Context) error {
				stream, err := q.js.Stream(ctx, of.stream)
				if err != nil {
					return err
				}
				return stream.Purge(ctx, jetstream.WithPurgeSubject(subject))
			})
			if err != nil {
				return fmt.Errorf("drop %s %s: %w", lane, prefix, err)
			}
		}
	}
	return nil
}

// Signal tells all listeners of an id, once, without keeping it: whoever does not listen misses it.
func (q *Queue) Signal(id string, data []byte) error {
	if err := valid(id); err != nil {
		return fmt.Errorf("signal: %w", err)
	}
	if err := q.conn.Publish(signals+id, data); err != nil {
		return fmt.Errorf("signal %s: %w", id, err)
	}
	return nil
}

// Listen calls hear with each signal whose id fits the pattern, one after the other, until the returned function is called.
// In a pattern, * stands for one token, and > at the end for one or more.
func (q *Queue) Listen(pattern string, hear func(id string, data []byte)) (stop func(), err error) {
	s, err := q.conn.Subscribe(signals+pattern, func(m *nats.Msg) {
		hear(strings.TrimPrefix(m.Subject, signals), m.Data)
	})
	if err != nil {
		return nil, fmt.Errorf("listen for %s: %w", pattern, err)
	}
	return func() { _ = s.Unsubscribe() }, nil
}

// insist repeats a request until it has an answer or ctx ends: between two leaders of a cluster nobody answers. A try without
// an answer may have been carried out, so the request must be one that can be repeated.
func insist(ctx context.Context, request func(context.Context) error) error {
	var last error
	for {
		try, cancel := context.WithTimeout(ctx, tryTimeout)
		err := request(try)
		cancel()
		if err == nil || final(err) {
			return err
		}
		if last == nil || !errors.Is(err, context.DeadlineExceeded) {
			last = err // says more than that time was up
		}
		if pause(ctx, tryPause); ctx.Err() != nil {
			return last
		}
	}
}

// final tells a verdict from the absence of those who could give one.
func final(err error) bool {
	var verdict *jetstream.APIError
	if errors.As(err, &verdict) {
		return verdict.Code != unavailable
	}
	return errors.Is(err, ErrLost) || errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, nats.ErrConnectionClosed)
}

// code is the one that JetStream gave an error, or 0.
func code(err error) jetstream.ErrorCode {
	var verdict *jetstream.APIError
	if errors.As(err, &verdict) {
		return verdict.ErrorCode
	}
	return 0
}

// Codes of JetStream's errors that the client has no names for.
const (
	// unavailable is for what may be different in a moment, as HTTP's 503.
	unavailable = 503
	// storeFailed has the reason in its text; "maximum messages per subject exceeded" is one of several.
	storeFailed jetstream.ErrorCode = 10077
	// notClustered: replicas > 1 not supported in non-clustered mode.
	notClustered jetstream.ErrorCode = 10074
	// noPeers: no suitable peers for placement.
	noPeers jetstream.ErrorCode = 10005
)

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

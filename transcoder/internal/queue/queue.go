// Package queue holds the work that is waiting or running, and nothing else: NATS JetStream inside the process.
//
// The bucket is the record; the queue only dispatches. What it forgets is sent again by whoever reads the bucket, so sending
// a message that is there already is no error, and a message may arrive twice. A message belongs to one handler at a time
// as long as that handler lives: while it runs, the queue is told so; when it dies, another gets the message within
// [ackWait]. Start at [Open] and [Queue.Serve]. Only this package imports NATS.
package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// startTimeout: the server starts in milliseconds; a large store that has to be read takes longer.
	startTimeout = 30 * time.Second
	// publishTimeout is for a publish that is on disk when it returns.
	publishTimeout = 5 * time.Second
	// ackWait is how long a dead handler keeps its message.
	ackWait = 30 * time.Second
	// orphanWait is longer than the server takes to notice that a message's time is over.
	orphanWait = 300 * time.Millisecond
	// heartbeat leaves two more tries before ackWait is over.
	heartbeat = ackWait / 3
	// maxPending covers all slots and all messages that wait for another try.
	maxPending = 10_000
	// maxStore bounds the disk: messages are a few hundred bytes.
	maxStore = 2 << 30
)

// A Lane is one kind of work.
type Lane string

// The lanes.
const (
	Jobs  Lane = "job"  // one video each, held while it is worked on
	Tasks Lane = "task" // one unit of encoding each
	Hooks Lane = "hook" // one event each to be told
)

var lanes = []Lane{Jobs, Tasks, Hooks}

func (l Lane) stream() string { return "WEIR_" + strings.ToUpper(string(l)) }

// subject is where a message with this id is; id is made of tokens separated by dots.
func (l Lane) subject(id string) string { return "weir." + string(l) + "." + id }

// signals are said aloud and not kept.
const signals = "weir.signal."

// Queue is a running JetStream.
type Queue struct {
	log    *slog.Logger
	lock   *os.File
	server *server.Server
	conn   *nats.Conn
	js     jetstream.JetStream
}

// Open starts JetStream with its files in dir. One process at a time may have a dir.
func Open(ctx context.Context, dir string, log *slog.Logger) (_ *Queue, err error) {
	q := &Queue{log: log}
	defer func() {
		if err != nil {
			q.Close()
		}
	}()
	if q.lock, err = lockDir(dir); err != nil {
		return nil, err
	}
	q.server, err = server.NewServer(&server.Options{
		ServerName: "weir",
		// No port: the only client is in this process.
		DontListen: true,
		NoSigs:     true,
		NoLog:      true,
		JetStream:  true,
		StoreDir:   dir,
		// A message is on disk, not only in the kernel's memory, when its publish returns.
		SyncAlways:             true,
		JetStreamMaxStore:      maxStore,
		DisableJetStreamBanner: true,
	})
	if err != nil {
		return nil, fmt.Errorf("start the queue: %w", err)
	}
	q.server.Start()
	if !q.server.ReadyForConnections(startTimeout) {
		return nil, fmt.Errorf("start the queue: it was not ready after %v", startTimeout)
	}
	q.conn, err = nats.Connect("", nats.InProcessServer(q.server), nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true))
	if err != nil {
		return nil, fmt.Errorf("connect to the queue: %w", err)
	}
	if q.js, err = jetstream.New(q.conn); err != nil {
		return nil, fmt.Errorf("connect to the queue: %w", err)
	}
	// The handlers of the process that had the directory before are gone, so their messages need not wait for ackWait
	// to pass: for a moment there is none.
	for _, wait := range []time.Duration{time.Millisecond, ackWait} {
		for _, lane := range lanes {
			if err := q.declare(ctx, lane, wait); err != nil {
				return nil, fmt.Errorf("declare the %s lane: %w", lane, err)
			}
		}
		if wait != ackWait {
			pause(ctx, orphanWait)
		}
	}
	return q, nil
}

// lockDir makes dir and keeps other processes out of it: two servers on one store would destroy it.
func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the queue's directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the queue's directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock the queue's directory %s: another transcoder uses it; give this one a directory of its own: %w", dir, err), f.Close())
	}
	return f, nil
}

func (q *Queue) declare(ctx context.Context, lane Lane, wait time.Duration) error {
	stream, err := q.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:      lane.stream(),
		Subjects:  []string{lane.subject(">")},
		Retention: jetstream.WorkQueuePolicy,
		Storage:   jetstream.FileStorage,
		// A message is there once, however often it is sent: the second one is refused.
		MaxMsgsPerSubject:    1,
		Discard:              jetstream.DiscardNew,
		DiscardNewPerSubject: true,
	})
	if err != nil {
		return err
	}
	_, err = stream.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
		Durable:       "weir",
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       wait,
		MaxDeliver:    -1,
		MaxAckPending: maxPending,
	})
	return err
}

// Close ends the queue. What is in it is there again when it is opened.
func (q *Queue) Close() {
	if q.conn != nil {
		q.conn.Close()
	}
	if q.server != nil {
		q.server.Shutdown()
		q.server.WaitForShutdown()
	}
	if q.lock != nil {
		_ = q.lock.Close() // the lock goes with the descriptor
	}
}

// Ready tells whether the queue takes messages.
func (q *Queue) Ready() error {
	if !q.conn.IsConnected() {
		return errors.New("the queue is not connected")
	}
	return nil
}

// Send puts a message into a lane, on disk when it returns. If one with the same id is there, nothing happens.
func (q *Queue) Send(ctx context.Context, lane Lane, id string, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	_, err := q.js.Publish(ctx, lane.subject(id), data)
	var refused *jetstream.APIError
	if errors.As(err, &refused) && refused.ErrorCode == maxPerSubject {
		return nil
	}
	if err != nil {
		return fmt.Errorf("send %s %s: %w", lane, id, err)
	}
	return nil
}

// maxPerSubject is the server's code for "maximum messages per subject exceeded".
const maxPerSubject jetstream.ErrorCode = 10077

// Drop removes the messages of a lane whose ids start with the tokens of prefix. Those that are being handled go as well.
func (q *Queue) Drop(ctx context.Context, lane Lane, prefix string) error {
	stream, err := q.js.Stream(ctx, lane.stream())
	if err == nil {
		err = stream.Purge(ctx, jetstream.WithPurgeSubject(lane.subject(prefix+".>")))
	}
	if err != nil {
		return fmt.Errorf("drop %s %s: %w", lane, prefix, err)
	}
	return nil
}

// Signal tells all listeners of an id, once, without keeping it: whoever does not listen misses it.
func (q *Queue) Signal(id string, data []byte) error {
	if err := q.conn.Publish(signals+id, data); err != nil {
		return fmt.Errorf("signal %s: %w", id, err)
	}
	return nil
}

// Listen calls hear with each signal whose id starts with the tokens of prefix, until the returned function is called.
func (q *Queue) Listen(prefix string, hear func(id string, data []byte)) (stop func(), err error) {
	s, err := q.conn.Subscribe(signals+prefix+".>", func(m *nats.Msg) {
		hear(strings.TrimPrefix(m.Subject, signals), m.Data)
	})
	if err != nil {
		return nil, fmt.Errorf("listen for %s: %w", prefix, err)
	}
	return func() { _ = s.Unsubscribe() }, nil
}

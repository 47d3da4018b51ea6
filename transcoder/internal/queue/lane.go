package queue

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
)

const (
	topPriority = 100
	// maxPending covers all slots and all messages that wait for another try.
	maxPending = 100_000
	// deadAge is how long an operator has to look at a dead letter; deadBytes keeps them from filling the disk.
	deadAge   = 30 * 24 * time.Hour
	deadBytes = 64 << 20
	// claimAge is longer than any pause between two tries.
	claimAge = 7 * 24 * time.Hour
	// markerAge is how long JetStream keeps the sign that a claim was deleted. Nobody looks at it.
	markerAge = time.Minute
)

// A Lane is one kind of work.
type Lane string

// The lanes.
const (
	Jobs   Lane = "job"   // one video each, held while it is worked on
	First  Lane = "first" // the units of encoding that a video's first picture waits for
	Tasks  Lane = "task"  // all other units of encoding
	Hooks  Lane = "hook"  // one event each to be told
	Sweeps Lane = "sweep" // one run each to be cleaned up after
)

var lanes = []Lane{Jobs, First, Tasks, Hooks, Sweeps}

func (l Lane) stream() string { return "WEIR_" + strings.ToUpper(string(l)) }

// Subjects beside those of the lanes, which are weir.{lane}.{priority}.{id}.
const (
	signals = "weir.signal."
	wakes   = "weir.wake."
	dead    = "weir.dead."
)

const (
	deadStream    = "WEIR_DEAD"
	claimsBucket  = "weir_claims"
	claimsStream  = "KV_" + claimsBucket // as JetStream names what is behind a bucket
	claimsSubject = "$KV." + claimsBucket + "."
)

// level is the messages of one priority in a lane. Each has a consumer of its own, which gives them out in their order.
type level struct {
	lane     Lane
	priority int
}

func (l level) key(id string) string     { return fmt.Sprintf("%s.%03d.%s", l.lane, l.priority, id) }
func (l level) subject(id string) string { return "weir." + l.key(id) }
func (l level) consumer() string         { return fmt.Sprintf("p%03d", l.priority) }
func (l level) wake() string             { return wakes + l.key("") + "now" }

// ids are made of tokens and dots, and safe in subjects and keys.
var ids = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)

func valid(id string) error {
	if !ids.MatchString(id) {
		return fmt.Errorf("%q is no id: tokens of letters, digits, - and _, joined by dots", id)
	}
	return nil
}

// declare makes the streams and the bucket of claims, if they are not there. Any number of nodes may do it at once.
func (q *Queue) declare(ctx context.Context) (claims jetstream.KeyValue, err error) {
	streams := []jetstream.StreamConfig{{
		Name:              deadStream,
		Subjects:          []string{dead + ">"},
		Retention:         jetstream.LimitsPolicy,
		Storage:           jetstream.FileStorage,
		Replicas:          q.replicas,
		MaxAge:            deadAge,
		MaxBytes:          deadBytes,
		MaxMsgsPerSubject: 1, // a message that is buried twice is one dead letter
		Discard:           jetstream.DiscardOld,
	}}
	for _, lane := range lanes {
		streams = append(streams, jetstream.StreamConfig{
			Name:      lane.stream(),
			Subjects:  []string{"weir." + string(lane) + ".>"},
			Retention: jetstream.WorkQueuePolicy,
			Storage:   jetstream.FileStorage,
			Replicas:  q.replicas,
			// A message is there once, however often it is sent: the second one is refused.
			MaxMsgsPerSubject:    1,
			Discard:              jetstream.DiscardNew,
			DiscardNewPerSubject: true,
		})
	}
	// Side by side: a cluster elects a leader for each.
	g, ctx := errgroup.WithContext(ctx)
	for _, c := range streams {
		g.Go(func() error {
			err := insist(ctx, func(ctx context.Context) error {
				_, err := q.js.CreateOrUpdateStream(ctx, c)
				return err
			})
			if err != nil {
				return fmt.Errorf("declare the stream %s: %w", c.Name, err)
			}
			return nil
		})
	}
	err = insist(ctx, func(ctx context.Context) (err error) {
		claims, err = q.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket:         claimsBucket,
			History:        1,
			TTL:            claimAge,
			LimitMarkerTTL: markerAge,
			Storage:        jetstream.FileStorage,
			Replicas:       q.replicas,
		})
		return err
	})
	if err != nil {
		err = fmt.Errorf("declare the bucket %s: %w", claimsBucket, err)
	}
	if others := g.Wait(); others != nil {
		err = others
	}
	return claims, err
}

// know declares the consumer of a level, once a connection.
func (q *Queue) know(ctx context.Context, l level) error {
	if _, known := q.levels.Load(l); known {
		return nil
	}
	err := q.consume(ctx, l, q.pace.ackWait)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		// The servers came back without their disks.
		if _, err = q.declare(ctx); err == nil {
			err = q.consume(ctx, l, q.pace.ackWait)
		}
	}
	if err == nil {
		q.levels.Store(l, true)
	}
	return err
}

func (q *Queue) consume(ctx context.Context, l level, ackWait time.Duration) error {
	_, err := q.js.CreateOrUpdateConsumer(ctx, l.lane.stream(), jetstream.ConsumerConfig{
		Durable:       l.consumer(),
		FilterSubject: l.subject(">"),
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       ackWait,
		// Attempts are counted by claims, and it is a handler who gives up.
		MaxDeliver:    -1,
		MaxAckPending: maxPending,
	})
	if err != nil {
		return fmt.Errorf("declare priority %d: %w", l.priority, err)
	}
	return nil
}

// known lists the levels of a lane that anybody has declared.
func (q *Queue) known(ctx context.Context, lane Lane) ([]level, error) {
	stream, err := q.js.Stream(ctx, lane.stream())
	if err != nil {
		return nil, err
	}
	var levels []level
	names := stream.ConsumerNames(ctx)
	for name := range names.Name() {
		l := level{lane: lane}
		if _, err := fmt.Sscanf(name, "p%03d", &l.priority); err == nil {
			levels = append(levels, l)
		}
	}
	if err := names.Err(); err != nil && !errors.Is(err, jetstream.ErrEndOfData) {
		return nil, err
	}
	return levels, nil
}

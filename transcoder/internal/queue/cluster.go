package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// silentAfter is how long a server may be silent in a cluster, where each says something every second.
const silentAfter = 5 * time.Second

// greet waits for a server of the cluster that has JetStream. The URL is not in its errors, because it may hold a password.
func (q *Queue) greet(ctx context.Context) error {
	connected := q.conn.StatusChanged(nats.CONNECTED)
	defer q.conn.RemoveStatusListener(connected)
	if !q.conn.IsConnected() {
		select {
		case <-connected:
		case <-ctx.Done():
			return fmt.Errorf("connect to the queue: no server of NATS_URL let this node in within %v; "+
				"check the URL, its credentials and that the servers run: %w", q.pace.start, errors.Join(q.conn.LastError(), ctx.Err()))
		}
	}
	err := insist(ctx, func(ctx context.Context) error {
		_, err := q.js.AccountInfo(ctx)
		return err
	})
	if err != nil {
		return q.advise(err)
	}
	return nil
}

// advise says what an operator can do about servers that are not as the queue needs them.
func (q *Queue) advise(err error) error {
	switch {
	case code(err) == notClustered || code(err) == noPeers:
		return fmt.Errorf("open the queue: NATS_REPLICAS is %d, but fewer servers with JetStream are in the cluster; "+
			"start more of them, or set NATS_REPLICAS to 1: %w", q.replicas, err)
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return fmt.Errorf("open the queue: the servers of NATS_URL run without JetStream, or the account may not use it; "+
			"add `jetstream { sync_interval: always }` to their configuration: %w", err)
	case errors.Is(err, context.DeadlineExceeded) && q.embedded == nil:
		return fmt.Errorf("open the queue: JetStream did not answer within %v; "+
			"check that most servers of the cluster run and reach each other: %w", q.pace.start, err)
	}
	return fmt.Errorf("open the queue: %w", err)
}

// quorate tells whether a stream has the majority of servers that a write needs. Its leader does not give up at once when
// it loses them.
func quorate(c *jetstream.ClusterInfo) error {
	if c == nil {
		return nil // not in a cluster
	}
	if c.Leader == "" {
		return errors.New("the queue takes no messages: its servers have no leader")
	}
	all, there := 1+len(c.Replicas), 1
	for _, r := range c.Replicas {
		if !r.Offline && r.Active < silentAfter {
			there++
		}
	}
	if 2*there <= all {
		return fmt.Errorf("the queue takes no messages: %d of %d servers are there", there, all)
	}
	return nil
}

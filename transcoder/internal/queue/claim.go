package queue

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrLost is the cause of the end of a handler's context when its message is, or may be, another's.
var ErrLost = errors.New("the message is in other hands")

// contested is between two tries to claim a message that another is claiming.
const contested = 10 * time.Millisecond

// claim is a handler's right to a message. JetStream does not know who may settle a message: it takes the acknowledgement
// of a handler that slept through its time for its successor's. So each delivery writes a claim into a bucket, by
// compare-and-swap; the revision of that write is the right, and whoever has it may settle the message. The claim counts the
// attempts, and it does so before the handler runs: a message that kills its process was counted, whatever the consumer's own
// count becomes in the crash.
type claim struct {
	kv       jetstream.KeyValue
	key      string
	by       string // which delivery holds it
	count    count
	revision uint64
}

// count is what befell a message so far.
type count struct {
	Attempt int `json:"attempt"`
	Crashes int `json:"crashes,omitempty"`
	Faults  int `json:"faults,omitempty"`
	// Since is when the first attempt began, in seconds of Unix time.
	Since int64 `json:"since,omitempty"`
	// Open means that the attempt has not ended, or that its process did not live to see it.
	Open bool `json:"open,omitempty"`
}

// next is the count of the attempt that follows.
func (c count) next() count {
	if c.Open {
		c.Crashes++
	}
	if c.Attempt == 0 {
		c.Since = time.Now().Unix()
	}
	c.Attempt++
	c.Open = true
	return c
}

// claimed is a claim as it is stored.
type claimed struct {
	count
	By string `json:"by"`
}

// claim takes a message away from whoever has it, and counts the attempt.
func (q *Queue) claim(ctx context.Context, key string) (*claim, error) {
	c := &claim{kv: q.claims, key: key, by: rand.Text()}
	for {
		err := insist(ctx, func(ctx context.Context) error {
			now, revision, err := c.read(ctx)
			if err != nil {
				return err
			}
			return c.write(ctx, now.next(), revision)
		})
		if !errors.Is(err, ErrLost) {
			return c, err
		}
		if pause(ctx, contested); ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

// read says what the claim is now; revision 0 means that there is none. In a cluster the answer may be out of date: only a
// write decides.
func (c *claim) read(ctx context.Context) (now claimed, revision uint64, err error) {
	entry, err := c.kv.Get(ctx, c.key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return claimed{}, 0, nil
	}
	if err != nil {
		return claimed{}, 0, err
	}
	// Nobody but write writes claims. If somebody did, counting starts over.
	_ = json.Unmarshal(entry.Value(), &now)
	return now, entry.Revision(), nil
}

// write replaces a revision of the claim; [ErrLost] if it is not the last one.
func (c *claim) write(ctx context.Context, count count, revision uint64) error {
	data, err := json.Marshal(claimed{count: count, By: c.by})
	if err != nil {
		return err
	}
	var next uint64
	if revision == 0 {
		next, err = c.kv.Create(ctx, c.key, data)
	} else {
		next, err = c.kv.Update(ctx, c.key, data, revision)
	}
	if conflict(err) {
		// Perhaps with this very write, whose answer got lost.
		now, last, err := c.read(ctx)
		if err != nil {
			return err
		}
		if now.By != c.by || now.count != count {
			return ErrLost
		}
		next = last
	} else if err != nil {
		return err
	}
	c.count, c.revision = count, next
	return nil
}

// check tells whether the claim still holds: nil, [ErrLost], or an error if that cannot be told now.
func (c *claim) check(ctx context.Context) error {
	_, revision, err := c.read(ctx)
	switch {
	case err != nil:
		return err
	case revision == 0 || revision > c.revision:
		return ErrLost
	case revision < c.revision:
		return errors.New("a server is behind")
	}
	return nil
}

// keep leaves the count for the next attempt.
func (c *claim) keep(ctx context.Context, count count) error {
	count.Open = false
	if count.Attempt == 0 {
		return c.drop(ctx)
	}
	return insist(ctx, func(ctx context.Context) error { return c.write(ctx, count, c.revision) })
}

// drop ends the claim and its count.
func (c *claim) drop(ctx context.Context) error {
	return insist(ctx, func(ctx context.Context) error {
		err := c.kv.Purge(ctx, c.key, jetstream.LastRevision(c.revision), jetstream.PurgeTTL(markerAge))
		if conflict(err) {
			return ErrLost
		}
		return err
	})
}

func conflict(err error) bool {
	return errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch)
}

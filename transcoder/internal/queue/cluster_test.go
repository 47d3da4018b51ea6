package queue_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/transcoder/internal/queue"
)

func TestOpenSaysWhatIsWrongWithTheServers(t *testing.T) {
	one := servers(t, 1)
	bare := &node{t: t, Name: "bare", Port: freePorts(t, 1)[0]}
	bare.start()
	nobody := fmt.Sprintf("nats://me:secret@127.0.0.1:%d", freePorts(t, 1)[0])
	for name, c := range map[string]struct {
		config queue.Config
		advice string
	}{
		"more replicas than servers": {queue.Config{URL: urls(one), Replicas: 3}, "set NATS_REPLICAS to 1"},
		"no JetStream":               {queue.Config{URL: urls([]*node{bare}), Replicas: 1}, "jetstream { sync_interval: always }"},
		"no server":                  {queue.Config{URL: nobody, Replicas: 1}, "check the URL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := queue.OpenPaced(t.Context(), c.config, silence, queue.Pace{Start: time.Second, AckWait: time.Second})
			if err == nil || !strings.Contains(err.Error(), c.advice) || strings.Contains(err.Error(), "secret") {
				t.Errorf("Open says %v", err)
			}
		})
	}
}

func TestACluster(t *testing.T) {
	t.Parallel()
	nodes := servers(t, 3)
	config := queue.Config{URL: urls(nodes), Replicas: 3}
	pace := queue.Pace{Start: 30 * time.Second, AckWait: 3 * time.Second}

	// Processes that start together declare the same things.
	queues := make([]*queue.Queue, 3)
	var opening sync.WaitGroup
	for i := range queues {
		opening.Go(func() {
			var err error
			if queues[i], err = queue.OpenPaced(t.Context(), config, silence, pace); err != nil {
				t.Error(err)
				return
			}
			for priority := range 3 {
				if err := queues[i].Send(t.Context(), queue.Sweeps, priority, "same.everywhere", nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	opening.Wait()
	for _, q := range queues {
		if q == nil {
			t.FailNow()
		}
		t.Cleanup(q.Close)
	}

	var handled sync.Map
	for _, q := range queues[1:] {
		serve(t, q, queue.Tasks, 2, func(_ context.Context, d queue.Delivery) error {
			time.Sleep(5 * time.Millisecond)
			handled.Store(d.ID, true)
			return nil
		})
	}
	sendAll := func(t *testing.T, prefix string, count int, midway func()) {
		var ids []string
		for i := range count {
			if i == count/2 {
				midway()
			}
			ids = append(ids, fmt.Sprint(prefix, i))
			eventually(t, "it is sent", func() bool { return queues[0].Send(t.Context(), queue.Tasks, i%2, ids[i], nil) == nil })
		}
		eventually(t, "all are handled", func() bool {
			return !slices.ContainsFunc(ids, func(id string) bool { _, done := handled.Load(id); return !done })
		})
	}

	t.Run("loses nothing with a leader", func(t *testing.T) {
		var leader *node
		sendAll(t, "leader", 100, func() {
			name := stream(t, config.URL, "WEIR_TASK").CachedInfo().Cluster.Leader
			leader = nodes[slices.IndexFunc(nodes, func(n *node) bool { return n.Name == name })]
			leader.kill()
		})
		leader.start()
	})

	t.Run("goes on after an outage", func(t *testing.T) {
		nodes[0].kill()
		nodes[1].kill()
		eventually(t, "one of three is not ready", func() bool { return queues[0].Ready() != nil })
		nodes[2].kill()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := queues[0].Send(ctx, queue.Tasks, 0, "nobody.is.there", nil); err == nil {
			t.Error("a message was sent to nobody")
		}
		if err := queues[0].Ready(); err == nil {
			t.Error("the queue says that it is ready")
		}
		for _, n := range nodes {
			n.start()
		}
		eventually(t, "the queue is ready", func() bool { return queues[0].Ready() == nil })
		sendAll(t, "outage", 20, func() {})
	})

	t.Run("moves a message to another node", func(t *testing.T) {
		send(t, queues[0], queue.Jobs, 50, "video.run")
		attempts := make(chan int, 9)
		handle := func(ctx context.Context, d queue.Delivery) error {
			attempts <- d.Attempt
			<-ctx.Done()
			return errors.New("cut off")
		}
		stop := serve(t, queues[1], queue.Jobs, 1, handle)
		receive(t, attempts)
		serve(t, queues[2], queue.Jobs, 1, handle)
		nothing(t, attempts)
		stop()
		began := time.Now()
		if got := receive(t, attempts); got != 1 || time.Since(began) > 3*time.Second {
			t.Errorf("attempt %d came after %v", got, time.Since(began))
		}
	})
}

func TestServersMayLoseTheirDisks(t *testing.T) {
	t.Parallel()
	nodes := servers(t, 1)
	q := openPaced(t, queue.Config{URL: urls(nodes), Replicas: 1}, queue.Pace{AckWait: 3 * time.Second})
	done := make(chan string, 9)
	serve(t, q, queue.Jobs, 1, func(_ context.Context, d queue.Delivery) error { done <- d.ID; return nil })
	send(t, q, queue.Jobs, 50, "before")
	receive(t, done)
	nodes[0].kill()
	if err := os.RemoveAll(nodes[0].Dir); err != nil {
		t.Fatal(err)
	}
	nodes[0].start()
	eventually(t, "it is sent", func() bool { return q.Send(t.Context(), queue.Jobs, 50, "after", nil) == nil })
	if id := receive(t, done); id != "after" {
		t.Errorf("got %q", id)
	}
}

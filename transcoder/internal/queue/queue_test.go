package queue_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"weir/transcoder/internal/queue"
)

func open(t *testing.T, dir string) *queue.Queue {
	t.Helper()
	q, err := queue.Open(t.Context(), dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.Close)
	return q
}

// serve hands messages to handle until the test or the returned function ends it.
func serve(t *testing.T, q *queue.Queue, lane queue.Lane, slots int, handle queue.Handler) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := q.Serve(ctx, lane, slots, handle); err != nil {
			t.Error(err)
		}
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

func send(t *testing.T, q *queue.Queue, lane queue.Lane, id string) {
	t.Helper()
	if err := q.Send(t.Context(), lane, id, []byte(id)); err != nil {
		t.Fatal(err)
	}
}

func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func nothing[T any](t *testing.T, c <-chan T) {
	t.Helper()
	select {
	case v := <-c:
		t.Fatalf("%v came", v)
	case <-time.After(300 * time.Millisecond):
	}
}

func TestAMessageSentTwiceIsThereOnce(t *testing.T) {
	q := open(t, t.TempDir())
	send(t, q, queue.Jobs, "video.run")
	send(t, q, queue.Jobs, "video.run")
	got := make(chan string, 9)
	serve(t, q, queue.Jobs, 2, func(_ context.Context, d queue.Delivery) error { got <- d.ID; return nil })
	if id := receive(t, got); id != "video.run" {
		t.Errorf("got %q", id)
	}
	nothing(t, got)
	send(t, q, queue.Jobs, "video.run")
	receive(t, got) // done is done: it may be sent again
}

func TestMessagesSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir)
	send(t, q, queue.Tasks, "video.run.chunk_0")
	q.Close()
	got := make(chan string, 9)
	serve(t, open(t, dir), queue.Tasks, 1, func(_ context.Context, d queue.Delivery) error { got <- string(d.Data); return nil })
	if data := receive(t, got); data != "video.run.chunk_0" {
		t.Errorf("got %q", data)
	}
}

func TestAMessageOfADeadHandlerIsThereAfterARestart(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir)
	send(t, q, queue.Jobs, "video.run")
	held, release := make(chan struct{}), make(chan struct{})
	stop := serve(t, q, queue.Jobs, 1, func(context.Context, queue.Delivery) error {
		held <- struct{}{}
		<-release
		return errors.New("too late")
	})
	receive(t, held)
	q.Close()
	close(release)
	stop()
	attempts := make(chan int, 9)
	began := time.Now()
	serve(t, open(t, dir), queue.Jobs, 1, func(_ context.Context, d queue.Delivery) error { attempts <- d.Attempt; return nil })
	if attempt := receive(t, attempts); attempt != 2 {
		t.Errorf("attempt %d, want 2", attempt)
	}
	if waited := time.Since(began); waited > 10*time.Second {
		t.Errorf("it took %v", waited)
	}
}

func TestAFailedMessageComesAgain(t *testing.T) {
	q := open(t, t.TempDir())
	send(t, q, queue.Hooks, "event")
	attempts := make(chan int, 9)
	serve(t, q, queue.Hooks, 1, func(_ context.Context, d queue.Delivery) error {
		attempts <- d.Attempt
		if d.Attempt < 3 {
			return &queue.Later{After: 10 * time.Millisecond, Err: errors.New("not yet")}
		}
		return nil
	})
	for want := 1; want <= 3; want++ {
		if got := receive(t, attempts); got != want {
			t.Errorf("attempt %d, want %d", got, want)
		}
	}
	nothing(t, attempts)
}

func TestAHandlerThatIsCutOffGivesItsMessageBackAtOnce(t *testing.T) {
	q := open(t, t.TempDir())
	send(t, q, queue.Tasks, "video.run.audio")
	started := make(chan struct{}, 9)
	stop := serve(t, q, queue.Tasks, 1, func(ctx context.Context, _ queue.Delivery) error {
		started <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	})
	receive(t, started)
	stop()
	again := make(chan int, 9)
	serve(t, q, queue.Tasks, 1, func(_ context.Context, d queue.Delivery) error { again <- d.Attempt; return nil })
	if attempt := receive(t, again); attempt != 2 {
		t.Errorf("attempt %d, want 2", attempt)
	}
}

func TestNoMoreHandlersThanSlots(t *testing.T) {
	q := open(t, t.TempDir())
	const slots, messages = 3, 12
	for i := range messages {
		send(t, q, queue.Tasks, "video.run.chunk_"+string(rune('a'+i)))
	}
	var running, most atomic.Int32
	done := make(chan struct{}, messages)
	serve(t, q, queue.Tasks, slots, func(context.Context, queue.Delivery) error {
		now := running.Add(1)
		for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
		}
		time.Sleep(20 * time.Millisecond)
		running.Add(-1)
		done <- struct{}{}
		return nil
	})
	for range messages {
		receive(t, done)
	}
	if most.Load() != slots {
		t.Errorf("%d handlers ran at once, want %d", most.Load(), slots)
	}
}

func TestDroppedMessagesDoNotCome(t *testing.T) {
	q := open(t, t.TempDir())
	send(t, q, queue.Tasks, "video.run.audio")
	send(t, q, queue.Tasks, "other.run.audio")
	if err := q.Drop(t.Context(), queue.Tasks, "video.run"); err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 9)
	serve(t, q, queue.Tasks, 1, func(_ context.Context, d queue.Delivery) error { got <- d.ID; return nil })
	if id := receive(t, got); id != "other.run.audio" {
		t.Errorf("got %q", id)
	}
	nothing(t, got)
}

func TestSignalsReachListeners(t *testing.T) {
	q := open(t, t.TempDir())
	heard := make(chan string, 9)
	stop, err := q.Listen("video.run", func(id string, data []byte) { heard <- id + "=" + string(data) })
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"other.run.audio", "video.run.audio"} {
		if err := q.Signal(id, []byte("0.5")); err != nil {
			t.Fatal(err)
		}
	}
	if got := receive(t, heard); got != "video.run.audio=0.5" {
		t.Errorf("heard %q", got)
	}
	stop()
	if err := q.Signal("video.run.audio", nil); err != nil {
		t.Fatal(err)
	}
	nothing(t, heard)
}

func TestADirectoryHasOneOwner(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	_, err := queue.Open(t.Context(), dir, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "another transcoder uses it") {
		t.Errorf("a second queue on the same directory: %v", err)
	}
}

func TestPausesGrow(t *testing.T) {
	for _, c := range []struct {
		attempt  int
		from, to time.Duration
	}{
		{0, 5 * time.Second, 7 * time.Second}, {1, 5 * time.Second, 7 * time.Second}, {2, 10 * time.Second, 13 * time.Second},
		{8, 10 * time.Minute, 13 * time.Minute}, {1000, 10 * time.Minute, 13 * time.Minute},
	} {
		if got := queue.Backoff(c.attempt); got < c.from || got > c.to {
			t.Errorf("after attempt %d: %v, want %v to %v", c.attempt, got, c.from, c.to)
		}
	}
}

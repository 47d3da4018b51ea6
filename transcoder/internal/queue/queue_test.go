package queue_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"weir/transcoder/internal/queue"
)

func TestAMessageSentTwiceIsThereOnce(t *testing.T) {
	t.Parallel()
	q := open(t, t.TempDir())
	send(t, q, queue.Jobs, 50, "video.run")
	send(t, q, queue.Jobs, 50, "video.run")
	got := make(chan string, 9)
	serve(t, q, queue.Jobs, 2, func(_ context.Context, d queue.Delivery) error { got <- d.ID; return nil })
	if id := receive(t, got); id != "video.run" {
		t.Errorf("got %q", id)
	}
	nothing(t, got)
	send(t, q, queue.Jobs, 50, "video.run")
	receive(t, got) // done is done: it may be sent again
}

func TestDepthsAreOfWhatWaitsAndOfWhatIsWorkedOn(t *testing.T) {
	t.Parallel()
	q := open(t, t.TempDir())
	for _, id := range []string{"a", "b", "c"} {
		send(t, q, queue.Tasks, 50, id)
	}
	got, done := make(chan string, 9), make(chan struct{})
	serve(t, q, queue.Tasks, 1, func(context.Context, queue.Delivery) error { got <- ""; <-done; return nil })
	receive(t, got)
	want := map[string]uint64{"job": 0, "first": 0, "task": 3, "hook": 0, "sweep": 0}
	if depths, err := q.Depths(); err != nil || !maps.Equal(depths, want) {
		t.Errorf("the depths are %v, %v", depths, err)
	}
	close(done)
	eventually(t, "nothing waits", func() bool {
		depths, err := q.Depths()
		return err == nil && depths["task"] == 0
	})
}

func TestMessagesGoByPriorityAndThenInTheOrderOfSending(t *testing.T) {
	t.Parallel()
	q := open(t, t.TempDir())
	for i := range 3 {
		for _, priority := range []int{50, 0, 100, 7} {
			send(t, q, queue.Tasks, priority, fmt.Sprintf("p%d.%d", priority, i))
		}
	}
	got := make(chan string, 99)
	serve(t, q, queue.Tasks, 1, func(_ context.Context, d queue.Delivery) error {
		if d.ID == "p50.1" {
			send(t, q, queue.Tasks, 60, "later.but.higher") // a priority that the server has not heard of
		}
		got <- d.ID
		return nil
	})
	want := []string{
		"p100.0", "p100.1", "p100.2", "p50.0", "p50.1", "later.but.higher", "p50.2", "p7.0", "p7.1", "p7.2", "p0.0", "p0.1", "p0.2",
	}
	var order []string
	for range want {
		order = append(order, receive(t, got))
	}
	if !slices.Equal(order, want) {
		t.Errorf("the order was %v, want %v", order, want)
	}
}

func TestOnlyIDsAndPrioritiesThatFitIntoSubjectsAreSent(t *testing.T) {
	q := open(t, t.TempDir())
	for _, id := range []string{"", ".", "a.", ".a", "a..b", "a b", "a.*", ">", "a/b", "ä", "a\n"} {
		if err := q.Send(t.Context(), queue.Jobs, 50, id, nil); err == nil {
			t.Errorf("id %q was sent", id)
		}
		if err := q.Drop(t.Context(), queue.Jobs, id); err == nil {
			t.Errorf("prefix %q was dropped", id)
		}
		if err := q.Signal(id, nil); err == nil {
			t.Errorf("id %q was signalled", id)
		}
	}
	for _, priority := range []int{-1, 101} {
		if err := q.Send(t.Context(), queue.Jobs, priority, "a", nil); err == nil {
			t.Errorf("priority %d was sent", priority)
		}
	}
}

func TestAFailedMessageComesAgain(t *testing.T) {
	t.Parallel()
	q := open(t, t.TempDir())
	send(t, q, queue.Hooks, 50, "event")
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
	send(t, q, queue.Hooks, 50, "event")
	if got := receive(t, attempts); got != 1 {
		t.Errorf("sent anew, it is attempt %d, want 1", got)
	}
}

func TestAHandlerThatIsCutOffGivesItsMessageBackAtOnceAndUncounted(t *testing.T) {
	q := open(t, t.TempDir())
	send(t, q, queue.Tasks, 50, "video.run.audio")
	for _, step := range []struct {
		name    string
		attempt int
		fails   bool
	}{
		{"the first", 1, false}, {"after a cut", 1, true}, {"after a failure", 2, false}, {"after a failure and a cut", 2, false},
	} {
		attempts := make(chan int, 9)
		began := time.Now()
		stop := serve(t, q, queue.Tasks, 1, func(ctx context.Context, d queue.Delivery) error {
			attempts <- d.Attempt
			if step.fails && d.Attempt == step.attempt {
				return &queue.Later{Err: errors.New("not yet")}
			}
			<-ctx.Done()
			return ctx.Err()
		})
		if got := receive(t, attempts); got != step.attempt {
			t.Errorf("%s: attempt %d, want %d", step.name, got, step.attempt)
		}
		if step.fails {
			receive(t, attempts)
		}
		if waited := time.Since(began); waited > 2*time.Second {
			t.Errorf("%s: it took %v", step.name, waited)
		}
		stop()
	}
}

func TestNoMoreHandlersThanSlots(t *testing.T) {
	t.Parallel()
	q := open(t, t.TempDir())
	const slots, messages = 3, 12
	for i := range messages {
		send(t, q, queue.Tasks, i, "video.run.chunk_"+string(rune('a'+i)))
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

func TestServeReturnsWhenItsHandlersHave(t *testing.T) {
	t.Parallel()
	q := open(t, t.TempDir())
	send(t, q, queue.Jobs, 50, "video.run")
	started := make(chan struct{})
	var ended atomic.Bool
	stop := serve(t, q, queue.Jobs, 1, func(ctx context.Context, _ queue.Delivery) error {
		close(started)
		<-ctx.Done()
		time.Sleep(200 * time.Millisecond)
		ended.Store(true)
		return nil
	})
	receive(t, started)
	if stop(); !ended.Load() {
		t.Error("a handler still ran")
	}
}

func TestDroppedMessagesDoNotCome(t *testing.T) {
	t.Parallel()
	q := open(t, t.TempDir())
	ids := []string{"video.run", "video.run.audio", "video.run.chunk_0", "video.run2.audio", "other.run.audio"}
	for priority, id := range ids {
		send(t, q, queue.Tasks, priority, id)
	}
	if err := q.Drop(t.Context(), queue.Tasks, "video.run"); err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 9)
	serve(t, q, queue.Tasks, 1, func(_ context.Context, d queue.Delivery) error { got <- d.ID; return nil })
	for _, want := range []string{"other.run.audio", "video.run2.audio"} {
		if id := receive(t, got); id != want {
			t.Errorf("got %q, want %q", id, want)
		}
	}
	nothing(t, got)
}

func TestAHandlerLosesAMessageThatIsDropped(t *testing.T) {
	t.Parallel()
	q := openPaced(t, queue.Config{Dir: t.TempDir()}, queue.Pace{AckWait: time.Second})
	send(t, q, queue.Tasks, 50, "video.run.audio")
	started, causes := make(chan struct{}), make(chan error, 9)
	serve(t, q, queue.Tasks, 1, func(ctx context.Context, _ queue.Delivery) error {
		close(started)
		<-ctx.Done()
		causes <- context.Cause(ctx)
		return ctx.Err()
	})
	receive(t, started)
	if err := q.Drop(t.Context(), queue.Tasks, "video"); err != nil {
		t.Fatal(err)
	}
	if cause := receive(t, causes); !errors.Is(cause, queue.ErrLost) {
		t.Errorf("the handler ended with %v", cause)
	}
}

func TestSignalsReachListeners(t *testing.T) {
	t.Parallel()
	q := open(t, t.TempDir())
	heard := make(chan string, 9)
	stop, err := q.Listen("task.video.run.*", func(id string, data []byte) { heard <- id + "=" + string(data) })
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"task.other.run.audio", "stop.video.run", "task.video.run.audio.more", "task.video.run.audio"} {
		if err := q.Signal(id, []byte("0.5")); err != nil {
			t.Fatal(err)
		}
	}
	if got := receive(t, heard); got != "task.video.run.audio=0.5" {
		t.Errorf("heard %q", got)
	}
	stop()
	if err := q.Signal("task.video.run.audio", nil); err != nil {
		t.Fatal(err)
	}
	nothing(t, heard)
}

func TestAGivenUpMessageIsADeadLetter(t *testing.T) {
	t.Parallel()
	url := urls(servers(t, 1))
	q := openPaced(t, queue.Config{URL: url, Replicas: 1}, queue.Pace{AckWait: time.Second})
	send(t, q, queue.Tasks, 50, "video.run.chunk_0")
	attempts := make(chan int, 9)
	serve(t, q, queue.Tasks, 1, func(_ context.Context, d queue.Delivery) error {
		attempts <- d.Attempt
		if d.Attempt < 3 {
			return &queue.Later{Err: errors.New("not yet")}
		}
		return fmt.Errorf("task: %w", &queue.Dead{Reason: errors.New("ffmpeg said:\nthis is no video")})
	})
	for range 3 {
		receive(t, attempts)
	}
	eventually(t, "the lane is empty", func() bool { return waiting(t, url, "WEIR_TASK") == 0 })
	nothing(t, attempts)
	letter, err := stream(t, url, "WEIR_DEAD").GetLastMsgForSubject(t.Context(), "weir.dead.task.video.run.chunk_0")
	if err != nil {
		t.Fatal(err)
	}
	if string(letter.Data) != "video.run.chunk_0" || letter.Header.Get("Weir-Attempt") != "3" ||
		letter.Header.Get("Weir-Reason") != "ffmpeg said: this is no video" {
		t.Errorf("the dead letter is %q %v", letter.Data, letter.Header)
	}
	send(t, q, queue.Tasks, 50, "video.run.chunk_0")
	if got := receive(t, attempts); got != 1 {
		t.Errorf("sent again by an operator, it is attempt %d, want 1", got)
	}
}

func TestAClosedQueueEndsServe(t *testing.T) {
	q := open(t, t.TempDir())
	ended := make(chan error, 1)
	go func() { ended <- q.Serve(t.Context(), queue.Jobs, 1, nil) }()
	q.Close()
	if err := receive(t, ended); err == nil || !strings.Contains(err.Error(), "serve job") {
		t.Errorf("Serve ended with %v", err)
	}
}

func TestPausesGrow(t *testing.T) {
	for _, c := range []struct {
		n           int
		away, fault time.Duration
	}{
		{0, 5 * time.Second, 5 * time.Second}, {1, 5 * time.Second, 5 * time.Second}, {2, 10 * time.Second, 10 * time.Second},
		{4, 30 * time.Second, 40 * time.Second}, {8, 30 * time.Second, 10 * time.Minute}, {1000, 30 * time.Second, 10 * time.Minute},
	} {
		away, fault := queue.Pauses(c.n)
		for _, p := range []struct{ got, want time.Duration }{{away, c.away}, {fault, c.fault}} {
			if p.got < p.want || p.got > p.want*5/4 {
				t.Errorf("after failure %d: %v, want %v to a quarter more", c.n, p.got, p.want)
			}
		}
	}
}

// An idle server's handler has a message within milliseconds.
func BenchmarkSendToHandler(b *testing.B) {
	q, err := queue.Open(b.Context(), queue.Config{Dir: b.TempDir()}, silence)
	if err != nil {
		b.Fatal(err)
	}
	defer q.Close()
	ctx, cancel := context.WithCancel(b.Context())
	got, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		ended <- q.Serve(ctx, queue.Jobs, 1, func(context.Context, queue.Delivery) error { got <- struct{}{}; return nil })
	}()
	var all []time.Duration
	for i := 0; b.Loop(); i++ {
		time.Sleep(5 * time.Millisecond) // idle again
		began := time.Now()
		if err := q.Send(ctx, queue.Jobs, 50, fmt.Sprint("m", i), nil); err != nil {
			b.Fatal(err)
		}
		<-got
		all = append(all, time.Since(began))
	}
	cancel()
	<-ended
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds()), "µs/p50")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "µs/p99")
}

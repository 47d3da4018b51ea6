package queue_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir/transcoder/internal/queue"
)

// takePoison is a process that handles a message that kills it.
func takePoison(dir string) int {
	q, err := queue.Open(context.Background(), queue.Config{Dir: dir}, silence)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	err = q.Serve(context.Background(), queue.Jobs, 1, func(_ context.Context, d queue.Delivery) error {
		fmt.Println("attempt", d.Attempt)
		_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
		select {}
	})
	fmt.Println(err)
	return 1
}

// sleep is a process that handles a message until it is told that it has lost it; then it says that it was done.
func sleep(url string) int {
	q, err := queue.OpenPaced(context.Background(), queue.Config{URL: url, Replicas: 1}, silence,
		queue.Pace{Start: 20 * time.Second, AckWait: sleeperWait})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	err = q.Serve(context.Background(), queue.Jobs, 1, func(ctx context.Context, d queue.Delivery) error {
		fmt.Println("attempt", d.Attempt)
		<-ctx.Done()
		fmt.Println(context.Cause(ctx))
		return nil
	})
	fmt.Println(err)
	return 1
}

// Long enough for a busy machine to send a heartbeat in a third of it.
const (
	zombieWait  = 1500 * time.Millisecond
	sleeperWait = 1500 * time.Millisecond
)

// Each restart finds the consumer's own count where it was, or behind. No other test may start processes meanwhile: until
// they are what they are to be, they have the lock of the directory too.
func TestAMessageThatKillsItsProcessIsCounted(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir)
	send(t, q, queue.Jobs, 50, "video.run")
	q.Close()
	for attempt := 1; attempt <= 3; attempt++ {
		c, out := process(t, "poison", dir)
		said, err := io.ReadAll(out)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Wait()
		if want := fmt.Sprintln("attempt", attempt); string(said) != want {
			t.Fatalf("the process said %q, want %q", said, want)
		}
	}
	deliveries := make(chan queue.Delivery, 9)
	began := time.Now()
	serve(t, open(t, dir), queue.Jobs, 1, func(_ context.Context, d queue.Delivery) error { deliveries <- d; return nil })
	if d := receive(t, deliveries); d.Attempt != 4 || d.Crashes != 3 || d.Faults != 0 {
		t.Errorf("delivered as %+v, want attempt 4 after 3 crashes", d)
	}
	if waited := time.Since(began); waited > 10*time.Second {
		t.Errorf("it took %v", waited)
	}
}

// verdicts are those of handlers that slept through their time, each in a lane of its own.
var verdicts = map[queue.Lane]error{
	queue.Jobs:  nil,
	queue.Tasks: &queue.Later{After: time.Millisecond, Err: errors.New("failed")},
	queue.Hooks: &queue.Dead{Reason: errors.New("hopeless")},
}

// zombies lets a handler of each lane sleep through its time, and a second one take its message. Then the first one ends with
// its verdict while the second is at work. It returns what the first did to the second.
func zombies(t *testing.T, fenced bool) (harm map[queue.Lane][]string) {
	t.Helper()
	url := urls(servers(t, 1))
	config := queue.Config{URL: url, Replicas: 1}
	first := openPaced(t, config, queue.Pace{AckWait: zombieWait, Asleep: true})
	if !fenced {
		first.BreakFences()
	}
	second := openPaced(t, config, queue.Pace{AckWait: zombieWait})

	asleep, wake := make(chan struct{}, len(verdicts)), make(chan struct{})
	var stops []func()
	for lane, verdict := range verdicts {
		send(t, first, lane, 50, "video.run")
		stops = append(stops, serve(t, first, lane, 1, func(context.Context, queue.Delivery) error {
			select {
			case asleep <- struct{}{}:
			default: // without fences it may have the message many times
			}
			<-wake
			return verdict
		}))
	}
	for range verdicts {
		receive(t, asleep)
	}

	attempts, causes, finish := map[queue.Lane]chan int{}, map[queue.Lane]chan error{}, make(chan struct{})
	for lane := range verdicts {
		began, ended := make(chan int, 9), make(chan error, 9)
		attempts[lane], causes[lane] = began, ended
		serve(t, second, lane, 2, func(ctx context.Context, d queue.Delivery) error {
			began <- d.Attempt
			select {
			case <-finish:
			case <-ctx.Done():
			}
			ended <- context.Cause(ctx)
			return nil
		})
	}
	for lane := range verdicts {
		if got := receive(t, attempts[lane]); got != 2 {
			t.Errorf("the second handler has attempt %d, want 2", got)
		}
	}
	close(wake)
	time.Sleep(zombieWait * 3 / 4) // for the first ones' words to arrive, and for two heartbeats of the second ones
	for _, stop := range stops {
		stop()
	}

	harm = map[queue.Lane][]string{}
	for lane := range verdicts {
		if waiting(t, url, "WEIR_"+strings.ToUpper(string(lane))) == 0 {
			harm[lane] = append(harm[lane], "the message is gone")
		}
		select {
		case attempt := <-attempts[lane]:
			harm[lane] = append(harm[lane], fmt.Sprintf("attempt %d began", attempt))
		default:
		}
	}
	if waiting(t, url, "WEIR_DEAD") != 0 {
		harm[queue.Hooks] = append(harm[queue.Hooks], "there is a dead letter")
	}
	close(finish)
	for lane := range verdicts {
		if cause := receive(t, causes[lane]); cause != nil {
			harm[lane] = append(harm[lane], fmt.Sprintf("the second handler was ended: %v", cause))
		}
	}
	return harm
}

func TestAHandlerThatSleptThroughItsTimeDoesNothingToItsSuccessor(t *testing.T) {
	t.Parallel()
	for lane, harm := range zombies(t, true) {
		t.Errorf("a first handler that says %v: %v", verdicts[lane], harm)
	}
}

func TestWithoutFencesItWouldDoHarm(t *testing.T) {
	t.Parallel()
	harm := zombies(t, false)
	for lane, verdict := range verdicts {
		if harm[lane] == nil {
			t.Errorf("the test above would not notice a queue without fences if a first handler says %v", verdict)
		}
	}
	t.Log(harm)
}

func TestAStoppedProcessLosesItsMessage(t *testing.T) {
	t.Parallel()
	url := urls(servers(t, 1))
	q := openPaced(t, queue.Config{URL: url, Replicas: 1}, queue.Pace{AckWait: sleeperWait})
	send(t, q, queue.Jobs, 50, "video.run")
	c, out := process(t, "sleeper", url)
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "attempt 1" {
		t.Fatalf("the process said %q", lines.Text())
	}
	time.Sleep(sleeperWait) // heartbeats keep the message
	if err := c.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	attempts, finish := make(chan int, 9), make(chan struct{})
	serve(t, q, queue.Jobs, 2, func(_ context.Context, d queue.Delivery) error { attempts <- d.Attempt; <-finish; return nil })
	if got := receive(t, attempts); got != 2 {
		t.Errorf("attempt %d, want 2", got)
	}
	if err := c.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if !lines.Scan() || lines.Text() != queue.ErrLost.Error() {
		t.Errorf("the process said %q", lines.Text())
	}
	nothing(t, attempts)
	if waiting(t, url, "WEIR_JOB") != 1 {
		t.Error("the message is gone")
	}
	close(finish)
	eventually(t, "the message is done", func() bool { return waiting(t, url, "WEIR_JOB") == 0 })
}

func TestAHandlerThatCannotBeHeardLosesItsMessage(t *testing.T) {
	t.Parallel()
	nodes := servers(t, 1)
	const ackWait = 1500 * time.Millisecond
	q := openPaced(t, queue.Config{URL: urls(nodes), Replicas: 1}, queue.Pace{AckWait: ackWait})
	send(t, q, queue.Jobs, 50, "video.run")
	attempts, causes := make(chan int, 9), make(chan error, 9)
	serve(t, q, queue.Jobs, 1, func(ctx context.Context, d queue.Delivery) error {
		attempts <- d.Attempt
		if d.Attempt > 1 {
			return nil
		}
		<-ctx.Done()
		causes <- context.Cause(ctx)
		return nil // which nobody is to believe
	})
	receive(t, attempts)
	nodes[0].kill()
	began := time.Now()
	if cause := receive(t, causes); !errors.Is(cause, queue.ErrLost) {
		t.Errorf("the handler ended with %v", cause)
	}
	if took := time.Since(began); took > ackWait {
		t.Errorf("it was told after %v, when another could have the message", took)
	}
	if err := q.Ready(); err == nil {
		t.Error("the queue says that it is ready")
	}
	nodes[0].start()
	if got := receive(t, attempts); got != 2 {
		t.Errorf("attempt %d, want 2", got)
	}
	if err := q.Ready(); err != nil {
		t.Error(err)
	}
}

func TestFaultsAreCountedApart(t *testing.T) {
	t.Parallel()
	q := open(t, t.TempDir())
	send(t, q, queue.Jobs, 50, "video.run")
	deliveries := make(chan queue.Delivery, 9)
	verdicts := make(chan error, 9)
	serve(t, q, queue.Jobs, 1, func(_ context.Context, d queue.Delivery) error { deliveries <- d; return <-verdicts })
	away := &queue.Later{After: time.Millisecond, Err: errors.New("the bucket is away")}
	for _, step := range []struct {
		verdict                  error
		attempt, crashes, faults int
	}{
		{&queue.Fault{Err: errors.New("the encoder failed")}, 1, 0, 0}, // the pause after a second attempt is twice as long
		{away, 2, 0, 1},
		{nil, 3, 0, 1},
	} {
		verdicts <- step.verdict
		if d := receive(t, deliveries); d.Attempt != step.attempt || d.Crashes != step.crashes || d.Faults != step.faults {
			t.Errorf("delivered as %+v, want %+v", d, step)
		}
	}
}

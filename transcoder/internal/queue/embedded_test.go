package queue_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir/transcoder/internal/queue"
)

func TestMessagesSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir)
	send(t, q, queue.Tasks, 50, "video.run.chunk_0")
	q.Close()
	got := make(chan string, 9)
	serve(t, open(t, dir), queue.Tasks, 1, func(_ context.Context, d queue.Delivery) error { got <- string(d.Data); return nil })
	if data := receive(t, got); data != "video.run.chunk_0" {
		t.Errorf("got %q", data)
	}
}

func TestMessagesOfDeadHandlersComeAtOnceAfterARestart(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir)
	held, release := make(chan struct{}, 9), make(chan struct{})
	ended := make(chan error, 1)
	for priority, id := range []string{"a.run", "b.run"} {
		send(t, q, queue.Jobs, priority, id)
	}
	go func() {
		ended <- q.Serve(t.Context(), queue.Jobs, 2, func(context.Context, queue.Delivery) error {
			held <- struct{}{}
			<-release
			return errors.New("too late")
		})
	}()
	receive(t, held)
	receive(t, held)
	q.Close()
	close(release)
	_ = receive(t, ended)
	attempts := make(chan int, 9)
	began := time.Now()
	serve(t, open(t, dir), queue.Jobs, 1, func(_ context.Context, d queue.Delivery) error { attempts <- d.Attempt; return nil })
	for range 2 {
		if attempt := receive(t, attempts); attempt != 2 {
			t.Errorf("attempt %d, want 2", attempt)
		}
	}
	if waited := time.Since(began); waited > 10*time.Second {
		t.Errorf("it took %v", waited)
	}
}

func TestADirectoryHasOneOwner(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	_, err := queue.Open(t.Context(), queue.Config{Dir: dir}, silence)
	if err == nil || !strings.Contains(err.Error(), "another transcoder uses it") {
		t.Errorf("a second queue on the same directory: %v", err)
	}
}

// A disk may be full in two ways here: a real small file system, which only root may mount, and a limit on the size of files,
// which anybody may set and lift.
func TestTheQueueRecoversFromAFullDisk(t *testing.T) {
	t.Run("small file system", func(t *testing.T) {
		dir := t.TempDir()
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"); err != nil {
			t.Logf("not tried, because only root may mount: %v", err)
			return
		}
		t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
		filler := filepath.Join(dir, "filler")
		recovers(t, filepath.Join(dir, "queue"), func() { fill(t, filler) }, func() { _ = os.Remove(filler) })
	})
	t.Run("limit on files", func(t *testing.T) {
		var before syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
			t.Fatal(err)
		}
		limit := func(bytes uint64) {
			if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: before.Max}); err != nil {
				t.Error(err)
			}
		}
		t.Cleanup(func() { limit(before.Cur) })
		recovers(t, t.TempDir(), func() { limit(8 << 10) }, func() { limit(before.Cur) })
	})
}

func recovers(t *testing.T, dir string, full, free func()) {
	q := openPaced(t, queue.Config{Dir: dir}, queue.Pace{AckWait: 2 * time.Second})
	done := make(chan string, 1000)
	stop := serve(t, q, queue.Tasks, 1, func(_ context.Context, d queue.Delivery) error { done <- d.ID; return nil })
	send(t, q, queue.Tasks, 50, "before")
	if id := receive(t, done); id != "before" {
		t.Fatalf("got %q", id)
	}
	stop()

	full()
	accepted := map[string]bool{}
	var refused error
	for i := 0; refused == nil && i < 1000; i++ {
		id := fmt.Sprint("while_", i)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		if refused = q.Send(ctx, queue.Tasks, 50, id, make([]byte, 200)); refused == nil {
			accepted[id] = true
		}
		cancel()
	}
	if refused == nil {
		t.Fatal("a full disk took everything")
	}
	eventually(t, "the queue is not ready", func() bool { return q.Ready() != nil })
	serve(t, q, queue.Tasks, 4, func(_ context.Context, d queue.Delivery) error { done <- d.ID; return nil })

	free()
	began := time.Now()
	eventually(t, "the queue is ready again", func() bool { return q.Ready() == nil })
	t.Logf("%d messages were accepted; ready again after %v", len(accepted), time.Since(began))
	send(t, q, queue.Tasks, 50, "after")
	accepted["after"] = true
	for len(accepted) > 0 {
		delete(accepted, receive(t, done))
	}
}

// fill makes a file that takes all the space there is.
func fill(t *testing.T, name string) {
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for size := 1 << 16; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
}

package e2e_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"weir/deploy/internal/chromium"
	"weir/deploy/internal/hook"
	"weir/deploy/internal/player"
	"weir/deploy/internal/stack"
	"weir/deploy/local"
)

const (
	startTimeout = 3 * time.Minute // the transcoder may have to be compiled
	// transcodeTimeout is for half a minute of video on two busy cores.
	transcodeTimeout = 3 * time.Minute
	// pageTimeout is for one visit to the player page; the longest plays for a quarter of a minute.
	pageTimeout = 90 * time.Second
)

// world is what every test uses. TestMain makes it, because a start costs seconds.
type world struct {
	weir    *stack.Stack
	player  *player.Server
	browser context.Context // chromedp's
	dir     string          // for videos, shared by the tests
	log     *logBuffer
}

var theWorld world

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) (code int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	w, end, err := start(ctx)
	defer func() {
		if err := end(); err != nil {
			fmt.Fprintln(os.Stderr, "e2e: stop:", err)
			code = 1
		}
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	theWorld = w
	return m.Run()
}

// start starts everything; end ends what was started, also after an error.
func start(ctx context.Context) (w world, end func() error, err error) {
	var ends []func() error
	end = func() error {
		var errs []error
		for i := len(ends) - 1; i >= 0; i-- {
			errs = append(errs, ends[i]())
		}
		return errors.Join(errs...)
	}
	if w.dir, err = os.MkdirTemp("", "weir-e2e-"); err != nil {
		return w, end, err
	}
	ends = append(ends, func() error { return os.RemoveAll(w.dir) })

	w.log = &logBuffer{}
	startCtx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if w.weir, err = stack.Start(startCtx, stack.Options{Log: w.log}); err != nil {
		return w, end, err
	}
	ends = append(ends, w.weir.Stop)

	root, err := local.Root()
	if err != nil {
		return w, end, err
	}
	if w.player, err = player.Serve(ctx, root, find(w.weir)); err != nil {
		return w, end, err
	}
	ends = append(ends, w.player.Stop)

	var stop func() error
	w.browser, stop, err = chromium.Start(ctx, filepath.Join(w.dir, "chromium"))
	ends = append(ends, stop)
	return w, end, err
}

// find is how the player page learns what to play.
func find(weir *stack.Stack) player.Find {
	return func(ctx context.Context, id, via string) (player.Video, error) {
		p, err := weir.Playback(ctx, id)
		if err != nil {
			return player.Video{}, err
		}
		if via == "query" {
			return player.Video{ID: id, URL: p.URLs.HLSQuery}, nil
		}
		return player.Video{ID: id, URL: p.URLs.HLS}, nil
	}
}

var ids atomic.Int64

// fresh returns a video id that no other test has, nor the same test when it runs again.
func fresh(name string) string { return fmt.Sprintf("%s-%d", name, ids.Add(1)) }

// transcode uploads a file and returns the webhook that tells how it went.
func (w world) transcode(t *testing.T, id, file string) hook.Delivery {
	t.Helper()
	key := "uploads/" + id + filepath.Ext(file)
	if file != "" {
		if err := w.weir.Upload(t.Context(), file, key); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), transcodeTimeout)
	defer cancel()
	ctx, unguard := w.weir.Guard(ctx)
	defer unguard()
	begin := time.Now()
	if _, err := w.weir.Submit(ctx, id, key); err != nil {
		t.Fatal(err)
	}
	news, err := w.weir.Hooks.End(ctx, id)
	if err != nil {
		t.Fatalf("%v\nthe parts' last words:\n%s", err, w.log)
	}
	t.Logf("%s: %s after %v", id, news.Event.Status, time.Since(begin).Round(10*time.Millisecond))
	if news.Event.Status == "processed" {
		if err := w.weir.Cloud.Check(ctx, id); err != nil {
			t.Error(err)
		}
	}
	return news
}

// logBuffer keeps the end of what the parts log.
type logBuffer struct {
	mu sync.Mutex
	b  []byte
}

func (l *logBuffer) Write(p []byte) (int, error) {
	const keep = 8 << 10
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b = append(l.b, p...)
	l.b = l.b[max(0, len(l.b)-keep):]
	return len(p), nil
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.b)
}

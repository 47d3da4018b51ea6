package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"weir/deploy/internal/child"
)

const (
	// readyTimeout: workerd needs about two seconds; a busy machine with a cold disk has taken ten.
	readyTimeout = 90 * time.Second
	// stopGrace: it ends in well under a second.
	stopGrace = 10 * time.Second
	// askTimeout is for the longest of the requests that measure, on a slow machine.
	askTimeout = 2 * time.Minute
)

// server is edge-auth/bench/server.mjs: workerd with the Workers that are measured.
type server struct {
	addresses struct {
		Weir, Bare, Jose, Measure string // origins
		PID                       int    // of workerd
	}
	child *child.Child
	temp  string
	http  *http.Client
}

// objects are what the bucket holds, with their sizes in bytes.
var objects = map[string]int{
	segmentKey: segmentSize,
	smallKey:   smallSize,
}

func startServer(ctx context.Context, root, keySet string, log io.Writer) (_ *server, err error) {
	node := filepath.Join(root, "edge-auth", "node_modules", "node", "bin", "node")
	if _, err := os.Stat(node); err != nil {
		return nil, errors.New("start workerd: there is no Node in edge-auth/node_modules: run `go tool task setup`")
	}
	held, err := json.Marshal(objects)
	if err != nil {
		return nil, err
	}
	s := &server{http: &http.Client{Timeout: askTimeout}}
	if s.temp, err = os.MkdirTemp("", "weir-bench-"); err != nil {
		return nil, fmt.Errorf("start workerd: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	ready := filepath.Join(s.temp, "ready")
	program := child.Program{
		Name: "edge-auth/bench/server.mjs", Path: node,
		Args: []string{"--no-warnings", filepath.Join(root, "edge-auth", "bench", "server.mjs"), ready},
		Env: []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + s.temp, "TMPDIR=" + s.temp, "CLOUDFLARE_CF_FETCH_ENABLED=false",
			"TOKEN_KEYS=" + keySet, "OBJECTS=" + string(held),
		},
	}
	if s.child, err = child.Start(program, log); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, fmt.Errorf("start workerd: it is not ready after %v", readyTimeout))
	defer cancel()
	for {
		if said, err := os.ReadFile(ready); err == nil {
			return s, json.Unmarshal(said, &s.addresses)
		}
		select {
		case <-s.child.Done():
			return nil, fmt.Errorf("start workerd: %w", s.child.Err())
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stop ends workerd and removes what was temporary.
func (s *server) stop() error {
	var err error
	if s.child != nil {
		err = s.child.Stop(stopGrace)
	}
	return errors.Join(err, os.RemoveAll(s.temp))
}

// guard gives a context that ends when workerd does.
func (s *server) guard(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-s.child.Done():
			cancel(s.child.Err())
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil); <-watched }
}

// ask posts a question to the Worker that measures and reads its answer, which may be nil.
func (s *server) ask(ctx context.Context, path string, question, answer any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.addresses.Measure+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", path, resp.Status, strings.TrimSpace(string(said)))
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(said, answer)
}

// cpu is how much CPU time workerd has taken, in all threads (clock_getcpuclockid(3)).
func (s *server) cpu() (time.Duration, error) {
	const wholeProcess, precise = 0, 2
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^s.addresses.PID<<3|wholeProcess|precise), &t); err != nil {
		return 0, fmt.Errorf("ask for the CPU time of workerd: %w", err)
	}
	return time.Duration(t.Nano()), nil
}

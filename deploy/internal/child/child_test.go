package child_test

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"weir/deploy/internal/child"
)

// grace is long for a healthy child; a test that needs all of it has found a bug.
const grace = 10 * time.Second

func TestStop(t *testing.T) {
	for name, script := range map[string]string{
		"ends a child that obeys SIGTERM":             `trap 'exit 0' TERM; echo pids $$; while :; do sleep 0.05; done`,
		"kills one that ignores it":                   `trap '' TERM; echo pids $$; while :; do sleep 0.05; done`,
		"takes grandchildren along":                   `sleep 300 & echo pids $$ $!; wait`,
		"takes grandchildren that lost their parent":  `(sleep 300 & echo pids $$ $!); while :; do sleep 0.05; done`,
		"takes grandchildren that ignore SIGTERM too": `sh -c 'trap "" TERM; echo pids $$; while :; do sleep 0.05; done' & wait`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := &lockedBuffer{}
			c, err := child.Start(shell(script), out)
			if err != nil {
				t.Fatal(err)
			}
			pids := announced(t, out)
			limit := grace
			if strings.Contains(name, "ignores it") {
				limit = 200 * time.Millisecond
			}
			if err := c.Stop(limit); err != nil {
				t.Fatal(err)
			}
			for _, pid := range pids {
				if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
					t.Errorf("process %d is still there (%v)", pid, err)
				}
			}
			if err := c.Stop(grace); err != nil {
				t.Errorf("second Stop: %v", err)
			}
		})
	}
}

func TestEndOnItsOwn(t *testing.T) {
	c, err := child.Start(shell(`sleep 300 & echo the reason >&2; exit 3`), nil)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-c.Done():
	case <-time.After(grace):
		t.Fatal("Done stays open although the leader has ended")
	}
	if got := c.Err().Error(); !strings.Contains(got, "exit status 3") || !strings.Contains(got, "the reason") {
		t.Errorf("Err() = %q, want the status and the last words", got)
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	c, err := child.Start(shell(`i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done`), nil)
	if err != nil {
		t.Fatal(err)
	}
	<-c.Done()
	if got := c.Tail(); !strings.HasSuffix(got, "line 1999") || len(got) > 8<<10 {
		t.Errorf("tail of %d bytes ends with %q", len(got), got[max(0, len(got)-20):])
	}
}

func TestStartReportsWhatCannotRun(t *testing.T) {
	if _, err := child.Start(child.Program{Name: "nothing", Path: "/does/not/exist"}, nil); err == nil {
		t.Fatal("no error")
	}
}

func shell(script string) child.Program {
	return child.Program{Name: "sh", Path: "sh", Args: []string{"-c", script}}
}

// announced waits for the line "pids N…" of a script.
func announced(t *testing.T, out *lockedBuffer) []int {
	t.Helper()
	for end := time.Now().Add(grace); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		line, _, ok := strings.Cut(out.String(), "\n")
		if !ok {
			continue
		}
		var pids []int
		for _, f := range strings.Fields(strings.TrimPrefix(line, "pids ")) {
			pid, err := strconv.Atoi(f)
			if err != nil {
				t.Fatal(fmt.Errorf("line %q: %w", line, err))
			}
			pids = append(pids, pid)
		}
		return pids
	}
	t.Fatal("the script said nothing")
	return nil
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

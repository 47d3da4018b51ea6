// Package child runs a program that must not outlive this one.
//
// A child leads a process group of its own, so that Ctrl-C in a terminal reaches the parent alone and the parent
// decides the order in which things stop. Stop asks the leader to end, waits, and then kills whatever is left of the
// group; Done is closed when the last process of the group is gone. If the parent itself is killed, the kernel tells
// the leader (parent-death signal). The last lines of the output are kept, because they say why a child ended.
//
// The package works on Linux.
package child

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// groupTimeout bounds the wait for processes that were sent SIGKILL. Only one that hangs in the kernel needs longer.
const groupTimeout = 5 * time.Second

// drainTimeout bounds the wait for the end of the output, which a process that left the group may hold open.
const drainTimeout = time.Second

// Child is a started program and everything that it started itself.
type Child struct {
	name string
	pid  int // of the leader, and the id of its group
	tail *tail
	done chan struct{}
	err  error // how it ended; set before done is closed
}

// Program is what to run.
type Program struct {
	Name string // for error texts
	Path string
	Args []string
	Dir  string   // "" is the working directory
	Env  []string // all of it; nil is this process's
}

// Start runs the program. Its output goes to log, which may be nil. The caller owes the child a Stop.
func Start(p Program, log io.Writer) (*Child, error) {
	name := p.Name
	if log == nil {
		log = io.Discard
	}
	// Processes that lose their parent in the group become ours, so that the end of the group can be waited for.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("start %s: become subreaper: %w", name, err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	cmd := exec.Command(p.Path, p.Args...) //nolint:noctx // it lives until Stop, which gives it time to end
	cmd.Dir, cmd.Env = p.Dir, p.Env
	cmd.Stdout, cmd.Stderr = w, w
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}

	c := &Child{name: name, tail: &tail{}, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The parent-death signal comes when the *thread* that started the child ends, so this goroutine keeps one.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		_ = w.Close()
		if err != nil {
			_ = r.Close()
			started <- fmt.Errorf("start %s: %w", name, err)
			return
		}
		c.pid = cmd.Process.Pid
		started <- nil

		copied := make(chan struct{})
		go func() {
			defer close(copied)
			_, _ = io.Copy(io.MultiWriter(c.tail, log), r)
		}()
		c.err = cmd.Wait()
		reap(c.pid)
		select {
		case <-copied: // what the group said last is still in the pipe
		case <-time.After(drainTimeout):
		}
		_ = r.Close() // ends the copy even if a process left the group with our pipe in its hands
		<-copied
		close(c.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return c, nil
}

// Run runs the program to its end, which is an error if it is no success; or until ctx ends, and then stops it.
func Run(ctx context.Context, p Program, log io.Writer, grace time.Duration) error {
	c, err := Start(p, log)
	if err != nil {
		return err
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("%s: %w", c.name, context.Cause(ctx)), c.Stop(grace))
	}
	if c.err != nil {
		return c.Err()
	}
	return nil
}

// Done is closed when no process of the child's group is left.
func (c *Child) Done() <-chan struct{} { return c.done }

// Err says how the child ended and what it said last. It must be called after Done.
func (c *Child) Err() error {
	how := "ended"
	if c.err != nil {
		how = c.err.Error()
	}
	return fmt.Errorf("%s: %s\n%s", c.name, how, c.Tail())
}

// Tail is the end of what the child has written so far.
func (c *Child) Tail() string { return c.tail.String() }

// Stop asks the leader to end (SIGTERM), and after the grace kills the group. It returns when all is gone; to stop
// a child that has ended, or to stop one twice, is no error.
func (c *Child) Stop(grace time.Duration) error {
	select {
	case <-c.done:
		return nil
	default:
	}
	_ = syscall.Kill(c.pid, syscall.SIGTERM)
	if c.wait(grace) {
		return nil
	}
	_ = syscall.Kill(-c.pid, syscall.SIGKILL)
	if c.wait(groupTimeout) {
		return nil
	}
	return fmt.Errorf("stop %s: process group %d is still there after SIGKILL", c.name, c.pid)
}

func (c *Child) wait(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-c.done:
		return true
	case <-t.C:
		return false
	}
}

// reap kills what is left of a group whose leader has ended and waits until nothing is.
func reap(pgid int) {
	for end := time.Now().Add(groupTimeout); time.Now().Before(end); {
		if err := syscall.Kill(-pgid, syscall.SIGKILL); errors.Is(err, syscall.ESRCH) {
			return
		}
		if pid, err := syscall.Wait4(-pgid, nil, syscall.WNOHANG, nil); err != nil || pid == 0 {
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// Package ffmpeg runs FFmpeg's programs; it is the only package that starts processes.
//
// A process gets an argument vector that Weir wrote (never a shell, never text from outside), an empty environment, its own
// process group and no standard input. It ends with its context, with its parent, or when it makes no progress for a
// minute, and nothing of its group outlives the call. Start at [Tools.Run]; [Input] holds the arguments that every reader
// of an upload shares. What to encode is the business of the caller.
package ffmpeg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// stallTimeout ends a process that reports no progress: even the slowest encoder finishes frames within it.
	stallTimeout = time.Minute
	// probeTimeout bounds the examination of a file, which reads a few megabytes.
	probeTimeout = time.Minute
	// killGrace is how long the pipes of a killed process may stay open before they are closed by force.
	killGrace = 5 * time.Second
	// stderrTail is how much of the end of a program's messages is kept, in bytes.
	stderrTail = 4 << 10
)

// Tools are the programs to run.
type Tools struct {
	ffmpeg, ffprobe string
}

// Find looks for ffmpeg and ffprobe on the PATH.
func Find() (Tools, error) {
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		return Tools{}, errors.New("ffmpeg is not on the PATH: install it, on Debian with \"apt-get install ffmpeg\"")
	}
	ffprobe, err := exec.LookPath("ffprobe")
	if err != nil {
		return Tools{}, errors.New("ffprobe is not on the PATH: it comes with ffmpeg")
	}
	return Tools{ffmpeg: ffmpeg, ffprobe: ffprobe}, nil
}

// Error is a program that failed by itself: not because it was told to end.
type Error struct {
	Program string
	Reason  string // how it ended
	Stderr  string // the end of its messages; for operators, never for clients
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s: %s: %s", e.Program, e.Reason, e.Stderr)
}

// Output is a stream that FFmpeg writes and the caller reads while it is written.
type Output struct {
	// Args come before the output's own name: maps, codecs and format.
	Args []string
	// Read is called once, on a goroutine of its own, and must read to the end. Its error ends the process.
	Read func(io.Reader) error
}

// Run runs ffmpeg on an input into pipes. Each value that progress gets is the output time in seconds that is finished;
// it may be nil. A failure of the program is an [*Error]; otherwise the error is that of an Output's Read, or the
// context's cause.
func (t Tools) Run(ctx context.Context, input []string, outputs []Output, progress func(seconds float64)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	var p pipes
	defer p.close()
	args := append([]string{
		"-nostdin", "-hide_banner",
		"-loglevel", "error",
		"-progress", p.add(), "-stats_period", "0.5",
	}, input...)
	for _, o := range outputs {
		args = append(args, o.Args...)
		args = append(args, p.add())
	}
	if p.err != nil {
		return fmt.Errorf("open pipes for ffmpeg: %w", p.err)
	}

	dog := watch(stallTimeout, func() { cancel(errStalled) })
	defer dog.stop()

	var readers errgroup.Group
	readers.Go(func() error {
		return readProgress(p.readers[0], func(seconds float64) {
			dog.progress(seconds)
			if progress != nil {
				progress(seconds)
			}
		})
	})
	for i, o := range outputs {
		output := dog.reader(p.readers[i+1])
		readers.Go(func() error {
			err := o.Read(output)
			if err != nil {
				cancel(err)
			}
			return err
		})
	}

	err := run(ctx, t.ffmpeg, args, nil, p.writers)
	p.closeWriters()
	readErr := readers.Wait()
	if err == nil {
		return readErr
	}
	return err
}

// Probe runs ffprobe and returns what it printed.
func (t Tools) Probe(ctx context.Context, args []string) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, probeTimeout, errStalled)
	defer cancel()
	var out bytes.Buffer
	err := run(ctx, t.ffprobe, append([]string{"-hide_banner", "-loglevel", "error"}, args...), &out, nil)
	return out.Bytes(), err
}

var errStalled = errors.New("made no progress and was ended")

// run starts a program and waits until it and its pipes are done.
func run(ctx context.Context, program string, args []string, stdout io.Writer, files []*os.File) error {
	// The kernel sends the parent-death signal when the thread that started the child ends, so the thread is kept
	// until the child is gone (golang/go#27505).
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "HOME=/nonexistent"}
	cmd.Stdout = stdout
	stderr := &tail{limit: stderrTail}
	cmd.Stderr = stderr
	cmd.ExtraFiles = files
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	ended := false // by us; the call that sets it happens before Run returns
	cmd.Cancel = func() error {
		ended = true
		return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	cmd.WaitDelay = killGrace

	err := cmd.Run()
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil && (ended || cmd.Process == nil) && !errors.Is(cause, errStalled) {
		return cause
	} else if ended {
		err = cause
	}
	return &Error{Program: filepath.Base(program), Reason: err.Error(), Stderr: stderr.String()}
}

// pipes are the files that a child writes to; its first one is descriptor 3.
type pipes struct {
	readers, writers []*os.File
	err              error
}

// add opens a pipe and returns FFmpeg's name of the end that it writes to.
func (p *pipes) add() string {
	r, w, err := os.Pipe()
	if err != nil {
		p.err = errors.Join(p.err, err)
		return ""
	}
	p.readers, p.writers = append(p.readers, r), append(p.writers, w)
	return fmt.Sprintf("pipe:%d", 2+len(p.writers))
}

func (p *pipes) closeWriters() {
	for _, w := range p.writers {
		_ = w.Close() // an end of a pipe: nothing can be lost
	}
	p.writers = nil
}

func (p *pipes) close() {
	p.closeWriters()
	for _, r := range p.readers {
		_ = r.Close()
	}
}

// tail keeps the last bytes that were written to it.
type tail struct {
	limit int
	data  []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.data = append(t.data, b...)
	if over := len(t.data) - t.limit; over > 0 {
		t.data = append(t.data[:0], t.data[over:]...)
	}
	return len(b), nil
}

func (t *tail) String() string { return strings.TrimSpace(strings.ToValidUTF8(string(t.data), "?")) }

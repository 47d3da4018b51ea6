// Package ffmpeg runs FFmpeg's programs; it is the only package that starts processes.
//
// A process gets an argument vector that Weir wrote (never a shell, never text from outside), an empty environment, its own
// process group and no standard input but another FFmpeg's output. It is in a box (package box): it reads no file but its own libraries, writes none,
// connects to nothing but the port that its input is served on, and starts nothing. It ends with its context, with its
// parent, when its time is over, or when it makes no progress for a minute, and nothing of its group outlives the call.
// Start at [Tools.Run]; [Input] holds the arguments that every reader of an upload shares. What to encode is the business
// of the caller.
package ffmpeg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"weir/transcoder/internal/box"
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
	// Memory is the address space of one process in bytes. A program that wants more fails.
	Memory int64
	// Unconfined processes are limited but can read, write and reach whatever the transcoder can: for kernels without
	// Landlock.
	Unconfined bool
	// Observe, if there is one, is told of each program that failed by itself.
	Observe func(program string)
}

// Find looks for ffmpeg and ffprobe on the PATH. Each process gets memory bytes of address space; see [DefaultMemory].
func Find(memory int64) (Tools, error) {
	if memory <= 0 {
		return Tools{}, fmt.Errorf("%d bytes of memory are not enough for ffmpeg: %d are for any upload", memory, DefaultMemory)
	}
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		return Tools{}, errors.New("ffmpeg is not on the PATH: install it, on Debian with \"apt-get install ffmpeg\"")
	}
	ffprobe, err := exec.LookPath("ffprobe")
	if err != nil {
		return Tools{}, errors.New("ffprobe is not on the PATH: it comes with ffmpeg")
	}
	if ffmpeg, err = filepath.Abs(ffmpeg); err != nil {
		return Tools{}, err
	}
	if ffprobe, err = filepath.Abs(ffprobe); err != nil {
		return Tools{}, err
	}
	return Tools{ffmpeg: ffmpeg, ffprobe: ffprobe, Memory: memory}, nil
}

// Check tells whether the programs run here, in their box: better at the start than at the first video.
func (t Tools) Check(ctx context.Context) error {
	if !t.Unconfined {
		if err := box.Check(); err != nil {
			return fmt.Errorf("ffmpeg cannot be confined here: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	for _, program := range []string{t.ffmpeg, t.ffprobe} {
		if err := t.run(ctx, program, []string{"-loglevel", "error", "-version"}, Options{}, &process{}, io.Discard, nil); err != nil {
			return fmt.Errorf("%s does not run in its box, where it has %d bytes of memory and reads only itself and the "+
				"libraries of the system: %w", program, t.Memory, err)
		}
	}
	return nil
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

// Options are how a process runs beside others.
type Options struct {
	// Nice is its niceness, from 0, as the transcoder itself, to 19, only when nobody else wants the processor.
	Nice int
	// Limit is how long it may take by the clock on the wall; 0 is as long as it makes progress.
	Limit time.Duration
	// Stdin is what an input of [PipedArgs] reads.
	Stdin *os.File
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
func (t Tools) Run(
	ctx context.Context, options Options, input []string, outputs []Output, progress func(seconds float64),
) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	var p pipes
	defer p.close()
	args := slices.Concat([]string{
		"-nostdin", "-hide_banner",
		"-loglevel", "error",
		"-progress", p.add(), "-stats_period", "0.5",
	}, bounds(), input)
	for _, o := range outputs {
		args = append(args, o.Args...)
		args = append(args, p.add())
	}
	if p.err != nil {
		return fmt.Errorf("open pipes for ffmpeg: %w", p.err)
	}

	var started process
	dog := watch(stallTimeout, started.worked, func() { cancel(errStalled) })
	defer dog.stop()
	if options.Limit > 0 {
		overdue := verdict(fmt.Sprintf("was not done after %v and was ended", options.Limit))
		defer time.AfterFunc(options.Limit, func() { cancel(overdue) }).Stop()
	}

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

	err := t.run(ctx, t.ffmpeg, args, options, &started, nil, p.writers)
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
	args = slices.Concat([]string{"-hide_banner", "-loglevel", "error"}, bounds(), args)
	err := t.run(ctx, t.ffprobe, args, Options{}, &process{}, &out, nil)
	return out.Bytes(), err
}

// verdict is why a program was ended that is itself to blame.
type verdict string

func (v verdict) Error() string { return string(v) }

const errStalled verdict = "made no progress and was ended"

// run starts a program and waits until it and its pipes are done.
func (t Tools) run(
	ctx context.Context, program string, args []string, options Options, started *process, stdout io.Writer, files []*os.File,
) error {
	// The kernel sends the parent-death signal when the thread that started the child ends, so the thread is kept
	// until the child is gone (golang/go#27505).
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	said, report, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("open a pipe for the box: %w", err)
	}
	defer func() { _ = said.Close() }()
	defer func() { _ = report.Close() }()
	b := box.Box{Memory: t.Memory, Nice: options.Nice, Port: port(args), Report: 3 + len(files), Open: t.Unconfined}

	cmd := exec.CommandContext(ctx, box.Self)
	cmd.Args = b.Args(program, args)
	cmd.Env = []string{} // not the transcoder's, which has keys in it
	cmd.Dir = "/"
	if options.Stdin != nil {
		cmd.Stdin = options.Stdin
	}
	cmd.Stdout = stdout
	stderr := &tail{limit: stderrTail}
	cmd.Stderr = stderr
	cmd.ExtraFiles = append(slices.Clone(files), report)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	ended := false // by the context; the call that sets it happens before Wait returns
	cmd.Cancel = func() error {
		ended = true
		return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	cmd.WaitDelay = killGrace

	err = cmd.Start()
	if err == nil {
		// Until it is waited for, its number is nobody else's, even if it is gone.
		started.pid.Store(int64(cmd.Process.Pid))
		_ = report.Close()
		text, _ := io.ReadAll(said) // until it becomes the program, or ends
		err = cmd.Wait()
		// A box that fails is not the fault of what the program was to read.
		if refused := box.Refused(text); refused != nil && !ended {
			return fmt.Errorf("start %s: %w: %s", filepath.Base(program), refused, stderr)
		}
	}
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil && (ended || cmd.Process == nil) {
		if blamed := verdict(""); !errors.As(cause, &blamed) {
			return cause
		}
		err = cause
	}
	if t.Observe != nil {
		t.Observe(filepath.Base(program))
	}
	return &Error{Program: filepath.Base(program), Reason: err.Error(), Stderr: strings.ReplaceAll(stderr.String(), whitelist, "…")}
}

// port is that of the one address which the arguments name; 0 if they name none.
func port(args []string) int {
	for i, arg := range args[:max(len(args)-1, 0)] {
		if arg != "-i" {
			continue
		}
		if u, err := url.Parse(args[i+1]); err == nil && u.Scheme == "http" {
			n, _ := strconv.Atoi(u.Port())
			return n
		}
	}
	return 0
}

// process is one that was started, perhaps.
type process struct{ pid atomic.Int64 }

// worked is the processor time that the process has used, to a hundredth of a second (proc(5), utime and stime).
func (p *process) worked() time.Duration {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid.Load()))
	if err != nil {
		return 0
	}
	// The name, in brackets, may hold anything; what comes after it is numbers from the third field on.
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0
		}
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / clockTicks)
}

// clockTicks is Linux's USER_HZ, the same on all of Go's architectures.
const clockTicks = 100

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

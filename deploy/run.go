package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"os/user"
	"strings"
	"syscall"
	"time"

	"weir/deploy/internal/demo"
	"weir/deploy/internal/setup"
	"weir/deploy/local"
)

const usage = `usage: deploy COMMAND

  setup                  install what is missing to run and to test Weir
  wasm                   build the Worker's module
  demo [--exit] [VIDEO]  show one video, from the upload to the player (without VIDEO: a sample)
                         --exit     fetch the video back, decode all of it, print RESULT {json}, and leave
                         --verbose  print what the parts log
  dev [--verbose]        run everything, without a video
`

// errUsage is a command line that cannot be meant; run ends with 2.
var errUsage = errors.New("wrong usage")

// run does what the arguments say until it is done or a signal comes. A second signal ends the process at once, and
// the kernel tells the children.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if err := ensureHome(); err != nil {
		_, _ = fmt.Fprintln(stderr, "deploy:", err)
		return 1
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop)
	ctx, cancel := untilOrphaned(ctx)
	defer cancel()

	switch err := command(ctx, args, stdout, stderr); {
	case err == nil:
		return 0
	case errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		_, _ = fmt.Fprintln(stderr, "deploy:", err)
		return 2
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		_, _ = fmt.Fprintln(stderr, "deploy: interrupted; everything is stopped")
		return 1
	default:
		_, _ = fmt.Fprintln(stderr, "deploy:", err)
		return 1
	}
}

func command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return fmt.Errorf("%w: no command\n%s", errUsage, usage)
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the error says it all
	exit, verbose := new(bool), new(bool)
	operands := 0
	switch args[0] {
	case "setup", "wasm":
	case "demo":
		exit, operands = flags.Bool("exit", false, ""), 1
		fallthrough
	case "dev":
		verbose = flags.Bool("verbose", false, "")
	case "help", "-h", "--help":
		_, _ = fmt.Fprint(stdout, usage)
		return nil
	default:
		return fmt.Errorf("%w: no command %q\n%s", errUsage, args[0], usage)
	}
	if err := flags.Parse(args[1:]); errors.Is(err, flag.ErrHelp) {
		_, _ = fmt.Fprint(stdout, usage)
		return err
	} else if err != nil {
		return fmt.Errorf("%w: %w\n%s", errUsage, err, usage)
	}
	if flags.NArg() > operands {
		return fmt.Errorf("%w: what is %q? (flags come before operands)\n%s", errUsage, flags.Arg(operands), usage)
	}

	switch args[0] {
	case "setup":
		return setUp(ctx, stdout)
	case "wasm":
		return wasm(ctx, stdout)
	case "dev":
		return demo.Dev(ctx, *verbose, stdout)
	default:
		video := flags.Arg(0)
		if err := readable(video); err != nil {
			return err
		}
		return demo.Run(ctx, demo.Options{Video: video, Exit: *exit, Verbose: *verbose}, stdout)
	}
}

func setUp(ctx context.Context, stdout io.Writer) error {
	root, err := local.Root()
	if err != nil {
		return err
	}
	if err := setup.Run(ctx, root, setup.Tests, stdout); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(stdout, "set-up: everything is there")
	return nil
}

func wasm(ctx context.Context, stdout io.Writer) error {
	root, err := local.Root()
	if err != nil {
		return err
	}
	built, err := setup.Wasm(ctx, root)
	if err != nil {
		return err
	}
	if built {
		_, _ = fmt.Fprintln(stdout, "built edge-auth/edge.wasm")
	} else {
		_, _ = fmt.Fprintln(stdout, "edge-auth/edge.wasm is newer than its sources")
	}
	return nil
}

// readable says in time that a video cannot be read: before minutes of set-up.
func readable(video string) error {
	if video == "" {
		return nil
	}
	f, err := os.Open(video)
	if err != nil {
		return fmt.Errorf("%w: the video cannot be read: %w", errUsage, err)
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return fmt.Errorf("%w: %s is not a file", errUsage, video)
	}
	return nil
}

// ensureHome sets HOME where it is unset, as in a bare container: TinyGo, npm and the cache folder want one.
func ensureHome() error {
	if os.Getenv("HOME") != "" {
		return nil
	}
	u, err := user.Current()
	if err != nil {
		return fmt.Errorf("HOME is not set, and nothing tells where it is: %w", err)
	}
	return os.Setenv("HOME", u.HomeDir)
}

// untilOrphaned ends the context when whoever asked is gone: a demo whose `task`, or the `go tool` before it, was killed
// would run on unseen.
func untilOrphaned(ctx context.Context) (context.Context, func()) {
	const pause = time.Second
	ctx, cancel := context.WithCancel(ctx)
	asked, watched := askers(), make(chan struct{})
	go func() {
		defer close(watched)
		for askers() == asked {
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause):
			}
		}
		cancel()
	}()
	return ctx, func() {
		cancel()
		<-watched
	}
}

// askers are the parent process and, if that is `task`, its parent as well: both only pass on what was asked.
func askers() (pids [2]int) {
	pids[0] = os.Getppid()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pids[0])) // "PID (NAME) STATE PPID …"
	if err != nil {
		return pids
	}
	if _, rest, ok := strings.Cut(string(stat), " (task) "); ok {
		_, _ = fmt.Sscanf(rest, "%1s %d", new(string), &pids[1])
	}
	return pids
}

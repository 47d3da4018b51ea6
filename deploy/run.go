package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"os/user"
	"strings"
	"syscall"
	"time"

	"weir/deploy/internal/check"
	"weir/deploy/internal/demo"
	"weir/deploy/internal/image"
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
  image [--name NAME]    build the container image
  image-verify [VIDEO]   run the image as nobody, on a root that is read-only, through the demo; print RESULT {json}
                         --name NAME    as with image
  plan [FLAGS]           tell what a deployment wants of the Cloudflare account that CLOUDFLARE_ACCOUNT_ID and CLOUDFLARE_API_TOKEN name, and
                         what it lacks of it; change nothing
                         --offline      ask nobody: tell all that is wanted
  apply [FLAGS]          bring the account to that, the Worker included; what is there already stays as it is. Its keys are made, and kept in
                         .weir/ENVIRONMENT.env, which is the environment of a transcoder too
  rotate-keys [FLAGS]    change the key that signs tokens, while people watch: once to begin, and once more two days later
  destroy [FLAGS]        take the deployment down, once its name was typed
                         --data         and delete the bucket, with every video
                         all four:
                         --env E        of wrangler.toml: production (if not said), or staging
                         --settings F   the file with the settings, instead of .weir/ENVIRONMENT.env
                         plan, and apply, which remembers what was said:
                         --domain HOST  where people watch, in a zone of the account; without it, at workers.dev
                         --transcoder URL  where the Worker reaches it; without it, in Cloudflare Containers beside the Worker
                         --location L   where the bucket is to be: apac, eeur, enam, oc, weur, wnam
                         --origin URL   pages there upload into the bucket; as often as needed
  verify [FLAGS]         hold a deployment's Worker to its specification (deploy/internal/verify/edge.http); print RESULT {json}. Where it is
                         says the environment, as for the transcoder: PUBLIC_URL, R2_ENDPOINT, R2_BUCKET, R2_ACCESS_KEY_ID,
                         R2_SECRET_ACCESS_KEY and TOKEN_KEY, or the settings of apply
                         --env E        .weir/E.env, instead of the environment; --settings F: another file
                         --url URL      of the Worker, instead of PUBLIC_URL
                         --job          and take a video through it, hold what is published to Apple's rules, and delete it. Takes API_KEY
                         --video F      this one, instead of a sample of ten seconds
                         --webhook URL  who is told of it; instead of nobody
  verify-local           start everything on this machine, verify it with a whole job as if it were live, and stop it
  check [--json] URL     hold the video whose multivariant playlist is at URL to Apple's rules and to RFC 8216: read every byte of it, print
                         a line a finding with the rule's number, and RESULT {json}
                         --json         a line of JSON a finding
                         --header H     send this header with each request, as 'Authorization: Bearer TOKEN'
  chaos [FLAGS]          break it in the ways in which machines break, and tell whether a promise broke; print RESULT {json}
                         --kills, --wipes, --zombies, --takeovers, --posts, --deletes N
                         --bucket, --queue DURATION   how long each is away, as 10m
                         --only A,B     these fault runs alone
                         --short        a minute of it
                         --mutants      break the transcoder on purpose instead, and see whether each fault run notices
                         --seed N       the schedule of an earlier run
  bench [--short]        measure how quick it is, how it scales and what it needs; print RESULT {json}
                         both: --transcoder FILE  another binary than the checkout's
                               --log FILE         what the transcoders say
  bench-picture [--short] compare it with the command lines that people write: time, bytes, quality; print RESULT {json}
                         --only A,B     these clips alone
                         --length D     of each clip, instead of 1m
                         --chart FILE   draw the time and the bytes, as an SVG
                         --transcoder FILE, --log FILE  as with bench
  bench-edge [--short]   measure what the Worker takes, beside what people would use instead; print RESULT {json}
                         --only A,B     these measurements alone
                         --log FILE     what workerd says
`

// errUsage is a command line that cannot be meant; run ends with 2.
var errUsage = errors.New("wrong usage")

// run does what the arguments say until it is done or a signal comes. A second signal ends the process at once, and
// the kernel tells the children.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if err := ensureHome(); err != nil {
		_, _ = fmt.Fprintln(stderr, "deploy:", err)
		return 1
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop)
	ctx, cancel := untilOrphaned(ctx)
	defer cancel()

	switch err := command(ctx, args, stdin, stdout, stderr); {
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

func command(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return fmt.Errorf("%w: no command\n%s", errUsage, usage)
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the error says it all
	operands := 0
	var do func() error
	switch args[0] {
	case "setup":
		do = func() error { return setUp(ctx, stdout) }
	case "wasm":
		do = func() error { return wasm(ctx, stdout) }
	case "demo":
		exit, verbose := flags.Bool("exit", false, ""), flags.Bool("verbose", false, "")
		operands = 1
		do = func() error {
			video := flags.Arg(0)
			if err := readable(video); err != nil {
				return err
			}
			return demo.Run(ctx, demo.Options{Video: video, Exit: *exit, Verbose: *verbose}, stdout)
		}
	case "dev":
		verbose := flags.Bool("verbose", false, "")
		do = func() error { return demo.Dev(ctx, *verbose, stdout) }
	case "apply":
		do = applyCommand(ctx, flags, stdout)
	case "rotate-keys":
		do = rotateCommand(ctx, flags, stdout)
	case "destroy":
		do = destroyCommand(ctx, flags, stdin, stdout)
	case "image":
		name := flags.String("name", image.Name, "")
		do = func() error { return image.Build(ctx, *name, stdout) }
	case "image-verify":
		name := flags.String("name", image.Name, "")
		operands = 1
		do = func() error {
			if err := readable(flags.Arg(0)); err != nil {
				return err
			}
			return image.Verify(ctx, *name, flags.Arg(0), stdout)
		}
	case "plan":
		do = planCommand(ctx, flags, stdout)
	case "verify":
		do = verifyCommand(ctx, flags, stdout)
	case "verify-local":
		do = func() error { return verifyLocal(ctx, stdout) }
	case "check":
		asJSON, header := flags.Bool("json", false, ""), headers(flags)
		operands = 1
		do = func() error {
			if flags.NArg() == 0 {
				return fmt.Errorf("%w: check which URL?\n%s", errUsage, usage)
			}
			return check.Command(ctx, flags.Arg(0), check.Options{Header: header}, *asJSON, stdout)
		}
	case "chaos":
		do = chaosCommand(ctx, flags, stdout)
	case "bench":
		do = benchCommand(ctx, flags, stdout)
	case "bench-picture":
		do = benchPictureCommand(ctx, flags, stdout)
	case "bench-edge":
		do = benchEdgeCommand(ctx, flags, stdout)
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
	return do()
}

// headers declares a flag that takes a request header, as often as it is given.
func headers(flags *flag.FlagSet) http.Header {
	all := http.Header{}
	flags.Func("header", "", func(text string) error {
		name, value, ok := strings.Cut(text, ":")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return errors.New("write it as 'Name: value'")
		}
		all.Add(name, strings.TrimSpace(value))
		return nil
	})
	return all
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
		_, _ = fmt.Fprintln(stdout, "built the Worker: edge-auth/edge.wasm and edge-auth/public")
	} else {
		_, _ = fmt.Fprintln(stdout, "edge-auth/edge.wasm and edge-auth/public are newer than their sources")
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

// Transcoder is Weir's container: the API that takes jobs, and the workers that turn uploads into HLS.
//
// Everything is wired in run, top to bottom; the write line itself is in internal/worker.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"weir/transcoder/internal/api"
	"weir/transcoder/internal/catalog"
	"weir/transcoder/internal/encode"
	"weir/transcoder/internal/ffmpeg"
	"weir/transcoder/internal/metrics"
	"weir/transcoder/internal/queue"
	"weir/transcoder/internal/r2"
	"weir/transcoder/internal/source"
	"weir/transcoder/internal/webhook"
	"weir/transcoder/internal/worker"
)

const (
	// jobsAtOnce bounds the jobs that this node holds; holding one costs nothing while its tasks are done.
	jobsAtOnce = 256
	// minFirst is how many first tasks are done side by side at least: the picture and the sound of one video.
	minFirst = 2
	// hooksAtOnce bounds how many backends are told side by side, and sweepsAtOnce how many trees are swept.
	hooksAtOnce, sweepsAtOnce = 16, 4
	// reconcileInterval is how long an accepted job may be unknown to the queue.
	reconcileInterval = time.Minute
	// gcPercent is half of Go's own: what the collector takes is nothing beside an encoder, which has a use for the memory.
	gcPercent = 50
)

// errUsage is a configuration that cannot be used: the process exits with 2.
var errUsage = errors.New("the configuration cannot be used")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	switch err := command(ctx, os.Args[1:], os.Getenv, os.Stderr); {
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "transcoder:", err)
		os.Exit(1)
	}
}

// command is run, or what the arguments say.
func command(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) error {
	switch {
	case len(args) == 0:
		return run(ctx, getenv, stderr)
	case slices.Equal(args, []string{"healthcheck"}):
		return healthcheck(ctx, getenv)
	}
	return fmt.Errorf("%w: what is %q? There is only `transcoder`, and `transcoder healthcheck`, which asks the one that runs", errUsage, args)
}

// run is the whole object graph, leaf to root. When ctx ends, the API stops taking requests, running encoders are ended and
// their messages given back, and the queue is closed last.
func run(ctx context.Context, getenv func(string) string, stderr io.Writer) error {
	config, err := loadConfig(getenv)
	if err != nil {
		return fmt.Errorf("%w:\n%w\nSet these environment variables; the README's configuration table tells what they mean.", errUsage, err)
	}
	log := slog.New(slog.NewJSONHandler(stderr, nil))
	meter := metrics.New()
	config.R2.Observe = meter.BucketRequest
	bucket := r2.Open(config.R2)
	jobs := catalog.New(bucket, time.Now)
	lanes, err := queue.Open(ctx, config.Queue, log)
	if err != nil {
		return err
	}
	defer lanes.Close()
	sender, err := webhook.New(config.WebhookSecrets, config.WebhookAllowPrivate)
	if err != nil {
		return err
	}
	w := &worker.Worker{Log: log, Now: time.Now, Bucket: bucket, Catalog: jobs, Queue: lanes, Sender: sender, Meter: meter, Ladder: config.Ladder, Storyboard: config.Storyboard, Codecs: config.Codecs, EncryptionKey: config.EncryptionKey}
	if config.Role != API {
		if w.Tools, err = ffmpeg.Find(config.TaskMemory); err != nil {
			return err
		}
		w.Tools.Observe = meter.FFmpegFailure
		if w.Tools.Unconfined = config.Sandbox == Off; w.Tools.Unconfined {
			log.Warn("ffmpeg is not confined: whoever takes it over with a video has the rights of the transcoder")
		}
		if err := w.Tools.Check(ctx); err != nil {
			return fmt.Errorf("%w\nIf this machine cannot confine it, FFMPEG_SANDBOX=off starts it unconfined: an upload that takes it over then has all that the transcoder has.", err)
		}
		w.Encoder = encode.Encoder{Tools: w.Tools, Preset: config.Preset}
		if w.Encoder.Further, err = encode.Further(ctx, w.Tools); err != nil {
			return err
		}
		if missing := config.Codecs.Beyond(w.Encoder.Further); len(missing) > 0 {
			return fmt.Errorf("CODECS names %s, for which ffmpeg has no encoder: leave it out, or install an ffmpeg with libx265 and libsvtav1, such as Debian's", missing)
		}
		if w.Sources, err = source.Listen(ctx, bucket, config.Scratch, log); err != nil {
			return err
		}
	}
	meter.Watch(w.Seen, lanes.Depths)
	health := api.Health{
		Ready:   func(ctx context.Context) error { return errors.Join(lanes.Ready(), bucket.Check(ctx)) },
		Outlook: w.Outlook,
		Metrics: meter,
	}
	server := api.NewHealth(log, health)
	if config.Role != Worker {
		server = api.New(api.Config{
			Log: log, Keys: strings.Fields(string(config.APIKey)), Catalog: jobs, Dispatcher: w, Signals: lanes, Health: health, Further: w.Encoder.Further,
			Encrypts: config.EncryptionKey.Known(),
			Minter:   api.Minter{Key: config.TokenKey, TTL: config.TokenTTL, PublicURL: config.PublicURL, Now: time.Now},
		})
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", config.Listen)
	if err != nil {
		return fmt.Errorf("listen for the API: %w", err)
	}
	log.Info("the transcoder was started", "listen", listener.Addr().String(), "role", config.Role, "tasks", config.Tasks)

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return server.Serve(ctx, listener) })
	g.Go(func() error { return w.Reconcile(ctx, reconcileInterval) })
	if config.Role != API {
		g.Go(func() error { return w.Sources.Serve(ctx) })
		g.Go(func() error { return lanes.Serve(ctx, queue.Jobs, jobsAtOnce, w.Run) })
		g.Go(func() error { return lanes.Serve(ctx, queue.First, max(config.Tasks, minFirst), w.RunTask) })
		g.Go(func() error { return lanes.Serve(ctx, queue.Tasks, config.Tasks, w.RunTask) })
		g.Go(func() error { return lanes.Serve(ctx, queue.Hooks, hooksAtOnce, w.Tell) })
		g.Go(func() error { return lanes.Serve(ctx, queue.Sweeps, sweepsAtOnce, w.Sweep) })
	}
	err = g.Wait()
	log.Info("the transcoder was ended")
	return err
}

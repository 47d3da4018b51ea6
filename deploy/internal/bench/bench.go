// Package bench measures what Weir promises in figures: how soon a video can be watched, on an idle machine and on a busy
// one, how two workers share a job, and how much memory a long queue takes.
//
// The parts are real, as in the fault runs: a local Cloudflare, the transcoder as a process of its own, ffmpeg, webhooks.
// Beside it stands what people would use instead, measured in the same run (usual.go). Start at [Run].
package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"weir/deploy/internal/fleet"
	"weir/deploy/local"
)

// Options are what the command line says.
type Options struct {
	Short bool     // the shortest source alone, once, and a short queue
	Only  []string // names of measurements; empty is all
	// Transcoder is a binary to use; "" builds that of the checkout.
	Transcoder string
	Log        io.Writer // what the transcoders say; nil is nowhere
}

// Result is the last line of a run. What was not measured is absent.
type Result struct {
	FirstPlayable   map[string]float64 `json:"first_playable_s,omitempty"`   // by the source's length; medians
	PlayableWebhook map[string]float64 `json:"playable_webhook_s,omitempty"` // the same, until the backend was told
	FirstBusy       float64            `json:"first_playable_busy_s,omitempty"`
	UsualPipeline   float64            `json:"usual_pipeline_s,omitempty"` // of the 10 s source
	Ratio           float64            `json:"ratio,omitempty"`            // of the usual pipeline to Weir
	Scaling         float64            `json:"scaling_1_to_2,omitempty"`
	RSS             float64            `json:"rss_mb,omitempty"`    // at its peak
	RSSAt           map[string]float64 `json:"rss_mb_at,omitempty"` // by queued jobs
}

// maxRSS is what a transcoder may take, however many jobs wait.
const maxRSS = 150 // MB

// ErrBroken says that a figure is not what is promised.
var ErrBroken = errors.New("a promise was broken")

const (
	playable = "playable"
	busy     = "busy"
	usual    = "usual"
	scaling  = "scaling"
	memory   = "memory"
)

// Parts are the names of the measurements.
func Parts() []string { return []string{playable, busy, usual, scaling, memory} }

// bench is a run of some measurements.
type bench struct {
	opts   Options
	binary string
	out    io.Writer
	result Result
}

// Run measures, prints a table, and RESULT as its last line.
func Run(ctx context.Context, opts Options, out io.Writer) (err error) {
	root, err := local.Root()
	if err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "weir-bench-")
	if err != nil {
		return fmt.Errorf("prepare the measurements: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	b := &bench{opts: opts, out: out}
	if b.binary, err = fleet.Binary(ctx, root, opts.Transcoder, temp); err != nil {
		return err
	}
	for _, step := range []struct {
		wanted bool
		do     func(context.Context) error
	}{
		{b.wants(playable) || b.wants(busy) || b.wants(usual), b.latency},
		{b.wants(scaling) && !opts.Short, b.scaling},
		{b.wants(memory), b.memory},
	} {
		if !step.wanted {
			continue
		}
		err := step.do(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx) // rather than what failed because of it
		}
		if err != nil {
			return err
		}
	}
	line, err := json.Marshal(b.result)
	if err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	b.say("RESULT %s\n", line)
	if b.result.RSS > maxRSS {
		return fmt.Errorf("%w: the transcoder took %.0f MB, at most %d are promised", ErrBroken, b.result.RSS, maxRSS)
	}
	return nil
}

func (b *bench) wants(part string) bool {
	return len(b.opts.Only) == 0 || slices.Contains(b.opts.Only, part)
}

// repetitions of which the median counts.
func (b *bench) repetitions() int {
	if b.opts.Short {
		return 1
	}
	return 3
}

// start starts a fleet; the returned context ends when its Cloudflare does.
func (b *bench) start(ctx context.Context, cluster bool) (*fleet.Fleet, context.Context, func() error, error) {
	f, err := fleet.Start(ctx, fleet.Options{Binary: b.binary, Cluster: cluster, Log: b.opts.Log})
	if err != nil {
		return nil, nil, nil, err
	}
	ctx, unguard := f.Guard(ctx)
	return f, ctx, func() error { unguard(); return f.Stop() }, nil
}

// upload makes a clip, puts it into the bucket, and removes the file: the longest one has gigabytes.
func upload(ctx context.Context, f *fleet.Fleet, clip fleet.Clip) (key string, err error) {
	path := filepath.Join(f.Temp(), clip.Name()+".mp4")
	key = "uploads/" + clip.Name() + ".mp4"
	defer func() { err = errors.Join(err, os.Remove(path)) }()
	if err := clip.Make(ctx, path); err != nil {
		return "", err
	}
	return key, f.Upload(ctx, path, key)
}

func (b *bench) row(what, format string, args ...any) {
	b.say("%-44s %s\n", what, fmt.Sprintf(format, args...))
}

// say prints; an operator who closed the output has no use for an error about it.
func (b *bench) say(format string, args ...any) { _, _ = fmt.Fprintf(b.out, format, args...) }

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

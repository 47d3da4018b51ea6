// Package demo shows Weir at work on one video, from the upload to a picture in a player; and `dev`, the same without
// a video.
//
// Run reads as what an operator would do by hand. It makes nothing up: the upload goes through the S3 endpoint, the
// request through the API, the news comes by webhook, and what is fetched is fetched through the Worker.
package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"weir/deploy/internal/check"
	"weir/deploy/internal/child"
	"weir/deploy/internal/hook"
	"weir/deploy/internal/player"
	"weir/deploy/internal/sample"
	"weir/deploy/internal/setup"
	"weir/deploy/internal/stack"
	"weir/deploy/internal/viewer"
	"weir/deploy/local"
)

const (
	// pollPause is how often the video is asked for: the resolution of the times in RESULT.
	pollPause = 100 * time.Millisecond
	// webhookTimeout counts from the moment the API says that the video has come to its end.
	webhookTimeout = 30 * time.Second
)

// Options are what the command line says.
type Options struct {
	Video   string // a file; "" is the sample
	Exit    bool   // watch the video through the Worker and leave
	Verbose bool   // let the parts say what they log

	// Program is the transcoder to show, as in [stack.Options]; nil is the checkout's. Started is called when it is there; it may be nil.
	Program func(settings []string) child.Program
	Started func(ctx context.Context) error
}

// JobError is a video that the transcoder gave up, in the words of its webhook.
type JobError struct{ Code, Message string }

func (e *JobError) Error() string { return "the job failed: " + e.Code + ": " + e.Message }

// Result is the last line of a demo that leaves by itself.
type Result struct {
	Playable   float64 `json:"playable_s"`  // from the POST until a player has its first segment
	Processed  float64 `json:"processed_s"` // from the POST until everything is there
	Renditions int     `json:"renditions"`
	Bytes      int64   `json:"bytes"`
	Segments   int     `json:"segments"`
	Duration   float64 `json:"duration_s"`
	Frames     int     `json:"frames_decoded"`
	Warnings   int     `json:"rule_warnings"` // of Apple's rules; an error ends the demo
}

// Run shows one video. It returns when ctx ends, or, with Exit, when everything was seen; then the last line that it prints is the result.
func Run(ctx context.Context, opts Options, out io.Writer) error {
	r, err := Show(ctx, opts, out)
	if err != nil || !opts.Exit {
		return err
	}
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	_, _ = fmt.Fprintf(out, "RESULT %s\n", line)
	return nil
}

// Show is Run without its last line.
func Show(ctx context.Context, opts Options, out io.Writer) (r Result, err error) {
	d, ctx, err := begin(ctx, opts, out)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, d.end()) }()
	if opts.Started != nil {
		if err := opts.Started(ctx); err != nil {
			return r, explain(ctx, err)
		}
	}

	video := opts.Video
	if video == "" {
		if video, err = d.sample(ctx); err != nil {
			return r, err
		}
	}
	id := "demo-" + hex.EncodeToString(random(4))
	key := "uploads/" + id + filepath.Ext(video)
	if err := d.upload(ctx, video, key); err != nil {
		return r, err
	}
	playable := func() {}
	if !opts.Exit {
		page, err := d.player(ctx, id)
		if err != nil {
			return r, err
		}
		defer func() { err = errors.Join(err, page.Stop()) }()
		playable = func() { d.say("Watch it, while the rest is encoded: %s/%s\n", page.URL, id) }
	}
	if r, err = d.transcode(ctx, id, key, playable); err != nil {
		return r, err
	}
	news, err := d.hear(ctx, id)
	if err != nil {
		return r, err
	}
	if news.Event.Status != "processed" {
		code, message := news.Event.Failure()
		return r, &JobError{code, message}
	}
	if opts.Exit {
		return d.watch(ctx, id, r)
	}
	d.say("All of it is there. Ctrl-C ends the demo.\n")
	return r, rest(ctx)
}

// Dev starts everything and says how to use it, until ctx ends.
func Dev(ctx context.Context, verbose bool, out io.Writer) (err error) {
	d, ctx, err := begin(ctx, Options{Verbose: verbose}, out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.end()) }()
	if err := d.manual(ctx); err != nil {
		return err
	}
	return rest(ctx)
}

// demo is what a run has started.
type demo struct {
	root    string
	out     io.Writer
	stack   *stack.Stack
	unguard func()
}

// begin sets up what is missing and starts everything. The context that it returns ends when a part dies.
func begin(ctx context.Context, opts Options, out io.Writer) (*demo, context.Context, error) {
	root, err := local.Root()
	if err != nil {
		return nil, nil, err
	}
	if err := setup.Run(ctx, root, setup.Demo, out); err != nil {
		return nil, nil, err
	}
	d := &demo{root: root, out: out}
	if err := d.timed("build the Worker's module", func() error {
		_, err := setup.Wasm(ctx, root)
		return err
	}); err != nil {
		return nil, nil, err
	}
	var log io.Writer
	if opts.Verbose {
		log = os.Stderr
	}
	if err := d.timed("build the transcoder, start it and Cloudflare", func() (err error) {
		d.stack, err = stack.Start(ctx, stack.Options{Log: log, Program: opts.Program})
		return err
	}); err != nil {
		return nil, nil, err
	}
	ctx, d.unguard = d.stack.Guard(ctx)
	return d, ctx, nil
}

func (d *demo) end() error {
	d.unguard()
	return d.stack.Stop()
}

// sample makes the sample, unless an earlier run has.
func (d *demo) sample(ctx context.Context) (string, error) {
	dir, err := setup.Cache()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "sample-3.mp4") // another number whenever what is made changes
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	return path, d.timed("make a sample: 30 s of 1080p with speech and a clock", func() error {
		return sample.Demo.Make(ctx, path)
	})
}

func (d *demo) upload(ctx context.Context, video, key string) error {
	info, err := os.Stat(video)
	if err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	return d.timed(fmt.Sprintf("upload %s (%.1f MB) as %s", filepath.Base(video), float64(info.Size())/1e6, key), func() error {
		return d.stack.Upload(ctx, video, key)
	})
}

// transcode posts the job and follows it to its end, be it good or bad. When the video can be played, it calls playable.
func (d *demo) transcode(ctx context.Context, id, key string, playable func()) (Result, error) {
	var r Result
	posted := time.Now()
	if _, err := d.stack.Submit(ctx, id, key); err != nil {
		return r, err
	}
	b := newBar(d.out, "transcode")
	defer b.end()
	for {
		v, err := d.stack.Video(ctx, id)
		if err != nil {
			return r, explain(ctx, err)
		}
		b.show(v.Progress, v.State)
		if v.Playable() && r.Playable == 0 {
			p, err := d.stack.Playback(ctx, id)
			if err != nil {
				return r, explain(ctx, err)
			}
			if err := viewer.FirstSegment(ctx, p.URLs.HLS); err != nil {
				return r, explain(ctx, err)
			}
			r.Playable = time.Since(posted).Seconds()
			b.end()
			playable()
		}
		if v.State == "processed" || v.State == "failed" {
			r.Processed = time.Since(posted).Seconds()
			return r, nil
		}
		select {
		case <-ctx.Done():
			return r, context.Cause(ctx)
		case <-time.After(pollPause):
		}
	}
}

// hear waits for the webhook and prints it.
func (d *demo) hear(ctx context.Context, id string) (hook.Delivery, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, webhookTimeout, fmt.Errorf("it did not come within %v", webhookTimeout))
	defer cancel()
	news, err := d.stack.Hooks.End(ctx, id)
	if err != nil {
		return news, err
	}
	d.say("\nwebhook received, its signature is right\n")
	for _, h := range []string{"Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"} {
		d.say("  %s: %s\n", h, news.Header.Get(h))
	}
	d.say("%s\n\n", indented(news.Body, "  "))
	return news, nil
}

// watch fetches and decodes the video through the Worker and adds what it found to the result.
func (d *demo) watch(ctx context.Context, id string, r Result) (Result, error) {
	p, err := d.stack.Playback(ctx, id)
	if err != nil {
		return r, explain(ctx, err)
	}
	var seen viewer.Report
	if err := d.timed("fetch every rendition through the Worker and decode every frame", func() error {
		seen, err = viewer.Watch(ctx, p.URLs.HLS)
		return err
	}); err != nil {
		return r, explain(ctx, err)
	}
	var report check.Report
	if err := d.timed("hold playlists and segments to Apple's rules and to RFC 8216", func() error {
		if report, err = check.Run(ctx, p.URLs.HLS, check.Options{}); err != nil {
			return err
		}
		return report.Err()
	}); err != nil {
		return r, explain(ctx, err)
	}
	for _, f := range report.Findings {
		d.say("  %s\n", f)
	}
	r.Warnings = report.Warnings
	r.Renditions, r.Segments, r.Bytes = seen.Renditions, seen.Segments, seen.Bytes
	r.Duration, r.Frames = round(seen.Duration), seen.Frames
	r.Playable, r.Processed = round(r.Playable), round(r.Processed)
	return r, nil
}

// player serves the page that plays the video, as soon as there is something of it.
func (d *demo) player(ctx context.Context, id string) (*player.Server, error) {
	return player.Serve(ctx, d.root, func(ctx context.Context, asked, via string) (player.Video, error) {
		p, err := d.stack.Playback(ctx, asked)
		if err != nil {
			return player.Video{}, err
		}
		v := player.Video{ID: asked, URL: p.URLs.HLS}
		if via == "query" {
			v.URL = p.URLs.HLSQuery
		}
		if asked == id {
			// The API knows that it can be played before the webhook is there, but not by much.
			if news, err := d.stack.Hooks.Playable(ctx, id); err == nil {
				v.Webhook = indented(news.Body, "")
			}
		}
		return v, nil
	})
}

// rest waits for the end of ctx: a signal is a good end, a part that died is not.
func rest(ctx context.Context) error {
	<-ctx.Done()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// explain prefers the death of a part to the failed request that it led to.
func explain(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// timed says what is being done and how long it took.
func (d *demo) timed(what string, do func() error) error {
	begin := time.Now()
	d.say("%s … ", what)
	if err := do(); err != nil {
		d.say("failed\n")
		return err
	}
	d.say("%.1f s\n", time.Since(begin).Seconds())
	return nil
}

// say prints; an operator who closed the output has no use for an error about it.
func (d *demo) say(format string, args ...any) { _, _ = fmt.Fprintf(d.out, format, args...) }

// indented is JSON for people. What is no JSON stays as it is.
func indented(body []byte, prefix string) string {
	var b bytes.Buffer
	if err := json.Indent(&b, body, prefix, "  "); err != nil {
		return string(body)
	}
	return prefix + b.String()
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

func round(seconds float64) float64 { return float64(int64(seconds*1000+0.5)) / 1000 }

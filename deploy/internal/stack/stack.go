// Package stack runs all of Weir on this machine: the local Cloudflare, the transcoder and a receiver of its webhooks; or, with
// [Options].Edge, `weir edge` over the bucket's S3 endpoint, as where there is no Worker.
//
// It is what the demo, `dev` and the browser tests use. Secrets are made for each run, ports are chosen free, and Stop
// leaves nothing: the transcoder first, because it writes to the bucket, then the edge, Cloudflare, and the files.
package stack

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"weir/deploy/internal/child"
	"weir/deploy/internal/hook"
	"weir/deploy/internal/port"
	"weir/deploy/local"
)

const (
	// readyTimeout is for the transcoder, which starts a queue and asks the bucket once.
	readyTimeout = 30 * time.Second
	readyPause   = 50 * time.Millisecond
	// stopGrace: the transcoder gives up its tasks at once, but closes the queue's files in order.
	stopGrace = 20 * time.Second
)

// Stack is a running Weir.
type Stack struct {
	Cloud  *local.Cloud
	Hooks  *hook.Receiver
	API    string // base URL of the transcoder's API
	APIKey string

	transcoder *child.Child
	edge       *child.Child // nil is none
	temp       string
}

// Options are what a caller may choose.
type Options struct {
	Log io.Writer // what the parts say; nil is nowhere
	// Settings are those of the Worker, beside what leads it to the transcoder.
	Settings map[string]string
	// Program is a transcoder with these settings, NAME=VALUE each, and a folder of its own for its data; nil is the checkout's, which is
	// built.
	Program func(settings []string) child.Program
	// Edge is to have the checkout's `weir edge` in the Worker's place, for players and for the API.
	Edge bool
}

// Start builds the transcoder, unless another is given, and starts everything. ctx bounds the start; the Stack runs until Stop.
func Start(ctx context.Context, opts Options) (_ *Stack, err error) {
	temp, err := os.MkdirTemp("", "weir-stack-")
	if err != nil {
		return nil, fmt.Errorf("start Weir: %w", err)
	}
	s := &Stack{temp: temp, APIKey: "key_" + hex.EncodeToString(random(16))}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop())
		}
	}()

	if opts.Program == nil {
		binary, err := build(ctx, temp, "transcoder")
		if err != nil {
			return nil, err
		}
		opts.Program = func(settings []string) child.Program {
			return child.Program{Name: "transcoder", Path: binary, Dir: temp, Env: append(settings,
				"PATH="+os.Getenv("PATH"), "HOME="+temp, "TMPDIR="+temp, "LANG=C.UTF-8", "DATA_DIR="+filepath.Join(temp, "data"))}
		}
	}
	listen, err := port.Free(ctx)
	if err != nil {
		return nil, err
	}
	address := "127.0.0.1:" + strconv.Itoa(listen)
	s.API = "http://" + address
	settings := map[string]string{"TRANSCODER_URL": s.API}
	maps.Copy(settings, opts.Settings)
	if s.Cloud, err = local.Start(ctx, local.Options{Log: opts.Log, Settings: settings}); err != nil {
		return nil, err
	}
	public := s.Cloud.URL
	if opts.Edge {
		if public, err = s.startEdge(ctx, opts.Log); err != nil {
			return nil, err
		}
	}
	webhookSecret := "whsec_" + base64.StdEncoding.EncodeToString(random(32))
	if s.Hooks, err = hook.Listen(ctx, webhookSecret); err != nil {
		return nil, err
	}
	program := opts.Program([]string{
		"LISTEN=" + address,
		"API_KEY=" + s.APIKey,
		"R2_ENDPOINT=" + s.Cloud.Endpoint,
		"R2_BUCKET=" + s.Cloud.Bucket,
		"R2_ACCESS_KEY_ID=" + s.Cloud.AccessKeyID,
		"R2_SECRET_ACCESS_KEY=" + s.Cloud.SecretAccessKey,
		"PUBLIC_URL=" + public,
		"TOKEN_KEY=" + s.Cloud.TokenKey,
		"ENCRYPTION_KEY=" + s.Cloud.EncryptionKey,
		"WEBHOOK_SECRET=" + webhookSecret,
		"WEBHOOK_ALLOW_PRIVATE=true",                    // the receiver is on this machine
		"FFMPEG_SANDBOX=" + os.Getenv("FFMPEG_SANDBOX"), // for kernels that cannot confine it; nothing is the default
		"CODECS=" + os.Getenv("CODECS"),                 // the caller's choice as well
	})
	if s.transcoder, err = child.Start(program, opts.Log); err != nil {
		return nil, err
	}
	if err := ready(ctx, s.transcoder, s.API+"/readyz"); err != nil {
		return nil, err
	}
	if opts.Edge {
		s.API = public
	}
	return s, nil
}

// Stop ends everything and removes what was temporary. It may be called twice.
func (s *Stack) Stop() error {
	var errs []error
	if s.transcoder != nil {
		errs = append(errs, s.transcoder.Stop(stopGrace))
		s.transcoder = nil
	}
	if s.edge != nil {
		errs = append(errs, s.edge.Stop(stopGrace))
		s.edge = nil
	}
	if s.Hooks != nil {
		errs = append(errs, s.Hooks.Stop())
		s.Hooks = nil
	}
	if s.Cloud != nil {
		errs = append(errs, s.Cloud.Stop())
		s.Cloud = nil
	}
	return errors.Join(append(errs, os.RemoveAll(s.temp))...)
}

// Guard returns a context that ends with ctx, or when a part of the Stack dies; then its cause says which and why.
// The returned function must be called before Stop.
func (s *Stack) Guard(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	var edge <-chan struct{}
	if s.edge != nil {
		edge = s.edge.Done()
	}
	go func() {
		defer close(watched)
		select {
		case <-s.transcoder.Done():
			cancel(fmt.Errorf("the transcoder died: %w", s.transcoder.Err()))
		case <-edge:
			cancel(fmt.Errorf("the edge died: %w", s.edge.Err()))
		case <-s.Cloud.Done():
			cancel(fmt.Errorf("the local Cloudflare died: %w", s.Cloud.Err()))
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-watched
	}
}

// ready waits until a program says at url that it can work.
func ready(ctx context.Context, program *child.Child, url string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, fmt.Errorf("not ready within %v", readyTimeout))
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return fmt.Errorf("start Weir: %w", err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("%s: %s", url, resp.Status)
		}
		select {
		case <-program.Done():
			return fmt.Errorf("start Weir: %w", program.Err())
		case <-ctx.Done():
			return fmt.Errorf("start Weir: %w: %w\n%s", context.Cause(ctx), err, program.Tail())
		case <-time.After(readyPause):
		}
	}
}

// build builds one of the checkout's programs into the folder temp.
func build(ctx context.Context, temp, path string) (binary string, err error) {
	root, err := local.Root()
	if err != nil {
		return "", err
	}
	binary = filepath.Join(temp, filepath.Base(path))
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, "./"+path)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", path, err, out)
	}
	return binary, nil
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

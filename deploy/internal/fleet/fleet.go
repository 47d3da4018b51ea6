// Package fleet runs transcoders beside one local Cloudflare, lets happen to them what happens to machines, and watches
// what becomes of their jobs.
//
// It is what the fault runs (package chaos) and the measurements (package bench) share, and it knows the transcoder from
// outside alone: its environment, its API, its log, its webhooks, and the layout of the bucket. Start at [Start] and
// [Fleet.Node]; what must never be seen in the bucket is in [Witness]. Whatever was started ends with [Fleet.Stop].
package fleet

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"weir/deploy/local"
)

// Fleet is a Cloudflare, a receiver of webhooks, and any number of nodes.
type Fleet struct {
	Cloud   *local.Cloud
	Ledger  *Ledger
	Journal Journal

	binary                string
	apiKey, webhookSecret string
	temp                  string
	log                   io.Writer
	cluster               *cluster

	mu    sync.Mutex
	nodes []*Node
}

// Options are what a caller may choose.
type Options struct {
	Binary  string    // the transcoder's; see Build
	Cluster bool      // dispatch through a NATS cluster of three, not through a queue inside each transcoder
	Log     io.Writer // what the transcoders say, line by line; nil is nowhere
}

// Start starts everything but nodes. ctx bounds the start; the Fleet runs until Stop.
func Start(ctx context.Context, opts Options) (_ *Fleet, err error) {
	binary, err := filepath.Abs(opts.Binary) // the nodes have folders of their own
	if err != nil {
		return nil, fmt.Errorf("start a fleet: %w", err)
	}
	temp, err := os.MkdirTemp("", "weir-fleet-")
	if err != nil {
		return nil, fmt.Errorf("start a fleet: %w", err)
	}
	f := &Fleet{
		binary: binary, log: opts.Log, temp: temp,
		apiKey:        "key_" + hex.EncodeToString(random(16)),
		webhookSecret: "whsec_" + base64.StdEncoding.EncodeToString(random(32)),
	}
	if f.log != nil {
		f.log = &locked{w: f.log}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Stop())
		}
	}()
	if f.Cloud, err = local.Start(ctx, local.Options{}); err != nil {
		return nil, err
	}
	if f.Ledger, err = keepLedger(ctx, f.webhookSecret); err != nil {
		return nil, err
	}
	if opts.Cluster {
		if f.cluster, err = newCluster(ctx, filepath.Join(temp, "cluster")); err != nil {
			return nil, err
		}
		if err := f.cluster.start(ctx); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// Temp is a folder that goes with the fleet.
func (f *Fleet) Temp() string { return f.temp }

// Stop ends everything, the transcoders first, because they write to the bucket, and removes what was temporary. It may be
// called twice.
func (f *Fleet) Stop() error {
	f.mu.Lock()
	nodes := slices.Clone(f.nodes)
	f.mu.Unlock()
	var g errgroup.Group
	for _, n := range nodes {
		g.Go(n.Stop)
	}
	errs := []error{g.Wait()}
	if f.cluster != nil {
		f.cluster.stop()
		f.cluster = nil
	}
	if f.Ledger != nil {
		errs = append(errs, f.Ledger.stop())
		f.Ledger = nil
	}
	if f.Cloud != nil {
		errs = append(errs, f.Cloud.Stop())
		f.Cloud = nil
	}
	return errors.Join(append(errs, os.RemoveAll(f.temp))...)
}

// StopCluster ends all of the cluster's servers; their disks stay.
func (f *Fleet) StopCluster() { f.cluster.stop() }

// StartCluster starts them again.
func (f *Fleet) StartCluster(ctx context.Context) error { return f.cluster.start(ctx) }

// Guard returns a context that ends with ctx, or when the Cloud dies; then its cause says why. The returned function
// must be called before Stop.
func (f *Fleet) Guard(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	cloud, watched := f.Cloud, make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-cloud.Done():
			cancel(fmt.Errorf("the local Cloudflare died: %w", cloud.Err()))
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-watched
	}
}

// Binary is the transcoder to run: the given one or, if that is "", the checkout's, built into the folder temp.
func Binary(ctx context.Context, root, given, temp string) (string, error) {
	if given != "" {
		return given, nil
	}
	built := filepath.Join(temp, "transcoder")
	return built, Build(ctx, root, built, nil)
}

// Build builds the transcoder of the checkout at root. overlay replaces source files, by their paths in the checkout, for
// this build alone; it may be nil.
func Build(ctx context.Context, root, binary string, overlay map[string][]byte) (err error) {
	args := []string{"build", "-o", binary}
	if len(overlay) > 0 {
		temp, err := os.MkdirTemp("", "weir-overlay-")
		if err != nil {
			return fmt.Errorf("build the transcoder: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
		file, err := writeOverlay(temp, root, overlay)
		if err != nil {
			return fmt.Errorf("build the transcoder: %w", err)
		}
		args = append(args, "-overlay", file)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "./transcoder")...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the transcoder: %w\n%s", err, out)
	}
	return nil
}

// writeOverlay writes what `go build -overlay` wants.
func writeOverlay(dir, root string, overlay map[string][]byte) (file string, err error) {
	replace := map[string]string{}
	for name, text := range overlay {
		with := filepath.Join(dir, fmt.Sprintf("%d.go", len(replace)))
		if err := os.WriteFile(with, text, 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(root, name)] = with
	}
	data, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file = filepath.Join(dir, "overlay.json")
	return file, os.WriteFile(file, data, 0o600)
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

// locked lets several nodes write.
type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

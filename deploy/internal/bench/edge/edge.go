// Package edge measures the Worker in figures: what a request costs, beside the libraries that people would use instead; how
// large the module is, and whether its memory stays what it is; and how many requests a second there are, beside a Worker that
// does nothing but to read the bucket.
//
// All of it runs in workerd (edge-auth/bench), in one run and by turns, because machines have other things to do. For the
// same reason the costs are in CPU time of workerd, all threads of it, and not in time by the clock. Start at [Run].
package edge

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"weir/deploy/internal/setup"
	"weir/deploy/local"
)

// Options are what the command line says.
type Options struct {
	Short bool      // a few seconds of it: the figures are there, and worth little
	Only  []string  // names of measurements; empty is all
	Log   io.Writer // what workerd says; nil is nowhere
}

// Result is the last line of a run. What was not measured is absent. Times are medians, of CPU time.
type Result struct {
	// A player's request for a segment, decided and answered: by the module alone, with a token that it has not seen, or has;
	// and by the module with what worker.mjs does to call it.
	Decide               float64 `json:"decide_us,omitempty"`
	DecideRemembered     float64 `json:"decide_remembered_us,omitempty"`
	DecideEdDSA          float64 `json:"decide_eddsa_us,omitempty"`
	DecideShim           float64 `json:"decide_shim_us,omitempty"`
	DecideRememberedShim float64 `json:"decide_remembered_shim_us,omitempty"`
	// The check of its token alone, by the libraries.
	Jose                    float64 `json:"jose_us,omitempty"`
	JoseEdDSA               float64 `json:"jose_eddsa_us,omitempty"`
	Hono                    float64 `json:"hono_us,omitempty"`
	RatioJose               float64 `json:"ratio_jose,omitempty"` // of Jose to Decide
	RatioJoseRemembered     float64 `json:"ratio_jose_remembered,omitempty"`
	RatioJoseShim           float64 `json:"ratio_jose_shim,omitempty"`
	RatioJoseRememberedShim float64 `json:"ratio_jose_remembered_shim,omitempty"`
	Instantiate             float64 `json:"instantiate_ms,omitempty"` // an instance with its settings

	WasmGzip    float64 `json:"wasm_gzip_kb,omitempty"` // 1 KB is 1024 bytes
	MemoryFirst float64 `json:"memory_kb_after_1k,omitempty"`
	MemoryFull  float64 `json:"memory_kb_after_10k,omitempty"`
	MemoryLast  float64 `json:"memory_kb_after_1m,omitempty"` // of a full run
	MemoryFlat  *bool   `json:"memory_flat,omitempty"`        // whether it stayed the same after the first 10,000 requests

	// Rates by what is asked for, and again what stands for all: of the Worker to the one without a check.
	Rates          map[string]Rates `json:"rates,omitempty"`
	RatioBare      float64          `json:"rps_ratio_bare,omitempty"` // of 200 KB, a segment, for some viewers
	RatioBareSmall float64          `json:"rps_ratio_bare_small,omitempty"`
	RatioBareNew   float64          `json:"rps_ratio_bare_new,omitempty"` // of a segment, each time for another viewer

	Load string `json:"load"` // of the machine, 1 minute, before and after: what else ran, and the measurement
}

const (
	calls  = "calls"
	size   = "size"
	memory = "memory"
	rates  = "rates"
)

// Parts are the names of the measurements.
func Parts() []string { return []string{calls, size, memory, rates} }

// bench is a run of some measurements.
type bench struct {
	opts   Options
	root   string
	out    io.Writer
	signer signer
	result Result
}

// Run measures, prints a table, and RESULT as its last line.
func Run(ctx context.Context, opts Options, out io.Writer) (err error) {
	root, err := local.Root()
	if err != nil {
		return err
	}
	switch fresh, err := setup.ModuleIsFresh(root); {
	case err != nil:
		return err
	case !fresh:
		return errors.New("edge-auth/edge.wasm is older than its sources: run `go tool task wasm`")
	}
	b := &bench{opts: opts, root: root, out: out}
	if b.signer, err = newSigner(); err != nil {
		return err
	}
	before := load()
	s, err := startServer(ctx, root, b.signer.keySet(), opts.Log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	ctx, unguard := s.guard(ctx)
	defer unguard()
	for _, step := range []struct {
		part string
		do   func(context.Context, *server) error
	}{
		{size, b.size},
		{calls, b.calls},
		{memory, b.memory},
		{rates, b.rates},
	} {
		if len(opts.Only) > 0 && !slices.Contains(opts.Only, step.part) {
			continue
		}
		err := step.do(ctx, s)
		if ctx.Err() != nil {
			return context.Cause(ctx) // rather than what failed because of it
		}
		if err != nil {
			return fmt.Errorf("measure %s: %w", step.part, err)
		}
	}
	b.result.Load = before + " " + load()
	b.row("load of the machine", "%s", b.result.Load)
	line, err := json.Marshal(b.result)
	if err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	b.say("RESULT %s\n", line)
	return nil
}

// size is that of the module as it travels.
func (b *bench) size(context.Context, *server) error {
	module, err := os.ReadFile(filepath.Join(b.root, "edge-auth", "edge.wasm"))
	if err != nil {
		return err
	}
	var packed counter
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := w.Write(module); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	b.result.WasmGzip = rounded(float64(packed)/1024, 1)
	b.row("module", "%.1f KB, %.1f KB compressed", float64(len(module))/1024, b.result.WasmGzip)
	return nil
}

// counter counts what is written to it.
type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// load is how many processes the machine had to run, on average of the last minute.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "?"
	}
	minute, _, _ := strings.Cut(string(text), " ")
	return minute
}

func (b *bench) row(what, format string, args ...any) {
	b.say("%-52s %s\n", what, fmt.Sprintf(format, args...))
}

// say prints; an operator who closed the output has no use for an error about it.
func (b *bench) say(format string, args ...any) { _, _ = fmt.Fprintf(b.out, format, args...) }

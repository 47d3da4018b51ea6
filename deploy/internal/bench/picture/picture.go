// Package picture compares Weir with the command lines that people write themselves: how long a video takes, how many bytes it
// becomes, and how much of the picture is left.
//
// Weir does whole jobs, from the request to the webhook, with its parts as they are run; the others (rivals.go) get their source from
// the disk and put what they make there, for nothing. All have the same ladder and take turns, because machines have other things
// to do. The pictures are compared with the source, frame by frame (quality.go). Start at [Run].
package picture

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"weir/deploy/internal/fleet"
	"weir/deploy/local"
)

// Options are what the command line says.
type Options struct {
	Length time.Duration // of each clip; 0 is a minute
	Short  bool          // three seconds of each clip, once: the figures are there, and worth little
	Only   []string      // names of clips; empty is all
	Chart  string        // the file that gets the chart, an SVG; "" is none
	// Transcoder is a binary to use; "" builds that of the checkout.
	Transcoder string
	Log        io.Writer // what the transcoder says; nil is nowhere
}

// Result is the last line of a run. Ratios are of Weir to the other, medians of the runs, and means of the clips.
type Result struct {
	WallSequential float64 `json:"wall_ratio_sequential"` // to one ffmpeg a rung, in turn
	WallSingle     float64 `json:"wall_ratio_single"`     // to one ffmpeg for all rungs
	CPUSequential  float64 `json:"cpu_ratio_sequential"`
	CPUFloor       float64 `json:"cpu_ratio_floor"` // to the encoders alone
	Bytes          float64 `json:"bytes_ratio"`     // to one ffmpeg a rung: of all that is stored
	BDRate         float64 `json:"bd_rate"`         // in percent: how many bytes more the same PSNR takes than with their encoder
	SSIM           float64 `json:"ssim_min"`        // of Weir's rungs, the lowest

	Clips map[string]Clip `json:"clips"`
}

// Clip is what came of one clip.
type Clip struct {
	Playable float64          `json:"playable_s"` // until Weir's can be watched
	BDRate   float64          `json:"bd_rate"`
	Ways     map[string]Taken `json:"ways"`
}

// Taken is what one way took, and what it made.
type Taken struct {
	Wall  float64          `json:"wall_s"` // medians
	CPU   float64          `json:"cpu_s"`
	Bytes int64            `json:"bytes,omitempty"` // of all that is stored
	Rungs map[string]Grade `json:"rungs,omitempty"`
}

// Grade is how much of the picture is left, compared with the source in the rung's size.
type Grade struct {
	SSIM float64 `json:"ssim"`    // of all planes
	PSNR float64 `json:"psnr_db"` // likewise
}

// shortest is longer than a group of pictures: a source that is one, of few bits, would be published as it is, and nothing compared.
const shortest = 3 * time.Second

// length is that of the clips.
func (o Options) length() time.Duration {
	switch {
	case o.Short:
		return shortest
	case o.Length == 0:
		return time.Minute
	}
	return o.Length
}

// rung is one of the ladder that all share.
type rung struct {
	height  int
	bitrate int // of the picture, in kbit/s
}

var ladder = []rung{{1080, 5000}, {720, 2800}, {480, 1400}}

func (r rung) name() string { return fmt.Sprintf("%dp", r.height) }

// soundBitrate is that of the AAC beside each rung, in kbit/s.
const soundBitrate = 128

// repetitions of which the median counts.
const repetitions = 3

// bench is a run.
type bench struct {
	opts   Options
	out    io.Writer
	temp   string
	result Result
}

// Run compares, prints a table, and RESULT as its last line.
func Run(ctx context.Context, opts Options, out io.Writer) (err error) {
	if d := opts.length(); d < shortest || d%time.Second != 0 {
		return fmt.Errorf("--length %v: it must be whole seconds, and three of them at least", d)
	}
	root, err := local.Root()
	if err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "weir-bench-")
	if err != nil {
		return fmt.Errorf("prepare the comparison: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	binary, err := fleet.Binary(ctx, root, opts.Transcoder, temp)
	if err != nil {
		return err
	}
	f, err := fleet.Start(ctx, fleet.Options{Binary: binary, Log: opts.Log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Stop()) }()
	ctx, unguard := f.Guard(ctx)
	defer unguard()
	b := &bench{opts: opts, out: out, temp: temp, result: Result{Clips: map[string]Clip{}}}
	w, err := newWeir(ctx, f)
	if err != nil {
		return err
	}
	for _, s := range sources(opts.length()) {
		if len(opts.Only) > 0 && !slices.Contains(opts.Only, s.name) {
			continue
		}
		if err := b.clip(ctx, w, s); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx) // rather than what failed because of it
			}
			return fmt.Errorf("compare the clip %s: %w", s.name, err)
		}
	}
	b.sum()
	if opts.Chart != "" {
		if err := os.WriteFile(opts.Chart, chart(b.result), 0o644); err != nil {
			return fmt.Errorf("write the chart: %w", err)
		}
	}
	line, err := json.Marshal(b.result)
	if err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	b.say("RESULT %s\n", line)
	return nil
}

// clip lets all ways make a video of one source, by turns, and compares what they made.
func (b *bench) clip(ctx context.Context, w *weir, s source) error {
	dir := filepath.Join(b.temp, s.name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	path := filepath.Join(dir, "source.mp4")
	if err := s.make(ctx, path); err != nil {
		return err
	}
	if err := w.upload(ctx, s, path); err != nil {
		return err
	}
	ways := []way{w, sequential{}, single{}, floor{}}
	runs := map[string][]run{}
	times, points := repetitions, len(qualities)
	if b.opts.Short {
		times, points = 1, 2
	}
	for n := range times {
		for _, way := range ways {
			to := filepath.Join(dir, fmt.Sprintf("%s-%d", way.name(), n))
			if err := os.Mkdir(to, 0o700); err != nil {
				return err
			}
			r, err := way.run(ctx, s, path, to)
			if err != nil {
				return fmt.Errorf("%s: %w", way.name(), err)
			}
			runs[way.name()] = append(runs[way.name()], r)
		}
	}
	if err := w.check(ctx, s); err != nil {
		return err
	}
	if err := sameSettings(ctx, path, runs[weirName][0].playlists); err != nil {
		return err
	}
	clip := Clip{Ways: map[string]Taken{}}
	b.say("%s: %s\n", s.name, s.what)
	for _, way := range ways {
		taken, err := grade(ctx, s, path, runs[way.name()])
		if err != nil {
			return fmt.Errorf("%s: %w", way.name(), err)
		}
		clip.Ways[way.name()] = taken
		b.row(way.name(), taken)
	}
	clip.Playable = median(runs[w.name()], func(r run) time.Duration { return r.playable })
	var err error
	if clip.BDRate, err = bdRate(ctx, s, path, dir, points); err != nil {
		return err
	}
	b.say("  %.2f s to playable; BD-rate of Weir's encoder to theirs, at 1080p: %+.1f %%\n", clip.Playable, clip.BDRate)
	b.result.Clips[s.name] = clip
	return os.RemoveAll(dir)
}

func (b *bench) row(name string, t Taken) {
	b.say("  %-11s %6.1f s  %6.1f s of CPU", name, t.Wall, t.CPU)
	if t.Bytes > 0 {
		b.say("  %6.1f MB", float64(t.Bytes)/1e6)
	}
	for _, r := range ladder {
		if g, ok := t.Rungs[r.name()]; ok {
			b.say("  %s %.4f %.1f dB", r.name(), g.SSIM, g.PSNR)
		}
	}
	b.say("\n")
}

// sum works out what stands for all clips.
func (b *bench) sum() {
	r := &b.result
	mean := func(of func(Clip) float64) float64 {
		total := 0.0
		for _, c := range r.Clips {
			total += of(c)
		}
		return total / float64(max(len(r.Clips), 1))
	}
	ratio := func(of func(Taken) float64, other string) float64 {
		return rounded(mean(func(c Clip) float64 { return of(c.Ways[weirName]) / of(c.Ways[other]) }), 2)
	}
	wall, cpu := func(t Taken) float64 { return t.Wall }, func(t Taken) float64 { return t.CPU }
	r.WallSequential, r.WallSingle = ratio(wall, sequentialName), ratio(wall, singleName)
	r.CPUSequential, r.CPUFloor = ratio(cpu, sequentialName), ratio(cpu, floorName)
	r.Bytes = ratio(func(t Taken) float64 { return float64(t.Bytes) }, sequentialName)
	r.BDRate = rounded(mean(func(c Clip) float64 { return c.BDRate }), 1)
	r.SSIM = 1
	for _, c := range r.Clips {
		for _, g := range c.Ways[weirName].Rungs {
			r.SSIM = min(r.SSIM, g.SSIM)
		}
	}
	b.say("Weir to one ffmpeg a rung: %.2f times the time, %.2f the CPU, %.2f the bytes; to one ffmpeg: %.2f times the time; "+
		"to the encoders alone: %.2f times the CPU\n", r.WallSequential, r.CPUSequential, r.Bytes, r.WallSingle, r.CPUFloor)
}

// say prints; an operator who closed the output has no use for an error about it.
func (b *bench) say(format string, args ...any) { _, _ = fmt.Fprintf(b.out, format, args...) }

// median of a time of runs, in seconds.
func median(runs []run, of func(run) time.Duration) float64 {
	var all []time.Duration
	for _, r := range runs {
		all = append(all, of(r))
	}
	return fleet.Seconds(fleet.Median(all))
}

func rounded(x float64, decimals int) float64 {
	unit := math.Pow10(decimals)
	return math.Round(x*unit) / unit
}

// seconds is for command lines.
func seconds(d time.Duration) string { return fmt.Sprintf("%g", d.Seconds()) }

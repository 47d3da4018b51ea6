package picture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// way is a way to make a video of a source.
type way interface {
	name() string
	// run makes it, in an empty folder if that is of use.
	run(ctx context.Context, s source, path, to string) (run, error)
}

// run is what one run took and made.
type run struct {
	wall, cpu time.Duration
	playable  time.Duration // of Weir
	bytes     int64
	playlists map[string]string // by the name of the rung: what ffmpeg opens to see it
}

const (
	weirName       = "Weir"
	sequentialName = "sequential"
	singleName     = "single"
	floorName      = "floor"
)

// sequential is the pipeline that people copy: one ffmpeg a rung, one after the other.
type sequential struct{}

func (sequential) name() string { return sequentialName }

func (sequential) run(ctx context.Context, _ source, path, to string) (run, error) {
	r := run{playlists: map[string]string{}}
	began := time.Now()
	for _, rung := range ladder {
		dir := filepath.Join(to, rung.name())
		if err := os.Mkdir(dir, 0o700); err != nil {
			return r, err
		}
		args := append([]string{"-i", path, "-vf", fmt.Sprintf("scale=-2:%d", rung.height)}, theirs(rung.bitrate)...)
		args = append(args, "-c:a", "aac", "-b:a", kilo(soundBitrate), "-ac", "2")
		args = append(args, hls(filepath.Join(dir, "segment_%d.ts"))...)
		r.playlists[rung.name()] = filepath.Join(dir, "playlist.m3u8")
		cpu, err := ffmpeg(ctx, nil, nil, append(args, r.playlists[rung.name()])...)
		if err != nil {
			return r, err
		}
		r.cpu += cpu
	}
	r.wall = time.Since(began)
	var err error
	r.bytes, err = size(to)
	return r, err
}

// single is the best that one command can do: it decodes once, and one muxer writes all of it.
type single struct{}

func (single) name() string { return singleName }

func (single) run(ctx context.Context, _ source, path, to string) (run, error) {
	r := run{playlists: map[string]string{}}
	graph, variants := fmt.Sprintf("[0:v]split=%d", len(ladder)), make([]string, len(ladder))
	for i := range ladder {
		graph += fmt.Sprintf("[s%d]", i)
	}
	var maps []string
	for i, rung := range ladder {
		graph += fmt.Sprintf(";[s%d]scale=-2:%d[v%d]", i, rung.height, i)
		x := strconv.Itoa(i)
		maps = append(maps, "-map", "[v"+x+"]", "-b:v:"+x, kilo(rung.bitrate), "-maxrate:v:"+x, kilo(rung.bitrate), "-bufsize:v:"+x, kilo(2*rung.bitrate), "-map", "0:a")
		variants[i] = fmt.Sprintf("v:%d,a:%d,name:%s", i, i, rung.name())
		r.playlists[rung.name()] = filepath.Join(to, rung.name(), "playlist.m3u8")
	}
	args := append([]string{"-i", path, "-filter_complex", graph}, maps...)
	args = append(args, encoder()...)
	args = append(args, "-c:a", "aac", "-b:a", kilo(soundBitrate), "-ac", "2")
	args = append(args, hls(filepath.Join(to, "%v", "segment_%d.ts"))...)
	args = append(args, "-master_pl_name", "master.m3u8", "-var_stream_map", strings.Join(variants, " "), filepath.Join(to, "%v", "playlist.m3u8"))
	began := time.Now()
	var err error
	if r.cpu, err = ffmpeg(ctx, nil, nil, args...); err != nil {
		return r, err
	}
	r.wall = time.Since(began)
	r.bytes, err = size(to)
	return r, err
}

// floor is what the encoders alone take that Weir's settings ask for, from pictures that are decoded and scaled already.
type floor struct{}

func (floor) name() string { return floorName }

func (floor) run(ctx context.Context, s source, path, _ string) (run, error) {
	var r run
	began := time.Now()
	for _, rung := range ladder {
		from := []string{"-i", path, "-vf", fmt.Sprintf("scale=-2:%d", rung.height), "-f", "yuv4mpegpipe", "-"}
		to := append([]string{"-f", "yuv4mpegpipe", "-i", "-"}, ours(preset, crf, rung.bitrate)...)
		cpu, err := piped(ctx, from, append(to, "-f", "null", "-"))
		if err != nil {
			return r, err
		}
		r.cpu += cpu
	}
	from := []string{"-i", path, "-vn", "-ac", "2", "-ar", "48000", "-f", "wav", "-"}
	cpu, err := piped(ctx, from, []string{"-f", "wav", "-i", "-", "-c:a", "aac", "-b:a", kilo(soundBitrate), "-f", "null", "-"})
	if err != nil {
		return r, err
	}
	r.cpu, r.wall = r.cpu+cpu, time.Since(began)
	return r, nil
}

// piped runs two ffmpegs, one into the other, and gives the CPU time of the second.
func piped(ctx context.Context, from, to []string) (time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, w := io.Pipe()
	failed := make(chan error, 1)
	go func() {
		_, err := ffmpeg(ctx, nil, w, from...)
		failed <- errors.Join(err, w.CloseWithError(err))
	}()
	cpu, err := ffmpeg(ctx, r, nil, to...)
	cancel() // it has nobody to write to
	_ = r.Close()
	if fed := <-failed; err == nil && fed != nil {
		return cpu, fed
	}
	return cpu, err
}

// encoder is theirs, but for the bit rate.
func encoder() []string {
	return []string{"-c:v", "libx264", "-preset", "fast", "-profile:v", "main", "-force_key_frames", "expr:gte(t,n_forced*6)"}
}

func theirs(bitrate int) []string {
	return append(encoder(), "-b:v", kilo(bitrate), "-maxrate", kilo(bitrate), "-bufsize", kilo(2*bitrate))
}

// Weir's encoder as it is set up unless an operator says otherwise. That these are the settings of what is published is checked.
const (
	preset = "veryfast"
	crf    = 22
)

// ours is Weir's encoder; a bit rate of 0 is no cap.
func ours(preset string, crf, bitrate int) []string {
	args := []string{
		"-c:v", "libx264", "-preset", preset, "-trellis", "1", "-direct-pred", "auto", "-rc-lookahead", "30", "-profile:v", "high", "-crf", strconv.Itoa(crf), "-threads", "2",
		"-g", strconv.Itoa(gop), "-keyint_min", strconv.Itoa(gop), "-sc_threshold", "0", "-flags", "+cgop",
	}
	if bitrate > 0 {
		args = append(args, "-maxrate", kilo(bitrate), "-bufsize", kilo(2*bitrate))
	}
	return args
}

func hls(segments string) []string {
	return []string{"-f", "hls", "-hls_time", "6", "-hls_playlist_type", "vod", "-hls_segment_filename", segments}
}

func kilo(n int) string { return strconv.Itoa(n) + "k" }

// ffmpeg runs it and gives the CPU time that it took.
func ffmpeg(ctx context.Context, in io.Reader, out io.Writer, args ...string) (time.Duration, error) {
	cpu, _, err := ffmpegSays(ctx, in, out, append([]string{"-v", "error"}, args...)...)
	return cpu, err
}

// ffmpegSays gives what it said, too.
func ffmpegSays(ctx context.Context, in io.Reader, out io.Writer, args ...string) (time.Duration, string, error) {
	all := []string{"-hide_banner", "-y"}
	if in == nil {
		all = append(all, "-nostdin")
	}
	cmd := exec.CommandContext(ctx, "ffmpeg", append(all, args...)...)
	var said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, &said
	if err := cmd.Run(); err != nil {
		return 0, "", errors.Join(fmt.Errorf("ffmpeg: %w\n%s", err, &said), context.Cause(ctx))
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), said.String(), nil
}

// size is that of all files in a folder, in bytes.
func size(dir string) (int64, error) {
	total := int64(0)
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	return total, err
}

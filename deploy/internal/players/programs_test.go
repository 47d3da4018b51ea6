package players_test

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// programTimeout is for a program, which plays as fast as it can.
const programTimeout = 30 * time.Second

// ffmpeg plays all rungs at once.
func ffmpeg(t *testing.T, a access) (viewing, error) {
	out, err := decode(t, a, "0:v", "0:a")
	return frames(out), err
}

// ffmpegDASH plays the sound, then one rung after the other: FFmpeg's demuxer of DASH ends all streams with the one that ends first.
func ffmpegDASH(t *testing.T, a access) (all viewing, err error) {
	out, err := decode(t, a, "0:a")
	if err != nil {
		return all, err
	}
	sound := frames(out).Sound
	for i := range heights {
		out, err := decode(t, a, fmt.Sprintf("0:v:%d", i))
		if err != nil {
			return all, err
		}
		rung := frames(out)
		rung.Sound = sound
		all = all.and(rung)
	}
	return all, nil
}

// decode has FFmpeg decode streams, and tell each frame.
func decode(t *testing.T, a access, streams ...string) (string, error) {
	args := []string{"-v", "error", "-nostdin"}
	if a.bearer != "" {
		args = append(args, "-headers", "Authorization: Bearer "+a.bearer+"\r\n")
	}
	if a.cookie != "" {
		args = append(args, "-cookies", "weir_token="+a.cookie+"; path=/")
	}
	args = append(args, "-i", a.url)
	for _, s := range streams {
		args = append(args, "-map", s)
	}
	return run(t, "ffmpeg", append(args, "-f", "framecrc", "-")...)
}

// mpv plays one rung after the other.
func mpv(t *testing.T, a access) (all viewing, err error) {
	for _, rung := range []string{"min", "max"} {
		// Its encoder writes a line for each frame.
		args := []string{"--no-config", "--ytdl=no", "--msg-level=all=error,ffmpeg=trace", "--hls-bitrate=" + rung, "--of=framecrc", "--o=-", "--ovc=rawvideo", "--oac=pcm_s16le"}
		if a.bearer != "" {
			args = append(args, "--http-header-fields=Authorization: Bearer "+a.bearer)
		}
		if a.cookie != "" {
			args = append(args, "--cookies", "--cookies-file="+cookieFile(t, a))
		}
		out, err := run(t, "mpv", append(args, a.url)...)
		if err != nil {
			return all, err
		}
		all = all.and(frames(out))
	}
	return all, nil
}

// cookieFile is a cookie as a browser exports it, in Netscape's format. FFmpeg, of which mpv makes use, compares its domain with the
// host and the port of a URL.
func cookieFile(t *testing.T, a access) string {
	t.Helper()
	u, err := url.Parse(a.url)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "cookies.txt")
	text := strings.Join([]string{u.Host, "FALSE", "/", "FALSE", "0", "weir_token", a.cookie}, "\t") + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// run runs a program; its error has what the program says.
func run(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), programTimeout)
	defer cancel()
	var out, words bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &out, &words
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", name, err, words.String(), out.String())
	}
	return out.String(), nil
}

// frames reads what FFmpeg's muxer framecrc writes: about each stream, then a line for each frame.
func frames(out string) (all viewing) {
	type stream struct {
		height, frames int
		unit, end      float64 // seconds
	}
	streams := map[int]*stream{}
	for line := range strings.Lines(out) {
		var i, width, height, time, duration int
		var numerator, denominator float64
		if n, _ := fmt.Sscanf(line, "#tb %d: %f/%f", &i, &numerator, &denominator); n == 3 {
			streams[i] = &stream{unit: numerator / denominator}
		} else if n, _ := fmt.Sscanf(line, "#dimensions %d: %dx%d", &i, &width, &height); n == 3 {
			streams[i].height = height
		} else if n, _ := fmt.Sscanf(line, "%d, %d, %d, %d", &i, new(int), &time, &duration); n == 4 {
			streams[i].frames++
			streams[i].end = float64(time+duration) * streams[i].unit
		}
	}
	for _, s := range streams {
		if s.height == 0 {
			all.Sound = s.frames > 0
		}
	}
	for _, s := range streams {
		if s.height > 0 {
			all = all.and(viewing{Frames: s.frames, Seconds: s.end, Sound: all.Sound, Heights: []int{s.height}})
		}
	}
	return all
}

package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// Clip is a video to make: moving content, and a tone if it has sound.
type Clip struct {
	Width, Height, Rate int
	Seconds             int
	Bitrate             string // of the picture, such as 4M; "" is whatever is quickest
	Sound               bool
	Ready               bool // what a top rung of its size and bit rate would be: it is published as it is
	// Loop is how many seconds are encoded; the rest repeats them. 0 encodes all.
	Loop int
}

// Name says what the clip is.
func (c Clip) Name() string {
	name := fmt.Sprintf("%dx%d_%ds", c.Width, c.Height, c.Seconds)
	if !c.Sound {
		name += "_silent"
	}
	return name
}

// Make writes the clip to path: an MP4 with its index at the end, as cameras write it.
func (c Clip) Make(ctx context.Context, path string) (err error) {
	if c.Loop == 0 || c.Loop >= c.Seconds {
		return c.encode(ctx, path, c.Seconds)
	}
	part := filepath.Join(filepath.Dir(path), "part_"+filepath.Base(path))
	defer func() { err = errors.Join(err, os.Remove(part)) }()
	if err := c.encode(ctx, part, c.Loop); err != nil {
		return err
	}
	return c.ffmpeg(ctx, "-stream_loop", "-1", "-i", part, "-t", strconv.Itoa(c.Seconds), "-c", "copy", path)
}

func (c Clip) encode(ctx context.Context, path string, seconds int) error {
	length := strconv.Itoa(seconds)
	args := []string{"-f", "lavfi", "-i", fmt.Sprintf("testsrc2=s=%dx%d:r=%d:d=%s", c.Width, c.Height, c.Rate, length)}
	if c.Sound {
		args = append(args, "-f", "lavfi", "-i", "sine=r=48000:d="+length, "-c:a", "aac", "-b:a", "128k", "-ac", "2")
	}
	gop := 4 * c.Rate
	if c.Ready {
		gop = 2 * c.Rate
		args = append(args, "-sc_threshold", "0", "-flags", "+cgop", "-color_range", "tv", "-colorspace", "bt709")
	}
	args = append(args, "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", strconv.Itoa(gop))
	if c.Bitrate != "" {
		args = append(args, "-b:v", c.Bitrate, "-maxrate", c.Bitrate, "-bufsize", c.Bitrate)
	}
	return c.ffmpeg(ctx, append(args, path)...)
}

func (c Clip) ffmpeg(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "ffmpeg", append([]string{"-nostdin", "-v", "error", "-y"}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make the clip %s: %w\n%s", c.Name(), err, out)
	}
	return nil
}

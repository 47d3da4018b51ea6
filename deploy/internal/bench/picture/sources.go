package picture

import (
	"context"
	"fmt"
	"time"
)

// source is a clip to make: 1080p30 with a tone, encoded so well that what is lost later is lost later.
type source struct {
	name, what    string
	picture       string // a graph of FFmpeg's, whose size, rate and seed are filled in
	width, height int
	length        time.Duration
}

const rate = 30

// gop is the number of frames from one key frame of Weir's to the next: 2 s.
const gop = 2 * rate

// sources are an easy, a medium and a hard clip. They are synthetic, so that everybody has them, and made of what makes real
// ones easy or hard: flat areas that stand still; detail that moves, turns and grows; and grain, which nothing predicts.
func sources(short bool) []source {
	const (
		easy = "gradients=s=%dx%d:r=%d:c0=0x0b1d3a:c1=0x1f6f8b:c2=0x99a8b2:n=3:speed=0.01:seed=1," +
			"drawtext=text='%%{pts\\:hms}':fontsize=h/8:fontcolor=white:x=(w-tw)/2:y=(h-th)/2," +
			"drawtext=text='The quick brown fox jumps over the lazy dog':fontsize=h/24:fontcolor=white:x=w/10:y=h*3/4"
		medium = "mandelbrot=s=%dx%d:r=%d:start_scale=2:end_scale=0.002:end_pts=1200:maxiter=400,rotate=t/20:fillcolor=black"
		hard   = "mandelbrot=s=%dx%d:r=%d:start_scale=2:end_scale=0.002:end_pts=600:maxiter=400,rotate=t/8:fillcolor=black," +
			"noise=c0s=9:c0f=t+u:all_seed=1"
	)
	const width, height = 1920, 1080
	length := time.Minute
	if short {
		length = 2 * time.Second
	}
	return []source{
		{"easy", "a screen that hardly changes", easy, width, height, length},
		{"medium", "detail that turns and comes closer", medium, width, height, length},
		{"hard", "the same, quicker, with grain", hard, width, height, length},
	}
}

// Clips are the names of the sources.
func Clips() []string {
	var names []string
	for _, s := range sources(false) {
		names = append(names, s.name)
	}
	return names
}

// make writes the clip to path, an MP4.
func (s source) make(ctx context.Context, path string) error {
	_, err := ffmpeg(ctx, nil, nil, "-f", "lavfi", "-i", fmt.Sprintf(s.picture, s.width, s.height, rate),
		"-f", "lavfi", "-i", "sine=r=48000:b=2", "-t", seconds(s.length),
		"-c:v", "libx264", "-preset", "ultrafast", "-crf", "14", "-pix_fmt", "yuv420p", "-g", "120",
		"-c:a", "aac", "-b:a", "192k", "-ac", "2", "-movflags", "+faststart", path)
	return err
}

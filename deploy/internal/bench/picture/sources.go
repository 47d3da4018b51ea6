package picture

import (
	"context"
	"fmt"
	"time"
)

// source is a clip to make: 1080p30 with a tone, encoded as a good camera does it.
type source struct {
	name, what    string
	picture       string // a graph of FFmpeg's, whose size, rate and seed are filled in
	width, height int    // in which it is painted
	length        time.Duration
}

const rate = 30

// gop is the number of frames from one key frame of Weir's to the next: 2 s.
const gop = 2 * rate

// sources are an easy, a medium and a hard clip. They are synthetic, so that everybody has them, and made of what makes real
// ones easy or hard: flat areas that stand still; a camera that pans over detail, with a little noise and a cut every seven
// seconds; and detail that turns, grows and is full of grain, which nothing predicts. At 1080p and the quality that Weir aims
// at, they want a tenth of the rung's bit rate, half of it, and several times as much.
func sources(length time.Duration) []source {
	const (
		easy = "gradients=s=%dx%d:r=%d:c0=0x0b1d3a:c1=0x1f6f8b:c2=0x99a8b2:n=3:speed=0.01:seed=1," +
			"drawtext=text='%%{pts\\:hms}':fontsize=h/8:fontcolor=white:x=(w-tw)/2:y=(h-th)/2," +
			"drawtext=text='The quick brown fox jumps over the lazy dog':fontsize=h/24:fontcolor=white:x=w/10:y=h*3/4"
		// One picture, over which the frame moves.
		medium = "mandelbrot=s=%dx%d:r=%d:start_scale=0.5:maxiter=600,trim=end_frame=1,loop=-1:1,setpts=N/FR/TB," +
			"crop=iw/2:ih/2:x='mod(floor(t/7)*977+mod(t\\,7)*90\\,iw/2)':y='mod(floor(t/7)*431+mod(t\\,7)*40\\,ih/2)'," +
			"noise=c0s=2:c0f=t:all_seed=1"
		hard = "mandelbrot=s=%dx%d:r=%d:start_scale=2:end_scale=0.002:end_pts=600:maxiter=400,rotate=t/8:fillcolor=black," +
			"noise=c0s=9:c0f=t+u:all_seed=1"
	)
	const width, height = 1920, 1080
	return []source{
		{"easy", "a screen that hardly changes", easy, width, height, length},
		{"medium", "a camera that pans over detail, with cuts", medium, 2 * width, 2 * height, length},
		{"hard", "detail that turns and comes closer, with grain", hard, width, height, length},
	}
}

// Clips are the names of the sources.
func Clips() []string {
	var names []string
	for _, s := range sources(0) {
		names = append(names, s.name)
	}
	return names
}

// make writes the clip to path, an MP4.
func (s source) make(ctx context.Context, path string) error {
	_, err := ffmpeg(ctx, nil, nil, "-f", "lavfi", "-i", fmt.Sprintf(s.picture, s.width, s.height, rate),
		"-f", "lavfi", "-i", "sine=r=48000:b=2", "-t", seconds(s.length),
		"-c:v", "libx264", "-preset", "veryfast", "-crf", "16", "-maxrate", "30M", "-bufsize", "60M", "-pix_fmt", "yuv420p", "-g", "120",
		"-c:a", "aac", "-b:a", "192k", "-ac", "2", "-movflags", "+faststart", path)
	return err
}

// Package sample makes the video that the demo shows when it is given none.
//
// It is made of what can be judged by eye and ear: a running clock (no frame lost, none twice), speech (sound, and in
// time), and a ball that crosses the picture steadily (smooth motion). ffmpeg makes it from nothing, so no video file
// is in the repository.
package sample

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Sample is a video to make.
type Sample struct {
	Width, Height int
	Duration      time.Duration // whole seconds
	Rate          int           // frames a second
	Silent        bool          // no audio track at all
}

// Demo is what the demo shows.
var Demo = Sample{Width: 1920, Height: 1080, Duration: 30 * time.Second, Rate: 30}

// speech lasts about half a minute in the voice used; what a shorter sample has no time for is cut off.
const speech = "This is Weir. A video goes in at one end, and a player plays it at the other. " +
	"The clock shows hours, minutes, seconds and milliseconds. It should run without a jump. " +
	"The ball crosses the picture once every four seconds, at an even pace. " +
	"Listen for clicks. There should be none, where one encoder takes over from another. " +
	"Change the level as often as you like. The picture gets sharper or softer, and nothing else happens. " +
	"That is all there is to say. Thank you for listening."

// Make writes the sample to path, an .mp4, with H.264 and AAC. It appears there whole or not at all.
func (s Sample) Make(ctx context.Context, path string) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make a sample: %w", err)
	}
	temp, err := os.MkdirTemp(filepath.Dir(path), ".sample-")
	if err != nil {
		return fmt.Errorf("make a sample: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	whole := filepath.Join(temp, "sample.mp4")
	if out, err := exec.CommandContext(ctx, "ffmpeg", s.arguments(whole)...).CombinedOutput(); err != nil {
		return fmt.Errorf("make a sample: ffmpeg: %w\n%s", err, out)
	}
	if err := os.Rename(whole, path); err != nil {
		return fmt.Errorf("make a sample: %w", err)
	}
	return nil
}

func (s Sample) arguments(path string) []string {
	// A gradient is as smooth when it is drawn small and scaled up, and an order of magnitude quicker. The seed makes
	// every sample the same.
	picture := fmt.Sprintf("gradients=s=%dx%d:r=%d:c0=0x0b1d3a:c1=0x1f6f8b:c2=0x99a8b2:n=3:speed=0.02:seed=1",
		max(16, s.Width/8), max(16, s.Height/8), s.Rate)
	short := min(s.Width, s.Height)
	draw := strings.Join([]string{
		fmt.Sprintf("scale=%d:%d,setsar=1", s.Width, s.Height), // scale would keep the shape that rounding bent
		fmt.Sprintf(`drawtext=text='%%{pts\:hms}':fontsize=%d:fontcolor=white:box=1:boxcolor=black@0.4:boxborderw=%d:x=(w-tw)/2:y=(h-th)/2`, short/8, short/36),
		fmt.Sprintf(`drawtext=text='●':fontsize=%d:fontcolor=white:x=mod(t*w/4\,w)-tw/2:y=h*0.8-th/2`, short/9),
	}, ",")
	seconds := strconv.Itoa(int(s.Duration.Seconds()))
	args := []string{"-v", "error", "-y", "-f", "lavfi", "-i", picture}
	if !s.Silent {
		args = append(args, "-f", "lavfi", "-i", "flite=voice=slt:text='"+speech+"'",
			"-af", "aresample=48000,apad", // the voice comes at 16 kHz and may end early
			"-c:a", "aac", "-b:a", "128k", "-ac", "2")
	}
	return append(args, "-vf", draw, "-t", seconds,
		"-c:v", "libx264", "-preset", "ultrafast", "-crf", "18", "-pix_fmt", "yuv420p", // a source, made quickly; size is no matter
		"-movflags", "+faststart", path)
}

package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"weir/deploy/internal/fleet"
)

// rung is one of the default ladder's.
type rung struct{ height, video, audio string }

var ladder = []rung{{"1080", "5000k", "192k"}, {"720", "2800k", "128k"}, {"480", "1400k", "128k"}, {"360", "800k", "96k"}}

// usual measures what people run instead: the whole file through one ffmpeg a rung, one after the other, and then there is
// a video. The download before and the upload after are given for nothing.
func (b *bench) usual(ctx context.Context, temp string) error {
	clip := source(10)
	path := filepath.Join(temp, "usual.mp4")
	if err := clip.Make(ctx, path); err != nil {
		return err
	}
	var took []time.Duration
	for range b.repetitions() {
		dir := filepath.Join(temp, "usual")
		began := time.Now()
		for _, r := range ladder {
			if err := r.encode(ctx, path, filepath.Join(dir, r.height)); err != nil {
				return err
			}
		}
		took = append(took, time.Since(began))
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("measure the usual pipeline: %w", err)
		}
		if err := sleep(ctx, calm); err != nil {
			return err
		}
	}
	b.result.UsualPipeline = fleet.Seconds(fleet.Median(took))
	text := fmt.Sprintf("%.2f s (median of %v)", fleet.Median(took).Seconds(), rounded(took))
	if first := b.result.FirstPlayable["10s"]; first > 0 {
		b.result.Ratio = float64(int(b.result.UsualPipeline/first*100)) / 100
		text += fmt.Sprintf(": %.1f times as long", b.result.Ratio)
	}
	b.row("the usual pipeline, 10s", "%s", text)
	return nil
}

func (r rung) encode(ctx context.Context, path, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("measure the usual pipeline: %w", err)
	}
	cmd := exec.CommandContext(ctx, "ffmpeg", "-nostdin", "-v", "error", "-i", path,
		"-vf", "scale=-2:"+r.height, "-c:v", "libx264", "-preset", "veryfast",
		"-b:v", r.video, "-maxrate", r.video, "-bufsize", r.video, "-g", "60", "-keyint_min", "60", "-sc_threshold", "0",
		"-c:a", "aac", "-b:a", r.audio, "-ac", "2",
		"-f", "hls", "-hls_time", "6", "-hls_playlist_type", "vod", filepath.Join(dir, "playlist.m3u8"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		return errors.Join(fmt.Errorf("measure the usual pipeline: ffmpeg: %w\n%s", err, out), context.Cause(ctx))
	}
	return nil
}

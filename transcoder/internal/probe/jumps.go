package probe

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"time"

	"weir/transcoder/internal/ffmpeg"
)

// jumping are the formats whose clock may jump: those of broadcasts, which are cut and joined without being written anew.
var jumping = map[string]bool{"mpegts": true, "mpeg": true}

const (
	// maxJumping is the size up to which a file is read through to find jumps, in bytes: a video of many hours should be
	// playable soon.
	maxJumping = 1 << 30
	// mendTimeout bounds that reading.
	mendTimeout = 5 * time.Minute
	// evenClock is by how much the two clocks of a source that does not jump may differ, in seconds.
	evenClock = 0.1
)

// mend returns the times that a track covers on the clock that FFmpeg makes of the file's, by having it copy the packets. It is
// read by itself, as encoders read it: how a clock is mended depends on who shares it.
func mend(ctx context.Context, tools ffmpeg.Tools, u Upload, in ffmpeg.Input, track int) (s span, err error) {
	err = tools.Run(ctx, ffmpeg.Options{Limit: mendTimeout}, in.Args(), []ffmpeg.Output{{
		Args: []string{"-map", fmt.Sprintf("0:%d", track), "-c", "copy", "-copyinkf", "-f", "framecrc"},
		Read: func(r io.Reader) (err error) {
			s, err = readFrames(r)
			return err
		},
	}}, nil)
	if err != nil {
		return span{}, blame(u, err)
	}
	return s, nil
}

// readFrames reads what FFmpeg's framecrc writes of a track: "#tb 0: 1/90000", then "0, dts, pts, duration, size, crc" a packet.
func readFrames(r io.Reader) (span, error) {
	var s span
	var num, den, dts, pts, duration int64
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if n, _ := fmt.Sscanf(lines.Text(), "#tb 0: %d/%d", &num, &den); n == 2 {
			continue
		}
		if n, _ := fmt.Sscanf(lines.Text(), "0,%d,%d,%d", &dts, &pts, &duration); n == 3 && den > 0 {
			if pts == math.MinInt64 { // no display time: the decode time is near enough
				pts = dts
			}
			if pts == math.MinInt64 {
				continue
			}
			tick := float64(num) / float64(den)
			s.add(float64(pts)*tick, float64(duration)*tick)
		}
	}
	return s, lines.Err()
}

// differ tells whether a track is not as long on one clock as on the other.
func differ(a, b span) bool {
	return b.packets > 0 && math.Abs((a.last-a.start)-(b.last-b.start)) > evenClock
}

package picture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// grade gives what a way took, the medians of its runs, and how good what it made last is.
func grade(ctx context.Context, s source, path string, runs []run) (Taken, error) {
	last := runs[len(runs)-1]
	taken := Taken{
		Wall:  median(runs, func(r run) time.Duration { return r.wall }),
		CPU:   median(runs, func(r run) time.Duration { return r.cpu }),
		Bytes: last.bytes,
	}
	for _, rung := range ladder {
		playlist, ok := last.playlists[rung.name()]
		if !ok {
			continue
		}
		g, err := compare(ctx, s, path, playlist, rung.height)
		if err != nil {
			return taken, fmt.Errorf("%s: %w", rung.name(), err)
		}
		if taken.Rungs == nil {
			taken.Rungs = map[string]Grade{}
		}
		taken.Rungs[rung.name()] = g
	}
	return taken, nil
}

var (
	ssimSaid  = regexp.MustCompile(`SSIM .*All:([0-9.]+|inf)`)
	psnrSaid  = regexp.MustCompile(`PSNR .*average:([0-9.]+|inf)`)
	frameSaid = regexp.MustCompile(`frame= *(\d+)`)
)

// compare decodes a video and holds each of its frames against that of the source, in the video's size. It must have all.
func compare(ctx context.Context, s source, path, video string, height int) (Grade, error) {
	graph := fmt.Sprintf("[0:v]setpts=N/TB/%d,split[a][b];[1:v]scale=-2:%d,setpts=N/TB/%d,split[c][d];[a][c]ssim[e];[b][d]psnr,nullsink;[e]null",
		rate, height, rate)
	_, said, err := ffmpegSays(ctx, nil, io.Discard, "-i", video, "-i", path, "-filter_complex", graph, "-f", "null", "-")
	if err != nil {
		return Grade{}, err
	}
	ssim, psnr, frames := ssimSaid.FindStringSubmatch(said), psnrSaid.FindStringSubmatch(said), frameSaid.FindAllStringSubmatch(said, -1)
	if ssim == nil || psnr == nil || frames == nil {
		return Grade{}, errors.New("ffmpeg does not say how alike they are")
	}
	if got, want := frames[len(frames)-1][1], strconv.Itoa(int(s.length.Seconds())*rate); got != want {
		return Grade{}, fmt.Errorf("the video has %s frames, the source %s", got, want)
	}
	return Grade{SSIM: rounded(number(ssim[1]), 4), PSNR: rounded(number(psnr[1]), 2)}, nil
}

func number(text string) float64 {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0
	}
	return n
}

// qualities are the operating points of Weir's encoder at 1080p, without a cap. Theirs gets the bit rates that come of them.
var qualities = []int{19, 23, 27, 31}

// bdRate is how many bytes more, in percent, Weir's encoder takes than theirs for the same PSNR, over the qualities that both
// reach, with so many operating points.
func bdRate(ctx context.Context, s source, path, dir string, points int) (float64, error) {
	var reference, test curve
	height := ladder[0].height
	measure := func(c *curve, name string, args []string) error {
		to := filepath.Join(dir, name+".mp4")
		all := append([]string{"-i", path, "-an", "-vf", fmt.Sprintf("scale=-2:%d", height)}, args...)
		if _, err := ffmpeg(ctx, nil, nil, append(all, to)...); err != nil {
			return err
		}
		bytes, err := size(to)
		if err != nil {
			return err
		}
		g, err := compare(ctx, s, path, to, height)
		*c = append(*c, point{rate: float64(bytes), quality: g.PSNR})
		return err
	}
	for _, quality := range qualities[len(qualities)-points:] {
		if err := measure(&test, fmt.Sprintf("ours-%d", quality), ours(preset, quality, 0)); err != nil {
			return 0, err
		}
		bitrate := int(test[len(test)-1].rate * 8 / 1000 / s.length.Seconds())
		if err := measure(&reference, fmt.Sprintf("theirs-%d", quality), theirs(bitrate)); err != nil {
			return 0, err
		}
	}
	percent, err := bjontegaard(reference, test)
	return rounded(percent, 1), err
}

// sameSettings makes sure that the floor encodes as Weir does: by what x264 says in the bitstreams.
func sameSettings(ctx context.Context, path string, playlists map[string]string) error {
	for _, rung := range ladder {
		var said [2]string
		for i, args := range [][]string{
			{"-i", playlists[rung.name()], "-c:v", "copy"},
			append([]string{"-i", path, "-vf", fmt.Sprintf("scale=-2:%d", rung.height)}, ours(preset, crf, rung.bitrate)...),
		} {
			var bitstream bytes.Buffer
			if _, err := ffmpeg(ctx, nil, &bitstream, append(args, "-an", "-frames:v", "1", "-f", "h264", "-")...); err != nil {
				return err
			}
			var err error
			if said[i], err = settings(bitstream.Bytes()); err != nil {
				return err
			}
		}
		if said[0] != said[1] {
			return fmt.Errorf("%s: Weir encodes with other settings than it is compared with:\n%s\n%s", rung.name(), said[0], said[1])
		}
	}
	return nil
}

// settings are what x264 says in the bitstream of how it was told to encode, but for what does not change the picture's cost.
func settings(bitstream []byte) (string, error) {
	_, rest, ok := strings.Cut(string(bitstream), "options: ")
	if !ok {
		return "", errors.New("x264 does not say in the bitstream how it was set up")
	}
	options, _, _ := strings.Cut(rest, "\x80") // the end of the message
	fields := slices.DeleteFunc(strings.Fields(options), func(f string) bool {
		return strings.HasPrefix(f, "threads=") || strings.HasPrefix(f, "lookahead_threads=")
	})
	return strings.Join(fields, " "), nil
}

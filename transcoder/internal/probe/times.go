package probe

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"

	"weir/transcoder/internal/ffmpeg"
	"weir/transcoder/internal/media"
)

// tail is how far before the end the last packets are looked for, in seconds.
const tail = 10

// span is when a track starts and ends, in seconds on the source's clock.
type span struct{ start, end float64 }

// findTimes sets when each track starts and ends. MP4 says so itself. Of the other formats one learns the times of the file
// at best, so the first and the last packets of its tracks are looked at.
func findTimes(ctx context.Context, tools ffmpeg.Tools, u Upload, in ffmpeg.Input, r report, s *media.Source) error {
	tracks := []int{s.Video.Index}
	if s.Audio != nil {
		tracks = append(tracks, s.Audio.Index)
	}
	spans := r.declared()
	if in.Demuxer != "mov" || !complete(spans, tracks) {
		var err error
		if spans, err = measure(ctx, tools, u, in, r, tracks); err != nil {
			return err
		}
	}
	s.Video.Start, s.Video.End = spans[s.Video.Index].start, spans[s.Video.Index].end
	if s.Audio != nil {
		s.Audio.Start, s.Audio.End = spans[s.Audio.Index].start, spans[s.Audio.Index].end
		if s.Audio.End <= s.Audio.Start {
			s.Audio = nil // a track without sound in it
		}
	}
	return nil
}

// declared returns the times that the container gives for its tracks.
func (r report) declared() map[int]span {
	spans := map[int]span{}
	for _, s := range r.Streams {
		if d := seconds(s.Duration); d > 0 {
			spans[s.Index] = span{seconds(s.StartTime), seconds(s.StartTime) + d}
		}
	}
	return spans
}

func complete(spans map[int]span, tracks []int) bool {
	for _, t := range tracks {
		if _, ok := spans[t]; !ok {
			return false
		}
	}
	return true
}

// measure looks at packets: the first of each track, and those at the end of the file. Where a track ends before those, or
// the length of the file is not known, it looks at all.
func measure(ctx context.Context, tools ffmpeg.Tools, u Upload, in ffmpeg.Input, r report, tracks []int) (map[int]span, error) {
	spans := map[int]span{}
	if d := seconds(r.Format.Duration); d > tail {
		from := fmt.Sprintf("%f%%", seconds(r.Format.StartTime)+d-tail)
		var err error
		if spans, err = packets(ctx, tools, u, in, "-read_intervals", from); err != nil {
			return nil, err
		}
	}
	if !complete(spans, tracks) {
		return packets(ctx, tools, u, in)
	}
	for _, t := range tracks {
		first, err := packets(ctx, tools, u, in, "-select_streams", strconv.Itoa(t), "-read_intervals", "%+#1")
		if err != nil {
			return nil, err
		}
		if at, ok := first[t]; ok {
			spans[t] = span{at.start, spans[t].end}
		}
	}
	return spans, nil
}

// packets returns the times that the packets of each track cover, of those that the arguments choose.
func packets(ctx context.Context, tools ffmpeg.Tools, u Upload, in ffmpeg.Input, choose ...string) (map[int]span, error) {
	args := append([]string{"-show_entries", "packet=stream_index,pts_time,duration_time", "-of", "csv=p=0"}, choose...)
	out, err := tools.Probe(ctx, append(args, in.ProbeArgs()...))
	if err != nil {
		return nil, blame(u, err)
	}
	spans := map[int]span{}
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		fields := strings.Split(lines.Text(), ",") // index, start, duration; the times may be N/A
		if len(fields) < 3 {
			continue
		}
		track, err := strconv.Atoi(fields[0])
		if err != nil {
			continue
		}
		start, err := strconv.ParseFloat(fields[1], 64)
		if err != nil {
			continue
		}
		s, ok := spans[track]
		if !ok {
			s = span{start, start}
		}
		spans[track] = span{min(s.start, start), max(s.end, start+seconds(fields[2]))}
	}
	return spans, lines.Err()
}

package probe

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"strings"

	"weir/transcoder/internal/ffmpeg"
	"weir/transcoder/internal/media"
)

// tail is how far before the end the last packets are looked for, in seconds.
const tail = 10

// findEnds sets when each track ends. MP4 says so itself. The other formats know the length of the file at best, so the
// packets at the end are looked at.
func findEnds(ctx context.Context, tools ffmpeg.Tools, u Upload, in ffmpeg.Input, r report, s *media.Source) error {
	ends := map[int]float64{}
	for _, stream := range r.Streams {
		if d := seconds(stream.Duration); d > 0 {
			ends[stream.Index] = seconds(stream.StartTime) + d
		}
	}
	_, known := ends[s.Video.Index]
	if in.Demuxer != "mov" || !known {
		var err error
		if ends, err = lastPackets(ctx, tools, u, in, r); err != nil {
			return err
		}
	}
	s.Video.End = ends[s.Video.Index]
	if s.Audio != nil {
		if s.Audio.End = ends[s.Audio.Index]; s.Audio.End <= s.Audio.Start {
			s.Audio = nil // a track without sound in it
		}
	}
	return nil
}

// lastPackets returns when the last packet of each stream ends. A file of unknown length is read as a whole.
func lastPackets(ctx context.Context, tools ffmpeg.Tools, u Upload, in ffmpeg.Input, r report) (map[int]float64, error) {
	args := []string{"-show_entries", "packet=stream_index,pts_time,duration_time", "-of", "csv=p=0"}
	if d := seconds(r.Format.Duration); d > tail {
		args = append(args, "-read_intervals", fmt.Sprintf("%f%%", seconds(r.Format.StartTime)+d-tail))
	}
	out, err := tools.Probe(ctx, append(args, in.ProbeArgs()...))
	if err != nil {
		return nil, blame(u, err)
	}
	ends := map[int]float64{}
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		fields := strings.Split(lines.Text(), ",")
		var index int
		if len(fields) < 3 {
			continue
		}
		if _, err := fmt.Sscan(fields[0], &index); err != nil {
			continue
		}
		ends[index] = max(ends[index], seconds(fields[1])+seconds(fields[2]))
	}
	return ends, lines.Err()
}

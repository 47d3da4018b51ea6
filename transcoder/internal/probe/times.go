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

// maxRunUp is the longest run-up of an encoder, in seconds: that of MP3 at 8 kHz is 138 ms.
const maxRunUp = 0.15

// bare are the formats of frames one after the other, whose length and whose times after a seek are guesses.
var bare = map[string]bool{"mp3": true, "aac": true}

// span is when a track starts and ends, and when its last packet starts, in seconds on the source's clock.
type span struct {
	start, last, end float64
	packets          int // that were looked at
}

// add extends a span by a packet.
func (s *span) add(start, duration float64) {
	if s.packets == 0 {
		s.start, s.last, s.end = start, start, start
	}
	s.start, s.last, s.end = min(s.start, start), max(s.last, start), max(s.end, start+duration)
	s.packets++
}

// findTimes sets when each track starts and ends. MP4 says so itself. Of the other formats one learns the times of the file
// at best, so the first and the last packets of its tracks are looked at.
func findTimes(ctx context.Context, tools ffmpeg.Tools, u Upload, in ffmpeg.Input, r report, s *media.Source) error {
	var tracks []int // the first of them shows whether the clock jumps
	if s.HasPicture() {
		tracks = append(tracks, s.Video.Index)
	}
	for _, a := range s.Audio {
		tracks = append(tracks, a.Index)
	}
	spans := r.declared()
	if in.Demuxer != "mov" || !complete(spans, tracks) {
		var err error
		if spans, err = measure(ctx, tools, u, in, r, tracks); err != nil {
			return err
		}
		if jumping[in.Demuxer] && u.Size() <= maxJumping {
			first, err := mend(ctx, tools, u, in, tracks[0])
			if err != nil {
				return err
			}
			if s.Jumps = differ(spans[tracks[0]], first); s.Jumps {
				spans[tracks[0]] = first
				for _, track := range tracks[1:] {
					if spans[track], err = mend(ctx, tools, u, in, track); err != nil {
						return err
					}
				}
			}
		}
	}
	setSoundTimes(r, spans, s)
	if !s.HasPicture() {
		return nil
	}
	if v, ok := spans[s.Video.Index]; ok {
		s.Video.Start, s.Video.End = v.start, v.end
		if v.end <= v.last { // the format does not say how long its last picture is shown
			s.Video.End = v.last + s.Video.Rate.Seconds(1)
		}
	}
	if in.Demuxer == "avi" {
		shown, err := firstShown(ctx, tools, u, in, s.Video.Index)
		if err != nil {
			return err
		}
		s.Video.Delay = max(shown-s.Video.Start, 0)
	}
	return nil
}

// setSoundTimes sets when the sounds start and end, and drops tracks without sound in them.
func setSoundTimes(r report, spans map[int]span, s *media.Source) {
	declared := r.declared()
	var tracks media.Tracks
	for _, a := range s.Audio {
		a.Start, a.End = spans[a.Index].start, spans[a.Index].end
		if said, ok := declared[a.Index]; ok && !s.HasPicture() && !s.Jumps {
			// Its first packets may be an encoder's run-up, which is not heard. Beside a picture that does not matter: what comes before
			// the picture is cut off anyway.
			a.Start = min(max(a.Start, said.start), a.Start+maxRunUp)
		}
		if a.End > a.Start {
			tracks = append(tracks, a)
		}
	}
	if len(tracks) > 0 && tracks[0].Role == media.Alternate {
		tracks[0].Role = media.Main // the one before it is gone
	}
	s.Audio = tracks
}

// firstShown is when FFmpeg shows a track's first picture, in seconds, or 0 if none is among its first packets.
func firstShown(ctx context.Context, tools ffmpeg.Tools, u Upload, in ffmpeg.Input, track int) (float64, error) {
	out, err := tools.Probe(ctx, append([]string{
		"-show_entries", "frame=best_effort_timestamp_time", "-of", "csv=p=0",
		"-select_streams", strconv.Itoa(track), "-read_intervals", "%+#16",
	}, in.ProbeArgs()...))
	if err != nil {
		return 0, blame(u, err)
	}
	first, _, _ := strings.Cut(string(out), "\n")
	first, _, _ = strings.Cut(first, ",")
	return seconds(first), nil
}

// declared returns the times that the container gives for its tracks.
func (r report) declared() map[int]span {
	spans := map[int]span{}
	for _, s := range r.Streams {
		if d := seconds(s.Duration); d > 0 {
			at := seconds(s.StartTime)
			spans[s.Index] = span{start: at, last: at, end: at + d}
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
	if d := seconds(r.Format.Duration); d > tail && !bare[in.Demuxer] {
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
			s := spans[t]
			s.start = at.start
			spans[t] = s
		}
	}
	return spans, nil
}

// packets returns the times that the packets of each track cover, of those that the arguments choose.
func packets(ctx context.Context, tools ffmpeg.Tools, u Upload, in ffmpeg.Input, choose ...string) (map[int]span, error) {
	args := append([]string{"-show_entries", "packet=stream_index,pts_time,dts_time,duration_time", "-of", "csv=p=0"}, choose...)
	out, err := tools.Probe(ctx, append(args, in.ProbeArgs()...))
	if err != nil {
		return nil, blame(u, err)
	}
	spans := map[int]span{}
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		fields := strings.Split(lines.Text(), ",") // index, display and decode time, duration; the times may be N/A
		if len(fields) < 4 {
			continue
		}
		track, err := strconv.Atoi(fields[0])
		if err != nil {
			continue
		}
		start, err := strconv.ParseFloat(fields[1], 64)
		if err != nil {
			// AVI has decode times alone. As many pictures, in another order.
			if start, err = strconv.ParseFloat(fields[2], 64); err != nil {
				continue
			}
		}
		s := spans[track]
		s.add(start, seconds(fields[3]))
		spans[track] = s
	}
	return spans, lines.Err()
}

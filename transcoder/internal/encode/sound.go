package encode

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"weir/transcoder/internal/cmaf"
	"weir/transcoder/internal/ffmpeg"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
)

const (
	// sampleRate of the published sound, and the samples in one AAC frame.
	sampleRate, aacFrame = 48000, 1024
	// runUp and runOut are the AAC frames that an encoder makes of the sound around its part and that are thrown away: with
	// them its state at the joins is the one that an encoder of the whole would have. A quarter of that run-up leaves an
	// error at the join that is ten times the usual one.
	runUp, runOut = 128, 8
	// soundMargin is how much earlier than its part reading of the sound starts at least, in seconds: decoders have a
	// run-up as well.
	soundMargin = 1
)

// Sound encodes the sound of chunks that follow each other, in one piece: each AAC encoder needs a run-up, and the fewer
// joins the better.
func (e Encoder) Sound(ctx context.Context, p plan.Plan, chunks []plan.Chunk, url string, sink Sink, progress Progress) error {
	t := newPart(p, chunks)
	options := ffmpeg.Options{Nice: nice(chunks[0]), Limit: limit(p.Duration())}
	in := ffmpeg.Input{URL: url, Demuxer: p.Source.Demuxer, Seek: soundSeek(t)}
	whole, err := e.sound(ctx, t, options, inputArgs(p, in), sink, progress)
	if err != nil || whole {
		return err
	}
	return e.steadySound(ctx, t, options, in, sink, progress)
}

// sound encodes a part. It is not whole if FFmpeg had to make a graph anew on the way, because a track changed its format: the new one
// begins with the part once more, and what it makes is too long.
func (e Encoder) sound(ctx context.Context, t part, options ffmpeg.Options, input []string, sink Sink, progress Progress) (whole bool, err error) {
	cut := audioCut(t)
	frames := make([]int, len(t.Audio))
	var outputs []ffmpeg.Output
	for i, a := range t.Audio {
		outputs = append(outputs, ffmpeg.Output{
			Args: audioArgs(t.Plan, i),
			Read: func(r io.Reader) (err error) {
				frames[i], err = cmaf.Read(r, cut, deliver(ctx, sink, a.Name))
				return err
			},
		})
	}
	err = e.Tools.Run(ctx, options, append(input, audioGraphs(t)...), outputs, share(progress, t.seconds()))
	return int64(slices.Max(frames)+cut.Skip) <= t.frames(), err
}

// steadySound encodes a part of tracks that change their format on the way, as broadcasts do between a film and its breaks: one process
// turns them into one format, with their times, and another encodes that.
func (e Encoder) steadySound(ctx context.Context, t part, options ffmpeg.Options, in ffmpeg.Input, sink Sink, progress Progress) error {
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("open a pipe between two ffmpegs: %w", err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	decoded := make(chan struct{})
	go func() {
		defer close(decoded)
		err := e.Tools.Run(ctx, options, append(inputArgs(t.Plan, in), steadyGraphs(t)...), []ffmpeg.Output{{
			Args: steadyArgs(t),
			Read: func(from io.Reader) error {
				_, err := io.Copy(w, from)
				return err
			},
		}}, nil)
		if err != nil {
			cancel(err) // and no end of the pipe, which would look like the end of the sound
			return
		}
		_ = w.Close()
	}()
	encoder := options // the other process must not hold the pipe open
	encoder.Stdin = r
	_, err = e.sound(ctx, t.steady(), encoder, append([]string{"-copyts"}, ffmpeg.PipedArgs("nut")...), sink, progress)
	_ = r.Close() // ends the first process, if it goes on after what is wanted
	<-decoded
	_ = w.Close()
	return err
}

// part is a half-open range of segments of the sound.
type part struct {
	plan.Plan
	first, end int
}

func newPart(p plan.Plan, chunks []plan.Chunk) part {
	first, _ := p.Span(chunks[0])
	_, end := p.Span(chunks[len(chunks)-1])
	return part{p, first, end}
}

// frame is the number of the AAC frame with which a segment starts: the one nearest to the start of its picture.
func (t part) frame(segment int) int64 {
	return int64(math.Round(t.Rate().Seconds(t.Start(segment)) * sampleRate / aacFrame))
}

// fed is the range of samples that the encoder of the part gets.
func (t part) fed() (start, end int64) {
	start = max(t.frame(t.first)-runUp, 0) * aacFrame
	end = int64(math.Round(t.Duration() * sampleRate))
	if t.end < t.Segments() {
		end = min(end, (t.frame(t.end)+runOut)*aacFrame)
	}
	return start, end
}

// frames is how many AAC frames the encoder of the part makes: one comes before what it is fed.
func (t part) frames() int64 {
	start, end := t.fed()
	return 1 + (end-start+aacFrame-1)/aacFrame
}

// seconds is how much the encoder makes, for progress.
func (t part) seconds() float64 {
	start, end := t.fed()
	return float64(end-start) / sampleRate
}

// audioGraphs turn a part of each of the source's audio tracks, with the encoder's run-up and run-out, into stereo at one rate, as
// long as the picture and in step with it. Each track has a graph of its own: one of several would begin only when all of them
// have, and keep what it gets meanwhile.
func audioGraphs(t part) []string {
	var args []string
	for _, track := range t.Tracks() {
		var outputs []string
		for i, a := range t.Audio {
			if a.Track == track {
				outputs = append(outputs, fmt.Sprintf("[a%d]", i))
			}
		}
		filters := trackFilters(t, t.Source.Audio[track])
		args = append(args, "-filter_complex", fmt.Sprintf("%s,asplit=%d%s", filters, len(outputs), strings.Join(outputs, "")))
	}
	return args
}

// trackFilters are those of one track.
func trackFilters(t part, a media.Audio) string {
	start, end := t.fed()
	cut := fmt.Sprintf("atrim=start_sample=%d:end_sample=%d,asetpts=N", start, end)
	if t.late(a) {
		// Its sound comes later. To wait for it would keep the other tracks from being heard.
		return fmt.Sprintf("anullsrc=r=%d:cl=stereo,aformat=sample_fmts=fltp,%s", sampleRate, cut)
	}
	// In floating point, surround is mixed with the levels of ITU-R BS.775; integers would be made quieter, lest they clip.
	stereo := "aformat=sample_fmts=fltp:channel_layouts=stereo"
	if a.Channels == 1 {
		// As loud in both ears as it was; FFmpeg would halve its power.
		stereo = "aformat=sample_fmts=fltp,pan=stereo|c0=c0|c1=c0"
	}
	return fmt.Sprintf("[0:%d]%s", a.Index, strings.Join([]string{
		fmt.Sprintf("asetpts=PTS-(%s)/TB", float(t.Origin)),
		// Holes in the timestamps become silence, those of two frames as well; what starts late is preceded by silence, what starts
		// early is cut.
		fmt.Sprintf("aresample=%d:async=1:min_hard_comp=0.03:first_pts=0", sampleRate),
		stereo,
		fmt.Sprintf("apad=whole_len=%d", end),
		cut,
	}, ","))
}

// late tells of a track whose sound comes after the part.
func (t part) late(a media.Audio) bool {
	_, end := t.fed()
	return t.Origin+float64(end)/sampleRate < a.Start-soundMargin
}

// steadyGraphs turn the tracks into stereo in one format, each packet at its own time. The graph does not know whether it gets one
// channel or two: the second of one is the first again, as loud as it was, like in [trackFilters].
func steadyGraphs(t part) []string {
	var args []string
	for _, track := range t.Tracks() {
		if a := t.Source.Audio[track]; !t.late(a) {
			args = append(args, "-filter_complex", fmt.Sprintf("[0:%d]%s[s%d]", a.Index, strings.Join([]string{
				fmt.Sprintf("asetpts=PTS-(%s)/TB", float(t.Origin)),
				fmt.Sprintf("aresample=%d", sampleRate),
				"aformat=sample_fmts=dblp:channel_layouts=stereo|mono",
				"aeval=val(0)|val(1):c=stereo",
				"aformat=sample_fmts=flt",
				"atrim=start=0",
			}, ","), track))
		}
	}
	return args
}

// steadyArgs are those of their output.
func steadyArgs(t part) []string {
	var args []string
	for _, track := range t.Tracks() {
		if !t.late(t.Source.Audio[track]) {
			args = append(args, "-map", fmt.Sprintf("[s%d]", track))
		}
	}
	return append(args, "-c:a", "pcm_f32le", "-map_metadata", "-1", "-map_chapters", "-1", "-f", "nut")
}

// steady is the part of what steadyGraphs make, where only the tracks are, in their order, and the clock is the plan's.
func (t part) steady() part {
	t.Source.Audio = slices.Clone(t.Source.Audio)
	index := 0
	for _, track := range t.Tracks() {
		a := t.Source.Audio[track]
		late := t.late(a)
		a.Start -= t.Origin
		a.Channels = 2
		if !late {
			a.Index = index
			index++
		}
		t.Source.Audio[track] = a
	}
	t.Origin = 0
	return t
}

// audioArgs are the arguments of one bit rate's output.
func audioArgs(p plan.Plan, i int) []string {
	return append([]string{
		"-map", fmt.Sprintf("[a%d]", i),
		"-c:a", "aac",
		"-b:a", strconv.Itoa(p.Audio[i].Bitrate),
		// Only how much is written at once; the segments are cut elsewhere.
		"-frag_duration", "1000000",
	}, fragmented("")...)
}

// audioCut divides a part of the sound at the AAC frames nearest to the ends of the picture's segments.
func audioCut(t part) cmaf.Cut {
	first := t.frame(t.first)
	cut := cmaf.Cut{
		// The encoder's own first frame is a run-up as well: what it says comes again in the second.
		Skip:     1 + int(min(first, runUp)),
		First:    t.first,
		Start:    uint64(first) * aacFrame,
		Ends:     func(n int) int { return int(t.frame(t.first+n+1) - first) },
		Fragment: math.MaxInt,
		Segments: t.end - t.first,
	}
	cut.Limit = cut.Ends(cut.Segments - 1)
	if t.end == t.Segments() {
		// The last frames are partly padding.
		cut.Limit += 2
	}
	return cut
}

// soundSeek is where reading of the sound starts; nil means the beginning. From there, the number of a sample is exact.
// After a seek it is as exact as the container's clock, so only those start there who take up the work of another encoder
// deep in a long video.
func soundSeek(t part) *float64 {
	start, _ := t.fed()
	at := float64(start)/sampleRate - soundMargin
	if !indexed[t.Source.Demuxer] || at < soundSeekFrom {
		return nil
	}
	at += t.Origin
	return &at
}

// soundSeekFrom is how much of a file is rather read than sought in, in seconds.
const soundSeekFrom = 60

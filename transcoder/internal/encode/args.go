package encode

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/transcoder/internal/cmaf"
	"weir/transcoder/internal/ffmpeg"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
)

const (
	// threads are those of one rendition's encoder. The cores are kept busy by tasks side by side; a second thread takes
	// up what they leave at the end of a job. A fixed number makes the same bits on every machine.
	threads = 2
	// lookahead is how many pictures the encoder sees ahead of the one that gets its bits, as the preset fast has it. The presets below
	// see fewer, and that is what they lose most by: veryfast with this takes a sixth less time than faster as it is, and no more
	// bytes for the same PSNR. Those that see none do not share out bits in that way at all.
	lookahead = 30
	// nextNice leaves nearly all of the machine to the first chunk of a video, and niceStep makes each of the next ones a bit
	// less urgent than the one before: in the order in which they are watched. From the third on they take what nobody
	// else wants.
	nextNice, niceStep, maxNice = 13, 3, 19
)

// indexed are the demuxers that find a key frame by an index. The others look for the time in the stream and may land
// behind it, so reading starts well before.
var indexed = map[string]bool{"mov": true, "matroska": true}

const indexedMargin, searchedMargin = 1, 20 // seconds

// exact are the codecs of which a decoder shows no picture that is missing what it refers to. Where reading of them starts too
// late, the chunk is too short, and nothing worse; so with an index, it starts at the last key frame that may be early enough.
var exact = []string{"h264", "hevc", "vp8", "vp9", "av1", "prores", "dnxhd", "mjpeg"}

// reorderMargin is how much earlier than told, in seconds, FFmpeg seeks in formats whose index is not of display times, if a track
// has pictures that are decoded in another order than they are shown in (fftools/ffmpeg_opt.c).
const reorderMargin = 3.0 / 23

// slack is how many frames fewer than the container promised may come at the end: it may round its length up, and count
// packets that hold no picture of their own.
const slack = 3

// seeks returns where reading may start for a chunk, the quickest first; nil means the beginning.
func seeks(p plan.Plan, c plan.Chunk) []*float64 {
	v := p.Source.Video
	start := v.Rate.Seconds(c.First)
	if start == 0 || p.Source.Jumps {
		return []*float64{nil}
	}
	var places []*float64
	margin := float64(searchedMargin)
	if indexed[p.Source.Demuxer] {
		margin = indexedMargin
		// A deinterlacer looks at the picture before, too.
		if slices.Contains(exact, v.Codec) && !v.Interlaced {
			key := p.Origin + start + v.Rate.Seconds(1)/2 // whatever is nearer to this frame than to the next
			if v.Reordered && p.Source.Demuxer == "matroska" {
				key += reorderMargin
			}
			places = append(places, &key)
		}
	}
	if early := p.Origin + start - margin; start > margin {
		places = append(places, &early)
	}
	return append(places, nil)
}

// nice is the niceness of a chunk's encoder.
func nice(c plan.Chunk) int {
	if c.Number == 0 {
		return 0
	}
	return min(nextNice+(c.Number-1)*niceStep, maxNice)
}

// limit bounds the wall clock of an encoder, far beyond what one that gets on takes: a hundred times as long as its part,
// and enough for a crowded machine to start it.
func limit(seconds float64) time.Duration {
	return 10*time.Minute + time.Duration(100*seconds*float64(time.Second))
}

// inputArgs keeps the source's own clock, on which the plan's times are, but where it jumps.
func inputArgs(p plan.Plan, in ffmpeg.Input) []string {
	if p.Source.Jumps {
		return in.Args()
	}
	return append([]string{"-copyts"}, in.Args()...)
}

// videoInputArgs are those of a picture's input.
func videoInputArgs(p plan.Plan, in ffmpeg.Input) []string {
	args := inputArgs(p, in)
	if v := p.Source.Video; !v.Interlaced && !v.Alpha {
		// Pictures whose size changes on the way, as where recordings were joined, go through one graph, which counts them all; the
		// first scaler makes them alike. A graph that is made anew would count from the start. Other filters cannot take it.
		args = append([]string{"-reinit_filter", "0"}, args...)
	}
	if p.Source.Video.Decoder != "" {
		args = append([]string{"-c:v", p.Source.Video.Decoder}, args...)
	}
	return args
}

// videoGraph turns the source's pictures into exactly the chunk's frames, in every size of the ladder. Larger sizes are
// made first and smaller ones from them, so that each scaler reads as little as it can.
func videoGraph(p plan.Plan, c plan.Chunk) string {
	v := p.Source.Video
	first, end := p.Pictures()
	var filters []string
	if v.Interlaced {
		filters = append(filters, "bwdif=mode=send_frame")
	}
	// A constant rate on one grid for all chunks: from here on a timestamp is the number of the frame.
	grid := fmt.Sprintf("fps=fps=%s:round=near", v.Rate)
	if c.First == 0 || c.First < first {
		// The sound may be there already: hold the first picture from the start of the chunk.
		grid += ":start_time=" + float(v.Rate.Seconds(c.First))
	}
	filters = append(filters, fmt.Sprintf("setpts=PTS-(%s)/TB", float(p.Origin+v.Delay)), grid)
	if missing := c.End - end; missing > 0 {
		// The sound goes on: hold the last picture.
		filters = append(filters, fmt.Sprintf("tpad=stop_mode=clone:stop=%d", missing+slack))
	} else if c.End == p.Frames {
		filters = append(filters, fmt.Sprintf("tpad=stop_mode=clone:stop=%d", slack))
	}
	filters = append(filters,
		fmt.Sprintf("trim=start_pts=%d:end_pts=%d", c.First, c.End),
		fmt.Sprintf("setpts=PTS-%d", c.First),
	)
	if v.Alpha {
		// What is transparent is black, as behind a picture in a player.
		filters = append(filters, "premultiply=inplace=1")
	}
	filters = append(filters, standardColor(v.Color, p.Video[0])...)
	var graph strings.Builder
	fmt.Fprintf(&graph, "[0:%d]%s[s0]", v.Index, strings.Join(filters, ","))
	for i, r := range p.Video {
		fmt.Fprintf(&graph, ";[s%d]scale=%d:%d,setsar=1", i, r.Width, r.Height)
		if tiles := tileFilters(p, c); i == len(p.Video)-1 && tiles != "" {
			fmt.Fprintf(&graph, ",split[v%d][small];[small]%s[tiles]", i, tiles)
		} else if i == len(p.Video)-1 {
			fmt.Fprintf(&graph, "[v%d]", i)
		} else {
			fmt.Fprintf(&graph, ",split[v%d][s%d]", i, i+1)
		}
	}
	return graph.String()
}

// white is the luminance of diffuse white in HDR, in candela per square metre (ITU-R BT.2408-7, 2.1), and peak the
// brightest that is told apart, in units of it: 1,000 cd/m², for which most HDR is made. It is fixed because what a file says of
// itself may come with some of its pictures alone, and chunks must look the same.
const white, peak = 203, 1000.0 / white

// standardColor makes of a source's pictures what every player decodes and shows right, in the size of the top rung: 8 bits,
// 4:2:0, BT.709 in limited range, and says so.
func standardColor(c media.Color, top plan.VideoRendition) []string {
	scale := fmt.Sprintf("scale=%d:%d:in_color_matrix=%s:out_range=tv:out_color_matrix=", top.Width, top.Height, c.Matrix)
	var filters []string
	if c.HDR() {
		filters = []string{
			// Made small first: what follows is slow.
			scale + "bt2020", "format=yuv444p10",
			// To linear light of BT.709's colours, where 1 is white.
			fmt.Sprintf("zscale=rangein=limited:matrixin=bt2020nc:primariesin=%s:transferin=%s:transfer=linear:primaries=bt709:npl=%d",
				c.Primaries, c.Transfer, white),
			"format=gbrpf32",
			// Shadows and faces stay as they are; only what is brighter is compressed.
			fmt.Sprintf("tonemap=mobius:desat=0:peak=%.2f", peak),
			"zscale=range=limited:matrix=bt709:primaries=bt709:transfer=bt709",
		}
	} else {
		filters = []string{scale + "bt709"}
	}
	return append(filters, "format=yuv420p", "setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709")
}

// videoArgs are the arguments of one rendition's output.
func (e Encoder) videoArgs(p plan.Plan, i int) []string {
	r := p.Video[i]
	gop := strconv.FormatInt(p.GOP, 10)
	timescale, _ := p.Source.Video.Rate.Timescale()
	args := []string{
		"-map", fmt.Sprintf("[v%d]", i),
		// The graph has already made the frames: none is to be repeated or dropped.
		"-fps_mode", "passthrough",
		"-c:v", VideoEncoder,
		"-preset", e.Preset,
		// Choosing coefficients by what they cost, and each picture's way of predicting from both sides. Presets from faster on do
		// the first anyway, and slow the second; where they do not, it is 4 to 7 % fewer bytes for an eighth to a sixth more time.
		"-trellis", strconv.Itoa(e.trellis()), "-direct-pred", "auto",
		"-profile:v", "high",
		"-threads", strconv.Itoa(threads),
		"-crf", strconv.Itoa(CRF),
		"-maxrate", strconv.Itoa(r.Bitrate),
		"-bufsize", strconv.Itoa(2 * r.Bitrate),
		// An IDR picture at each start of a GOP and nowhere else, and no reference across it.
		"-g", gop, "-keyint_min", gop, "-sc_threshold", "0", "-flags", "+cgop",
		// A frame is a whole number of ticks.
		"-video_track_timescale", strconv.FormatUint(uint64(timescale), 10),
	}
	if e.Preset == "veryfast" || e.Preset == "faster" {
		args = append(args, "-rc-lookahead", strconv.Itoa(lookahead))
	}
	return append(args, fragmented("+frag_keyframe")...)
}

// trellis is x264's effort at quantization: on the last encode of a block, or, as the preset slow has it, on all decisions.
func (e Encoder) trellis() int {
	if e.Preset == "slow" {
		return 2
	}
	return 1
}

// fragmented are the arguments of an output that is fragmented MP4 on a pipe.
func fragmented(flags string) []string {
	return []string{
		// Nothing of the source's metadata, which may be anything, and nothing that differs from one version to the next.
		"-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact",
		"-f", "mp4",
		"-movflags", flags + "+empty_moov+default_base_moof+negative_cts_offsets+skip_trailer",
		// No edit list: times are set when the fragments are read.
		"-use_editlist", "0",
	}
}

// videoCut divides a chunk into the plan's segments.
func videoCut(p plan.Plan, c plan.Chunk) cmaf.Cut {
	_, frame := p.Source.Video.Rate.Timescale()
	first, end := p.Span(c)
	return cmaf.Cut{
		First:    first,
		Start:    uint64(c.First) * uint64(frame),
		Ends:     func(n int) int { return int(p.Start(first+n+1) - c.First) },
		Fragment: int(p.GOP),
		Segments: end - first,
	}
}

func float(f float64) string { return strconv.FormatFloat(f, 'f', 6, 64) }

package encode

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"weir/transcoder/internal/ffmpeg"
	"weir/transcoder/internal/job"
	"weir/transcoder/internal/plan"
)

// Settings are those of one codec's encoder.
type Settings struct {
	Codec  job.Codec
	Name   string // FFmpeg's name of the encoder
	Preset string // the encoder's own: how much time a frame may take
	CRF    int    // the quality that is aimed at, on the encoder's own scale
}

// further are the settings of the codecs beside H.264. They are slower: nobody waits for them, and bytes are what they are for.
var further = []Settings{
	{job.HEVC, "libx265", "fast", 26},
	{job.AV1, "libsvtav1", "9", 38},
}

// Settings are those of an encoder of this one's.
func (e Encoder) Settings(codec job.Codec) Settings {
	for _, s := range further {
		if s.Codec == codec {
			return s
		}
	}
	return Settings{job.H264, VideoEncoder, e.Preset, CRF}
}

// Further are the codecs beside H.264 for which the machine's ffmpeg has an encoder.
func Further(ctx context.Context, tools ffmpeg.Tools) (job.Codecs, error) {
	names, err := tools.Encoders(ctx)
	if err != nil {
		return nil, err
	}
	codecs := job.Codecs{}
	for _, s := range further {
		if slices.Contains(names, s.Name) {
			codecs = append(codecs, s.Codec)
		}
	}
	return codecs, nil
}

// pictureArgs are the arguments of one rendition's output, in whichever codec.
func (e Encoder) pictureArgs(p plan.Plan, i int) []string {
	s := e.Settings(p.Video[i].Coding())
	switch s.Codec {
	case job.HEVC:
		return s.args(p, i, hevcArgs(p))
	case job.AV1:
		return s.args(p, i, av1Args())
	default:
		return e.videoArgs(p, i)
	}
}

// args are what the further codecs' outputs have in common: they are cut where H.264's are.
func (s Settings) args(p plan.Plan, i int, own []string) []string {
	r := p.Video[i]
	timescale, _ := p.Source.Video.Rate.Timescale()
	return slices.Concat([]string{
		"-map", fmt.Sprintf("[v%d]", i),
		// The graph has already made the frames: none is to be repeated or dropped.
		"-fps_mode", "passthrough",
		"-c:v", s.Name,
		"-preset", s.Preset,
		"-crf", strconv.Itoa(s.CRF),
		"-maxrate", strconv.Itoa(r.Bitrate),
		"-bufsize", strconv.Itoa(2 * r.Bitrate),
		"-g", strconv.FormatInt(p.GOP, 10),
	}, own, []string{
		// A frame is a whole number of ticks.
		"-video_track_timescale", strconv.FormatUint(uint64(timescale), 10),
	}, fragmented("+frag_keyframe"))
}

func hevcArgs(p plan.Plan) []string {
	return []string{
		"-profile:v", "main",
		// Parameter sets in the sample description alone, as Apple's players want them (rule 1.10).
		"-tag:v", "hvc1",
		"-x265-params", parameters(
			// An IDR picture at each start of a GOP and nowhere else, and no reference across it.
			fmt.Sprintf("keyint=%d", p.GOP), fmt.Sprintf("min-keyint=%d", p.GOP), "scenecut=0", "open-gop=0",
			// Threads within a picture only, whose rows do not wait to see what the others take: otherwise, what the cap makes of
			// them is a matter of chance.
			fmt.Sprintf("pools=%d", threads), "frame-threads=1", "const-vbv=1",
			// No name of the encoder in the bits, and none in the log.
			"info=0", "log-level=none",
		),
	}
}

func av1Args() []string {
	return []string{
		"-svtav1-params", parameters(
			// A key picture at each start of a GOP and nowhere else, and no reference across it.
			"irefresh-type=2", "scd=0", "enable-overlays=0",
			// One thread a stage: with more, what the cap makes of the pictures is a matter of chance.
			"lp=1",
		),
	}
}

func parameters(each ...string) string { return strings.Join(each, ":") }

// urgency is the niceness of the encoder of a plan's chunk: nobody waits for a further codec.
func urgency(p plan.Plan, c plan.Chunk) int {
	if p.Video[0].Coding() != job.H264 {
		return maxNice
	}
	return nice(c)
}

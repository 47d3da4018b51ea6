package encode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"weir/transcoder/internal/ffmpeg"
	"weir/transcoder/internal/plan"
	"weir/transcoder/internal/subtitle"
)

const (
	// lead is added to the times of subtitles on their way, in seconds, because Matroska has none below 0: text that begins
	// before the first picture may go on after it.
	lead = 24 * 60 * 60
	// maxText is how many bytes of subtitles of one upload are kept in memory: several times what films have in all their
	// languages.
	maxText = 32 << 20
)

// Subtitles reads subtitle tracks, all of them at once, and returns the cues of each in the order of tracks. Their times are
// those of the output, not cut to it.
func (e Encoder) Subtitles(ctx context.Context, p plan.Plan, tracks []plan.Subtitle, url string) ([][]subtitle.Cue, error) {
	cues := make([][]subtitle.Cue, len(tracks))
	left := maxText
	take := func(packet subtitle.Packet) error {
		n := packet.Track - 1
		if n < 0 || n >= len(tracks) {
			return fmt.Errorf("read subtitles from ffmpeg: it made a track %d", packet.Track)
		}
		c := subtitle.Cue{Start: packet.Start - lead*time.Second}
		c.End = c.Start + packet.Duration
		c.Text, c.Settings = cueText(tracks[n].Codec, packet.Data)
		if c.Text == "" || len(cues[n]) == subtitle.MaxCues || left < len(c.Text) {
			return nil
		}
		left -= len(c.Text)
		cues[n] = append(cues[n], c)
		return nil
	}
	in := ffmpeg.Input{URL: url, Demuxer: p.Source.Demuxer}
	output := ffmpeg.Output{Args: subtitleArgs(p, tracks), Read: func(r io.Reader) error { return subtitle.Read(r, take) }}
	options := ffmpeg.Options{Nice: maxNice, Limit: limit(p.Duration())}
	err := e.Tools.Run(ctx, options, inputArgs(p, in), []ffmpeg.Output{output}, nil)
	if errors.Is(err, io.ErrUnexpectedEOF) && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return cues, err
}

// subtitleArgs put tracks into one Matroska file, which keeps each packet and its times as they are. FFmpeg's decoders turn
// every format into Advanced SubStation Alpha; WebVTT is taken as it is, as it would lose its voices and its places.
func subtitleArgs(p plan.Plan, tracks []plan.Subtitle) []string {
	var args []string
	for n, t := range tracks {
		codec := "ass"
		if t.Codec == "webvtt" {
			codec = "copy"
		}
		args = append(args, "-map", fmt.Sprintf("0:%d", t.Index), "-c:s:"+strconv.Itoa(n), codec)
	}
	return append(args, "-output_ts_offset", float(lead-p.Origin), "-f", "matroska")
}

// cueText is what a packet says.
func cueText(codec, data string) (text, settings string) {
	switch codec {
	case "webvtt":
		return subtitle.WebVTT(data)
	default:
		return subtitle.ASS(data, codec == "ass" || codec == "ssa")
	}
}

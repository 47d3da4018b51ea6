// Package subtitle makes WebVTT (W3C, "WebVTT: The Web Video Text Tracks Format") of what FFmpeg hands on of an upload's
// subtitle tracks.
//
// [Read] takes the packets out of FFmpeg's output, [ASS] and [WebVTT] turn the text of one into that of a cue, [Track] makes
// a track's cues fit for players, and [File] and [Segment] write them. What is in an upload may be anything, and none of it
// gets further than it should: text is parsed, bounded and written anew, never copied. This package computes; it reads and
// writes nothing but what it is given.
package subtitle

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// Cue is a text that is shown for some time.
type Cue struct {
	Start, End time.Duration // from the start of the video; an end that is not after the start is not known
	Text       string        // cue text of WebVTT: lines that are not blank, with markup that is closed
	Settings   string        // where it is shown, in WebVTT's words; "" is where it usually is
}

const (
	// MaxCues is how many cues of a track are kept: those of the longest film that anybody has subtitled, with all its signs.
	MaxCues = 50_000
	// maxText is the longest text of a cue in bytes, markup included: more than fits on a screen.
	maxText = 4 << 10
	// maxAtOnce is how many cues are shown at a time, so that a segment stays small whatever reaches into it.
	maxAtOnce = 16
	// maxOpen is how long a cue is shown that does not say it, if no other takes its place.
	maxOpen = 5 * time.Second
)

// Track makes a track's cues those of a video of the given length. Their times are cut to it, and to the millisecond that WebVTT
// has; they come in the order of their starts; those without an end get one; those that nobody would see or that are there
// twice are left out.
func Track(cues []Cue, length time.Duration) []Cue {
	cues = slices.Clone(cues)
	slices.SortStableFunc(cues, func(a, b Cue) int { return cmp.Compare(a.Start, b.Start) })
	for next, i := time.Duration(math.MaxInt64), len(cues)-1; i >= 0; i-- {
		c := &cues[i]
		if i+1 < len(cues) && cues[i+1].Start > c.Start {
			next = cues[i+1].Start
		}
		if c.End <= c.Start {
			c.End = min(c.Start+maxOpen, next)
		}
	}
	var out, active []Cue
	for _, c := range cues {
		c.Start, c.End = max(c.Start, 0).Round(time.Millisecond), min(c.End, length).Round(time.Millisecond)
		if c.End <= c.Start || c.Text == "" {
			continue
		}
		active = slices.DeleteFunc(active, func(o Cue) bool { return o.End <= c.Start })
		if len(active) == maxAtOnce || slices.Contains(active, c) {
			continue
		}
		out, active = append(out, c), append(active, c)
	}
	return out
}

// File writes a track as one file.
func File(cues []Cue) []byte {
	out := bytes.NewBufferString("WEBVTT\n")
	for _, c := range cues {
		c.write(out)
	}
	return out.Bytes()
}

// Segment writes the cues of a track that are shown in a part of the video, with the times that they have in the whole, as a
// segment of an HLS playlist. The header says how these are the times of the pictures' segments (RFC 8216, section 3.5): zero is
// the time stamp that those have at 0, in ticks of 90 kHz.
func Segment(cues []Cue, start, end time.Duration, zero int) []byte {
	out := &bytes.Buffer{}
	fmt.Fprintf(out, "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:%d,LOCAL:00:00:00.000\n", zero)
	for _, c := range cues {
		if c.Start < end && c.End > start {
			c.write(out)
		}
	}
	return out.Bytes()
}

func (c Cue) write(out *bytes.Buffer) {
	fmt.Fprintf(out, "\n%s --> %s", timestamp(c.Start), timestamp(c.End))
	if c.Settings != "" {
		out.WriteString(" " + c.Settings)
	}
	out.WriteString("\n" + c.Text + "\n")
}

// timestamp is a time in WebVTT's form (section 4.1).
func timestamp(d time.Duration) string {
	ms := d.Milliseconds()
	return fmt.Sprintf("%02d:%02d:%02d.%03d", ms/3_600_000, ms/60_000%60, ms/1000%60, ms%1000)
}

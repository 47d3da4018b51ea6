package check

import (
	"fmt"
	"math"
	"path"
)

// judgeTimeline holds the times in the segments to each other and to the playlist.
func (c *checker) judgeTimeline(l *list, frame float64) {
	if l.iframesOnly {
		c.find("6.8", l.name, "no EXT-X-I-FRAMES-ONLY in a variant", "it")
		return
	}
	if l.track == nil {
		return
	}
	var next uint64
	know := false // next is known
	drift, least, most := 0.0, 0.0, 0.0
	for i, m := range l.segments {
		if m == nil {
			know = false
			continue
		}
		if l.items[i].discontinuity {
			know = false
		}
		for n, f := range m.fragments {
			if know && max(f.time, next)-min(f.time, next) > l.jitter() {
				c.find("7.3", m.name, fmt.Sprintf("fragment %d at %d", n, next), "%d", f.time)
			}
			next, know = f.time, true
			for _, s := range f.samples {
				next += uint64(s.dur)
			}
		}
		last := i == len(l.segments)-1
		length := l.seconds(m.ticks())
		if l.target >= 0 && length > float64(l.target)+0.5 {
			c.find("7.7", m.name, fmt.Sprintf("at most %d.5 s", l.target), "%.3f s", length)
		}
		if i > 0 && !last && math.Abs(length-6) > 0.5 {
			c.find("7.6", m.name, "6 s", "%.3f s", length)
		}
		drift += l.items[i].duration - length
		least, most = min(least, drift), max(most, drift)
	}
	if most-least > frame {
		c.find("8.1", l.name, fmt.Sprintf("sums of EXTINF within %.3f s of what the segments last", frame), "%.3f s", most-least)
	}
	if len(l.items) > 2 && l.target != 6 {
		c.find("7.5", l.name, "a target duration of 6 s", "%d s", l.target)
	}
	if len(l.segments) == 0 || l.segments[0] == nil {
		return
	}
	if m := l.segments[0]; m.start() != l.begin {
		c.find("W start", m.name, fmt.Sprintf("a decode time of %d", l.begin), "%d", m.start())
	}
	earliest := int64(math.MaxInt64)
	for _, s := range l.segments[0].samples() {
		earliest = min(earliest, s.shown)
	}
	if at := float64(earliest-int64(l.begin)) / float64(l.track.timescale); math.Abs(at) > frame/2 {
		c.find("W start", l.segments[0].name, "the first picture or sound at 0", "%.3f s", at)
	}
}

// judgeIFrames looks at an I-frame playlist: each of its ranges is a key frame of a segment, and all of them are there.
func (c *checker) judgeIFrames(l *list, t *tree) {
	if !l.iframesOnly {
		c.find("6.8", l.name, "EXT-X-I-FRAMES-ONLY", "none")
		return
	}
	if l.track == nil {
		return
	}
	var starts []float64
	for i, item := range l.items {
		m := l.segments[i]
		if m == nil {
			continue
		}
		where := fmt.Sprintf("%d@%d of %s", item.length, item.offset, m.name)
		found := false
		for _, f := range m.fragments {
			if item.ranged && f.offset == item.offset && f.firstEnd == item.offset+item.length && f.samples[0].idr {
				starts, found = append(starts, l.seconds(f.time)), true
			}
		}
		if !item.ranged {
			found = len(m.fragments) == 1 && len(m.fragments[0].samples) == 1 && m.fragments[0].samples[0].idr
			starts = append(starts, l.seconds(m.start()))
		}
		if !found {
			c.find("6.10", l.name, "a moof and its IDR picture, or its packets", "%s", where)
		}
	}
	if len(starts) != len(l.items) {
		return
	}
	// Each lasts until the next.
	for i := range starts[:max(len(starts)-1, 0)] {
		if want := starts[i+1] - starts[i]; math.Abs(l.items[i].duration-want) > t.frame() {
			c.find("8.1", l.name, fmt.Sprintf("I-frame %d with %.3f s, until the next", i, want), "%.3f s", l.items[i].duration)
		}
	}
	c.judgeKeyFrames(l, starts, t)
}

// judgeKeyFrames compares the times of an I-frame playlist with those of the IDR pictures that start fragments of the rendition in the
// same folder; no range of bytes holds a fragment's header and another picture alone. Of several renditions, nobody can tell which it is.
func (c *checker) judgeKeyFrames(l *list, starts []float64, t *tree) {
	var of *list
	for _, v := range whole(t.video) {
		if path.Dir(v.name) != path.Dir(l.name) {
			continue
		}
		if of != nil {
			return
		}
		of = v
	}
	if of == nil {
		return
	}
	var want []float64
	for _, m := range of.segments {
		for _, f := range m.fragments {
			if f.samples[0].idr {
				want = append(want, of.seconds(f.time))
			}
		}
	}
	if len(starts) != len(want) {
		c.find("W iframes", l.name, fmt.Sprintf("%d pictures, as many as start fragments of %s", len(want), of.name), "%d", len(starts))
		return
	}
	for i, at := range starts {
		if math.Abs(at-want[i]) > t.frame()/2 {
			c.find("W iframes", l.name, fmt.Sprintf("I-frame %d at %.3f s, as in %s", i, want[i], of.name), "%.3f s", at)
			return
		}
	}
}

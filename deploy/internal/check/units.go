package check

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/Eyevinn/mp4ff/avc"
)

// pictures reads access units of H.264. An IDR picture begins a fragment.
func (s *stream) pictures(all []*pes) (fragments []fragment, err error) {
	s.track = &track{video: true, entry: "avc1", timescale: streamClock}
	for i, p := range all {
		if p.decode > p.show || i > 0 && p.decode <= all[i-1].decode {
			s.fault("ISO 13818-1", "decode times that grow, and no picture shown before", "picture %d decoded at %d and shown at %d", i, p.decode, p.show)
		}
		nalus := avc.ExtractNalusFromByteStream(p.data)
		if len(nalus) == 0 || avc.GetNaluType(nalus[0][0]) != avc.NALU_AUD {
			s.fault("ISO 13818-1", "an access unit delimiter first", "picture %d without", i)
		}
		idr := false
		for _, n := range nalus {
			switch avc.GetNaluType(n[0]) {
			case avc.NALU_IDR:
				idr = true
			case avc.NALU_SPS:
				if s.track.sps, err = avc.ParseSPSNALUnit(n, true); err != nil {
					return nil, err
				}
			}
		}
		if idr || i == 0 {
			fragments = append(fragments, fragment{offset: p.start, firstEnd: p.end, time: uint64(p.show)})
		}
		f := &fragments[len(fragments)-1]
		f.samples = append(f.samples, sample{decode: uint64(p.show), shown: p.show, sync: idr, idr: idr})
	}
	if s.track.sps == nil {
		return nil, errors.New("it has no sequence parameter set")
	}
	s.track.describe()
	last(fragments)
	return fragments, nil
}

// describe fills in what the SPS says.
func (t *track) describe() {
	t.codecs = strings.ToLower(avc.CodecString(t.entry, t.sps))
	t.key = avc.IsIDRSample
	t.width, t.height = int(t.sps.Width), int(t.sps.Height)
	if v := t.sps.VUI; v != nil {
		t.transfer = int(v.TransferCharacteristics)
	}
	if v := t.sps.VUI; v != nil && v.SampleAspectRatioWidth > 0 && v.SampleAspectRatioHeight > 0 {
		t.width = t.width * int(v.SampleAspectRatioWidth) / int(v.SampleAspectRatioHeight)
	}
}

// rates are AAC's sample rates by their index (ISO/IEC 14496-3, table 1.18).
var rates = []int{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}

// sounds reads frames of AAC with their headers (ADTS).
func (s *stream) sounds(all []*pes) ([]fragment, error) {
	f := fragment{offset: all[0].start, firstEnd: all[0].end, time: uint64(all[0].show)}
	for _, p := range all {
		if s.track != nil {
			next := all[0].show + int64(len(f.samples))*1024*streamClock/int64(s.track.sampleRate)
			if gap := p.show - next; gap < -rounding || gap > rounding {
				s.fault("7.3", fmt.Sprintf("sound at %d", next), "%d", p.show)
			}
		}
		for i, d := int64(0), p.data; len(d) > 0; i++ {
			if len(d) < 7 || d[0] != 0xff || d[1]&0xf6 != 0xf0 {
				return nil, fmt.Errorf("no frame of AAC in the PES packet at byte %d", p.start)
			}
			length := int(d[3]&3)<<11 | int(d[4])<<3 | int(d[5])>>5
			if length < 7 || length > len(d) {
				return nil, fmt.Errorf("a frame of AAC with %d bytes of %d", length, len(d))
			}
			if s.track == nil {
				s.track = &track{entry: "mp4a", timescale: streamClock, objectType: d[2]>>6 + 1, sampleRate: rates[d[2]>>2&15], channels: int(d[2]&1)<<2 | int(d[3]>>6)}
				s.track.entryRate, s.track.entryCount = s.track.sampleRate, s.track.channels
				s.track.codecs = fmt.Sprintf("mp4a.40.%d", s.track.objectType)
			}
			at := p.show + i*1024*streamClock/int64(s.track.sampleRate)
			f.samples = append(f.samples, sample{decode: uint64(at), shown: at, sync: true, idr: true})
			d = d[length:]
		}
	}
	if s.track == nil {
		return nil, errors.New("it has no sound")
	}
	fragments := []fragment{f}
	last(fragments)
	return fragments, nil
}

// last says how long samples last: until the next is shown; the last one as long as the one before. Groups of pictures are closed,
// or that is found elsewhere, so it does not matter which picture of a fragment has which time.
func last(fragments []fragment) {
	var shown []int64
	for _, f := range fragments {
		for _, s := range f.samples {
			shown = append(shown, s.shown)
		}
	}
	slices.Sort(shown)
	n := 0
	for _, f := range fragments {
		for i := range f.samples {
			if next := min(n+1, len(shown)-1); next > 0 {
				f.samples[i].dur = uint32(shown[next] - shown[next-1])
			}
			n++
		}
	}
}

// stitch takes the rounding out of how long the last samples of segments last. One that is alone in its segment lasts as long as
// the playlist says.
func (l *list) stitch() {
	for i, m := range l.segments {
		if m == nil || m.stream == nil {
			continue
		}
		samples := m.fragments[len(m.fragments)-1].samples
		final := &samples[len(samples)-1]
		if final.dur == 0 {
			final.dur = uint32(l.items[i].duration*streamClock + 0.5)
		}
		if i+1 == len(l.segments) || l.segments[i+1] == nil || l.segments[i+1].stream == nil {
			continue
		}
		if gap := int64(l.segments[i+1].start() - m.start() - m.ticks()); gap != 0 && gap >= -rounding && gap <= rounding {
			final.dur = uint32(int64(final.dur) + gap)
		}
	}
}

// jitter is how far times may be apart, in ticks.
func (l *list) jitter() uint64 {
	if l.stream {
		return rounding
	}
	return 0
}

// judgeStream looks at what transport streams say beside their samples, and across the borders of segments.
func (c *checker) judgeStream(l *list) {
	var before *stream
	for _, m := range l.segments {
		if m == nil || m.stream == nil {
			before = nil
			continue
		}
		for _, f := range m.stream.faults {
			c.find(f.rule, m.name, f.want, "%s", f.found)
		}
		if before != nil {
			c.judgeBorder(m, before)
		}
		before = m.stream
	}
}

// judgeBorder holds a segment to the one before it.
func (c *checker) judgeBorder(m *media, before *stream) {
	for pid, first := range m.stream.first {
		if last, ok := before.last[pid]; ok && !first.follows(last) {
			c.find("ISO 13818-1 2.4.3.3", m.name, fmt.Sprintf("a counter of PID %d that runs on", pid), "%d after %d", first.counter, last)
		}
	}
	if len(m.stream.clocks) == 0 || len(before.clocks) == 0 {
		return
	}
	last := before.clocks[len(before.clocks)-1]
	if gap := m.stream.clocks[0] - last; gap <= 0 || gap > clockInterval+rounding {
		c.find("ISO 13818-1 2.7.2", m.name, fmt.Sprintf("a clock reference within %d ticks", clockInterval), "%d after %d", m.stream.clocks[0], last)
	}
}

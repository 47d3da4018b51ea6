package check

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/Eyevinn/mp4ff/avc"
)

// What is read of transport streams (ISO/IEC 13818-1). Their samples are looked at as those of MP4 are; here is what only they have.

const (
	packetSize = 188
	// streamClock is the ticks per second of time stamps, and clockInterval the longest time without a clock reference.
	streamClock, clockInterval = 90_000, 9_000
	// rounding is how far times may be apart that are counted in ticks in different places.
	rounding = 2
	// maxWait is the longest that sound may wait to be decoded, in ticks; of H.264 it is more, and nobody needs it.
	maxWait = 10 * streamClock
	// The bits of a packet that say that something begins, that it has a payload, and that it has an adaptation field.
	beginBit, payloadBit, fieldBit = 0x40, 0x10, 0x20
)

// stream is what the packets of a segment say, beside what they hold.
type stream struct {
	track  *track
	first  map[int]counted // of each PID
	last   map[int]int     // continuity counters
	clocks []int64         // references, in ticks
	faults []fault
}

// counted is a packet's continuity counter.
type counted struct {
	counter int
	payload bool
}

// fault is what is wrong in a stream, for a finding.
type fault struct{ rule, want, found string }

func (s *stream) fault(rule, want, format string, args ...any) {
	f := fault{rule, want, fmt.Sprintf(format, args...)}
	if !slices.ContainsFunc(s.faults, func(old fault) bool { return old.rule == rule }) { // one says it
		s.faults = append(s.faults, f)
	}
}

// pes is a PES packet and where it lies in its segment.
type pes struct {
	start, end   int64
	data         []byte
	show, decode int64
}

// isStream tells whether a segment is a transport stream.
func isStream(data []byte) bool { return len(data) > 0 && data[0] == 0x47 }

// parseStream reads a segment with one elementary stream.
func parseStream(data []byte) (s *stream, fragments []fragment, err error) {
	defer recovered(&err)
	s = &stream{first: map[int]counted{}, last: map[int]int{}}
	if len(data)%packetSize != 0 {
		return s, nil, fmt.Errorf("%d bytes are no whole packets", len(data))
	}
	program, media, kind := -1, -1, byte(0)
	var all []*pes
	for at := 0; at < len(data); at += packetSize {
		p := data[at : at+packetSize]
		if p[0] != 0x47 {
			return s, nil, fmt.Errorf("no packet at byte %d", at)
		}
		pid := int(p[1]&0x1f)<<8 | int(p[2])
		body := s.packet(pid, p)
		switch begins := p[1]&beginBit != 0; {
		case pid == 0 && begins:
			if program, err = programs(body); err != nil {
				return s, nil, err
			}
		case pid == program && begins:
			if kind, media, err = elementary(body); err != nil {
				return s, nil, err
			}
		case pid == media && media >= 0 && begins:
			all = append(all, &pes{start: int64(at), end: int64(at + packetSize), data: slices.Clone(body)})
		case pid == media && media >= 0 && len(body) > 0 && len(all) > 0:
			last := all[len(all)-1]
			last.data, last.end = append(last.data, body...), int64(at+packetSize)
		}
		if at == 0 && pid != 0 || at == packetSize && pid != program {
			s.fault("RFC 3.2", "the tables first of all", "a packet of PID %d at byte %d", pid, at)
		}
	}
	if len(all) == 0 {
		return s, nil, errors.New("it has no media behind its tables")
	}
	for _, p := range all {
		if err := p.parse(); err != nil {
			return s, nil, err
		}
	}
	s.compareClocks(all)
	switch kind {
	case 0x1b:
		fragments, err = s.pictures(all)
	case 0x0f:
		fragments, err = s.sounds(all)
	default:
		err = fmt.Errorf("a stream of type %#x, neither H.264 nor AAC", kind)
	}
	return s, fragments, err
}

// packet takes in a packet's counter and clock, and returns its payload.
func (s *stream) packet(pid int, p []byte) []byte {
	now := counted{counter: int(p[3] & 0x0f), payload: p[3]&payloadBit != 0}
	if _, known := s.first[pid]; !known {
		s.first[pid] = now
	} else if !now.follows(s.last[pid]) {
		s.fault("ISO 13818-1 2.4.3.3", fmt.Sprintf("counters of PID %d that run on", pid), "%d after %d", now.counter, s.last[pid])
	}
	s.last[pid] = now.counter
	body := p[4:]
	if p[3]&fieldBit != 0 {
		length := int(body[0])
		if field := body[1 : 1+length]; length >= 7 && field[0]&0x10 != 0 {
			s.clocks = append(s.clocks, int64(binary.BigEndian.Uint32(field[1:]))<<1|int64(field[5]>>7))
		}
		body = body[1+length:]
	}
	if !now.payload {
		return nil
	}
	return body
}

// follows tells whether a counter is the one that comes next: packets without payload are not counted.
func (c counted) follows(last int) bool {
	if c.payload {
		last = (last + 1) % 16
	}
	return c.counter == last
}

// section returns the body of a table's section.
func section(body []byte, id byte) ([]byte, error) {
	body = body[1+int(body[0]):]
	length := 3 + int(body[1]&0x0f)<<8 + int(body[2])
	if body[0] != id {
		return nil, fmt.Errorf("a table %d, want %d", body[0], id)
	}
	if checksum(body[:length]) != 0 {
		return nil, fmt.Errorf("the checksum of table %d is wrong", id)
	}
	return body[8 : length-4], nil
}

// checksum is the CRC of tables (annex A); over a section with its own it is 0.
func checksum(data []byte) uint32 {
	crc := ^uint32(0)
	for _, b := range data {
		crc ^= uint32(b) << 24
		for range 8 {
			if crc>>31 != 0 {
				crc = crc<<1 ^ 0x04c11db7
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}

// programs reads the table of programs, which has one.
func programs(body []byte) (pid int, err error) {
	table, err := section(body, 0)
	if err != nil {
		return -1, err
	}
	pid = -1
	for ; len(table) >= 4; table = table[4:] {
		if table[0] == 0 && table[1] == 0 {
			continue // of the network
		}
		if pid >= 0 {
			return -1, errors.New("it has several programs")
		}
		pid = int(table[2]&0x1f)<<8 | int(table[3])
	}
	return pid, nil
}

// elementary reads the table of a program, which has one elementary stream.
func elementary(body []byte) (kind byte, pid int, err error) {
	table, err := section(body, 2)
	if err != nil {
		return 0, -1, err
	}
	table = table[4+int(table[2]&0x0f)<<8+int(table[3]):]
	pid = -1
	for len(table) >= 5 {
		if pid >= 0 {
			return 0, -1, errors.New("it has several elementary streams")
		}
		kind, pid = table[0], int(table[1]&0x1f)<<8|int(table[2])
		table = table[5+int(table[3]&0x0f)<<8+int(table[4]):]
	}
	return kind, pid, nil
}

// parse reads the header.
func (p *pes) parse() error {
	d := p.data
	if d[0] != 0 || d[1] != 0 || d[2] != 1 || d[6]>>6 != 2 || d[7]&0x80 == 0 {
		return fmt.Errorf("at byte %d is no PES packet with a time stamp", p.start)
	}
	stamp := func(b []byte) int64 {
		return int64(b[0]>>1&7)<<30 | int64(binary.BigEndian.Uint16(b[1:])>>1)<<15 | int64(binary.BigEndian.Uint16(b[3:])>>1)
	}
	p.show = stamp(d[9:])
	if p.decode = p.show; d[7]&0x40 != 0 {
		p.decode = stamp(d[14:])
	}
	if length := int(binary.BigEndian.Uint16(d[4:])); length > 0 && length != len(d)-6 {
		return fmt.Errorf("the PES packet at byte %d has %d bytes and says %d", p.start, len(d)-6, length)
	}
	p.data = d[9+int(d[8]):]
	return nil
}

// compareClocks holds the references to what is decoded.
func (s *stream) compareClocks(all []*pes) {
	const rule = "ISO 13818-1 2.7.2"
	if len(s.clocks) == 0 {
		s.fault(rule, "clock references", "none")
		return
	}
	for i, now := range s.clocks[1:] {
		if gap := now - s.clocks[i]; gap <= 0 || gap > clockInterval+rounding {
			s.fault(rule, fmt.Sprintf("a clock reference within %d ticks", clockInterval), "%d after %d", now, s.clocks[i])
		}
	}
	if wait := all[0].decode - s.clocks[0]; wait < 0 || wait > maxWait {
		s.fault(rule, "a clock that is behind what is decoded", "%d, where decoding is at %d", s.clocks[0], all[0].decode)
	}
}

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

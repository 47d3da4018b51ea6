package check

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
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

package ts

import (
	"bytes"
	"encoding/binary"

	"github.com/asticode/go-astits"
)

const (
	// counters is how many values a continuity counter has.
	counters = 16
	// room is what a packet has behind its header, and firstRoom what the first one of a PES packet has: beside its own
	// length and flags, its adaptation field has a clock reference there.
	room, firstRoom = astits.MpegTsPacketSize - 4, room - 8
	// stamps is as far as time stamps count.
	stamps = 1 << 33
)

// packet is a PES packet (ISO/IEC 13818-1, 2.4.3.6) that is to become packets of the transport stream.
type packet struct {
	unit
	header int    // bytes of data that have the times
	data   []byte // with the header
	count  int    // of the stream's packets that hold it
}

// pack makes the PES packet of a unit.
func (t *Track) pack(u unit) packet {
	const aligned, showFlag, decodeFlag, stampBytes = 0x84, 0x80, 0x40, 5
	id, flags, times := byte(0xc0), byte(showFlag), stampBytes // the first stream of sound
	if t.sound == nil {
		id = 0xe0 // or of pictures
	}
	if u.decode != u.show {
		flags, times = showFlag|decodeFlag, 2*stampBytes
	}
	// What is smaller than a byte a packet is filled up, so that the times are in the first one.
	fill := max(counters-len(u.data), 0)
	header := append([]byte{0, 0, 1, id, 0, 0, aligned, flags, byte(times + fill)}, make([]byte, times)...)
	putStamp(header[9:], flags>>6, u.show)
	if u.decode != u.show {
		putStamp(header[9+stampBytes:], 1, u.decode)
	}
	p := packet{unit: u, header: len(header), count: 1}
	header = append(header, bytes.Repeat([]byte{0xff}, fill)...)
	// A large picture goes without its length; players see where it ends by the next.
	if length := len(header) - 6 + len(u.data); length < 1<<16 {
		binary.BigEndian.PutUint16(header[4:], uint16(length))
	}
	p.data = append(header, u.data...)
	if rest := len(p.data) - firstRoom; rest > 0 {
		p.count += (rest + room - 1) / room
	}
	return p
}

// putStamp writes a time stamp: 33 bits in three parts, each with a marker bit behind it, after four bits that say which it
// is.
func putStamp(to []byte, which byte, stamp int64) {
	stamp %= stamps
	to[0] = which<<4 | byte(stamp>>29)&0x0e | 1
	binary.BigEndian.PutUint16(to[1:], uint16(stamp>>14)|1)
	binary.BigEndian.PutUint16(to[3:], uint16(stamp<<1)|1)
}

// pad spreads the largest PES packet over so many packets more that all together are a multiple of 16: then the counter of
// the segment that comes next starts at 0, whoever makes it. It costs 7.5 packets on average.
func pad(packets []packet) {
	sum, largest := 0, 0
	for i, p := range packets {
		sum += p.count
		if len(p.data) > len(packets[largest].data) {
			largest = i
		}
	}
	packets[largest].count += (counters - sum%counters) % counters
}

// write writes the packets with the counter that comes next, and returns the one after them.
func (p packet) write(w *astits.Muxer, pid uint16, counter int) (int, error) {
	data := p.data
	for i := range p.count {
		left := p.count - i - 1
		limit := room
		field := astits.PacketAdaptationField{}
		if i == 0 {
			limit = firstRoom
			field = astits.PacketAdaptationField{HasPCR: true, PCR: reference(p.decode - lead), RandomAccessIndicator: p.key}
		}
		// Each packet has at least a byte, and the first one all of the times.
		share := min(limit, max((len(data)+left)/(left+1), p.header), len(data)-left)
		stuffing := limit - share
		if i > 0 && stuffing > 0 { // the field's own length and flags
			field.IsOneByteStuffing = stuffing == 1
			field.StuffingLength = max(stuffing-2, 0)
		} else {
			field.StuffingLength = stuffing
		}
		_, err := w.WritePacket(&astits.Packet{
			Header: astits.PacketHeader{
				PID: pid, ContinuityCounter: uint8(counter % counters), PayloadUnitStartIndicator: i == 0,
				HasPayload: true, HasAdaptationField: i == 0 || stuffing > 0,
			},
			AdaptationField: &field, Payload: data[:share],
		})
		if err != nil {
			return counter, err
		}
		data = data[share:]
		counter++
	}
	return counter, nil
}

// tick writes the clock references that are due until the next PES packet, in packets without payload, which do not count.
func (p packet) tick(w *astits.Muxer, pid uint16, counter int) error {
	for at := p.decode + clockInterval; at < p.end; at += clockInterval {
		_, err := w.WritePacket(&astits.Packet{
			Header:          astits.PacketHeader{PID: pid, ContinuityCounter: uint8((counter + counters - 1) % counters), HasAdaptationField: true},
			AdaptationField: &astits.PacketAdaptationField{HasPCR: true, PCR: reference(at - lead), StuffingLength: firstRoom},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// reference is a clock reference at a time stamp.
func reference(stamp int64) *astits.ClockReference {
	return &astits.ClockReference{Base: stamp % stamps}
}

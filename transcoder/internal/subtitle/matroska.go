package subtitle

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"weir/transcoder/internal/ebml"
)

// Packet is one of a subtitle track.
type Packet struct {
	Track    int           // its number in the file, from 1
	Start    time.Duration // on the file's clock
	Duration time.Duration // 0 where it is not known
	Data     string        // at most maxPacket bytes of it
}

// maxPacket is more than the longest text that is kept, with all that is taken out of it.
const maxPacket = 64 << 10

// The elements of Matroska (RFC 9559) that are looked at. The first three hold the others; Segment and Cluster may be of unknown
// size, so what they hold is read as if it stood beside them.
const (
	segmentID, clusterID, groupID = 0x18538067, 0x1F43B675, 0xA0

	timestampID, blockID, simpleID, durationID = 0xE7, 0xA1, 0xA3, 0x9B
)

// tick is the unit of its times; FFmpeg writes no other TimestampScale.
const tick = time.Millisecond

// Read hands on the packets of a Matroska file that FFmpeg writes into a pipe, until it ends or take fails.
func Read(r io.Reader, take func(Packet) error) error {
	in := bufio.NewReader(r)
	var cluster int64
	var pending *Packet // whose duration may follow
	flush := func() error {
		p := pending
		if pending = nil; p == nil {
			return nil
		}
		return take(*p)
	}
	for {
		id, size, err := element(in)
		if errors.Is(err, io.EOF) {
			return flush()
		}
		if err != nil {
			return fmt.Errorf("read subtitles from ffmpeg: %w", err)
		}
		switch id {
		case segmentID, clusterID, groupID:
			if err := flush(); err != nil {
				return err
			}
			continue
		}
		if size == ebml.Unknown {
			return fmt.Errorf("read subtitles from ffmpeg: element %x has no size", id)
		}
		body := make([]byte, min(size, maxPacket))
		if _, err = io.ReadFull(in, body); err == nil {
			_, err = io.CopyN(io.Discard, in, size-int64(len(body)))
		}
		if err != nil {
			return fmt.Errorf("read subtitles from ffmpeg: element %x: %w", id, err)
		}
		switch {
		case id == timestampID:
			cluster = number(body)
		case id == blockID || id == simpleID:
			if err := flush(); err != nil {
				return err
			}
			// A track's number, a signed time within the cluster, flags.
			if track, width := ebml.Vint(body, false); width > 0 && len(body) >= width+3 {
				at := cluster + int64(int16(binary.BigEndian.Uint16(body[width:])))
				pending = &Packet{Track: int(track), Start: time.Duration(at) * tick, Data: string(body[width+3:])}
			}
		case id == durationID && pending != nil:
			pending.Duration = time.Duration(number(body)) * tick
		}
	}
}

// element reads the head of an element (RFC 8794, section 4).
func element(in *bufio.Reader) (id, size int64, err error) {
	id, err = readVint(in, true)
	if err != nil {
		return 0, 0, err
	}
	if size, err = readVint(in, false); errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return id, size, err
}

func readVint(in *bufio.Reader, marked bool) (int64, error) {
	head, err := in.Peek(8)
	if len(head) == 0 {
		return 0, err
	}
	value, width := ebml.Vint(head, marked)
	if width == 0 {
		return 0, errors.New("it is no Matroska")
	}
	_, err = in.Discard(width)
	return value, err
}

// number decodes an unsigned integer.
func number(b []byte) int64 {
	var n int64
	for _, next := range b {
		n = n<<8 | int64(next)
	}
	return n
}

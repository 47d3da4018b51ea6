package probe

import (
	"encoding/binary"
	"io"
)

// boxAt is a box of an ISO BMFF file (ISO/IEC 14496-12, 4.2): its content is from content to end.
type boxAt struct {
	kind         string
	content, end int64
}

// readBox reads the header of the box that is at a place of a file; one without a size ends at limit. Nothing that makes sense is
// no box.
func readBox(r io.ReaderAt, at, limit int64) (b boxAt, ok bool, err error) {
	var header [16]byte
	n, err := readUpTo(r, header[:], at)
	if err != nil || n < 8 {
		return boxAt{}, false, err
	}
	size, head := int64(binary.BigEndian.Uint32(header[:])), int64(8)
	switch {
	case size == 0:
		size = limit - at
	case size == 1 && n == 16:
		size, head = int64(binary.BigEndian.Uint64(header[8:])), 16
	}
	if size < head || at+size < at {
		return boxAt{}, false, nil
	}
	return boxAt{string(header[4:8]), at + head, at + size}, true, nil
}

// maxEntries bounds the boxes in one: a movie has some tracks, and a fragmented one its index before its fragments.
const maxEntries = 512

// eachBox calls visit with the boxes in a part of a file, each with the range of its content, as far as they make sense.
func eachBox(r io.ReaderAt, from, to int64, visit func(kind string, from, to int64) error) error {
	for range maxEntries {
		if from >= to {
			return nil
		}
		b, ok, err := readBox(r, from, to)
		if err != nil || !ok {
			return err
		}
		if err := visit(b.kind, b.content, min(b.end, to)); err != nil {
			return err
		}
		from = b.end
	}
	return nil
}

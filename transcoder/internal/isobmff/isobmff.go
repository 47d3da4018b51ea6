// Package isobmff finds its way through the boxes of an MP4 or MOV file (ISO/IEC 14496-12, 4.2) whose bytes nobody vouches for.
// It reads headers and hands on ranges, so that nothing is held that is not asked for. Start at [Each].
package isobmff

import (
	"encoding/binary"
	"errors"
	"io"
)

// Box is one box; its content is the bytes [From, To) of the file.
type Box struct {
	Kind     string // its type, of four characters
	From, To int64
}

// maxBoxes bounds the boxes in one: a movie has some tracks, and a fragmented one its index before its fragments.
const maxBoxes = 512

// Read reads the header of the box that is at a place of a file; one without a size ends at limit. Nothing that makes sense is
// no box.
func Read(r io.ReaderAt, at, limit int64) (b Box, ok bool, err error) {
	var header [16]byte
	n, err := r.ReadAt(header[:], at)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if err != nil || n < 8 {
		return Box{}, false, err
	}
	size, head := int64(binary.BigEndian.Uint32(header[:])), int64(8)
	switch {
	case size == 0:
		size = limit - at
	case size == 1 && n == 16:
		size, head = int64(binary.BigEndian.Uint64(header[8:])), 16
	}
	if size < head || at+size < at {
		return Box{}, false, nil
	}
	return Box{string(header[4:8]), at + head, at + size}, true, nil
}

// Each calls visit with the boxes in a part of a file, as far as they make sense. One that is longer than the part ends with it; one
// whose header does not fit is none.
func Each(r io.ReaderAt, from, to int64, visit func(Box) error) error {
	for range maxBoxes {
		if from >= to {
			return nil
		}
		b, ok, err := Read(r, from, to)
		if err != nil || !ok || b.From > to {
			return err
		}
		from = b.To
		b.To = min(b.To, to)
		if err := visit(b); err != nil {
			return err
		}
	}
	return nil
}

// Find looks for the first box with a path, such as moov, trak, in a part of a file.
func Find(r io.ReaderAt, from, to int64, path ...string) (Box, bool, error) {
	found, ok := Box{From: from, To: to}, true
	for _, kind := range path {
		part := found
		ok = false
		err := Each(r, part.From, part.To, func(b Box) error {
			if b.Kind != kind {
				return nil
			}
			found, ok = b, true
			return errFound
		})
		if !ok {
			return Box{}, false, err
		}
	}
	return found, ok, nil
}

var errFound = errors.New("found")

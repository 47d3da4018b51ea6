// Package scan looks through text eight bytes at a time.
//
// A URL with a token in it is long, and at the edge it is looked through a few times with each request; TinyGo's package strings
// takes a byte at a time, of which WebAssembly checks each address.
package scan

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// Index is where the byte c is in text first, or -1.
func Index(text string, c byte) int {
	const low, high = 0x0101010101010101, 0x8080808080808080
	in, i := bytes(text), 0
	for ; i+8 <= len(in); i += 8 {
		word := binary.LittleEndian.Uint64(in[i:]) ^ low*uint64(c) // zero where c is
		if found := (word - low) & ^word & high; found != 0 {      // its lowest bit is in the first zero byte
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for ; i < len(in); i++ {
		if in[i] == c {
			return i
		}
	}
	return -1
}

// Equal reports whether two texts are the same. How long it takes says where they differ.
func Equal(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	x, y, i := bytes(a), bytes(b), 0
	for ; i+8 <= len(x); i += 8 {
		if binary.LittleEndian.Uint64(x[i:]) != binary.LittleEndian.Uint64(y[i:]) {
			return false
		}
	}
	return a[i:] == b[i:]
}

func bytes(text string) []byte {
	return unsafe.Slice(unsafe.StringData(text), len(text)) //nolint:gosec // they are only read
}

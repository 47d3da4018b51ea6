// Package sha2 is SHA-256 and SHA-512 (FIPS 180-4).
//
// Packages crypto/sha256 and crypto/sha512 are what one uses otherwise, and what the tests hold this one to. At the edge they
// link the start-up tests of all that the standard library's FIPS module has, AES and SHA-3 among it, which would be a third of
// the Wasm module. Nothing here depends on a secret's bytes in its time or its memory accesses.
package sha2

import (
	"encoding/binary"
	"math/bits"
)

// The sizes of a sum and of a block of SHA-256, in bytes.
const (
	Size256  = 32
	Block256 = 64
)

// State256 is SHA-256 after whole blocks of a text. To copy it is to begin with the same blocks again.
type State256 struct {
	h    [8]uint32
	size uint64 // of the blocks, in bytes
}

// New256 is the state before any block.
func New256() (s State256) {
	for i, word := range initial {
		s.h[i] = uint32(word >> 32)
	}
	return s
}

// Write adds the whole blocks in front of text, and returns the rest of it.
func (s *State256) Write(text []byte) (rest []byte) {
	for ; len(text) >= Block256; text = text[Block256:] {
		s.block(text[:Block256])
		s.size += Block256
	}
	return text
}

// Sum is the hash of the blocks with text behind them. The state stays as it is.
func (s State256) Sum(text []byte) (sum [Size256]byte) {
	size := s.size + uint64(len(text))
	rest := s.Write(text)
	var last [2 * Block256]byte // the rest, a one, zeros, and the size in bits
	n := copy(last[:], rest)
	last[n] = 0x80
	end := Block256
	if n+1+8 > Block256 {
		end = 2 * Block256
	}
	binary.BigEndian.PutUint64(last[end-8:], size*8)
	s.Write(last[:end])
	for i, word := range s.h {
		binary.BigEndian.PutUint32(sum[4*i:], word)
	}
	return sum
}

// block is the computation of section 6.2.2.
func (s *State256) block(block []byte) {
	var w [64]uint32
	for i := range w[:16] {
		w[i] = binary.BigEndian.Uint32(block[4*i:])
	}
	for i := 16; i < 64; i++ {
		x, y := w[i-15], w[i-2]
		s0 := bits.RotateLeft32(x, -7) ^ bits.RotateLeft32(x, -18) ^ x>>3
		s1 := bits.RotateLeft32(y, -17) ^ bits.RotateLeft32(y, -19) ^ y>>10
		w[i] = w[i-16] + s0 + w[i-7] + s1
	}
	a, b, c, d, e, f, g, h := s.h[0], s.h[1], s.h[2], s.h[3], s.h[4], s.h[5], s.h[6], s.h[7]
	for i := range w {
		s1 := bits.RotateLeft32(e, -6) ^ bits.RotateLeft32(e, -11) ^ bits.RotateLeft32(e, -25)
		t1 := h + s1 + (e&f ^ ^e&g) + uint32(rounds[i]>>32) + w[i]
		s0 := bits.RotateLeft32(a, -2) ^ bits.RotateLeft32(a, -13) ^ bits.RotateLeft32(a, -22)
		t2 := s0 + (a&b ^ a&c ^ b&c)
		h, g, f, e, d, c, b, a = g, f, e, d+t1, c, b, a, t1+t2
	}
	for i, word := range [8]uint32{a, b, c, d, e, f, g, h} {
		s.h[i] += word
	}
}

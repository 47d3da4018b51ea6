package sha2

import (
	"encoding/binary"
	"math/bits"
)

// Size512 is the size of a sum of SHA-512, in bytes, and block512 that of a block.
const (
	Size512  = 64
	block512 = 128
)

// Sum512 is the SHA-512 hash of a text.
func Sum512(text []byte) (sum [Size512]byte) {
	h := initial
	size := uint64(len(text))
	for ; len(text) >= block512; text = text[block512:] {
		add512(&h, text[:block512])
	}
	var last [2 * block512]byte // the rest, a one, zeros, and the size in bits
	n := copy(last[:], text)
	last[n] = 0x80
	end := block512
	if n+1+16 > block512 {
		end = 2 * block512
	}
	binary.BigEndian.PutUint64(last[end-8:], size*8)
	for at := 0; at < end; at += block512 {
		add512(&h, last[at:at+block512])
	}
	for i, word := range h {
		binary.BigEndian.PutUint64(sum[8*i:], word)
	}
	return sum
}

// add512 is the computation of section 6.4.2.
func add512(hash *[8]uint64, block []byte) {
	var w [80]uint64
	for i := range w[:16] {
		w[i] = binary.BigEndian.Uint64(block[8*i:])
	}
	for i := 16; i < 80; i++ {
		x, y := w[i-15], w[i-2]
		s0 := bits.RotateLeft64(x, -1) ^ bits.RotateLeft64(x, -8) ^ x>>7
		s1 := bits.RotateLeft64(y, -19) ^ bits.RotateLeft64(y, -61) ^ y>>6
		w[i] = w[i-16] + s0 + w[i-7] + s1
	}
	a, b, c, d, e, f, g, h := hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7]
	for i := range w {
		s1 := bits.RotateLeft64(e, -14) ^ bits.RotateLeft64(e, -18) ^ bits.RotateLeft64(e, -41)
		t1 := h + s1 + (e&f ^ ^e&g) + rounds[i] + w[i]
		s0 := bits.RotateLeft64(a, -28) ^ bits.RotateLeft64(a, -34) ^ bits.RotateLeft64(a, -39)
		t2 := s0 + (a&b ^ a&c ^ b&c)
		h, g, f, e, d, c, b, a = g, f, e, d+t1, c, b, a, t1+t2
	}
	for i, word := range [8]uint64{a, b, c, d, e, f, g, h} {
		hash[i] += word
	}
}

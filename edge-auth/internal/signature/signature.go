// Package signature verifies what tokens are signed with: HMAC with SHA-256 and Ed25519.
//
// Both are put together here, from the hashes of package sha2 and from the curve that its author keeps outside of the standard
// library. Packages crypto/hmac and crypto/ed25519 are what the tests hold this one to; at the edge they cost what sha2 says.
package signature

import (
	"crypto/subtle"
	"errors"
	"slices"

	"filippo.io/edwards25519"

	"weir/edge-auth/internal/sha2"
)

// MAC is HMAC with SHA-256 (RFC 2104) and one key.
type MAC struct {
	inner, outer sha2.State256 // after the key
}

// NewMAC makes the MAC of a key, of any size.
func NewMAC(key []byte) *MAC {
	if len(key) > sha2.Block256 {
		short := sha2.New256().Sum(key)
		key = short[:]
	}
	return &MAC{keyed(key, 0x36), keyed(key, 0x5c)}
}

// keyed is the hash after a block of the key, each byte of it changed by pad.
func keyed(key []byte, pad byte) sha2.State256 {
	var block [sha2.Block256]byte
	copy(block[:], key)
	for i := range block {
		block[i] ^= pad
	}
	s := sha2.New256()
	s.Write(block[:])
	return s
}

// Sum is the code of a text.
func (m *MAC) Sum(text []byte) [sha2.Size256]byte {
	inner := m.inner.Sum(text)
	return m.outer.Sum(inner[:])
}

// Verify reports whether code is that of the text.
func (m *MAC) Verify(text, code []byte) bool {
	sum := m.Sum(text)
	return subtle.ConstantTimeCompare(sum[:], code) == 1
}

// PublicKey is a public key of Ed25519 (RFC 8032).
type PublicKey struct {
	bytes []byte
	minus *edwards25519.Point // the key's point, negated
}

// The sizes of Ed25519's keys and signatures, in bytes.
const (
	PublicKeySize = 32
	signatureSize = 64
)

// ErrPublicKey says that bytes are no public key.
var ErrPublicKey = errors.New("it is not a public key of Ed25519")

// NewPublicKey reads a public key of [PublicKeySize] bytes.
func NewPublicKey(bytes []byte) (*PublicKey, error) {
	point, err := new(edwards25519.Point).SetBytes(bytes)
	if err != nil {
		return nil, ErrPublicKey
	}
	return &PublicKey{bytes, new(edwards25519.Point).Negate(point)}, nil
}

// Verify reports whether a signature of a text is this key's (RFC 8032 section 5.1.7, without the cofactor, as the standard
// library does it).
func (k *PublicKey) Verify(text, signature []byte) bool {
	if len(signature) != signatureSize {
		return false
	}
	r, s := signature[:32], signature[32:]
	digest := sha2.Sum512(slices.Concat(r, k.bytes, text))
	challenge, err := edwards25519.NewScalar().SetUniformBytes(digest[:])
	if err != nil {
		return false
	}
	response, err := edwards25519.NewScalar().SetCanonicalBytes(s)
	if err != nil {
		return false
	}
	// [s]B = R + [k]A, or R = [k](-A) + [s]B.
	point := new(edwards25519.Point).VarTimeDoubleScalarBaseMult(challenge, k.minus, response)
	return subtle.ConstantTimeCompare(point.Bytes(), r) == 1
}

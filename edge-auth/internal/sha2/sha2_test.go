package sha2_test

import (
	"crypto/sha256"
	"crypto/sha512"
	"math/rand/v2"
	"testing"

	"weir/edge-auth/internal/sha2"
)

func check(t *testing.T, text []byte) {
	t.Helper()
	if got, want := sha2.New256().Sum(text), sha256.Sum256(text); got != want {
		t.Errorf("SHA-256 of %d bytes: got %x, want %x", len(text), got, want)
	}
	if got, want := sha2.Sum512(text), sha512.Sum512(text); got != want {
		t.Errorf("SHA-512 of %d bytes: got %x, want %x", len(text), got, want)
	}
}

// Every size up to some blocks: where the padding fits into the last block, and where it needs one more.
func TestEverySize(t *testing.T) {
	text := make([]byte, 5*128)
	for i := range text {
		text[i] = byte(rand.Uint32())
	}
	for size := range len(text) + 1 {
		check(t, text[:size])
	}
}

func FuzzSumsAreThoseOfTheStandardLibrary(f *testing.F) {
	f.Add([]byte("abc"))
	f.Fuzz(func(t *testing.T, text []byte) { check(t, text) })
}

// A state that is copied goes on from where it was, as often as one wants.
func TestAStateIsAValue(t *testing.T) {
	first := make([]byte, sha2.Block256)
	s := sha2.New256()
	if rest := s.Write(first); len(rest) != 0 {
		t.Fatalf("%d bytes are left of a block", len(rest))
	}
	for _, text := range []string{"a", "b", ""} {
		if got, want := s.Sum([]byte(text)), sha256.Sum256(append(first, text...)); got != want {
			t.Errorf("%q: got %x, want %x", text, got, want)
		}
	}
}

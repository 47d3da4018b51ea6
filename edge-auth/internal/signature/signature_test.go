package signature_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"weir/edge-auth/internal/signature"
)

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// RFC 4231 sections 4.2, 4.3 and 4.7: a key shorter than the hash, one of text, and one longer than a block.
func TestMACOfTheRFC(t *testing.T) {
	for _, c := range []struct{ key, text, code string }{
		{"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
		{"4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
		{string(bytes.Repeat([]byte("aa"), 131)), "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d2048617368204b6579204669727374",
			"60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
	} {
		m := signature.NewMAC(unhex(t, c.key))
		if got := m.Sum(unhex(t, c.text)); !bytes.Equal(got[:], unhex(t, c.code)) {
			t.Errorf("%s: got %x", c.text, got)
		}
	}
}

func FuzzMACEqualsThatOfTheStandardLibrary(f *testing.F) {
	f.Add([]byte("key"), []byte("text"), 0)
	f.Add(make([]byte, 64), []byte{}, 31)
	f.Add(make([]byte, 65), make([]byte, 200), 5)
	f.Fuzz(func(t *testing.T, key, text []byte, at int) {
		h := hmac.New(sha256.New, key)
		h.Write(text)
		want, m := h.Sum(nil), signature.NewMAC(key)
		if got := m.Sum(text); !bytes.Equal(got[:], want) || !m.Verify(text, want) {
			t.Fatalf("got %x, want %x", got, want)
		}
		if m.Verify(text, want[:31]) || m.Verify(text, nil) || m.Verify(append(text, 0), want) {
			t.Error("a wrong code is taken")
		}
		want[uint(at)%32] ^= 1
		if m.Verify(text, want) {
			t.Error("a code with one bit changed is taken")
		}
	})
}

func FuzzEd25519EqualsThatOfTheStandardLibrary(f *testing.F) {
	seed := make([]byte, ed25519.SeedSize)
	for _, at := range []int{-1, 0, 31, 32, 63, 64, 95, 96} {
		f.Add(seed, []byte("text"), at, byte(1))
	}
	f.Add(seed, []byte{}, 63, byte(0xe0))
	f.Fuzz(func(t *testing.T, seed, text []byte, at int, change byte) {
		if len(seed) != ed25519.SeedSize {
			return
		}
		private := ed25519.NewKeyFromSeed(seed)
		all := append(ed25519.Sign(private, text), private[32:]...) // signature and public key
		if at >= 0 {
			all[at%len(all)] ^= change
		}
		sign, public := all[:64], all[64:]
		key, err := signature.NewPublicKey(public)
		got := err == nil && key.Verify(text, sign)
		if want := ed25519.Verify(public, text, sign); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
		if err == nil && (key.Verify(text, sign[:63]) || key.Verify(text, nil)) {
			t.Error("a signature of another length is taken")
		}
	})
}

// Points of small order and spellings of a point that are not its own are where verifiers differ.
func TestEd25519EqualsTheStandardLibraryAtTheEdges(t *testing.T) {
	points := [][]byte{
		unhex(t, "0100000000000000000000000000000000000000000000000000000000000000"),
		unhex(t, "0100000000000000000000000000000000000000000000000000000000000080"),
		unhex(t, "0000000000000000000000000000000000000000000000000000000000000000"),
		unhex(t, "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
		unhex(t, "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
		unhex(t, "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
		unhex(t, "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"),
		unhex(t, "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
		unhex(t, "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
		unhex(t, "0200000000000000000000000000000000000000000000000000000000000000"),
	}
	zero := make([]byte, 32)
	taken := 0
	for _, public := range points {
		for _, r := range points {
			sign := append(bytes.Clone(r), zero...)
			for i := range 16 {
				text := []byte{byte(i)}
				key, err := signature.NewPublicKey(public)
				got := err == nil && key.Verify(text, sign)
				if want := ed25519.Verify(public, text, sign); got != want {
					t.Errorf("key %x, R %x: got %v, want %v", public, r, got, want)
				} else if want {
					taken++
				}
			}
		}
	}
	if taken == 0 {
		t.Error("none of the signatures is taken: the test compares nothing")
	}
}

package scan_test

import (
	"strings"
	"testing"

	"weir/edge-auth/internal/scan"
)

// Wherever the byte is, and whatever is around it, the standard library finds it there too.
func TestIndex(t *testing.T) {
	for length := range 40 {
		for at := range length + 1 {
			for _, c := range []byte{0, 1, '/', 0x7f, 0x80, 0xff} {
				for _, other := range []byte{0, 1, '.', '0', 0x80, 0x81, 0xfe, 0xff} {
					text := strings.Repeat(string([]byte{other}), length)
					if at < length {
						text = text[:at] + string([]byte{c}) + text[at+1:]
					}
					if got, want := scan.Index(text, c), strings.IndexByte(text, c); got != want {
						t.Fatalf("%q in %q: got %d, want %d", c, text, got, want)
					}
				}
			}
		}
	}
}

func TestEqual(t *testing.T) {
	text := strings.Repeat("0123456789", 4)
	for length := range len(text) {
		a := text[:length]
		if !scan.Equal(a, strings.Clone(a)) || scan.Equal(a, a+"x") {
			t.Errorf("%d bytes", length)
		}
		for at := range length {
			if b := a[:at] + "x" + a[at+1:]; scan.Equal(a, b) {
				t.Errorf("%q and %q are taken for the same", a, b)
			}
		}
	}
}

func FuzzIndexIsThatOfStrings(f *testing.F) {
	f.Add("/t/abc/videos", byte('/'))
	f.Fuzz(func(t *testing.T, text string, c byte) {
		if got, want := scan.Index(text, c), strings.IndexByte(text, c); got != want {
			t.Errorf("%q in %q: got %d, want %d", c, text, got, want)
		}
	})
}

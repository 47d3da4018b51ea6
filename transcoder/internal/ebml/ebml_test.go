package ebml_test

import (
	"testing"

	"weir/transcoder/internal/ebml"
)

func TestVint(t *testing.T) {
	for _, c := range []struct {
		name  string
		bytes string
		mark  bool
		value int64
		width int
	}{
		{"nothing", "", false, 0, 0},
		{"wider than eight bytes", "\x00\x01", false, 0, 0},
		{"cut off", "\x40", false, 0, 0},
		{"one byte", "\x82rest", false, 2, 1},
		{"two bytes", "\x40\x02", false, 2, 2},
		{"eight bytes", "\x01\x00\x00\x00\x00\x00\x01\x00", false, 256, 8},
		{"an unknown size", "\xff", false, ebml.Unknown, 1},
		{"an unknown size in eight bytes", "\x01\xff\xff\xff\xff\xff\xff\xff", false, ebml.Unknown, 8},
		{"an ID", "\x1a\x45\xdf\xa3", true, 0x1a45dfa3, 4},
		{"an ID of ones", "\xff", true, 0xff, 1},
	} {
		if value, width := ebml.Vint([]byte(c.bytes), c.mark); value != c.value || width != c.width {
			t.Errorf("%s: %d in %d bytes, want %d in %d", c.name, value, width, c.value, c.width)
		}
	}
}

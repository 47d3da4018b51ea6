package isobmff_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"

	"weir/transcoder/internal/isobmff"
)

// box is one with a size, which may be a lie.
func box(size uint32, kind string, content ...byte) []byte {
	return append(append(binary.BigEndian.AppendUint32(nil, size), kind...), content...)
}

// long is one whose size has 64 bits.
func long(size uint64, kind string, content ...byte) []byte {
	return append(binary.BigEndian.AppendUint64(box(1, kind), size), content...)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestBoxesStayInTheirPart(t *testing.T) {
	free := box(8, "free")
	for _, c := range []struct {
		name string
		data []byte
		to   int64 // of the part; 0 is all
		want string
	}{
		{name: "two", data: join(box(12, "abcd", 1, 2, 3, 4), free), want: "abcd [8, 12) free [20, 20)"},
		{name: "a size of 64 bits", data: join(long(18, "abcd", 1, 2), free), want: "abcd [16, 18) free [26, 26)"},
		{name: "to the end", data: join(free, box(0, "abcd", 1, 2, 3)), want: "free [8, 8) abcd [16, 19)"},
		{name: "longer than the part", data: box(100, "abcd", 1, 2), want: "abcd [8, 10)"},
		{name: "a header that ends after the part", data: join(free, box(28, "abcd", 1, 2)), to: 12, want: "free [8, 8)"},
		{name: "a header that ends after the part, of 64 bits", data: join(free, long(28, "abcd", 1, 2)), to: 20, want: "free [8, 8)"},
		{name: "a header that ends after the file", data: join(free, box(28, "abcd"))[:15], want: "free [8, 8)"},
		{name: "smaller than its header", data: join(free, box(7, "abcd", 1)), want: "free [8, 8)"},
		{name: "smaller than its header, of 64 bits", data: join(free, long(15, "abcd", 1)), want: "free [8, 8)"},
		{name: "beyond all numbers", data: join(free, long(math.MaxInt64, "abcd", 1)), want: "free [8, 8)"},
		{name: "beyond all numbers with a sign", data: join(free, long(math.MaxUint64, "abcd", 1)), want: "free [8, 8)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			to := int64(len(c.data))
			if c.to > 0 {
				to = c.to
			}
			var got []string
			err := isobmff.Each(bytes.NewReader(c.data), 0, to, func(b isobmff.Box) error {
				if b.From < 0 || b.From > b.To || b.To > to {
					t.Errorf("%s is [%d, %d) of a part that ends at %d", b.Kind, b.From, b.To, to)
				}
				got = append(got, fmt.Sprintf("%s [%d, %d)", b.Kind, b.From, b.To))
				return nil
			})
			if text := strings.Join(got, " "); err != nil || text != c.want {
				t.Errorf("%q, %v; want %q", text, err, c.want)
			}
		})
	}
}

func TestBoxesAreBounded(t *testing.T) {
	data, boxes := bytes.Repeat(box(8, "free"), 10_000), 0
	err := isobmff.Each(bytes.NewReader(data), 0, int64(len(data)), func(isobmff.Box) error { boxes++; return nil })
	if err != nil || boxes != 512 {
		t.Errorf("%d boxes are visited, %v", boxes, err)
	}
}

func TestFindGoesDownThePath(t *testing.T) {
	inner := join(box(8, "free"), box(10, "leaf", 7, 8))
	data := join(box(8, "free"), box(uint32(8+len(inner)), "tree", inner...), box(9, "leaf", 9))
	r := bytes.NewReader(data)
	b, ok, err := isobmff.Find(r, 0, r.Size(), "tree", "leaf")
	if err != nil || !ok || !bytes.Equal(data[b.From:b.To], []byte{7, 8}) {
		t.Errorf("found %+v, %v, %v", b, ok, err)
	}
	if b, ok, err := isobmff.Find(r, 0, r.Size(), "tree", "none"); ok || err != nil {
		t.Errorf("found %+v, %v", b, err)
	}
}

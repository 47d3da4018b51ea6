package remux

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"weir/transcoder/internal/cmaf"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
)

// small is a file of three seconds that a plan fits, with its index first.
func small(t *testing.T) ([]byte, plan.Plan) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "a.mp4")
	out, err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x92:r=25:d=3",
		"-c:v", "libx264", "-g", "50", "-flags", "+cgop", "-pix_fmt", "yuv420p", "-colorspace", "bt709", "-movflags", "+faststart", file).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	ladder, err := plan.ParseLadder("92:400k:64k,64:100k:64k")
	if err != nil {
		t.Fatal(err)
	}
	return data, plan.Make("k", "e", int64(len(data)), media.Source{Demuxer: "mov", Video: media.Video{
		Width: 160, Height: 92, Rate: media.Rate{Num: 25, Den: 1}, End: 3, Color: media.Color{Matrix: "bt709"}, Plain: true,
	}}, ladder)
}

// wide gives the chunks of a file, whose index is first, offsets of 64 bits.
func wide(t *testing.T, whole []byte) []byte {
	t.Helper()
	data := slices.Clone(whole)
	stco := bytes.Index(data, []byte("stco"))
	rows := int(binary.BigEndian.Uint32(data[stco+8:]))
	at := stco + 12
	moved := uint64(4 * rows)
	var long []byte
	for i := range rows {
		long = binary.BigEndian.AppendUint64(long, uint64(binary.BigEndian.Uint32(data[at+4*i:]))+moved)
	}
	copy(data[stco:], "co64")
	for _, box := range []string{"moov", "trak", "mdia", "minf", "stbl", "co64"} {
		size := data[bytes.Index(data, []byte(box))-4:]
		binary.BigEndian.PutUint32(size, binary.BigEndian.Uint32(size)+uint32(moved))
	}
	return slices.Concat(data[:at], long, data[at+4*rows:])
}

// witness is a file of which nobody may read what is outside.
type witness struct {
	*bytes.Reader
	t *testing.T
}

func (w witness) ReadAt(p []byte, at int64) (int, error) {
	if at < 0 || at > w.Size() || int64(len(p)) > w.Size() && len(p) > 16 {
		w.t.Errorf("%d bytes at %d are read of a file of %d", len(p), at, w.Size())
	}
	return w.Reader.ReadAt(p, at)
}

// pull copies all of a plan's chunks.
func pull(file Source, p plan.Plan) error {
	t, err := Open(file)
	if err != nil {
		return err
	}
	for _, c := range p.Chunks {
		first, end := p.Span(c)
		cut := cmaf.Cut{
			First: first, Ends: func(n int) int { return int(p.Start(first+n+1) - c.First) }, Fragment: int(p.GOP), Segments: end - first,
		}
		sink := cmaf.Sink{Init: func(cmaf.Init) error { return nil }, Segment: func(cmaf.Segment) error { return nil }}
		if err := t.Copy(p, c, cut, sink); err != nil {
			return err
		}
	}
	return nil
}

// Whatever an index says, it is read or refused, and no more is read than the file has.
func TestADamagedIndexIsReadOrRefused(t *testing.T) {
	short, p := small(t)
	for name, whole := range map[string][]byte{"offsets of 32 bits": short, "offsets of 64 bits": wide(t, short)} {
		t.Run(name, func(t *testing.T) { damage(t, whole, p) })
	}
}

func damage(t *testing.T, whole []byte, p plan.Plan) {
	t.Helper()
	if err := Fit(bytes.NewReader(whole), p); err != nil {
		t.Fatal(err)
	}
	if err := pull(bytes.NewReader(whole), p); err != nil {
		t.Fatal(err)
	}
	index := bytes.Index(whole, []byte("mdat"))
	r := rand.New(rand.NewPCG(1, 2))
	refused, read := 0, 0
	for range 5_000 {
		data := slices.Clone(whole)
		for range 1 + r.IntN(3) {
			switch at := r.IntN(index); r.IntN(4) {
			case 0:
				data[at] ^= 1 << r.IntN(8)
			case 1:
				data = data[:max(at, 8)]
			default:
				values := []uint32{0, 1, 2, 8, 12, 0x7fffffff, 0x80000000, 0xffffffff, 1 << 20, uint32(r.Uint64())}
				if at &^= 3; at+4 <= len(data) {
					binary.BigEndian.PutUint32(data[at:], values[r.IntN(len(values))])
				}
			}
			index = min(index, len(data))
		}
		index = bytes.Index(whole, []byte("mdat"))
		file := witness{bytes.NewReader(data), t}
		if err := Fit(file, p); err != nil {
			refused++
			_ = pull(file, p) // refused as well, or other pictures; it is the plan that says what is copied
			continue
		}
		read++
		_ = pull(file, p)
	}
	if refused == 0 || read == 0 {
		t.Errorf("%d were refused and %d read: nothing is learned", refused, read)
	}
}

package check_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/Eyevinn/mp4ff/mp4"

	"weir/deploy/internal/check"
)

// muxer writes a rendition as a transport stream, rightly but for what a test wants otherwise.
type muxer struct {
	counters map[int]int
	// What may go wrong.
	restart    bool // counters begin anew in each segment
	late       bool // the tables do not come first
	bare       bool // no access unit delimiters
	sparse     bool // clock references at key frames alone
	fast       bool // the clock is ahead of the decoder
	twoStreams bool // in the table of the program
}

// streams makes transport streams of all renditions.
func streams(v *video) {
	for _, r := range v.renditions {
		r.stream = &muxer{counters: map[int]int{}}
	}
}

// spoil makes streams, of which the first is wrong.
func spoil(change func(m *muxer)) func(v *video) {
	return func(v *video) {
		streams(v)
		change(v.renditions[0].stream)
	}
}

// both is one change after the other.
func both(changes ...func(v *video)) func(v *video) {
	return func(v *video) {
		for _, change := range changes {
			change(v)
		}
	}
}

// begin writes what a segment starts with.
func (m *muxer) begin(r *rendition) (out []byte) {
	if m.restart {
		clear(m.counters)
	}
	if m.late {
		out = m.packet(0x1fff, false, nil, make([]byte, 184))
	}
	kind, pid := byte(0x0f), byte(1)
	if r.video() {
		kind, pid = 0x1b, 0
	}
	elementary := []byte{kind, 0xe1, pid, 0xf0, 0}
	if m.twoStreams {
		elementary = append(elementary, 0x0f, 0xe1, 7, 0xf0, 0)
	}
	out = append(out, m.packet(0, true, nil, table(0, 1, []byte{0, 1, 0xf0, 0}))...)
	return append(out, m.packet(0x1000, true, nil, table(2, 1, append([]byte{0xe1, pid, 0xf0, 0}, elementary...)))...)
}

// table is a section with its pointer and checksum, filled up to a packet.
func table(id byte, number byte, body []byte) []byte {
	section := append([]byte{id, 0xb0, byte(len(body) + 9), 0, number, 0xc1, 0, 0}, body...)
	crc := ^uint32(0)
	for _, b := range section {
		for bit := 7; bit >= 0; bit-- {
			top := crc>>31 ^ uint32(b>>bit)&1
			if crc <<= 1; top != 0 {
				crc ^= 0x04c11db7
			}
		}
	}
	section = binary.BigEndian.AppendUint32(section, crc)
	return append(append([]byte{0}, section...), bytes.Repeat([]byte{0xff}, 183-len(section))...)
}

// packet writes one; what is short is filled up in the adaptation field.
func (m *muxer) packet(pid int, begins bool, field, payload []byte) []byte {
	head := []byte{0x47, byte(pid >> 8), byte(pid), 0x10 | byte(m.counters[pid]&15)}
	m.counters[pid]++
	if begins {
		head[1] |= 0x40
	}
	if free := 184 - len(payload); free > 0 {
		head[3] |= 0x20
		if free == 1 {
			return append(append(head, 0), payload...)
		}
		if field == nil {
			field = []byte{0}
		}
		head = append(append(head, byte(free-1)), field...)
		head = append(head, bytes.Repeat([]byte{0xff}, free-1-len(field))...)
	}
	return append(head, payload...)
}

// fragment writes the samples of one.
func (m *muxer) fragment(t *testing.T, r *rendition, f *fragment) (out []byte, first int) {
	t.Helper()
	pid, id, together, wait := 0x101, byte(0xc0), 3, int64(0)
	if r.video() {
		pid, id, together, wait = 0x100, 0xe0, 1, 2*int64(f.samples[0].Dur)
	}
	stamp := func(ticks int64) int64 { return 900_000 + ticks*90_000/int64(r.timescale()) }
	at := int64(f.time)
	for i := 0; i < len(f.samples); i += together {
		samples := f.samples[i:min(i+together, len(f.samples))]
		decode, show := stamp(at-wait), stamp(at+int64(samples[0].CompositionTimeOffset))
		var data []byte
		for _, s := range samples {
			data = append(data, m.unit(t, r, s)...)
			at += int64(s.Dur)
		}
		head := []byte{0, 0, 1, id, 0, 0, 0x80, 0xc0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
		putStamp(head[9:], 3, show)
		putStamp(head[14:], 1, decode)
		if !r.video() {
			binary.BigEndian.PutUint16(head[4:], uint16(len(head)-6+len(data)))
		}
		data = append(head, data...)
		clock := decode - 45_000
		if m.fast {
			clock = decode + 45_000
		}
		field := binary.BigEndian.AppendUint32([]byte{0x10}, uint32(clock>>1))
		field = append(field, byte(clock<<7)|0x7e, 0)
		if m.sparse && i > 0 {
			field = nil
		}
		for begins := true; len(data) > 0; begins = false {
			room := 184
			if begins && field != nil {
				room -= 1 + len(field)
			}
			n := min(room, len(data))
			if !begins {
				field = nil
			}
			out, data = append(out, m.packet(pid, begins, field, data[:n])...), data[n:]
		}
		if i == 0 {
			first = len(out)
		}
	}
	return out, first
}

// unit is a sample as in an elementary stream.
func (m *muxer) unit(t *testing.T, r *rendition, s mp4.FullSample) (out []byte) {
	t.Helper()
	if !r.video() {
		const rate48000, stereo = 3, 2
		size := len(s.Data) + 7
		return append([]byte{0xff, 0xf1, 1<<6 | rate48000<<2, stereo<<6 | byte(size>>11), byte(size >> 3), byte(size<<5) | 0x1f, 0xfc}, s.Data...)
	}
	if !m.bare {
		out = append(out, 0, 0, 0, 1, 9, 0xf0)
	}
	if config := r.moov.Trak.Mdia.Minf.Stbl.Stsd.AvcX.AvcC; s.IsSync() {
		for _, set := range slices.Concat(config.SPSnalus, config.PPSnalus) {
			out = append(append(out, 0, 0, 0, 1), set...)
		}
	}
	for data := s.Data; len(data) > 4; {
		size := binary.BigEndian.Uint32(data)
		out = append(append(out, 0, 0, 1), data[4:4+size]...)
		data = data[4+size:]
	}
	return out
}

func putStamp(to []byte, mark byte, stamp int64) {
	to[0] = mark<<4 | byte(stamp>>29)&14 | 1
	binary.BigEndian.PutUint16(to[1:], uint16(stamp>>14)|1)
	binary.BigEndian.PutUint16(to[3:], uint16(stamp<<1)|1)
}

// packetOf changes a packet of a segment.
func (s site) packetOf(name string, n int, change func(p []byte)) {
	s.serve(name, func(a *answer) { change(a.body[188*n : 188*(n+1)]) })
}

var vectors = regexp.MustCompile(`,IV=0x[0-9a-f]+`)

const secret = "0123456789abcdef"

// encrypt encrypts all segments and all key frames, each with a vector of its own.
func (s site) encrypt() {
	s["keys/v"] = &answer{body: []byte(secret), mime: "application/octet-stream", cache: "no-store"}
	s.detach("big")
	s.detach("small")
	block, err := aes.NewCipher([]byte(secret))
	if err != nil {
		panic(err)
	}
	for _, list := range []string{"big/playlist.m3u8", "big/iframes.m3u8", "small/playlist.m3u8", "small/iframes.m3u8", "sound/playlist.m3u8"} {
		s.lines(list, "#EXTINF", func(line string) string { return "#EXT-X-KEY:METHOD=AES-128,URI=\"../../../../keys/v\",IV=?\n" + line })
		lines := slices.Collect(strings.Lines(string(s.at(list).body)))
		for i, line := range lines {
			if strings.HasPrefix(line, "#") {
				continue
			}
			a := s.at(path.Join(path.Dir(list), strings.TrimSpace(line)))
			sum := sha256.Sum256(a.body)
			vector := sum[:16]
			padding := 16 - len(a.body)%16
			a.body = append(a.body, bytes.Repeat([]byte{byte(padding)}, padding)...)
			cipher.NewCBCEncrypter(block, vector).CryptBlocks(a.body, a.body)
			lines[i-2] = strings.Replace(lines[i-2], "IV=?", fmt.Sprintf("IV=0x%x", vector), 1)
		}
		s.at(list).body = []byte(strings.Join(lines, ""))
	}
}

var rateOfIFrames = regexp.MustCompile(`:BANDWIDTH=\d+,AVERAGE-BANDWIDTH=\d+`)

// detach makes a rendition's key frames objects of their own: ranges of what is encrypted as a whole cannot be decrypted.
func (s site) detach(folder string) {
	var frames []piece
	var next piece
	var length, offset int
	s.text(folder+"/iframes.m3u8", func(text string) string {
		var out strings.Builder
		for line := range strings.Lines(text) {
			kind, _, _ := strings.Cut(line, ":")
			switch {
			case kind == "#EXTINF":
				_, _ = fmt.Sscanf(line, "#EXTINF:%f", &next.seconds)
			case kind == "#EXT-X-BYTERANGE":
				_, _ = fmt.Sscanf(line, "#EXT-X-BYTERANGE:%d@%d", &length, &offset)
				continue
			case !strings.HasPrefix(line, "#"):
				segment := s.at(path.Join(folder, strings.TrimSpace(line)))
				next.data = single(segment.body, offset, length, next.seconds)
				line = fmt.Sprintf("frame_%d%s", len(frames), path.Ext(line))
				s["videos/v/hls/"+path.Join(folder, strings.TrimSpace(line))] = object(string(next.data), segment.mime)
				frames = append(frames, next)
			}
			out.WriteString(line)
		}
		return out.String()
	})
	peak, average := rates(frames, 4)
	s.lines("master.m3u8", `URI="`+folder+"/iframes.m3u8", func(line string) string {
		return rateOfIFrames.ReplaceAllString(line, fmt.Sprintf(":BANDWIDTH=%d,AVERAGE-BANDWIDTH=%d", peak, average))
	})
}

// single is a key frame without the rest of its segment: a fragment with one picture, or the tables and its packets.
func single(segment []byte, offset, length int, seconds float64) []byte {
	part := segment[offset : offset+length]
	if segment[0] == 0x47 {
		return slices.Concat(segment[:2*188], part)
	}
	box, err := mp4.DecodeBox(0, bytes.NewReader(part))
	if err != nil {
		panic(err)
	}
	moof := box.(*mp4.MoofBox)
	fragment, err := mp4.CreateFragment(moof.Mfhd.SequenceNumber, moof.Traf.Tfhd.TrackID)
	if err != nil {
		panic(err)
	}
	const header, timescale = 8, 25000
	data := part[int(moof.Size())+header:]
	fragment.AddFullSample(mp4.FullSample{
		Sample: mp4.NewSample(mp4.SyncSampleFlags, uint32(seconds*timescale+0.5), uint32(len(data)),
			moof.Traf.Trun.Samples[0].CompositionTimeOffset),
		DecodeTime: moof.Traf.Tfdt.BaseMediaDecodeTime(), Data: data,
	})
	var out bytes.Buffer
	if err := fragment.Encode(&out); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// encrypted is a change of a site after it was encrypted.
func encrypted(change func(s site)) func(s site) {
	return func(s site) {
		s.encrypt()
		change(s)
	}
}

func TestRightTreesOfEveryPackagingHaveNoFindings(t *testing.T) {
	for name, c := range map[string]struct {
		stream, encrypt bool
		segments        int
	}{
		"transport streams":            {stream: true, segments: 12},
		"encrypted":                    {encrypt: true, segments: 29},
		"encrypted, transport streams": {stream: true, encrypt: true, segments: 26},
	} {
		t.Run(name, func(t *testing.T) {
			v := model(t)
			if c.stream {
				streams(v)
			}
			s := v.write(t)
			if c.encrypt {
				s.encrypt()
			}
			report, err := check.Run(t.Context(), serve(t, s).URL+"/t/secret/videos/v/hls/master.m3u8", check.Options{})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range report.Findings {
				t.Errorf("%s", f)
			}
			if report.Segments != c.segments || report.Bytes == 0 {
				t.Errorf("read %+v", report)
			}
		})
	}
}

// packagingMutations are what may go wrong in transport streams and with encryption.
var packagingMutations = []mutation{
	{rule: "1.13", name: "a stream with an IDR picture after four seconds", model: both(func(v *video) { v.renditions[0] = media(v.t, "sparse") }, streams)},
	{rule: "6.1", name: "encrypted without I-frame playlists", site: encrypted(func(s site) { s.drop("master.m3u8", "I-FRAME-STREAM-INF") })},
	{rule: "6.10", name: "an object with another picture than a key frame", model: func(v *video) { v.renditions[0].fragments[2].noIDR() }, site: site.encrypt},
	{rule: "6.10", name: "a stream's range that leaves out the first packet", model: streams, site: func(s site) { s.number("big/iframes.m3u8", "@", 188) }},
	{rule: "7.3", name: "a gap in a stream", model: both(streams, func(v *video) { v.renditions[0].shift(4, 1000) })},
	{rule: "7.3", name: "a gap in a stream of sound", model: both(streams, func(v *video) { v.renditions[2].shift(2, 1024) })},
	{rule: "7.4", name: "a stream's segment starts with another picture", model: both(streams, func(v *video) { v.renditions[0].fragments[1].noIDR() })},
	{rule: "8.3", name: "a stream of sound ends early", model: both(streams, func(v *video) { v.renditions[2].truncate(10) })},
	{rule: "10.4", name: "a stream as MP4", model: streams, site: func(s site) { s.serve("big/segment_1.ts", func(a *answer) { a.mime = "video/mp4" }) }},
	{rule: "RFC 3.2", name: "the tables come second", model: spoil(func(m *muxer) { m.late = true })},
	{rule: "RFC 4.3.2.4", name: "no key", site: encrypted(func(s site) { delete(s, "keys/v") })},
	{rule: "RFC 4.3.2.4", name: "a key that is too short", site: encrypted(func(s site) { s["keys/v"].body = []byte("short") })},
	{rule: "RFC 4.3.4.2", name: "a stream with other CODECS", model: streams, site: func(s site) { s.edit("master.m3u8", "avc1.64", "avc1.4d") }},
	{rule: "RFC 5.2", name: "half a block", site: encrypted(func(s site) {
		s.serve("big/segment_1.m4s", func(a *answer) { a.body = a.body[:len(a.body)-8] })
	})},
	{rule: "RFC 5.2", name: "no padding", site: encrypted(func(s site) {
		s.serve("big/segment_1.m4s", func(a *answer) { a.body = a.body[:len(a.body)-16] })
	})},
	{rule: "RFC 5.2", name: "another key", site: encrypted(func(s site) { s["keys/v"].body = []byte("fedcba9876543210") })},
	{rule: "ISO 13818-1", name: "a checksum that is wrong", model: streams, site: func(s site) {
		s.packetOf("big/segment_1.ts", 0, func(p []byte) { p[16] ^= 1 })
	}},
	{rule: "ISO 13818-1", name: "half a packet", model: streams, site: func(s site) {
		s.serve("big/segment_1.ts", func(a *answer) { a.body = a.body[:len(a.body)-94] })
	}},
	{rule: "ISO 13818-1", name: "two streams in the table", model: spoil(func(m *muxer) { m.twoStreams = true })},
	{rule: "ISO 13818-1", name: "no access unit delimiters", model: spoil(func(m *muxer) { m.bare = true })},
	{rule: "ISO 13818-1 2.4.3.3", name: "a counter that jumps", model: streams, site: func(s site) {
		s.packetOf("big/segment_1.ts", 9, func(p []byte) { p[3] ^= 4 })
	}},
	{rule: "ISO 13818-1 2.4.3.3", name: "counters that begin anew", model: spoil(func(m *muxer) { m.restart = true })},
	{rule: "ISO 13818-1 2.7.2", name: "few clock references", model: spoil(func(m *muxer) { m.sparse = true })},
	{rule: "ISO 13818-1 2.7.2", name: "a clock that is ahead", model: spoil(func(m *muxer) { m.fast = true })},
	{rule: "W start", name: "sound that begins later in streams", model: both(streams, func(v *video) { v.renditions[2].shift(0, 4800) })},
	{rule: "W iframes", name: "a key frame that has no object", site: func(s site) { s.merge("big/iframes.m3u8"); s.encrypt() }},
	{rule: "W iframes", name: "a stream's key frame that has no object", model: streams, site: func(s site) { s.merge("big/iframes.m3u8"); s.encrypt() }},
	{rule: "W key", name: "a key frame with its segment's vector", site: encrypted(func(s site) {
		vector := vectors.FindString(string(s.at("big/playlist.m3u8").body))
		s.text("big/iframes.m3u8", func(text string) string { return vectors.ReplaceAllString(text, vector) })
	})},
	{rule: "W key", name: "a key that caches keep", site: encrypted(func(s site) { s["keys/v"].cache = "public, max-age=60" })},
	{rule: "W key", name: "the number as the vector", site: encrypted(func(s site) {
		for _, name := range []string{"big", "small"} {
			s.text(name+"/playlist.m3u8", func(text string) string { return vectors.ReplaceAllString(text, "") })
		}
	})},
}

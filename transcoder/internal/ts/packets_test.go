package ts_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"testing"

	"weir/transcoder/internal/cmaf"
	"weir/transcoder/internal/job"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
	"weir/transcoder/internal/ts"
)

// reader reads a transport stream packet by packet and holds it to ISO/IEC 13818-1. It shares no code with what wrote it.
type reader struct {
	t        *testing.T
	counters map[int]int // the last one of each PID
	clock    int64       // the last clock reference, at 90 kHz; -1 before the first
	packets  int
	padding  int // bytes of adaptation fields
	units    []stamps
}

// stamps are the times of a PES packet.
type stamps struct{ decode, show int64 }

// read takes in a segment.
func (r *reader) read(n int, data []byte) {
	r.t.Helper()
	if len(data)%188 != 0 {
		r.t.Fatalf("segment %d has %d bytes, which are no whole packets", n, len(data))
	}
	media := 0
	for i := 0; i < len(data); i += 188 {
		p := data[i : i+188]
		pid, payload, field := int(p[1]&0x1f)<<8|int(p[2]), p[3]&0x10 != 0, p[3]&0x20 != 0
		if want := map[int]int{0: 0, 1: 0x1000}; p[0] != 0x47 || i/188 < 2 && pid != want[i/188] || i/188 >= 2 && pid < 0x100 {
			r.t.Fatalf("segment %d: packet %d has the PID %#x", n, i/188, pid)
		}
		counter := int(p[3] & 15)
		last, known := r.counters[pid]
		if next := (last + 1) % 16; known && (payload && counter != next || !payload && counter != last) {
			r.t.Fatalf("segment %d: packet %d of PID %#x has counter %d after %d", n, i/188, pid, counter, last)
		}
		r.counters[pid] = counter
		r.packets++
		body := p[4:]
		if field {
			length := int(p[4])
			body = p[5+length:]
			r.padding += 1 + length
			if length > 0 && p[5]&0x80 != 0 {
				r.t.Fatalf("segment %d: packet %d says that there is a discontinuity", n, i/188)
			}
			if length > 0 && p[5]&0x10 != 0 {
				clock := int64(binary.BigEndian.Uint32(p[6:]))<<1 | int64(p[10]>>7)
				if r.clock >= 0 && (clock <= r.clock || clock-r.clock > 9000) {
					r.t.Fatalf("segment %d: a clock reference of %d after %d", n, clock, r.clock)
				}
				r.clock = clock
			}
		}
		if payload && len(body) == 0 {
			r.t.Fatalf("segment %d: packet %d has no payload", n, i/188)
		}
		if pid < 0x100 || pid == 0x1000 {
			continue
		}
		if payload {
			media++
		}
		if p[1]&0x40 != 0 {
			r.pes(n, body)
		}
	}
	if media%16 != 0 || media == 0 {
		r.t.Errorf("segment %d has %d packets of media", n, media)
	}
}

// pes reads the header of a PES packet.
func (r *reader) pes(n int, p []byte) {
	if p[0] != 0 || p[1] != 0 || p[2] != 1 || p[6]>>6 != 2 {
		r.t.Fatalf("segment %d: % x is no PES packet", n, p[:9])
	}
	read := func(b []byte) int64 {
		if b[0]&b[2]&b[4]&1 != 1 {
			r.t.Errorf("segment %d: a marker bit is missing", n)
		}
		return int64(b[0]>>1&7)<<30 | int64(binary.BigEndian.Uint16(b[1:])>>1)<<15 | int64(binary.BigEndian.Uint16(b[3:])>>1)
	}
	s := stamps{show: read(p[9:])}
	if s.decode = s.show; p[7]&0x40 != 0 {
		s.decode = read(p[14:])
	}
	if wait := s.decode - r.clock; wait <= 0 || wait > 90000 || s.show < s.decode {
		r.t.Errorf("segment %d: a picture or sound arrives at %d, is decoded at %d and shown at %d", n, r.clock, s.decode, s.show)
	}
	if n := len(r.units); n > 0 && s.decode <= r.units[n-1].decode {
		r.t.Errorf("segment %d: decoded at %d after %d", n, s.decode, r.units[n-1].decode)
	}
	r.units = append(r.units, s)
}

// held reads all of a rendition.
func held(t *testing.T, r *rendition) *reader {
	t.Helper()
	read := &reader{t: t, counters: map[int]int{}, clock: -1}
	for i, s := range r.streams {
		read.read(i, s)
	}
	return read
}

// What two encoders made is one stream: counters run on, the clock does, and each time is that of the picture's place in the
// video, rounded once.
func TestSegmentsAreOneStream(t *testing.T) {
	read := held(t, pictures(t, "-bf", "3"))
	if len(read.units) != 225 {
		t.Fatalf("%d pictures, want 225", len(read.units))
	}
	for i, u := range read.units {
		want := offset + place(i-2) // it waits for two pictures at most
		if u.decode != want {
			t.Fatalf("picture %d is decoded at %d, want %d", i, u.decode, want)
		}
	}
	read = held(t, sounds(t, "sine=r=48000:d=9"))
	for i, u := range read.units[:30] {
		if want := offset + int64(i)*4*1024*90000/48000; u.show < want || u.show > want+1 {
			t.Errorf("sound %d is heard at %d, want %d", i, u.show, want)
		}
	}
}

// Pictures that stay for seconds leave no gap in the clock.
func TestTheClockRunsOnBetweenPictures(t *testing.T) {
	r := &rendition{}
	r.add(t, fragmented(t, "-f", "lavfi", "-i", "testsrc2=s=64x64:r=1:d=9", "-c:v", "libx264", "-bf", "0", "-g", "2", "-keyint_min", "2",
		"-sc_threshold", "0", "-flags", "+cgop", "-video_track_timescale", "1000"),
		cmaf.Cut{Fragment: 2, Segments: 2, Ends: func(n int) int { return 2 + 6*n }})
	read := held(t, r)
	if len(read.units) != 9 || read.clock < offset+8*90000 {
		t.Errorf("%d pictures, the clock ends at %d", len(read.units), read.clock)
	}
	decoded(t, bytes.Join(r.streams, nil))
}

// The least of segments hold 16 packets as well: a frame of silence, and a black picture.
func TestTheSmallestSegmentsAreFilled(t *testing.T) {
	silence := &rendition{}
	silence.add(t, fragmented(t, "-f", "lavfi", "-i", "anullsrc=r=48000:cl=stereo", "-t", "0.1", "-c:a", "aac", "-b:a", "32k"),
		cmaf.Cut{Fragment: math.MaxInt, Segments: 5, Limit: 5, Ends: func(n int) int { return n + 1 }})
	black := &rendition{}
	black.add(t, fragmented(t, "-f", "lavfi", "-i", "color=black:s=16x16:r=25:d=0.12", "-c:v", "libx264", "-g", "1", "-video_track_timescale", "25000"),
		cmaf.Cut{Fragment: 1, Segments: 3, Ends: func(n int) int { return n + 1 }})
	for name, r := range map[string]*rendition{"silence": silence, "black": black} {
		if read := held(t, r); len(read.units) != len(r.segments) {
			t.Errorf("%s: %d units in %d segments", name, len(read.units), len(r.segments))
		}
		if got, want := decoded(t, bytes.Join(r.streams, nil)), decoded(t, r.cmaf()); len(got) != len(r.segments) || len(got) != len(want) {
			t.Errorf("%s: %d frames in %d segments, CMAF has %d", name, len(got), len(r.segments), len(want))
		}
	}
}

// Of time stamps with 33 bits, the video of a day uses up all.
func TestTimeStampsBeginAnew(t *testing.T) {
	r := &rendition{}
	const day = 1 << 33 / 90000 * 25000
	r.add(t, fragmented(t, "-f", "lavfi", "-i", "testsrc2=s=64x64:r=25:d=2", "-c:v", "libx264", "-bf", "0", "-video_track_timescale", "25000"),
		cmaf.Cut{First: 16000, Start: day, Fragment: 50, Segments: 1})
	track, err := ts.NewTrack(r.init.Data)
	if err != nil {
		t.Fatal(err)
	}
	read := &reader{t: t, counters: map[int]int{}, clock: -1}
	stream, _, err := track.Segment(16000, r.segments[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	read.read(0, stream)
	want := int64(offset+math.Round(day*3.6)) % (1 << 33)
	if got := read.units[0].show; got != want {
		t.Errorf("the first picture is shown at %d, want %d", got, want)
	}
}

// What is said of the rate before all is there covers what the format adds, where it adds most: to many small pictures.
func TestTheBoundCoversTheFormat(t *testing.T) {
	picture, sound := &rendition{}, sounds(t, "sine=r=48000:d=9")
	picture.add(t, fragmented(t, "-f", "lavfi", "-i", "testsrc2=s=64x64:r=60:d=8", "-c:v", "libx264", "-g", "120", "-keyint_min", "120", "-sc_threshold", "0",
		"-video_track_timescale", "60000"), cmaf.Cut{Fragment: 120, Segments: 2, Ends: func(n int) int { return 120 }})
	added := func(r *rendition, i int, seconds float64) float64 {
		return float64(len(r.streams[i])-len(r.segments[i].Data)) * 8 / seconds
	}
	p := plan.Plan{GOP: 120, Source: media.Source{Video: media.Video{Rate: media.Rate{Num: 60, Den: 1}}}}
	bound := func(format job.SegmentFormat) float64 {
		p.SegmentFormat = format
		return float64(p.Bound(plan.VideoRendition{Bitrate: 64_000}))
	}
	more := bound(job.TS) - bound(job.FMP4)
	if got := max(added(picture, 0, 2), added(picture, 1, 6)) + added(sound, 1, 3.008); got > more {
		t.Errorf("it adds %.0f bit/s, foreseen were %.0f", got, more)
	}
}

// What the format costs beside CMAF, in percent of its bytes.
func TestTheFormatCostsLittle(t *testing.T) {
	for _, c := range []struct {
		name string
		rate string
		most float64
	}{{"360p", "800k", 10}, {"1080p", "5000k", 4}} {
		size := map[string]string{"360p": "640x360", "1080p": "1920x1080"}[c.name]
		r := &rendition{}
		r.add(t, fragmented(t, "-f", "lavfi", "-i", fmt.Sprintf("testsrc2=s=%s:r=25:d=6,noise=alls=20:allf=t", size), "-c:v", "libx264",
			"-preset", "ultrafast", "-b:v", c.rate, "-maxrate", c.rate, "-bufsize", c.rate, "-g", "50", "-video_track_timescale", "25000"),
			cmaf.Cut{Fragment: 50, Segments: 1})
		percent := 100 * (float64(len(r.streams[0]))/float64(len(r.segments[0].Data)) - 1)
		t.Logf("%s at %s: %.2f %%", c.name, c.rate, percent)
		if percent > c.most {
			t.Errorf("%s: %.1f %% more than CMAF, want at most %.0f %%", c.name, percent, c.most)
		}
	}
	r := sounds(t, "anoisesrc=a=0.1:r=48000:d=9")
	percent := 100 * (float64(len(r.streams[1]))/float64(len(r.segments[1].Data)) - 1)
	t.Logf("sound at 96k: %.2f %%", percent)
	if percent > 20 {
		t.Errorf("sound: %.1f %% more than CMAF, want at most 20 %%", percent)
	}
}

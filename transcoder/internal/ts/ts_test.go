package ts_test

import (
	"bytes"
	"fmt"
	"math"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"weir/transcoder/internal/cmaf"
	"weir/transcoder/internal/ts"
)

// rendition is what two encoders made, each of a chunk and without knowing of the other, as CMAF and as a transport stream.
type rendition struct {
	init     cmaf.Init
	segments []cmaf.Segment
	streams  [][]byte
	keys     [][]string // the ranges of key frames, as they are
}

// fragmented is what ffmpeg writes to a pipe.
func fragmented(t *testing.T, args ...string) []byte {
	t.Helper()
	args = append(append([]string{"-nostdin", "-v", "error"}, args...),
		"-f", "mp4", "-movflags", "+frag_keyframe+empty_moov+default_base_moof+negative_cts_offsets", "-use_editlist", "0", "-")
	out, err := exec.CommandContext(t.Context(), "ffmpeg", args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// add takes in what an encoder made.
func (r *rendition) add(t *testing.T, encoded []byte, cut cmaf.Cut) {
	t.Helper()
	_, err := cmaf.Read(bytes.NewReader(encoded), cut, cmaf.Sink{
		Init:    func(i cmaf.Init) error { r.init = i; return nil },
		Segment: func(s cmaf.Segment) error { r.segments = append(r.segments, s); return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	track, err := ts.NewTrack(r.init.Data) // as another node does it
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range r.segments[len(r.streams):] {
		stream, keys, err := track.Segment(s.Number, s.Data)
		if err != nil {
			t.Fatal(err)
		}
		r.streams = append(r.streams, stream)
		var ticks uint64
		for i, k := range keys {
			if k.Ticks != s.KeyFrames[i].Ticks {
				t.Errorf("segment %d: key frame %d lasts %d ticks, want %d", s.Number, i, k.Ticks, s.KeyFrames[i].Ticks)
			}
			ticks += k.Ticks
		}
		if len(keys) != len(s.KeyFrames) || len(keys) > 0 && ticks != s.Ticks {
			t.Errorf("segment %d has %d key frames for %d ticks, want %d for %d", s.Number, len(keys), ticks, len(s.KeyFrames), s.Ticks)
		}
		r.keys = append(r.keys, nil)
		for _, k := range keys {
			r.keys[len(r.keys)-1] = append(r.keys[len(r.keys)-1], string(stream[k.Offset:k.Offset+k.Bytes]))
		}
	}
}

// cmaf is the rendition as one file of fragmented MP4.
func (r *rendition) cmaf() []byte {
	all := bytes.Clone(r.init.Data)
	for _, s := range r.segments {
		all = append(all, s.Data...)
	}
	return all
}

// pictures are 225 at the rate of films on NTSC, which 90 kHz cannot count, the first chunk one segment of 2 s.
func pictures(t *testing.T, args ...string) *rendition {
	t.Helper()
	r := &rendition{}
	encode := func(from, count int) []byte {
		return fragmented(t, append([]string{"-f", "lavfi", "-i", "testsrc2=s=320x180:r=24000/1001",
			"-vf", fmt.Sprintf("trim=start_frame=%d:end_frame=%d,setpts=PTS-STARTPTS", from, from+count),
			"-c:v", "libx264", "-preset", "veryfast", "-threads", "1", "-g", "48", "-keyint_min", "48", "-sc_threshold", "0",
			"-flags", "+cgop", "-video_track_timescale", "24000"}, args...)...)
	}
	r.add(t, encode(0, 48), cmaf.Cut{Fragment: 48, Segments: 1})
	r.add(t, encode(48, 177), cmaf.Cut{
		First: 1, Start: 48 * 1001, Fragment: 48, Segments: 2, Ends: func(n int) int { return 144 * (n + 1) },
	})
	return r
}

// sounds are 9 s of sound in segments of 3 s.
func sounds(t *testing.T, source string, args ...string) *rendition {
	t.Helper()
	r := &rendition{}
	encode := func(from float64) []byte {
		return fragmented(t, append([]string{"-f", "lavfi", "-i", source, "-af", fmt.Sprintf("atrim=start=%f", from),
			"-c:a", "aac", "-b:a", "96k", "-ac", "2"}, args...)...)
	}
	r.add(t, encode(0), cmaf.Cut{Fragment: math.MaxInt, Segments: 1, Limit: 141})
	r.add(t, encode(141*1024./48000), cmaf.Cut{
		First: 1, Start: 141 * 1024, Fragment: math.MaxInt, Segments: 2, Ends: func(n int) int { return 141 * (n + 1) },
	})
	return r
}

// frame is one that was decoded: its time in ticks of 90 kHz, and a digest.
type frame struct {
	at     int64
	digest string
}

// decoded are the frames that ffmpeg finds, without a word of complaint.
func decoded(t *testing.T, data []byte) (frames []frame) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ffmpeg", "-nostdin", "-v", "warning", "-copyts", "-i", "-", "-vf", "settb=1/90000",
		"-af", "asettb=1/90000", "-fps_mode", "passthrough", "-enc_time_base", "1:90000", "-f", "framemd5", "-")
	var out, words bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(data), &out, &words
	if err := cmd.Run(); err != nil || words.Len() > 0 {
		t.Fatalf("ffmpeg says %v: %s", err, words.String())
	}
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(line, ",")
		at, err := strconv.ParseInt(strings.TrimSpace(fields[2]), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, frame{at, strings.TrimSpace(fields[len(fields)-1])})
	}
	return frames
}

// same wants the frames of CMAF, each at its own time.
func same(t *testing.T, got, cmaf []frame, count int, at func(i int) int64, slack int64) {
	t.Helper()
	if len(cmaf) != count || len(got) != count {
		t.Fatalf("%d frames, CMAF has %d, want %d", len(got), len(cmaf), count)
	}
	for i, f := range got {
		if f.digest != cmaf[i].digest {
			t.Fatalf("frame %d is another than that of CMAF", i)
		}
		if want := offset + at(i); f.at < want-slack || f.at > want+slack {
			t.Fatalf("frame %d is shown at %d, want %d", i, f.at, want)
		}
	}
}

// offset is the time stamp at which a video begins, and place where a picture has its own behind that.
const offset = 900000

func place(i int) int64 { return int64(math.Floor(float64(i)*1001*90/24 + 0.5)) }

// The decoder warns of the least gap between the segments, and there is none. Each picture is the one that CMAF has, and is shown
// at the time that it has in the video.
func TestPicturesAreThoseOfCMAF(t *testing.T) {
	for name, args := range map[string][]string{
		"pictures that wait for others": {"-bf", "3"},
		"pictures in their order":       {"-bf", "0"},
	} {
		t.Run(name, func(t *testing.T) {
			r := pictures(t, args...)
			same(t, decoded(t, bytes.Join(r.streams, nil)), decoded(t, r.cmaf()), 225, place, 0)
		})
	}
}

func TestSoundIsThatOfCMAF(t *testing.T) {
	r := sounds(t, "aevalsrc='0.5*sin(440*2*PI*t*(1+t/9))|0.5*sin(660*2*PI*t)':s=48000:d=9")
	count := 0
	for _, s := range r.segments {
		count += s.Samples
	}
	// Four frames share a time stamp, which is rounded.
	at := func(i int) int64 { return int64(i) * 1024 * 90000 / 48000 }
	same(t, decoded(t, bytes.Join(r.streams, nil)), decoded(t, r.cmaf()), count, at, 1)
}

// A key frame's bytes, alone behind the tables that the object starts with, are a picture that can be decoded.
func TestKeyFramesCanBeFetchedAlone(t *testing.T) {
	r := pictures(t, "-bf", "2")
	all := decoded(t, r.cmaf())
	n := 0
	for i, keys := range r.keys {
		for _, key := range keys {
			alone := append(bytes.Clone(r.streams[i][:2*188]), key...)
			if got := decoded(t, alone); len(got) != 1 || got[0] != (frame{offset + place(n), all[n].digest}) {
				t.Errorf("key frame %d is %v, want %v", n, got, all[n])
			}
			n += 48
		}
	}
	if n != 5*48 {
		t.Errorf("there are %d key frames, want 5", n/48)
	}
}

func TestOtherCodecsAreRefused(t *testing.T) {
	for name, args := range map[string][]string{
		"HEVC": {"-f", "lavfi", "-i", "testsrc2=s=64x64:d=0.2", "-c:v", "libx265", "-x265-params", "log-level=error"},
		"FLAC": {"-f", "lavfi", "-i", "sine=d=0.2", "-c:a", "flac", "-strict", "-2"},
	} {
		if _, err := ts.NewTrack(fragmented(t, args...)); err == nil || !strings.Contains(err.Error(), "H.264 and AAC alone") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatIsNoSegmentIsRefused(t *testing.T) {
	r := pictures(t)
	track, err := ts.NewTrack(r.init.Data)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"nothing": nil, "an init segment": r.init.Data, "half a segment": r.segments[0].Data[:900]} {
		if _, _, err := track.Segment(0, data); err == nil {
			t.Errorf("%s is a transport stream", name)
		}
	}
	if _, err := ts.NewTrack(r.segments[0].Data); err == nil {
		t.Error("a media segment is an init segment")
	}
}

func TestTheSameSegmentGivesTheSameBytes(t *testing.T) {
	a, b := pictures(t), pictures(t)
	for i := range a.streams {
		if !bytes.Equal(a.streams[i], b.streams[i]) {
			t.Errorf("segment %d differs", i)
		}
	}
}

package cmaf_test

import (
	"bytes"
	"errors"
	"math"
	"os/exec"
	"strings"
	"testing"

	"github.com/Eyevinn/mp4ff/mp4"

	"weir/transcoder/internal/cmaf"
)

// encoded is fragmented MP4 as ffmpeg writes it to a pipe.
func encoded(t *testing.T, args ...string) []byte {
	t.Helper()
	args = append(append([]string{"-nostdin", "-v", "error"}, args...),
		"-f", "mp4", "-movflags", "+frag_keyframe+empty_moov+default_base_moof+negative_cts_offsets", "-use_editlist", "0", "-")
	out, err := exec.CommandContext(t.Context(), "ffmpeg", args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func picture(t *testing.T) []byte {
	return encoded(t, "-f", "lavfi", "-i", "testsrc2=s=64x64:r=25:d=5", "-c:v", "libx264", "-bf", "2", "-g", "25",
		"-keyint_min", "25", "-sc_threshold", "0", "-flags", "+cgop", "-video_track_timescale", "25000")
}

// collect reads a stream into memory.
func collect(t *testing.T, data []byte, cut cmaf.Cut) (init cmaf.Init, segments []cmaf.Segment, samples int) {
	t.Helper()
	samples, err := cmaf.Read(bytes.NewReader(data), cut, cmaf.Sink{
		Init:    func(i cmaf.Init) error { init = i; return nil },
		Segment: func(s cmaf.Segment) error { segments = append(segments, s); return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return init, segments, samples
}

// everyTwoSeconds cuts 25 pictures a second into segments of 50, a key frame each second, from segment 7 at 14 s on.
var everyTwoSeconds = cmaf.Cut{
	First: 7, Start: 14 * 25000, Fragment: 25, Segments: 3,
	Ends: func(n int) int { return 50 * (n + 1) },
}

func TestSegmentsHaveTheirPlaceInTime(t *testing.T) {
	init, segments, samples := collect(t, picture(t), everyTwoSeconds)
	if samples != 125 || len(segments) != 3 {
		t.Fatalf("%d samples in %d segments", samples, len(segments))
	}
	if !strings.HasPrefix(init.Codecs, "avc1.64") || init.Timescale != 25000 {
		t.Errorf("codecs %q, timescale %d", init.Codecs, init.Timescale)
	}
	next, earliest, sequence := uint64(14*25000), int64(math.MaxInt64), uint32(0)
	for i, s := range segments {
		if s.Number != 7+i || s.Samples != []int{50, 50, 25}[i] || s.Ticks != uint64(s.Samples)*1000 {
			t.Errorf("segment %d: number %d, %d samples, %d ticks", i, s.Number, s.Samples, s.Ticks)
		}
		file, err := mp4.DecodeFile(bytes.NewReader(append(bytes.Clone(init.Data), s.Data...)))
		if err != nil {
			t.Fatal(err)
		}
		if brand := string(s.Data[4:8]); brand != "styp" {
			t.Errorf("segment %d starts with %q", i, brand)
		}
		for _, f := range file.Segments[0].Fragments {
			if f.Moof.Mfhd.SequenceNumber <= sequence {
				t.Errorf("sequence number %d follows %d", f.Moof.Mfhd.SequenceNumber, sequence)
			}
			sequence = f.Moof.Mfhd.SequenceNumber
			full, err := f.GetFullSamples(file.Init.Moov.Mvex.Trex)
			if err != nil {
				t.Fatal(err)
			}
			if !full[0].IsSync() || len(full) > 25 {
				t.Errorf("a fragment has %d samples, the first a key frame: %v", len(full), full[0].IsSync())
			}
			for _, sample := range full {
				if sample.DecodeTime != next {
					t.Fatalf("a sample is decoded at %d, want %d", sample.DecodeTime, next)
				}
				next += uint64(sample.Dur)
				earliest = min(earliest, sample.PresentationTime())
			}
		}
	}
	if earliest != 14*25000 {
		t.Errorf("the first picture is shown at %d, want %d", earliest, 14*25000)
	}
}

// A key frame's bytes, alone behind the init segment, are a moof and a picture that can be decoded.
func TestKeyFramesCanBeFetchedAlone(t *testing.T) {
	init, segments, _ := collect(t, picture(t), everyTwoSeconds)
	for _, s := range segments {
		if want := (s.Samples + 24) / 25; len(s.KeyFrames) != want {
			t.Fatalf("segment %d has %d key frames, want %d", s.Number, len(s.KeyFrames), want)
		}
		var ticks uint64
		for i, k := range s.KeyFrames {
			part := s.Data[k.Offset : k.Offset+k.Bytes]
			if string(part[4:8]) != "moof" {
				t.Errorf("segment %d: key frame %d starts with %q", s.Number, i, part[4:8])
			}
			moof, err := mp4.DecodeBox(0, bytes.NewReader(part))
			if err != nil {
				t.Fatal(err)
			}
			first := moof.(*mp4.MoofBox).Traf.Trun.Samples[0].Size
			if want := int64(moof.Size()) + 8 + int64(first); k.Bytes != want {
				t.Errorf("segment %d: key frame %d has %d bytes, want %d", s.Number, i, k.Bytes, want)
			}
			cmd := exec.CommandContext(t.Context(), "ffmpeg", "-v", "quiet", "-i", "-", "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "gray", "-")
			cmd.Stdin = bytes.NewReader(append(bytes.Clone(init.Data), part...))
			if out, err := cmd.Output(); len(out) != 64*64 {
				t.Errorf("segment %d: key frame %d: %d bytes were decoded: %v", s.Number, i, len(out), err)
			}
			ticks += k.Ticks
		}
		if ticks != s.Ticks {
			t.Errorf("segment %d: its key frames last %d ticks, want %d", s.Number, ticks, s.Ticks)
		}
	}
}

func TestTheInitSegmentIsTheSameForEveryChunk(t *testing.T) {
	data := picture(t)
	one, _, _ := collect(t, data, everyTwoSeconds)
	other := everyTwoSeconds
	other.First, other.Start = 0, 0
	two, _, _ := collect(t, data, other)
	if !bytes.Equal(one.Data, two.Data) {
		t.Error("it depends on the chunk")
	}
}

func TestPrimingIsDropped(t *testing.T) {
	data := encoded(t, "-f", "lavfi", "-i", "sine=d=3:r=48000", "-c:a", "aac", "-frag_duration", "500000")
	cut := cmaf.Cut{Skip: 1, Fragment: math.MaxInt, Segments: 2, Ends: func(int) int { return 94 }}
	init, segments, samples := collect(t, data, cut)
	whole, _, all := collect(t, data, cmaf.Cut{Fragment: math.MaxInt, Segments: 1})
	for _, s := range segments {
		if s.KeyFrames != nil {
			t.Errorf("sound has key frames: %v", s.KeyFrames)
		}
	}
	if samples != all-1 || len(segments) != 2 || segments[0].Samples != 94 || segments[0].Ticks != 94*1024 {
		t.Errorf("%d of %d samples, %d segments", samples, all, len(segments))
	}
	if init.Codecs != "mp4a.40.2" || init.Timescale != 48000 || !bytes.Equal(init.Data, whole.Data) {
		t.Errorf("codecs %q, timescale %d", init.Codecs, init.Timescale)
	}
}

func TestTheSinksErrorEndsReading(t *testing.T) {
	mine := errors.New("the bucket is away")
	_, err := cmaf.Read(bytes.NewReader(picture(t)), everyTwoSeconds, cmaf.Sink{
		Init:    func(cmaf.Init) error { return nil },
		Segment: func(cmaf.Segment) error { return mine },
	})
	if !errors.Is(err, mine) {
		t.Errorf("got %v", err)
	}
}

func TestBrokenStreams(t *testing.T) {
	data := picture(t)
	unaligned := everyTwoSeconds
	unaligned.Fragment = 24 // the next fragment would not start with a key frame
	ignore := cmaf.Sink{Init: func(cmaf.Init) error { return nil }, Segment: func(cmaf.Segment) error { return nil }}
	for name, c := range map[string]struct {
		data []byte
		cut  cmaf.Cut
	}{
		"nothing":                              {nil, everyTwoSeconds},
		"cut off in a box":                     {data[:len(data)/2], everyTwoSeconds},
		"no MP4":                               {[]byte("this is no MP4, whatever it says"), everyTwoSeconds},
		"a fragment that starts between":       {data, unaligned},
		"media without a header":               {data[bytes.Index(data, []byte("moof"))-4:], everyTwoSeconds},
		"a header and nothing else is no data": {data[:20], everyTwoSeconds},
	} {
		if _, err := cmaf.Read(bytes.NewReader(c.data), c.cut, ignore); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

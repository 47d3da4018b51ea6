package encode

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"image"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"weir/transcoder/internal/cmaf"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
)

// tape is a sink that keeps one rendition.
type tape struct {
	mu       sync.Mutex
	init     []byte
	segments map[int][]byte
}

func (s *tape) Init(_ context.Context, _ string, i cmaf.Init) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.init = i.Data
	return nil
}

func (s *tape) Tiles(context.Context, []*image.YCbCr) error { return nil }

func (s *tape) Segment(_ context.Context, _ string, g cmaf.Segment) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.segments[g.Number] = g.Data
	return nil
}

// play decodes what is on the tape to mono samples.
func (s *tape) play(t *testing.T) []float64 {
	t.Helper()
	file := slices.Clone(s.init)
	for n := range len(s.segments) {
		file = append(file, s.segments[n]...)
	}
	cmd := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-i", "pipe:0")
	cmd.Stdin = bytes.NewReader(file)
	return decode(t, cmd)
}

// decode returns what an ffmpeg that reads something decodes.
func decode(t *testing.T, cmd *exec.Cmd) []float64 {
	t.Helper()
	cmd.Args = append(cmd.Args, "-f", "f32le", "-af", "pan=mono|c0=c0", "-ar", "48000", "pipe:1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	samples := make([]float64, len(out)/4)
	for i := range samples {
		samples[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(out[4*i:])))
	}
	return samples
}

// The sound of a video comes from two encoders, and from more if a node dies. Nobody may hear where one takes over: what
// two make together is as near to the source as what one makes, at the joins as well.
func TestTheJoinsOfEncodersAreNotHeard(t *testing.T) {
	const seconds = 90
	file := filepath.Join(t.TempDir(), "sound.mp4")
	// Tones that slide, with a beat, so that a sample too many or a block too few would be far off.
	source := "aevalsrc='0.3*sin(2*PI*(220*t+3*t*t))+0.2*sin(2*PI*1760*t)*(0.6+0.4*sin(2*PI*3*t))':s=44100:d=90"
	cmd := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, "-f", "lavfi", "-i", "color=s=64x36:r=25:d=90",
		"-c:a", "aac", "-b:a", "256k", "-c:v", "libx264", "-preset", "ultrafast", file)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	url, tools, ladder := serve(t, file, "64:100k:128k")
	p := plan.Make("k", "e", 1, media.Source{
		Demuxer: "mov",
		Video:   media.Video{Index: 0, Width: 64, Height: 36, Rate: media.Rate{Num: 25, Den: 1}, End: seconds},
		Audio:   media.Tracks{{Index: 1, End: seconds}},
	}, ladder)
	record := func(parts ...[]plan.Chunk) []float64 {
		s := &tape{segments: map[int][]byte{}}
		for _, chunks := range parts {
			if err := (Encoder{Tools: tools}).Sound(t.Context(), p, chunks, url, s, nil); err != nil {
				t.Fatal(err)
			}
		}
		if len(s.segments) != p.Segments() {
			t.Fatalf("%d segments, want %d", len(s.segments), p.Segments())
		}
		return s.play(t)
	}
	whole := record(p.Chunks)
	deep := len(p.Chunks) - 1
	for c := range p.Chunks {
		if at := p.Source.Video.Rate.Seconds(p.Chunks[c].First); at > soundSeekFrom+10 {
			deep = min(deep, c) // far enough to be sought
		}
	}
	joined := record(p.Chunks[:1], p.Chunks[1:3], p.Chunks[3:deep], p.Chunks[deep:])
	if len(whole) != len(joined) {
		t.Fatalf("%d samples, want %d", len(joined), len(whole))
	}
	reference := decode(t, exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-i", file, "-vn"))
	// The error of an encoder, in windows of a frame.
	noise := func(samples []float64, from, end int) (worst float64) {
		for at := from; at+aacFrame <= end; at += aacFrame {
			sum := 0.0
			for i := at; i < at+aacFrame; i++ {
				sum += (samples[i] - reference[i]) * (samples[i] - reference[i])
			}
			worst = max(worst, math.Sqrt(sum/aacFrame))
		}
		return worst
	}
	usual := noise(whole, sampleRate, (seconds-1)*sampleRate)
	for _, c := range []int{1, 3, deep} {
		first, _ := p.Span(p.Chunks[c])
		at := int(newPart(p, p.Chunks).frame(first) * aacFrame)
		if got := noise(joined, at-4*aacFrame, at+4*aacFrame); got > 1.1*usual {
			t.Errorf("at the join at %.2f s the error is %.5f; that of one encoder is at most %.5f", float64(at)/sampleRate, got, usual)
		}
	}
}

// Broadcasts change the format of their sound on the way, as from 5.1 in a film to stereo in its breaks. All of it is heard, at its
// time, and so is another track beside it.
func TestATrackMayChangeItsFormat(t *testing.T) {
	const each = 4 // seconds of a format
	const sweep = "aevalsrc='0.4*sin(2*PI*(300*t+40*t*t))':s=48000:d=12"
	for _, c := range []struct{ name, a, b string }{
		{"AC-3 from 5.1 to stereo and back", "pan=5.1|FL=c0 -c:a:0 ac3 -b:a:0 384k", "pan=stereo|c0=c0 -c:a:0 ac3 -b:a:0 192k"},
		{"AAC from stereo to 5.1 and back", "pan=stereo|c0=c0 -c:a:0 aac", "pan=5.1|FL=c0 -c:a:0 aac -b:a:0 384k"},
		{"MP2 from one rate to another and back", "pan=stereo|c0=c0|c1=c0 -c:a:0 mp2", "pan=stereo|c0=c0|c1=c0 -c:a:0 mp2 -ar:a:0 44100"},
		{"MP2 from stereo to mono and back", "pan=stereo|c0=c0|c1=c0 -c:a:0 mp2", "pan=mono|c0=c0 -c:a:0 mp2"},
		{"MP2 from mono to stereo and back", "pan=mono|c0=c0 -c:a:0 mp2", "pan=stereo|c0=c0|c1=c0 -c:a:0 mp2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			inputsAtOnce <- struct{}{}
			defer func() { <-inputsAtOnce }()
			parts := []string{c.a, c.b, c.a}
			var stream []byte
			for i, part := range parts {
				cut := fmt.Sprintf("%s,atrim=%d:%d,asetpts=N", sweep, i*each, (i+1)*each)
				filter, codec, _ := strings.Cut(part, " ")
				args := append(words("-v error -f lavfi -i color=s=64x64:r=25:d=4 -f lavfi -i"), cut, "-filter:a:0", filter)
				args = append(args, words("-map 0 -map 1 -map 1 -c:v libx264 -preset ultrafast -c:a:1 mp2")...)
				args = append(append(args, words(codec)...), "-output_ts_offset", fmt.Sprint(i*each), "-f", "mpegts", "pipe:1")
				stream = append(stream, run(t, nil, args...)...)
			}
			file := filepath.Join(t.TempDir(), "a.ts")
			if err := os.WriteFile(file, stream, 0o600); err != nil {
				t.Fatal(err)
			}
			p, s, err := transcode(t, file, 3*each)
			if err != nil {
				t.Fatal(err)
			}
			reference := samples(run(t, nil, "-v", "error", "-f", "lavfi", "-i", sweep, "-f", "f32le", "-ar", fmt.Sprint(heard), "pipe:1"))
			for _, a := range p.Audio {
				sound := samples(run(t, s.tape(a.Name).file(), "-v", "error", "-i", "pipe:0", "-f", "f32le", "-ar", fmt.Sprint(heard), "-af", "pan=mono|c0=c0", "pipe:1"))
				if got := float64(len(sound)) / heard; math.Abs(got-p.Duration()) > 0.1 {
					t.Errorf("%s lasts %.2f s, want %.2f", a.Name, got, p.Duration())
				}
				for i := range parts {
					from, to := (i*each)*heard+heard/2, (i+1)*each*heard-heard/2
					part := sound[min(from, len(sound)):min(to, len(sound))]
					late, like := lag(part, reference[from:to])
					loud := level(part) / level(reference[from:to])
					t.Logf("%s, part %d: %.3f s late, %.3f like, %.2f as loud", a.Name, i, late, like, loud)
					if math.Abs(late) > 0.04 || like < 0.85 || loud < 0.9 || loud > 1.1 {
						t.Errorf("%s, part %d: %.3f s late, %.3f like and %.2f as loud as that of the scene", a.Name, i, late, like, loud)
					}
				}
			}
		})
	}
}

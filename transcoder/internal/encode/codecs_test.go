package encode

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"

	"github.com/Eyevinn/mp4ff/mp4"

	"weir/transcoder/internal/cmaf"
	"weir/transcoder/internal/ffmpeg"
	"weir/transcoder/internal/golden"
	"weir/transcoder/internal/job"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
)

// copies is a sink that keeps all renditions as they come.
type copies struct {
	mu       sync.Mutex
	inits    map[string][]cmaf.Init
	segments map[string][]cmaf.Segment
}

func (c *copies) Init(_ context.Context, rendition string, i cmaf.Init) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inits[rendition] = append(c.inits[rendition], i)
	return nil
}

func (c *copies) Segment(_ context.Context, rendition string, g cmaf.Segment) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.segments[rendition] = append(c.segments[rendition], g)
	return nil
}

func (*copies) Tiles(context.Context, []*image.YCbCr) error { return nil }

// inAllCodecs plans a clip of so many seconds of a picture that a graph of FFmpeg's makes.
func inAllCodecs(t *testing.T, graph, rungs string, width, height int, rate media.Rate, seconds float64) (p plan.Plan, e Encoder, file, url string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "source.mp4")
	run(t, nil, "-v", "error", "-f", "lavfi", "-i", fmt.Sprintf(graph, width, height, rate), "-t", fmt.Sprint(seconds),
		"-c:v", "libx264", "-preset", "ultrafast", "-crf", "8", "-pix_fmt", "yuv420p", "-color_range", "tv", "-colorspace", "bt709", file)
	url, tools, ladder := serve(t, file, rungs)
	p = plan.Make("k", "e", 1, media.Source{
		Demuxer: "mov", Video: media.Video{Width: width, Height: height, Rate: rate, End: seconds, Color: media.Color{Matrix: "bt709"}},
	}, ladder).In(job.Codecs{job.H264, job.HEVC, job.AV1})
	return p, Encoder{Tools: tools, Preset: "veryfast"}, file, url
}

// Whatever the codec, a player sees the source's frames, finds them in segments of the same names and lengths, and can begin with
// each of them.
func TestAllCodecsShowTheSameFramesInTheSameSegments(t *testing.T) {
	rate := media.Rate{Num: 30000, Den: 1001}
	p, e, file, url := inAllCodecs(t, "testsrc2=s=%dx%d:r=%s", "180:900k:96k,90:300k:96k", 320, 180, rate, 10)
	s := &copies{inits: map[string][]cmaf.Init{}, segments: map[string][]cmaf.Segment{}}
	for _, codec := range p.Codecs() {
		for _, c := range p.Chunks {
			if err := e.Picture(t.Context(), p.Only(codec), c, url, s, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if names := fmt.Sprint(p.Renditions()); names != "[180p 90p 180p_hevc 90p_hevc 180p_av1 90p_av1]" {
		t.Fatalf("the renditions are %s", names)
	}
	strings := map[job.Codec]*regexp.Regexp{
		job.H264: regexp.MustCompile(`^avc1\.6400[0-9a-f]{2}$`),
		job.HEVC: regexp.MustCompile(`^hvc1\.1\.6\.L(60|63)\.90$`),
		job.AV1:  regexp.MustCompile(`^av01\.0\.00M\.08$`),
	}
	for _, v := range p.Video {
		inits, segments := s.inits[v.Name], s.segments[v.Name]
		if !strings[v.Coding()].MatchString(inits[0].Codecs) {
			t.Errorf("%s: CODECS is %s", v.Name, inits[0].Codecs)
		}
		var whole []byte
		for _, i := range inits {
			if whole == nil {
				whole = slices.Clone(i.Data)
			} else if !bytes.Equal(i.Data, inits[0].Data) {
				t.Errorf("%s: the chunks' init segments differ", v.Name)
			}
		}
		decode := func(data []byte, graph string) []byte {
			return run(t, data, "-v", "error", "-i", "pipe:0", "-vf", graph, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1")
		}
		size := v.Width * v.Height * 3
		reference := s.segments[p.Video[0].Name]
		if len(segments) != p.Segments() || len(inits) != len(p.Chunks) {
			t.Fatalf("%s: %d segments of %d chunks, want %d", v.Name, len(segments), len(inits), p.Segments())
		}
		for n, g := range segments {
			if g.Number != n || g.Ticks != reference[n].Ticks || g.Samples != reference[n].Samples || len(g.KeyFrames) != len(reference[n].KeyFrames) {
				t.Errorf("%s: segment %d is number %d with %d samples of %d ticks and %d key frames, H.264's has %d, %d and %d", v.Name, n, g.Number,
					g.Samples, g.Ticks, len(g.KeyFrames), reference[n].Samples, reference[n].Ticks, len(reference[n].KeyFrames))
			}
			for i, k := range g.KeyFrames {
				if k.Ticks != reference[n].KeyFrames[i].Ticks {
					t.Errorf("%s: key frame %d of segment %d lasts %d ticks, H.264's %d", v.Name, i, n, k.Ticks, reference[n].KeyFrames[i].Ticks)
				}
			}
			if alone := decode(slices.Concat(inits[0].Data, g.Data), "null"); len(alone) != g.Samples*size {
				t.Errorf("%s: segment %d of %d pictures plays as %d by itself", v.Name, n, g.Samples, len(alone)/size)
			}
			// A fragment's beginning with its key frame is all that a player needs that winds.
			k := g.KeyFrames[len(g.KeyFrames)-1]
			if one := decode(slices.Concat(inits[0].Data, g.Data[k.Offset:k.Offset+k.Bytes]), "null"); len(one) != size {
				t.Errorf("%s: the last key frame of segment %d plays as %d pictures", v.Name, n, len(one)/size)
			}
			whole = append(whole, g.Data...)
		}
		got := frames{v.Width, v.Height, decode(whole, "null")}
		want := frames{v.Width, v.Height, run(t, nil, "-v", "error", "-i", file, "-vf", fmt.Sprintf("scale=%d:%d", v.Width, v.Height),
			"-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1")}
		if got.len() != want.len() || got.len() != int(p.Frames) {
			t.Fatalf("%s: %d frames of %d", v.Name, got.len(), want.len())
		}
		least := 1.0
		for i := range got.len() {
			least = min(least, similar(got, i, want, i))
		}
		if least < 0.85 {
			t.Errorf("%s: a frame with an SSIM of %.3f", v.Name, least)
		}
		checkClock(t, v.Name, whole, rate)
		t.Logf("%s: %s, SSIM at least %.3f, %d bytes", v.Name, inits[0].Codecs, least, len(whole))
	}
}

// checkClock holds the pictures to display times that are a frame apart, from 0 on.
func checkClock(t *testing.T, name string, file []byte, rate media.Rate) {
	t.Helper()
	tree, err := mp4.DecodeFile(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	_, frame := rate.Timescale()
	var shown []int64
	for _, segment := range tree.Segments {
		for _, f := range segment.Fragments {
			samples, err := f.GetFullSamples(tree.Init.Moov.Mvex.Trex)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range samples {
				shown = append(shown, s.PresentationTime())
			}
		}
	}
	slices.Sort(shown)
	for n, at := range shown {
		if at != int64(n)*int64(frame) {
			t.Fatalf("%s: picture %d is shown at %d ticks, want %d", name, n, at, n*int(frame))
		}
	}
}

// A chunk that is encoded again, on a machine that has other things to do, is the same to the last bit: also where its bit rate
// is at its cap, which it keeps.
func TestFurtherCodecsAreTheSameBitsAgainAndKeepTheirCap(t *testing.T) {
	p, e, _, url := inAllCodecs(t, "testsrc2=s=%dx%d:r=%s,noise=c0s=60:c0f=t+u:all_seed=1", "180:600k:96k", 320, 180, media.Rate{Num: 25, Den: 1}, 8)
	chunk := plan.Chunk{First: 0, End: p.Frames}
	for _, codec := range p.Codecs()[1:] {
		var made [3]copies
		var each sync.WaitGroup
		for i := range made {
			made[i] = copies{inits: map[string][]cmaf.Init{}, segments: map[string][]cmaf.Segment{}}
			each.Go(func() {
				if err := e.Picture(t.Context(), p.Only(codec), chunk, url, &made[i], nil); err != nil {
					t.Error(err)
				}
			})
		}
		each.Wait()
		v := p.Only(codec).Video[0]
		first := made[0].segments[v.Name]
		size := 0
		for n, g := range first {
			size += len(g.Data)
			for i := range made {
				if !bytes.Equal(made[i].segments[v.Name][n].Data, g.Data) {
					t.Errorf("%s: segment %d differs from one attempt to the next", v.Name, n)
				}
			}
		}
		bitrate := float64(size) * 8 / p.Duration()
		t.Logf("%s: %.0f bit/s with a cap of %d", v.Name, bitrate, v.Bitrate)
		// What the encoder's buffer holds comes on top, once, and SVT-AV1 is not exact.
		if most := 1.3 * float64(v.Bitrate); bitrate > most || bitrate < 0.5*float64(v.Bitrate) {
			t.Errorf("%s: noise takes %.0f bit/s, the cap is %d", v.Name, bitrate, v.Bitrate)
		}
	}
}

// The arguments are the contract with the encoders: a change shows here, whole.
func TestArgumentsOfFurtherCodecs(t *testing.T) {
	p := sample(t).In(job.Codecs{job.H264, job.HEVC, job.AV1})
	var text bytes.Buffer
	for i, v := range p.Video {
		if v.Codec == "" {
			continue
		}
		fmt.Fprintf(&text, "# %s\n", v.Name)
		for _, a := range (Encoder{}).pictureArgs(p, i) {
			fmt.Fprintln(&text, a)
		}
		fmt.Fprintln(&text)
	}
	golden.Check(t, "codecs.txt", text.Bytes())
	if c := p.Chunks[0]; urgency(p, c) != 0 || urgency(p.Only(job.HEVC), c) != maxNice {
		t.Error("a further codec is as urgent as the first picture")
	}
}

func TestTheEncodersOfTheMachineAreKnown(t *testing.T) {
	tools, err := ffmpeg.Find(ffmpeg.DefaultMemory)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Further(t.Context(), tools)
	if err != nil || !slices.Equal(got, job.Codecs{job.HEVC, job.AV1}) {
		t.Errorf("Debian's ffmpeg has %v, %v", got, err)
	}
	if missing := (job.Codecs{job.H264, job.AV1}).Beyond(job.Codecs{}); !slices.Equal(missing, job.Codecs{job.AV1}) {
		t.Errorf("without any, %v is missing", missing)
	}
}

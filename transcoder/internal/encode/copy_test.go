package encode

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/Eyevinn/mp4ff/mp4"

	"weir/transcoder/internal/cmaf"
	"weir/transcoder/internal/job"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
	"weir/transcoder/internal/probe"
	"weir/transcoder/internal/remux"
)

// ready are the arguments that make what Weir would make itself: closed GOPs of two seconds at 25 frames a second, BT.709.
const ready = "-c:v libx264 -preset veryfast -crf 23 -g 50 -keyint_min 50 -sc_threshold 0 -flags +cgop -pix_fmt yuv420p " +
	"-color_range tv -colorspace bt709 -color_primaries bt709 -color_trc bt709 -c:a aac"

// plain makes a file of 13 s and plans it.
func plain(t *testing.T, name, args, rungs string, edit func(*testing.T, []byte) []byte) (p plan.Plan, file disk, e Encoder) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	run(t, nil, append(append(words("-v error -f lavfi -i testsrc2=s=640x360:r=25:d=13 -f lavfi -i sine=d=13.1"), words(args)...), path)...)
	url, tools, ladder := serve(t, path, rungs)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if edit != nil {
		data = edit(t, data)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file = disk{bytes.NewReader(data), int64(len(data)), url}
	source, err := probe.Probe(t.Context(), tools, file)
	if err != nil {
		t.Fatal(err)
	}
	return plan.Make("k", "e", 1, source, ladder), file, Encoder{Tools: tools, Preset: "ultrafast"}
}

// bytes are the whole file.
func (d disk) bytes(t *testing.T) []byte {
	t.Helper()
	data := make([]byte, d.size)
	if _, err := d.ReadAt(data, 0); err != nil {
		t.Fatal(err)
	}
	return data
}

// copied makes all chunks of a plan whose top rung is the source's own.
func copied(t *testing.T, p plan.Plan, file disk, e Encoder) *copies {
	t.Helper()
	s := &copies{inits: map[string][]cmaf.Init{}, segments: map[string][]cmaf.Segment{}}
	for _, c := range p.Chunks {
		if err := Copy(t.Context(), p, c, file, s); err != nil {
			t.Fatal(err)
		}
		if err := e.Picture(t.Context(), p.Encoded(), c, file.URL(), s, nil); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// What is copied is the source's own pictures, all of them and each at its time, in segments like those of the other rungs.
func TestTheTopRungIsTheSourceItself(t *testing.T) {
	for _, c := range []struct{ name, file, args string }{
		{"B-frames that others refer to", "a.mp4", ready + " -bf 5 -b-pyramid normal"},
		{"no B-frames", "a.mp4", ready + " -bf 0"},
		{"the index first, and parameter sets, delimiters and a picture's timing in the units", "a.mp4", ready + " -x264-params aud=1:repeat-headers=1:nal-hrd=vbr -maxrate 2M -bufsize 2M -movflags +faststart"},
		{"MOV, another size, several slices, Main", "a.mov", ready + " -s 480x270 -profile:v main -slices 4"},
		{"more key pictures than are wanted", "a.mp4", ready + " -g 10 -keyint_min 10"},
		{"another clock, which starts late", "a.mp4", ready + " -video_track_timescale 90000 -output_ts_offset 2"},
		{"colours that the file alone speaks of", "a.mp4", ready + " -x264-params colorprim=undef:transfer=undef:colormatrix=undef"},
		{"offsets of 64 bits", "a.mp4", ready + " -shortest"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			inputsAtOnce <- struct{}{}
			defer func() { <-inputsAtOnce }()
			p, file, e := plain(t, c.file, c.args, "360:2000k:128k,90:300k:128k", nil)
			if c.name == "offsets of 64 bits" {
				file = wide(t, file)
			}
			if err := remux.Fit(file, p); err != nil || !p.Copyable() {
				t.Fatalf("the plan is copyable: %v; %v", p.Copyable(), err)
			}
			p = p.Copy()
			s := copied(t, p, file, e)
			top, low := p.Video[0].Name, p.Video[1].Name
			var whole []byte
			for i, init := range s.inits[top] {
				if whole == nil {
					whole = slices.Clone(init.Data)
				} else if !bytes.Equal(init.Data, s.inits[top][0].Data) {
					t.Errorf("the init segment of chunk %d differs", i)
				}
			}
			if len(s.segments[top]) != p.Segments() {
				t.Fatalf("%d segments, planned %d", len(s.segments[top]), p.Segments())
			}
			for n, g := range s.segments[top] {
				o := s.segments[low][n]
				if g.Number != o.Number || g.Ticks != o.Ticks || len(g.KeyFrames) != len(o.KeyFrames) {
					t.Errorf("segment %d: number %d of %d ticks with %d key frames, that beside it is %d, %d, %d", n, g.Number, g.Ticks,
						len(g.KeyFrames), o.Number, o.Ticks, len(o.KeyFrames))
				}
				whole = append(whole, g.Data...)
				k := g.KeyFrames[len(g.KeyFrames)-1]
				run(t, slices.Concat(s.inits[top][0].Data, g.Data[k.Offset:k.Offset+k.Bytes]), words("-v error -xerror -i pipe:0 -f null -")...)
			}
			hash := func(data []byte) string {
				in := "pipe:0"
				if data == nil {
					in = file.URL()
				}
				return string(run(t, data, "-v", "error", "-xerror", "-i", in, "-map", "0:v", "-fps_mode", "passthrough", "-f", "framehash", "-hash", "md5", "pipe:1"))
			}
			got, want := pictures(hash(whole)), pictures(hash(nil))
			if len(want) != 325 || !slices.Equal(got, want) {
				t.Errorf("%d pictures are copied as %d, or as others", len(want), len(got))
			}
			checkColor(t, s.inits[top][0].Data)
			if !strings.Contains(c.args, "colormatrix=undef") {
				checkTags(t, s.inits[top][0].Data)
			}
			checkClock(t, top, whole, media.Rate{Num: 25, Den: 1})
		})
	}
}

// checkColor looks for what the file said of the colours.
func checkColor(t *testing.T, init []byte) {
	t.Helper()
	f, err := mp4.DecodeFile(bytes.NewReader(init))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range f.Init.Moov.Trak.Mdia.Minf.Stbl.Stsd.AvcX.Children {
		if c, ok := b.(*mp4.ColrBox); ok {
			if c.ColorType != "nclx" || c.ColorPrimaries != 1 || c.TransferCharacteristics != 1 || c.MatrixCoefficients != 1 || c.FullRangeFlag {
				t.Errorf("the colours are %+v", c)
			}
			return
		}
	}
	t.Error("the file said what its colours are, and the init segment does not")
}

// pictures are the hashes in a list of FFmpeg's.
func pictures(list string) []string {
	var hashes []string
	for line := range strings.Lines(list) {
		if fields := strings.Split(strings.TrimSpace(line), ","); len(fields) == 6 && fields[0] == "0" {
			hashes = append(hashes, fields[5])
		}
	}
	return hashes
}

// A source that is not what would be made of it is encoded, and the log says why.
func TestWhatIsNotReadyIsEncoded(t *testing.T) {
	const rungs = "360:2000k:128k,90:300k:128k"
	for _, c := range []struct {
		name, file, args, rungs string
		edit                    func(*testing.T, []byte) []byte
		change                  func(*plan.Plan)
		because                 string // "" where the plan tells already
	}{
		{name: "open GOPs", args: ready + " -x264-params open-gop=1:bframes=3", because: "open"},
		{name: "key pictures elsewhere", args: ready + " -g 60 -keyint_min 60", because: "no key picture at frame 50"},
		{name: "one key picture", args: ready + " -g 1000", because: "no key picture at frame 50"},
		{name: "more bits than the rung has", args: ready + " -crf 5", rungs: "360:300k:128k,90:100k:128k", because: "more than 300000 bits per second"},
		{name: "larger than the top rung", args: ready, rungs: "180:2000k:128k,90:300k:128k"},
		{name: "a picture that is missing", args: ready + " -vf select='not(eq(n,30))' -fps_mode passthrough -bf 0", because: "not on the grid"},
		{name: "the sound first", args: "-vf setpts=PTS+0.5/TB " + ready + " -fps_mode passthrough", because: "do not fill"},
		{name: "sound that goes on", args: "-vf trim=end_frame=275 " + ready, because: "do not fill"},
		{name: "BT.601", args: strings.ReplaceAll(ready, "bt709", "smpte170m")},
		{name: "full range", args: ready + " -color_range pc"},
		{name: "4:4:4", args: ready + " -pix_fmt yuv444p"},
		{name: "10 bits", args: ready + " -pix_fmt yuv420p10le"},
		{name: "interlaced", args: ready + " -flags +ildct+ilme+cgop"},
		{name: "pixels that are not square", args: ready + " -vf setsar=4/3"},
		{name: "turned", args: ready, edit: matrix(-1, 0, 0, -1)},
		{name: "HEVC", args: strings.ReplaceAll(ready, "libx264", "libx265 -x265-params log-level=none")},
		{name: "Matroska", file: "a.mkv", args: ready},
		{name: "fragments", args: ready + " -movflags frag_keyframe+empty_moov", because: "no MP4 with one track"},
		{name: "no rung below it", args: ready, rungs: "360:2000k:128k"},
		{name: "no rung below it but in another codec", args: ready, rungs: "360:2000k:128k",
			change: func(p *plan.Plan) { *p = p.In(job.Codecs{job.H264, job.HEVC}) }},
		{name: "transport streams", args: ready, change: func(p *plan.Plan) { p.SegmentFormat = job.TS }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			inputsAtOnce <- struct{}{}
			defer func() { <-inputsAtOnce }()
			set(&c.file, "a.mp4")
			set(&c.rungs, rungs)
			p, file, _ := plain(t, c.file, c.args, c.rungs, c.edit)
			if c.change != nil {
				c.change(&p)
			}
			if p.Copyable() != (c.because != "") {
				t.Fatalf("the plan is copyable: %v", p.Copyable())
			}
			if c.because == "" {
				return
			}
			if err := remux.Fit(file, p); err == nil || !strings.Contains(err.Error(), c.because) {
				t.Errorf("want an error with %q: %v", c.because, err)
			}
		})
	}
}

// What an edit list cuts off is not published.
func TestAnEditListIsKept(t *testing.T) {
	_, file, e := plain(t, "a.mp4", ready, "360:2000k:128k,90:300k:128k", nil)
	dir := t.TempDir()
	whole, cut := filepath.Join(dir, "whole.mp4"), filepath.Join(dir, "cut.mp4")
	data := file.bytes(t)
	if err := os.WriteFile(whole, data, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, nil, words(fmt.Sprintf("-v error -ss 1 -i %s -c copy %s", whole, cut))...) // from the key picture before on, which is not shown
	url, _, ladder := serve(t, cut, "360:2000k:128k,90:300k:128k")
	if data, _ = os.ReadFile(cut); data == nil {
		t.Fatal("there is no file")
	}
	file = disk{bytes.NewReader(data), int64(len(data)), url}
	source, err := probe.Probe(t.Context(), e.Tools, file)
	if err != nil {
		t.Fatal(err)
	}
	p := plan.Make("k", "e", 1, source, ladder)
	if err := remux.Fit(file, p); err == nil {
		t.Errorf("the pictures before the cut would be published: %+v", p.Source)
	}
}

// What the index says well of units that are not so is found when they are copied, and damage when they are decoded.
func TestWhatTheIndexHidesIsFound(t *testing.T) {
	fail := func(t *testing.T, p plan.Plan, file disk, e Encoder) error {
		t.Helper()
		if err := remux.Fit(file, p); err != nil {
			t.Fatalf("the index tells: %v", err)
		}
		s := &copies{inits: map[string][]cmaf.Init{}, segments: map[string][]cmaf.Segment{}}
		p = p.Copy()
		for _, c := range p.Chunks {
			if err := Copy(t.Context(), p, c, file, s); err != nil {
				return err
			}
			if err := e.Picture(t.Context(), p.Encoded(), c, file.URL(), s, nil); err != nil {
				return err
			}
		}
		return nil
	}
	t.Run("key pictures that are none", func(t *testing.T) {
		p, file, e := plain(t, "a.mp4", ready+" -bf 0 -x264-params intra-refresh=1", "360:2000k:128k,90:300k:128k", nil)
		if err := fail(t, p, file, e); err == nil || !strings.Contains(err.Error(), "no IDR picture") {
			t.Error(err)
		}
	})
	t.Run("parameter sets that change", func(t *testing.T) {
		p, file, e := plain(t, "a.mp4", ready+" -x264-params repeat-headers=1", "360:2000k:128k,90:300k:128k", nil)
		data := file.bytes(t)
		tree, err := mp4.DecodeFile(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		pps := tree.Moov.Trak.Mdia.Minf.Stbl.Stsd.AvcX.AvcC.PPSnalus[0]
		data[bytes.LastIndex(data[:tree.Moov.StartPos], pps)+len(pps)-1] ^= 4
		if err := fail(t, p, disk{bytes.NewReader(data), file.size, file.url}, e); err == nil || !strings.Contains(err.Error(), "parameter sets") {
			t.Error(err)
		}
	})
	t.Run("damage", func(t *testing.T) {
		p, _, e := plain(t, "a.mp4", ready, "360:2000k:128k,90:300k:128k", nil)
		path := filepath.Join(t.TempDir(), "a.mp4")
		run(t, nil, append(words("-v error -f lavfi -i testsrc2=s=640x360:r=25:d=13 -f lavfi -i sine=d=13.1 -bsf:v noise=amount=20000"), append(words(ready), path)...)...)
		url, _, _ := serve(t, path, "360:2000k:128k")
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := fail(t, p, disk{bytes.NewReader(data), int64(len(data)), url}, e); err == nil {
			t.Error("nobody notices")
		} else {
			t.Log(err)
		}
	})
}

// wide gives the chunks of a file, whose index is at its end, offsets of 64 bits.
func wide(t *testing.T, file disk) disk {
	t.Helper()
	data := file.bytes(t)
	tree, err := mp4.DecodeFile(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	for _, trak := range tree.Moov.Traks {
		table := trak.Mdia.Minf.Stbl
		long := &mp4.Co64Box{}
		for _, at := range table.Stco.ChunkOffset {
			long.ChunkOffset = append(long.ChunkOffset, uint64(at))
		}
		for i, b := range table.Children {
			if b == table.Stco {
				table.Children[i] = long
			}
		}
	}
	out := bytes.NewBuffer(slices.Clone(data[:tree.Moov.StartPos]))
	if err := tree.Moov.Encode(out); err != nil {
		t.Fatal(err)
	}
	return disk{bytes.NewReader(out.Bytes()), int64(out.Len()), file.url}
}

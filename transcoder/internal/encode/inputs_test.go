package encode

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/Eyevinn/mp4ff/avc"
	"github.com/Eyevinn/mp4ff/mp4"

	"weir/transcoder/internal/cmaf"
	"weir/transcoder/internal/job"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
	"weir/transcoder/internal/probe"
)

// An input is a file as people upload it. All of them show the same scene: a test picture that flashes white for a tenth of
// a second, half a second into each second, with a beep at the same time and a quiet tone that rises. So whatever the file,
// one knows what comes out: the scene.
type input struct {
	name  string
	file  string   // its extension chooses the container
	video []string // encoder and filters; none: there is no picture
	audio []string // the same of the sound; none: there is no sound
	// FFmpeg's arguments in place of all others but the file, where scene and sound are not enough.
	args []string
	edit func(t *testing.T, data []byte) []byte

	rate    string // of the scene; 25
	seconds int    // its length; 2
	scene   string // filters behind it, of the source and of what is expected alike
	view    string // filters of what is expected alone

	size   string // of the top rendition; 160x90
	at     string // its rate; 25/1
	frames int    // 50
	ssim   float64
	color  float64                        // mean difference of red, green and blue
	apart  float64                        // how far flashes and beeps may be from each other, in seconds; 0.04, negative is not looked at
	lag    float64                        // how late the sound may be, in seconds
	like   float64                        // how like the scene it is, from -1 to 1; 0.85. Where recordings join, a frame of it may be missing
	hear   func(tone []float64) []float64 // what is expected to be heard of the scene's tone
	count  int                            // of flashes and of beeps; one a second
}

func (in input) withDefaults() input {
	set(&in.rate, "25")
	set(&in.seconds, 2)
	set(&in.size, "160x90")
	set(&in.at, "25/1")
	set(&in.frames, 25*in.seconds)
	set(&in.ssim, 0.9)
	set(&in.color, 6)
	set(&in.apart, 0.04)
	set(&in.lag, 0.025)
	set(&in.like, 0.85)
	set(&in.count, in.seconds)
	return in
}

func set[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

const flash = "drawbox=c=white:t=fill:enable='between(mod(t,1),0.499,0.599)'"

// picture and tone are lavfi's descriptions of the scene.
func (in input) picture() string {
	s := fmt.Sprintf("testsrc2=s=160x90:r=%s:d=%d,format=rgb24,%s", in.rate, in.seconds, flash)
	if in.scene != "" {
		s += "," + in.scene
	}
	return s + ",format=gbrp"
}

func (in input) tone() string {
	return fmt.Sprintf("aevalsrc='if(between(mod(t,1),0.5,0.6),0.7*sin(2*PI*1000*t),0.1*sin(2*PI*(300+200*t)*t))':s=48000:d=%d", in.seconds)
}

// make writes the file.
func (in input) make(t *testing.T, dir string) string {
	t.Helper()
	file := filepath.Join(dir, in.file)
	args := []string{"-v", "error", "-nostdin", "-y", "-threads", "1"}
	if in.args != nil {
		args = append(args, in.args...)
	} else {
		if in.video != nil {
			args = append(args, "-f", "lavfi", "-i", in.picture())
		}
		if in.audio != nil {
			args = append(args, "-f", "lavfi", "-i", in.tone())
		}
		args = append(append(args, in.video...), in.audio...)
	}
	run(t, nil, append(args, file)...)
	if in.edit != nil {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, in.edit(t, data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return file
}

// run runs ffmpeg and returns what it wrote.
func run(t *testing.T, stdin []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ffmpeg", args...)
	var messages bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(stdin), &messages
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ffmpeg %s: %v: %s", strings.Join(args, " "), err, messages.String())
	}
	return out
}

// frames are pictures of red, green and blue bytes.
type frames struct {
	width, height int
	data          []byte
}

func (f frames) len() int { return len(f.data) / (f.width * f.height * 3) }

func (f frames) at(n int) []byte {
	size := f.width * f.height * 3
	return f.data[n*size : (n+1)*size]
}

var expected struct {
	sync.Mutex
	pictures map[string]frames
	sounds   map[string][]float64
}

// want returns what the input should look and sound like; many inputs share it.
func (in input) want(t *testing.T, width, height int) (frames, []float64) {
	t.Helper()
	expected.Lock()
	defer expected.Unlock()
	if expected.pictures == nil {
		expected.pictures, expected.sounds = map[string]frames{}, map[string][]float64{}
	}
	view := in.picture()
	if in.view != "" {
		view += "," + in.view
	}
	view += fmt.Sprintf(",scale=%d:%d:flags=bicubic+accurate_rnd", width, height)
	if _, ok := expected.pictures[view]; !ok {
		expected.pictures[view] = frames{width, height, run(t, nil, "-v", "error", "-f", "lavfi", "-i", view, "-f", "rawvideo", "-pix_fmt", "rgb24", "-fps_mode", "passthrough", "pipe:1")}
	}
	if _, ok := expected.sounds[in.tone()]; !ok {
		expected.sounds[in.tone()] = samples(run(t, nil, "-v", "error", "-f", "lavfi", "-i", in.tone(), "-f", "f32le", "-ar", fmt.Sprint(heard), "-ac", "1", "pipe:1"))
	}
	return expected.pictures[view], expected.sounds[in.tone()]
}

// heard is the sample rate at which sounds are compared.
const heard = 8000

func samples(data []byte) []float64 {
	s := make([]float64, len(data)/4)
	for i := range s {
		s[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:])))
	}
	return s
}

// disk is an upload that lies in a folder and is served from there.
type disk struct {
	io.ReaderAt
	size int64
	url  string
}

func (d disk) Size() int64 { return d.size }
func (d disk) URL() string { return d.url }
func (d disk) Err() error  { return nil }

// shelf is a sink that keeps all renditions.
type shelf struct {
	mu    sync.Mutex
	tapes map[string]*tape
}

func (s *shelf) tape(rendition string) *tape {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tapes == nil {
		s.tapes = map[string]*tape{}
	}
	if s.tapes[rendition] == nil {
		s.tapes[rendition] = &tape{segments: map[int][]byte{}}
	}
	return s.tapes[rendition]
}

func (s *shelf) Init(ctx context.Context, rendition string, i cmaf.Init) error {
	return s.tape(rendition).Init(ctx, rendition, i)
}

func (s *shelf) Segment(ctx context.Context, rendition string, g cmaf.Segment) error {
	return s.tape(rendition).Segment(ctx, rendition, g)
}

func (*shelf) Tiles(context.Context, []*image.YCbCr) error { return nil }

// file is the rendition in one piece.
func (s *tape) file() []byte {
	file := slices.Clone(s.init)
	for n := range len(s.segments) {
		file = append(file, s.segments[n]...)
	}
	return file
}

// transcode takes a file down the line: probe, plan, encode. It refuses what is planned to be longer than it should be.
func transcode(t *testing.T, file string, seconds int) (plan.Plan, *shelf, error) {
	t.Helper()
	url, tools, ladder := serve(t, file, "360:2000k:128k,90:1000k:128k,64:300k:128k")
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	source, err := probe.Probe(t.Context(), tools, disk{f, info.Size(), url})
	if err != nil {
		return plan.Plan{}, nil, err
	}
	p, s, e := plan.Make("k", "e", 1, source, ladder), &shelf{}, Encoder{Tools: tools, Preset: "ultrafast"}
	if p.Duration() > float64(2*seconds) {
		t.Fatalf("planned to last %.1f s: %+v", p.Duration(), source)
	}
	for _, task := range p.Tasks() {
		if task.Sound {
			err = e.Sound(t.Context(), p, task.Chunks, url, s, nil)
		} else {
			err = e.Picture(t.Context(), p, task.Chunks[0], url, s, nil)
		}
		if err != nil {
			return p, s, err
		}
	}
	return p, s, nil
}

// inputsAtOnce is how many inputs are tried side by side.
var inputsAtOnce = make(chan struct{}, 2)

// check takes an input down the line and compares what comes out with the scene.
func (in input) check(t *testing.T) {
	t.Parallel()
	inputsAtOnce <- struct{}{}
	defer func() { <-inputsAtOnce }()
	in = in.withDefaults()
	p, s, err := transcode(t, in.make(t, t.TempDir()), in.seconds+2)
	if err != nil {
		t.Fatalf("%v (source %+v)", err, p.Source)
	}
	top := p.Video[0]
	if got := fmt.Sprintf("%dx%d", top.Width, top.Height); got != in.size {
		t.Errorf("the picture is %s, want %s", got, in.size)
	}
	if got := p.Source.Video.Rate.String(); got != in.at {
		t.Errorf("the rate is %s, want %s", got, in.at)
	}
	var got frames // of the top rendition
	report := fmt.Sprintf("%d chunks", len(p.Chunks))
	for i := len(p.Video) - 1; i >= 0; i-- {
		r := p.Video[i]
		tape := s.tape(r.Name)
		checkTags(t, tape.init)
		got = frames{r.Width, r.Height, run(t, tape.file(), "-v", "error", "-i", "pipe:0", "-f", "rawvideo", "-pix_fmt", "rgb24", "-fps_mode", "passthrough", "pipe:1")}
		if n := got.len(); n < in.frames || n > in.frames+1 {
			t.Errorf("%s: %d frames, want %d", r.Name, n, in.frames)
		}
		want, _ := in.want(t, r.Width, r.Height)
		least, off := in.compare(t, p, r, got, want)
		report += fmt.Sprintf("; %dx%d, %d frames, SSIM %.3f, colour off by %.1f", r.Width, r.Height, got.len(), least, off)
	}
	if in.audio != nil {
		sound := samples(run(t, s.tape(p.Audio[0].Name).file(), "-v", "error", "-i", "pipe:0", "-f", "f32le", "-ar", fmt.Sprint(heard), "-ac", "1", "pipe:1"))
		_, tone := in.want(t, top.Width, top.Height)
		if in.hear != nil {
			tone = in.hear(tone)
		}
		late, like := lag(sound, tone)
		if math.Abs(late) > in.lag || like < in.like {
			t.Errorf("the sound is %.3f s late and %.3f like that of the scene", late, like)
		}
		if in.apart > 0 {
			flashes, beeps := got.flashes(p.Source.Video.Rate), beeps(sound)
			if len(flashes) != in.count || len(beeps) != in.count {
				t.Fatalf("flashes at %.3f, beeps at %.3f, want %d", flashes, beeps, in.count)
			}
			apart := 0.0
			for i := range flashes {
				if d := beeps[i] - flashes[i]; math.Abs(d) > math.Abs(apart) {
					apart = d
				}
			}
			if math.Abs(apart) > in.apart {
				t.Errorf("beeps are up to %.3f s behind flashes: %.3f, %.3f", apart, beeps, flashes)
			}
			report += fmt.Sprintf(", sound %.3f s behind", apart)
		}
	}
	t.Log(report)
}

// checkTags holds the output to what every player decodes, and to saying what its colours mean.
func checkTags(t *testing.T, init []byte) {
	t.Helper()
	f, err := mp4.DecodeFile(bytes.NewReader(init))
	if err != nil {
		t.Fatal(err)
	}
	sps, err := avc.ParseSPSNALUnit(f.Init.Moov.Trak.Mdia.Minf.Stbl.Stsd.AvcX.AvcC.SPSnalus[0], true)
	if err != nil {
		t.Fatal(err)
	}
	if sps.ChromaFormatIDC != 1 || sps.BitDepthLumaMinus8 != 0 {
		t.Errorf("chroma format %d and %d bits", sps.ChromaFormatIDC, sps.BitDepthLumaMinus8+8)
	}
	v := sps.VUI
	if v == nil || v.VideoFullRangeFlag || v.ColourPrimaries != 1 || v.TransferCharacteristics != 1 || v.MatrixCoefficients != 1 {
		t.Errorf("the picture is not tagged as BT.709 in limited range: %+v", v)
	}
	if v != nil && v.SampleAspectRatioWidth != v.SampleAspectRatioHeight {
		t.Errorf("pixels are %d:%d", v.SampleAspectRatioWidth, v.SampleAspectRatioHeight)
	}
}

// compare looks at frames of a rendition at several times, and at those on both sides of each join of chunks: they must be like the
// scene's at that time, and more like those than like the scene's before and after. It returns the worst similarity and the worst
// mean difference of colours.
func (in input) compare(t *testing.T, p plan.Plan, r plan.VideoRendition, got, want frames) (least, off float64) {
	t.Helper()
	least = 1
	n := min(got.len(), want.len())
	if n == 0 {
		t.Error("there is nothing to compare")
		return 0, 0
	}
	places := []int{0, n / 5, n / 2, n * 3 / 4, n - 1}
	for _, c := range p.Chunks[1:] {
		if first := int(c.First); first < n {
			places = append(places, first-1, first, first+1)
		}
	}
	for _, at := range places {
		if at >= n {
			continue
		}
		like, colors := similar(got, at, want, at), difference(got.at(at), want.at(at), got.width)
		least, off = min(least, like), max(off, colors)
		if like < in.ssim {
			t.Errorf("%s, frame %d: SSIM %.3f, want %.3f", r.Name, at, like, in.ssim)
		}
		if colors > in.color {
			t.Errorf("%s, frame %d: colours are off by %.1f, want %.1f", r.Name, at, colors, in.color)
		}
		for _, other := range []int{at - 1, at + 1} {
			if other >= 0 && other < want.len() && similar(got, at, want, other) > like+0.002 {
				t.Errorf("%s: frame %d is more like frame %d of the scene", r.Name, at, other)
			}
		}
	}
	return least, off
}

// similar is the mean structural similarity of the luma of two frames, in blocks of 8 by 8 (Wang et al., 2004).
func similar(a frames, i int, b frames, j int) float64 {
	const c1, c2 = 0.01 * 255 * 0.01 * 255, 0.03 * 255 * 0.03 * 255
	x, y := a.at(i), b.at(j)
	luma := func(p []byte, at int) float64 {
		return 0.2126*float64(p[3*at]) + 0.7152*float64(p[3*at+1]) + 0.0722*float64(p[3*at+2])
	}
	var sum, blocks float64
	for top := 0; top+8 <= a.height; top += 8 {
		for left := 0; left+8 <= a.width; left += 8 {
			var sx, sy, sxx, syy, sxy float64
			for v := range 8 {
				for h := range 8 {
					at := (top+v)*a.width + left + h
					p, q := luma(x, at), luma(y, at)
					sx, sy, sxx, syy, sxy = sx+p, sy+q, sxx+p*p, syy+q*q, sxy+p*q
				}
			}
			mx, my := sx/64, sy/64
			vx, vy, cov := sxx/64-mx*mx, syy/64-my*my, sxy/64-mx*my
			sum += (2*mx*my + c1) * (2*cov + c2) / ((mx*mx + my*my + c1) * (vx + vy + c2))
			blocks++
		}
	}
	return sum / blocks
}

// difference is the mean difference of the colours of two pictures in blocks of 8 by 8, in which fine detail is blurred.
func difference(a, b []byte, width int) float64 {
	const side = 8
	var sum, count float64
	height := len(a) / 3 / width
	for top := 0; top+side <= height; top += side {
		for left := 0; left+side <= width; left += side {
			for channel := range 3 {
				d := 0
				for v := range side {
					for h := range side {
						at := 3*((top+v)*width+left+h) + channel
						d += int(a[at]) - int(b[at])
					}
				}
				sum += math.Abs(float64(d)) / (side * side)
				count++
			}
		}
	}
	return sum / count
}

// flashes are the times at which the picture turns white.
func (f frames) flashes(rate media.Rate) []float64 {
	var means []float64
	top := 0.0
	for n := range f.len() {
		sum := 0
		for _, v := range f.at(n) {
			sum += int(v)
		}
		means = append(means, float64(sum)/float64(len(f.at(n))))
		top = max(top, means[n])
	}
	var times []float64
	for n := range means {
		if bright := 0.9 * top; means[n] > bright && (n == 0 || means[n-1] <= bright) {
			times = append(times, rate.Seconds(int64(n)))
		}
	}
	return times
}

// beeps are the times at which the sound becomes loud, to a millisecond.
func beeps(sound []float64) []float64 {
	const window = heard / 1000
	var times []float64
	quiet := 0
	for at := 0; at+window <= len(sound); at += window {
		loud := 0.0
		for _, v := range sound[at : at+window] {
			loud = max(loud, math.Abs(v))
		}
		if loud < 0.3 {
			quiet++
			continue
		}
		if quiet > 200 {
			times = append(times, float64(at)/heard)
		}
		quiet = 0
	}
	return times
}

// lag is how much later a sound is than another where the two are most alike, within a twentieth of a second, and how alike they
// are then: the correlation, from -1 to 1.
func lag(sound, reference []float64) (seconds, like float64) {
	const each = 3 // a third of the samples tell as much: the beep is still below half of their rate
	for shift := -heard / 20; shift <= heard/20; shift++ {
		var xx, yy, xy float64
		for i := max(0, -shift); i < len(reference) && i+shift < len(sound); i += each {
			x, y := sound[i+shift], reference[i]
			xx, yy, xy = xx+x*x, yy+y*y, xy+x*y
		}
		if c := xy / math.Sqrt(xx*yy+1e-12); c > like {
			seconds, like = float64(shift)/heard, c
		}
	}
	return seconds, like
}

// level is how loud a sound is: the root of the mean of its squares.
func level(sound []float64) float64 {
	sum := 0.0
	for _, v := range sound {
		sum += v * v
	}
	return math.Sqrt(sum / float64(max(len(sound), 1)))
}

func words(text string) []string { return strings.Fields(text) }

// matrix writes a display matrix, without its translation, into a file's first track header (ISO/IEC 14496-12, 8.3.2).
func matrix(a, b, c, d int32) func(*testing.T, []byte) []byte {
	return func(t *testing.T, data []byte) []byte {
		header := bytes.Index(data, []byte("tkhd\x00"))
		if header < 0 {
			t.Fatal("the file has no track header of version 0")
		}
		for i, v := range []int32{a << 16, b << 16, 0, c << 16, d << 16, 0} {
			binary.BigEndian.PutUint32(data[header+44+4*i:], uint32(v))
		}
		return data
	}
}

// twice joins a file with itself.
func twice(_ *testing.T, data []byte) []byte { return append(data, data...) }

var (
	x264 = words("-c:v libx264 -preset ultrafast -crf 12 -bf 0 -vf scale=out_color_matrix=bt601,format=yuv420p")
	aac  = words("-c:a aac -b:a 128k")
	mp3  = words("-c:a libmp3lame -b:a 128k")
	pcm  = words("-c:a pcm_s16le")
)

// The table is what people upload. What a codec itself does to the picture is allowed for where it is much.
var inputs = []input{
	// Codecs, each in a container in which it is found.
	{name: "H.264 and AAC in MP4", file: "a.mp4", video: x264, audio: aac},
	{name: "H.264 with B-frames in MOV", file: "a.mov", video: words("-c:v libx264 -preset medium -bf 3 -crf 12 -pix_fmt yuv420p"), audio: aac},
	{name: "H.264 in fragments", file: "a.mp4", video: append(words("-movflags frag_keyframe+empty_moov -g 12"), x264...)},
	{name: "H.264 in 3GP", file: "a.3gp", video: x264, audio: aac},
	{name: "H.264 in FLV", file: "a.flv", video: words("-c:v libx264 -preset medium -bf 2 -crf 12 -pix_fmt yuv420p"), audio: aac},
	{name: "H.264 with B-frames in AVI", file: "a.avi", video: words("-c:v libx264 -preset medium -bf 2 -crf 12 -pix_fmt yuv420p"), audio: pcm, apart: 0.09, lag: 0.05},
	{name: "HEVC in MP4", file: "a.mp4", video: words("-c:v libx265 -preset ultrafast -x265-params log-level=error:pools=1 -crf 12 -pix_fmt yuv420p -tag:v hvc1"), audio: aac},
	{name: "HEVC of 10 bits in Matroska", file: "a.mkv", video: words("-c:v libx265 -preset ultrafast -x265-params log-level=error:pools=1 -crf 12 -pix_fmt yuv420p10le"), audio: words("-c:a ac3")},
	{name: "VP8 and Vorbis in WebM", file: "a.webm", video: words("-c:v libvpx -deadline realtime -cpu-used 8 -b:v 2M -pix_fmt yuv420p"), audio: words("-c:a libvorbis")},
	{name: "VP9 and Opus in WebM", file: "a.webm", video: words("-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 2M -pix_fmt yuv420p"), audio: words("-c:a libopus")},
	{name: "AV1 of libaom in MP4", file: "a.mp4", video: words("-c:v libaom-av1 -usage realtime -cpu-used 8 -b:v 2M -pix_fmt yuv420p"), audio: aac},
	{name: "AV1 of SVT in Matroska", file: "a.mkv", video: words("-c:v libsvtav1 -preset 12 -crf 20 -pix_fmt yuv420p"), audio: words("-c:a flac")},
	{name: "AV1 of rav1e in WebM", file: "a.webm", video: words("-c:v librav1e -speed 10 -qp 40 -pix_fmt yuv420p"), audio: words("-c:a libopus")},
	{name: "MPEG-1 in MPEG-PS", file: "a.mpg", video: words("-c:v mpeg1video -q:v 2"), audio: words("-c:a mp2")},
	{name: "MPEG-2 in a VOB", file: "a.vob", video: words("-c:v mpeg2video -q:v 2 -bf 2"), audio: words("-c:a ac3")},
	{name: "MPEG-2 in MPEG-TS", file: "a.ts", video: words("-c:v mpeg2video -q:v 2 -bf 2"), audio: words("-c:a mp2")},
	{name: "H.264 in a camera's MPEG-TS", file: "a.m2ts", video: words("-c:v libx264 -preset medium -crf 12 -pix_fmt yuv420p"), audio: words("-c:a ac3")},
	{name: "MPEG-4 in AVI", file: "a.avi", video: words("-c:v mpeg4 -q:v 2"), audio: pcm},
	{name: "Xvid with B-frames in AVI", file: "a.avi", video: words("-c:v libxvid -q:v 2 -bf 2"), audio: pcm, apart: 0.09, lag: 0.05},
	{name: "MS-MPEG-4 in AVI", file: "a.avi", video: words("-c:v msmpeg4 -q:v 2"), audio: pcm},
	{name: "WMV 1", file: "a.wmv", video: words("-c:v wmv1 -q:v 2"), audio: words("-c:a wmav1")},
	{name: "WMV 2", file: "a.wmv", video: words("-c:v wmv2 -q:v 2"), audio: words("-c:a wmav2")},
	{name: "Sorenson's H.263 in FLV", file: "a.flv", video: words("-c:v flv1 -q:v 2"), audio: mp3},
	{name: "H.263 in 3GP", file: "a.3gp", video: words("-vf scale=176:144 -c:v h263 -q:v 2"), audio: aac, size: "176x98", ssim: 0.8},
	{name: "Flash Screen Video", file: "a.flv", video: words("-c:v flashsv"), audio: mp3},
	{name: "Theora and Vorbis in Ogg", file: "a.ogv", video: words("-c:v libtheora -q:v 10"), audio: words("-c:a libvorbis")},
	{name: "MJPEG in AVI", file: "a.avi", video: words("-c:v mjpeg -q:v 2 -pix_fmt yuvj420p"), audio: pcm},
	{name: "MJPEG of 4:2:2 in MOV", file: "a.mov", video: words("-c:v mjpeg -q:v 2 -pix_fmt yuvj422p"), audio: pcm},
	{name: "ProRes 422 in MOV", file: "a.mov", video: words("-c:v prores_ks -profile:v 2"), audio: words("-c:a pcm_s24le")},
	{name: "DNxHR in MOV", file: "a.mov", video: words("-vf scale=256:144:out_color_matrix=bt709 -c:v dnxhd -profile:v dnxhr_hq -pix_fmt yuv422p"), audio: pcm, size: "256x144"},
	{name: "FFV1 in Matroska", file: "a.mkv", video: words("-c:v ffv1 -pix_fmt yuv420p"), audio: words("-c:a flac")},
	{name: "Huffyuv in AVI", file: "a.avi", video: words("-c:v huffyuv -pix_fmt yuv422p"), audio: pcm},
	{name: "Ut Video in AVI", file: "a.avi", video: words("-c:v utvideo -pix_fmt gbrp"), audio: pcm},
	{name: "raw YUV in AVI", file: "a.avi", video: words("-c:v rawvideo -pix_fmt yuv420p"), audio: pcm},
	{name: "raw RGB in AVI", file: "a.avi", video: words("-c:v rawvideo -pix_fmt bgr24"), audio: pcm},
	{name: "raw UYVY in MOV", file: "a.mov", video: words("-c:v rawvideo -pix_fmt uyvy422"), audio: pcm},
	{name: "Cinepak in AVI", file: "a.avi", video: words("-vf scale=160:88 -c:v cinepak"), audio: pcm, size: "156x88", ssim: 0.75, color: 12},
	{name: "MS Video 1 in AVI", file: "a.avi", video: words("-vf scale=160:88 -c:v msvideo1"), audio: pcm, size: "156x88", ssim: 0.6, color: 14},
	{name: "QuickTime Animation", file: "a.mov", video: words("-c:v qtrle -pix_fmt rgb24"), audio: pcm},
	{name: "JPEG 2000 in MOV", file: "a.mov", video: words("-c:v jpeg2000 -pix_fmt yuv420p"), audio: pcm},
	{name: "DV in AVI", file: "a.avi", video: words("-vf scale=720:576,setsar=64/45 -c:v dvvideo -pix_fmt yuv420p"), audio: pcm, size: "640x360", ssim: 0.85},
	{name: "DV in MOV", file: "a.mov", video: words("-vf scale=720:480,setsar=32/27 -r 30000/1001 -c:v dvvideo -pix_fmt yuv411p"), audio: pcm,
		rate: "30000/1001", at: "30000/1001", frames: 60, size: "640x360", ssim: 0.8, color: 10},

	// Samples of other kinds.
	{name: "4:4:4", file: "a.mp4", video: words("-c:v libx264 -preset ultrafast -crf 12 -pix_fmt yuv444p"), audio: aac},
	{name: "4:2:2 of 10 bits", file: "a.mp4", video: words("-c:v libx264 -preset ultrafast -crf 12 -pix_fmt yuv422p10le"), audio: aac},
	{name: "RGB in H.264", file: "a.mp4", video: words("-c:v libx264rgb -preset ultrafast -crf 12"), audio: aac},
	{name: "shades of grey", file: "a.mkv", video: words("-c:v ffv1 -pix_fmt gray"), audio: aac, scene: "format=gray,format=rgb24"},
	{name: "a palette in MOV", file: "a.mov", video: words("-vf split[a][b];[a]palettegen=stats_mode=diff[p];[b][p]paletteuse=dither=none -c:v png -pix_fmt pal8"), audio: pcm, ssim: 0.85, color: 10},
	{name: "a palette in QuickTime Animation", file: "a.mov", video: words("-c:v qtrle -pix_fmt rgb555be"), audio: pcm, color: 8},
	{name: "GIF's palette in AVI", file: "a.avi", video: words("-vf format=rgb8,format=pal8 -c:v rawvideo -pix_fmt pal8"), audio: pcm, ssim: 0.6, color: 30},

	// Transparency: what is transparent is black, whatever colours lie under it.
	{name: "alpha in PNG", file: "a.mov", video: words("-vf format=gbrap,geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='if(lt(X,80),255,0)',format=rgba -c:v png"), audio: pcm, view: half},
	{name: "alpha in VP8", file: "a.webm", video: words("-vf format=gbrap,geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='if(lt(X,80),255,0)',format=yuva420p -c:v libvpx -auto-alt-ref 0 -deadline realtime -cpu-used 8 -b:v 2M"), view: half, ssim: 0.85},
	{name: "alpha in VP9", file: "a.webm", video: words("-vf format=gbrap,geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='if(lt(X,80),255,0)',format=yuva420p -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 2M"), view: half, ssim: 0.85},
	{name: "alpha in QuickTime Animation", file: "a.mov", video: words("-vf format=gbrap,geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='if(lt(X,80),255,0)',format=argb -c:v qtrle"), audio: pcm, view: half},
	{name: "alpha in ProRes 4444", file: "a.mov", video: words("-vf format=gbrap,geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='if(lt(X,80),255,0)',format=yuva444p10le -c:v prores_ks -profile:v 4"), audio: pcm, view: half},

	// Colour. The scene has colours that show when a matrix or a range is mistaken for another.
	{name: "BT.601 without a word of it", file: "a.mp4", video: x264, audio: aac},
	{name: "BT.709 in a small picture", file: "a.mp4", video: words("-vf scale=out_color_matrix=bt709,format=yuv420p -colorspace bt709 -color_primaries bt709 -color_trc bt709 -c:v libx264 -preset ultrafast -crf 12")},
	{name: "high definition without a word of it", file: "a.mp4", video: words("-vf scale=1280:720:out_color_matrix=bt709,format=yuv420p -c:v libx264 -preset ultrafast -crf 12 -t 0.4"), size: "640x360", frames: 10},
	{name: "full range", file: "a.mp4", video: words("-vf scale=out_color_matrix=bt601:out_range=pc,format=yuvj420p -c:v libx264 -preset ultrafast -crf 12")},
	{name: "full range, BT.709, 10 bits", file: "a.mkv", video: words("-vf scale=out_color_matrix=bt709:out_range=pc,format=yuv420p10le -color_range pc -colorspace bt709 -color_trc bt709 -color_primaries bt709 -c:v libx264 -preset ultrafast -crf 12")},
	{name: "BT.2020 without HDR", file: "a.mp4", video: words("-vf scale=out_color_matrix=bt2020,format=yuv420p10le -colorspace bt2020nc -c:v libx264 -preset ultrafast -crf 12")},
	{name: "HDR10", file: "a.mp4", video: hdr("smpte2084", "hdr-opt=1:repeat-headers=1:master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):max-cll=1000,400"), audio: aac, ssim: 0.8, color: 30},
	{name: "HLG", file: "a.mov", video: hdr("arib-std-b67", "repeat-headers=1"), audio: aac, ssim: 0.8, color: 30},

	// Geometry. The picture as stored is the scene turned the other way.
	{name: "turned by 90 degrees", file: "a.mp4", video: append(words("-vf transpose=cclock,format=yuv420p"), x264[:8]...), edit: matrix(0, 1, -1, 0), audio: aac},
	{name: "turned by 180 degrees", file: "a.mp4", video: append(words("-vf hflip,vflip,format=yuv420p"), x264[:8]...), edit: matrix(-1, 0, 0, -1)},
	{name: "turned by 270 degrees", file: "a.mov", video: append(words("-vf transpose=clock,format=yuv420p"), x264[:8]...), edit: matrix(0, -1, 1, 0)},
	{name: "mirrored", file: "a.mp4", video: append(words("-vf hflip,format=yuv420p"), x264[:8]...), edit: matrix(-1, 0, 0, 1)},
	{name: "upside down and mirrored", file: "a.mp4", video: append(words("-vf vflip,format=yuv420p"), x264[:8]...), edit: matrix(1, 0, 0, -1)},
	{name: "turned by 90 degrees and mirrored", file: "a.mp4", video: append(words("-vf transpose=cclock_flip,format=yuv420p"), x264[:8]...), edit: matrix(0, 1, 1, 0)},
	{name: "turned by 270 degrees and mirrored", file: "a.mp4", video: append(words("-vf transpose=clock_flip,format=yuv420p"), x264[:8]...), edit: matrix(0, -1, -1, 0)},
	{name: "an odd size", file: "a.mp4", video: words("-vf scale=161:91 -c:v libx264 -preset ultrafast -crf 12 -pix_fmt yuv444p")},
	{name: "an odd size in 4:2:0", file: "a.mkv", video: words("-vf scale=161:91 -c:v ffv1 -pix_fmt yuv420p")},
	{name: "a tiny odd size", file: "a.mkv", video: words("-vf scale=33:19 -c:v ffv1 -pix_fmt yuv420p"), size: "32x18", ssim: 0.8, color: 10},
	{name: "wide pixels", file: "a.mp4", video: words("-vf scale=120:90,setsar=4/3,format=yuv420p -c:v libx264 -preset ultrafast -crf 12"), size: "120x68", ssim: 0.85},
	{name: "tall pixels, turned", file: "a.mp4", video: words("-vf transpose=cclock,scale=90:120,setsar=3/4,format=yuv420p -c:v libx264 -preset ultrafast -crf 12"), edit: matrix(0, 1, -1, 0), size: "120x68", ssim: 0.85},

	// Frame rates.
	{name: "one frame a second", file: "a.mp4", video: x264, rate: "1", at: "1/1", frames: 4, seconds: 4, audio: aac, apart: -1},
	{name: "10 frames a second", file: "a.mp4", video: x264, rate: "10", at: "10/1", frames: 20, audio: aac, apart: 0.11},
	{name: "12.5 frames a second in AVI", file: "a.avi", video: words("-c:v mjpeg -q:v 2"), rate: "25/2", at: "25/2", frames: 25, audio: pcm, apart: 0.09},
	{name: "NTSC", file: "a.mkv", video: x264, rate: "30000/1001", at: "30000/1001", frames: 60, audio: aac, apart: 0.045},
	{name: "50 frames a second", file: "a.mp4", video: x264, rate: "50", at: "50/1", frames: 100, audio: aac},
	{name: "100 frames a second", file: "a.mp4", video: x264, rate: "100", at: "50/1", frames: 100, view: "framestep=2", audio: aac},
	{name: "120 frames a second", file: "a.mp4", video: x264, rate: "120", at: "60/1", frames: 120, view: "framestep=2", audio: aac},
	{name: "240 frames a second", file: "a.mov", video: x264, rate: "240", at: "60/1", frames: 120, view: "framestep=4", audio: aac, ssim: 0.88},
	{name: "a clock of milliseconds", file: "a.mkv", video: append(words("-enc_time_base 1/1000 -fps_mode vfr"), x264...), rate: "24", at: "24/1", frames: 48, audio: aac},
	{name: "a rate that varies", file: "a.mkv", video: append(words("-fps_mode vfr"), "-vf", "select='not(between(n,20,30))',format=yuv420p", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "12"),
		audio: aac, view: "select='not(between(n,20,30))',fps=25", apart: 0.08},

	// Interlaced pictures: those of the scene at twice the rate, in alternating lines.
	{name: "interlaced, top field first", file: "a.mp4", video: words("-vf scale=192:108,interlace=scan=tff,format=yuv420p -flags +ildct+ilme -x264-params tff=1 -c:v libx264 -preset ultrafast -crf 12"), audio: aac,
		rate: "50", scene: moving, view: "framestep=2", size: "192x108", ssim: 0.8},
	{name: "interlaced, bottom field first", file: "a.ts", video: words("-vf interlace=scan=bff,format=yuv420p -flags +ildct+ilme -c:v mpeg2video -q:v 2 -top 0"), audio: words("-c:a mp2"),
		rate: "50", scene: moving, view: "framestep=2", ssim: 0.8},
	{name: "interlaced in DV", file: "a.avi", video: words("-vf scale=720:576,interlace=scan=bff:lowpass=off,setsar=64/45 -c:v dvvideo -pix_fmt yuv420p"), audio: pcm,
		rate: "50", scene: moving, view: "framestep=2", size: "640x360", ssim: 0.8},
	{name: "progressive but flagged as interlaced", file: "a.mp4", video: words("-vf scale=192:108,format=yuv420p -flags +ildct+ilme -x264-params tff=1 -c:v libx264 -preset ultrafast -crf 12"), audio: aac, size: "192x108", ssim: 0.85},

	// Clocks.
	{name: "an edit list that cuts the start", file: "a.mp4", video: x264, edit: cutStart, audio: aac,
		view: "trim=start=1", hear: func(tone []float64) []float64 { return tone[heard:] }, seconds: 3, frames: 50, count: 2},
	{name: "a start far from 0", file: "a.ts", video: append(words("-output_ts_offset 5000"), x264...), audio: aac},
	{name: "a clock that wraps", file: "a.ts", video: append(words("-output_ts_offset 95441.3"), x264...), audio: aac, seconds: 4, frames: 100},
	{name: "two recordings in one", file: "a.ts", video: append(words("-g 25"), x264...), audio: words("-c:a mp2"), edit: twice, view: "loop=1:50", hear: again, frames: 100, count: 4, like: 0.8, lag: 0.03},
	{name: "a recording that goes on hours later", file: "a.ts", video: append(words("-g 25"), x264...), audio: words("-c:a mp2"), edit: later, view: "loop=1:50", hear: again, frames: 100, count: 4, like: 0.8, lag: 0.03},
	{name: "a size that changes on the way", file: "a.ts", video: x264, edit: smaller, ssim: 0.8},
	{name: "a gap of a second", file: "a.mkv", args: nil, video: append(words("-fps_mode vfr"), "-vf", "setpts=PTS+if(gte(T\\,1)\\,1\\,0)/TB,format=yuv420p", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "12"),
		frames: 75, view: "setpts=PTS+if(gte(T\\,1)\\,1\\,0)/TB,fps=25"},
	{name: "a single frame in MP4", file: "a.mp4", video: append(words("-frames:v 1"), x264...), frames: 1},
	{name: "a single frame in Matroska", file: "a.mkv", video: append(words("-frames:v 1"), x264...), frames: 1},
	{name: "a single frame in MPEG-TS", file: "a.ts", video: append(words("-frames:v 1"), x264...), frames: 1},
	{name: "a single frame in FLV", file: "a.flv", video: append(words("-frames:v 1"), x264...), at: "25/1", frames: 1},
	{name: "a single frame in Ogg", file: "a.ogv", video: words("-frames:v 1 -c:v libtheora -q:v 10"), frames: 1},

	// Company.
	{name: "a cover beside the video", file: "a.mp4", args: words("-f lavfi -i color=red:s=400x400:d=0.04:r=25 -f lavfi -i testsrc2=s=160x90:r=25:d=2,format=rgb24," + flash + ",format=gbrp -map 0 -map 1 -c:v:0 mjpeg -disposition:v:0 attached_pic -pix_fmt:v:0 yuvj420p -c:v:1 libx264 -preset ultrafast -crf 12 -pix_fmt:v:1 yuv420p")},
	{name: "a timecode track", file: "a.mov", video: append(words("-timecode 10:00:00:00"), x264...), audio: aac},

	// Sound.
	{name: "mono at 8 kHz", file: "a.mp4", video: x264, audio: words("-c:a aac -ar 8000 -ac 1")},
	{name: "96 kHz of 24 bits", file: "a.mkv", video: x264, audio: words("-c:a flac -ar 96000 -sample_fmt s32")},
	{name: "mu-law at 8 kHz", file: "a.avi", video: words("-c:v mjpeg -q:v 2"), audio: words("-c:a pcm_mulaw -ar 8000 -ac 1")},
	{name: "sound that ends sooner", file: "a.mp4", video: x264, audio: words("-c:a aac -af atrim=end=1.2"), apart: -1,
		hear: func(tone []float64) []float64 { return tone[:heard*12/10] }},
	{name: "a short hole in the sound", file: "a.mp4", video: x264, audio: append(slices.Clone(aac), drop(127, 130)...), seconds: 6},
	{name: "sound that goes on", file: "a.mkv", video: words("-vf trim=end_frame=30,format=yuv420p -c:v libx264 -preset ultrafast -crf 12"), audio: aac, apart: -1, view: "select='lt(n,30)',tpad=stop=20:stop_mode=clone"},
	{name: "no sound", file: "a.webm", video: words("-c:v libvpx -deadline realtime -cpu-used 8 -b:v 2M -pix_fmt yuv420p")},
}

// drop are the arguments that leave packets of sound out, from one number to another.
func drop(first, last int) []string {
	return []string{"-bsf:a", fmt.Sprintf(`noise=drop=between(n\,%d\,%d)`, first, last)}
}

// again is a tone, twice.
func again(tone []float64) []float64 { return append(slices.Clone(tone), tone...) }

const (
	half   = "drawbox=x=80:y=0:w=80:h=90:c=black:t=fill"
	moving = "scroll=h=0.02"
)

// hdr are the arguments of an HDR picture in which the scene's white is diffuse white.
func hdr(transfer, params string) []string {
	return []string{
		"-vf", "zscale=rin=full:min=gbr:pin=bt709:tin=bt709:p=bt2020:t=" + transfer + ":m=bt2020nc:r=limited:npl=203,format=yuv420p10le",
		"-c:v", "libx265", "-preset", "ultrafast", "-crf", "12", "-tag:v", "hvc1",
		"-color_primaries", "bt2020", "-color_trc", transfer, "-colorspace", "bt2020nc", "-color_range", "tv",
		"-x265-params", "log-level=error:pools=1:colorprim=bt2020:transfer=" + transfer + ":colormatrix=bt2020nc:" + params,
	}
}

// cutStart makes the edit lists of an MP4 skip its first second (ISO/IEC 14496-12, 8.6.6).
func cutStart(t *testing.T, data []byte) []byte {
	lists := 0
	timescale := uint32(0)
	for at := 0; at+32 < len(data); at++ {
		switch string(data[at : at+4]) {
		case "mvhd":
			timescale = binary.BigEndian.Uint32(data[at+16:])
		case "elst":
			if data[at+4] != 0 || binary.BigEndian.Uint32(data[at+8:]) != 1 {
				t.Fatal("an edit list with other than one entry of version 0")
			}
			duration, start := binary.BigEndian.Uint32(data[at+12:]), binary.BigEndian.Uint32(data[at+16:])
			// The media's timescale comes later, in its mdhd.
			header := bytes.Index(data[at:], []byte("mdhd"))
			binary.BigEndian.PutUint32(data[at+12:], duration-timescale)
			binary.BigEndian.PutUint32(data[at+16:], start+binary.BigEndian.Uint32(data[at+header+16:]))
			lists++
		}
	}
	if lists != 2 {
		t.Fatalf("%d edit lists, want 2", lists)
	}
	return data
}

// later joins a recording with itself as it would go on three hours later.
func later(t *testing.T, data []byte) []byte {
	return append(data, run(t, data, "-v", "error", "-f", "mpegts", "-i", "pipe:0", "-c", "copy", "-output_ts_offset", "10800", "-f", "mpegts", "pipe:1")...)
}

// smaller makes the second half of a recording one of a smaller picture.
func smaller(t *testing.T, data []byte) []byte {
	half := func(args ...string) []byte {
		all := append(words("-v error -f mpegts -i pipe:0"), args...)
		return run(t, data, append(all, words("-c:v libx264 -preset ultrafast -crf 12 -bf 0 -f mpegts pipe:1")...)...)
	}
	return append(half("-vf", "trim=end_frame=25,setpts=N/25/TB"), half("-vf", "trim=start_frame=25,setpts=N/25/TB,scale=96:54", "-output_ts_offset", "1")...)
}

// Each chunk is encoded by a process of its own, which looks for its first picture in the file by itself: no picture may be missing
// where two meet, or come twice, however far it is to the key frame before. Formats without an index are only sought in from the
// 20th second on.
func TestChunksMeet(t *testing.T) {
	for _, in := range []input{
		{name: "H.264 with B-frames in MP4", file: "a.mp4", video: words("-c:v libx264 -preset veryfast -bf 3 -g 1000 -crf 12 -pix_fmt yuv420p"), audio: aac, seconds: 22},
		{name: "H.264 with open groups in Matroska", file: "a.mkv", video: words("-c:v libx264 -preset veryfast -bf 3 -x264-params open-gop=1 -g 70 -crf 12 -pix_fmt yuv420p"), seconds: 22},
		{name: "H.264 with B-frames in MPEG-TS", file: "a.ts", video: words("-c:v libx264 -preset veryfast -bf 3 -g 1000 -crf 12 -pix_fmt yuv420p"), audio: words("-c:a mp2"), seconds: 40},
		{name: "H.264 in FLV", file: "a.flv", video: words("-c:v libx264 -preset veryfast -bf 2 -g 70 -crf 12 -pix_fmt yuv420p"), audio: aac, seconds: 40},
		{name: "HEVC in MOV", file: "a.mov", video: words("-c:v libx265 -preset ultrafast -x265-params log-level=error:pools=1:keyint=70:open-gop=1 -crf 12 -pix_fmt yuv420p -tag:v hvc1"), seconds: 22},
		{name: "VP8 in WebM", file: "a.webm", video: words("-c:v libvpx -deadline realtime -cpu-used 8 -g 1000 -b:v 2M -pix_fmt yuv420p"), seconds: 22},
		{name: "VP9 in WebM", file: "a.webm", video: words("-c:v libvpx-vp9 -deadline good -cpu-used 8 -auto-alt-ref 1 -lag-in-frames 16 -g 70 -b:v 2M -pix_fmt yuv420p"), audio: words("-c:a libopus"), seconds: 22},
		{name: "AV1 in MP4", file: "a.mp4", video: words("-c:v libaom-av1 -usage realtime -cpu-used 8 -g 70 -b:v 2M -pix_fmt yuv420p"), seconds: 22},
		{name: "AV1 in Matroska", file: "a.mkv", video: words("-c:v libsvtav1 -preset 12 -g 70 -crf 20 -pix_fmt yuv420p"), seconds: 22},
		{name: "ProRes in MOV", file: "a.mov", video: words("-c:v prores_ks -profile:v 2"), audio: pcm, seconds: 22},
		{name: "MJPEG in AVI", file: "a.avi", video: words("-c:v mjpeg -q:v 2 -pix_fmt yuvj420p"), audio: pcm, seconds: 40},
		{name: "MPEG-4 with B-frames in MP4", file: "a.mp4", video: words("-c:v mpeg4 -bf 2 -g 70 -q:v 2"), seconds: 22},
		{name: "MPEG-2 in MPEG-PS", file: "a.mpg", video: words("-c:v mpeg2video -q:v 2 -bf 2 -g 70"), audio: words("-c:a mp2"), seconds: 40},
		{name: "Theora in Ogg", file: "a.ogv", video: words("-c:v libtheora -q:v 10 -g 1000"), audio: words("-c:a libvorbis"), seconds: 40},
	} {
		t.Run(in.name, in.check)
	}
}

func TestWhateverPeopleUpload(t *testing.T) {
	for _, in := range inputs {
		t.Run(in.name, in.check)
	}
}

// Surround becomes stereo with the levels of ITU-R BS.775: front at full level, centre and surround at 0.707, and mono is as
// loud in both ears as it was. It does not depend on how the source's samples are stored.
func TestChannelsKeepTheirLevels(t *testing.T) {
	// One tone a channel: join gives the first one, which is mono, to the centre, and then left, right, and so on.
	const surround = "sine=f=400:d=2[a];sine=f=600:d=2[b];sine=f=800:d=2[c];sine=f=60:d=2[d];sine=f=1200:d=2[e];sine=f=1400:d=2[f];" +
		"[a][b][c][d][e][f]join=inputs=6:channel_layout=5.1"
	const root = math.Sqrt2 / 2
	for _, c := range []struct {
		name, file, source string
		codec              []string
		tones              []float64
		left, right        []float64 // of each tone, beside its level in the source
	}{
		{"5.1 in AC-3", "a.mkv", surround, words("-c:a ac3 -b:a 640k"), []float64{600, 800, 400, 1200, 1400}, []float64{1, 0, root, root, 0}, []float64{0, 1, root, 0, root}},
		{"5.1 in AAC", "a.mp4", surround, words("-c:a aac -b:a 512k"), []float64{600, 800, 400, 1200, 1400}, []float64{1, 0, root, root, 0}, []float64{0, 1, root, 0, root}},
		{"5.1 in PCM", "a.mov", surround, pcm, []float64{600, 800, 400, 1200, 1400}, []float64{1, 0, root, root, 0}, []float64{0, 1, root, 0, root}},
		{"mono in AAC", "a.mp4", "sine=f=400:d=2", aac, []float64{400}, []float64{1}, []float64{1}},
		{"mono in PCM", "a.mov", "sine=f=400:d=2", pcm, []float64{400}, []float64{1}, []float64{1}},
		{"stereo", "a.mp4", "sine=f=400:d=2[a];sine=f=600:d=2[b];[a][b]join=inputs=2", aac, []float64{400, 600}, []float64{1, 0}, []float64{0, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			inputsAtOnce <- struct{}{}
			defer func() { <-inputsAtOnce }()
			file := input{file: c.file, args: slices.Concat(words("-f lavfi -i color=s=64x64:d=2 -f lavfi -i"), []string{c.source}, words("-c:v libx264 -preset ultrafast"), c.codec)}.make(t, t.TempDir())
			p, s, err := transcode(t, file, 2)
			if err != nil {
				t.Fatal(err)
			}
			both := samples(run(t, s.tape(p.Audio[0].Name).file(), "-v", "error", "-i", "pipe:0", "-f", "f32le", "-ar", fmt.Sprint(heard), "pipe:1"))
			for side, want := range [][]float64{c.left, c.right} {
				var ear []float64
				for i := side; i < len(both); i += 2 {
					ear = append(ear, both[i])
				}
				for i, f := range c.tones {
					// lavfi's sine has an amplitude of 1/8.
					if got := 8 * amplitude(ear[heard/2:heard*3/2], f); math.Abs(got-want[i]) > 0.06 {
						t.Errorf("%.0f Hz in channel %d has level %.3f, want %.3f", f, side, got, want[i])
					}
				}
			}
		})
	}
}

// amplitude is that of a frequency in a second of sound.
func amplitude(second []float64, frequency float64) float64 {
	var re, im float64
	for i, v := range second {
		sin, cos := math.Sincos(2 * math.Pi * frequency * float64(i) / heard)
		re, im = re+v*cos, im+v*sin
	}
	return 2 * math.Hypot(re, im) / float64(len(second))
}

// What cannot become a video fails with a code and a sentence that says what to do.
func TestWhatIsNoVideoIsRefused(t *testing.T) {
	for _, c := range []struct {
		in   input
		code job.Code
	}{
		{input{name: "a picture", file: "a.png", video: words("-frames:v 1")}, job.UnsupportedFormat},
		{input{name: "a GIF", file: "a.gif", video: words("-frames:v 5")}, job.UnsupportedFormat},
		{input{name: "an MP4 that breaks off", file: "a.mp4", video: x264, edit: func(_ *testing.T, data []byte) []byte { return data[:len(data)/2] }}, job.SourceTruncated},
		{input{name: "a codec nobody knows", file: "a.mp4", video: x264, edit: func(_ *testing.T, data []byte) []byte {
			return bytes.Replace(data, []byte("avc1"), []byte("zzzz"), -1)
		}}, job.UnsupportedFormat},
		{input{name: "a picture in a codec nobody knows, beside sound", file: "a.mp4", video: x264, audio: aac, edit: func(_ *testing.T, data []byte) []byte {
			return bytes.Replace(data, []byte("avc1"), []byte("zzzz"), -1)
		}}, job.UnsupportedFormat},
		{input{name: "a WAV that breaks off", file: "a.wav", audio: pcm, edit: func(_ *testing.T, data []byte) []byte { return data[:len(data)/2] }}, job.SourceTruncated},
		{input{name: "sound in a codec nobody knows", file: "a.m4a", audio: words("-c:a alac"), edit: func(_ *testing.T, data []byte) []byte {
			return bytes.Replace(data, []byte("alac"), []byte("zzzz"), -1)
		}}, job.UnsupportedFormat},
		{input{name: "an MP4 with no pictures in it", file: "a.mp4", video: append(words("-frames:v 0"), x264...)}, job.UnsupportedFormat},
	} {
		t.Run(c.in.name, func(t *testing.T) {
			_, _, err := transcode(t, c.in.withDefaults().make(t, t.TempDir()), 4)
			failure := (*job.Failure)(nil)
			if !errors.As(err, &failure) || failure.Code != c.code || !strings.Contains(strings.ToLower(failure.Message), "upload") {
				t.Errorf("%v, want %s with what to do", err, c.code)
			}
		})
	}
}

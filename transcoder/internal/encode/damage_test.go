package encode_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"image"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/transcoder/internal/cmaf"
	"weir/transcoder/internal/encode"
	"weir/transcoder/internal/ffmpeg"
	"weir/transcoder/internal/job"
	"weir/transcoder/internal/plan"
	"weir/transcoder/internal/probe"
	"weir/transcoder/internal/remux"
)

var (
	damagedFiles = flag.Int("fuzz.media", 18, "how many damaged files to probe and to encode")
	damageSeed   = flag.Uint64("fuzz.media.seed", 1, "what is damaged, and how")
	damagedFile  = flag.Int("fuzz.media.file", -1, "only the file with this number, once more")
)

// containers are the formats that are damaged, with codecs of their time.
var containers = []struct {
	name string
	args []string
}{
	{"h264.mp4", []string{"-c:v", "libx264", "-preset", "ultrafast", "-g", "10", "-c:a", "aac"}},
	{"copied.mp4", []string{"-c:v", "libx264", "-preset", "veryfast", "-g", "10", "-flags", "+cgop", "-colorspace", "bt709", "-c:a", "aac"}},
	{"faststart.mp4", []string{"-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", "-movflags", "faststart"}},
	{"fragmented.mp4", []string{"-c:v", "libx264", "-preset", "ultrafast", "-g", "10", "-c:a", "aac", "-movflags", "frag_keyframe+empty_moov"}},
	{"hevc.mp4", []string{"-c:v", "libx265", "-x265-params", "log-level=none", "-preset", "ultrafast", "-tag:v", "hvc1", "-c:a", "aac"}},
	{"prores.mov", []string{"-c:v", "prores_ks", "-c:a", "pcm_s16le"}},
	{"mjpeg.mov", []string{"-c:v", "mjpeg", "-c:a", "pcm_s16be"}},
	{"h264.mkv", []string{"-c:v", "libx264", "-preset", "ultrafast", "-c:a", "flac"}},
	{"vp9.webm", []string{"-c:v", "libvpx-vp9", "-cpu-used", "8", "-deadline", "realtime", "-c:a", "libopus"}},
	{"vp8.webm", []string{"-c:v", "libvpx", "-cpu-used", "8", "-deadline", "realtime", "-c:a", "libvorbis"}},
	{"mpeg2.ts", []string{"-c:v", "mpeg2video", "-c:a", "mp2"}},
	{"h264.ts", []string{"-c:v", "libx264", "-preset", "ultrafast", "-g", "10", "-c:a", "aac"}},
	{"mpeg4.avi", []string{"-c:v", "mpeg4", "-c:a", "libmp3lame"}},
	{"cinepak.avi", []string{"-c:v", "cinepak", "-c:a", "pcm_s16le"}},
	{"flv1.flv", []string{"-c:v", "flv", "-c:a", "libmp3lame", "-ar", "44100"}},
	{"theora.ogg", []string{"-c:v", "libtheora", "-c:a", "libvorbis"}},
	{"wmv2.wmv", []string{"-c:v", "wmv2", "-c:a", "wmav2"}},
	{"mpeg1.mpg", []string{"-c:v", "mpeg1video", "-c:a", "mp2"}},
}

// damage changes a file in one of the ways in which files are damaged, or made to do damage.
func damage(r *rand.Rand, whole []byte) ([]byte, string) {
	data := slices.Clone(whole)
	at := func() int {
		if r.IntN(2) == 0 {
			return r.IntN(min(len(data), 4096)) // the headers
		}
		return r.IntN(len(data))
	}
	switch r.IntN(7) {
	case 0:
		n := 1 + r.IntN(len(data))
		return data[:n], fmt.Sprintf("cut to %d bytes", n)
	case 1:
		n := 1 + r.IntN(8)
		for range n {
			data[at()] ^= 1 << r.IntN(8)
		}
		return data, fmt.Sprintf("%d bits", n)
	case 2:
		n := 1 + len(data)/(20+r.IntN(2000))
		for range n {
			data[r.IntN(len(data))] ^= 1 << r.IntN(8)
		}
		return data, fmt.Sprintf("%d bits all over", n)
	case 3:
		from := at()
		end := min(from+1+r.IntN(2000), len(data))
		clear(data[from:end])
		return data, fmt.Sprintf("zeros from %d to %d", from, end)
	case 4:
		from := at()
		end := min(from+1+r.IntN(2000), len(data))
		for i := from; i < end; i++ {
			data[i] = byte(r.Uint32())
		}
		return data, fmt.Sprintf("noise from %d to %d", from, end)
	case 5:
		from := at()
		end := min(from+1+r.IntN(5000), len(data))
		return slices.Concat(data[:from], data[end:]), fmt.Sprintf("without %d to %d", from, end)
	default:
		from := min(at()&^3, max(len(data)-4, 0))
		value := []uint32{0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0x00ffffff}[r.IntN(6)]
		if from+4 <= len(data) {
			binary.BigEndian.PutUint32(data[from:], value)
		}
		return data, fmt.Sprintf("%#x at %d", value, from)
	}
}

// reel keeps what a task makes.
type reel struct {
	mu    sync.Mutex
	files map[string][]byte
}

func (s *reel) Init(_ context.Context, rendition string, i cmaf.Init) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[rendition] = slices.Clone(i.Data)
	return nil
}

func (s *reel) Segment(_ context.Context, rendition string, g cmaf.Segment) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[rendition] = append(s.files[rendition], g.Data...)
	return nil
}

func (*reel) Tiles(context.Context, []*image.YCbCr) error { return nil }

// play decodes a rendition and returns how many bytes its pictures have, or its samples; -1 if it is damaged. One thread sees all
// damage.
func (s *reel) play(t *testing.T, rendition string, args ...string) int {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ffmpeg", append(append([]string{"-v", "error", "-xerror", "-threads", "1", "-f", "mp4", "-i", "pipe:0"}, args...), "pipe:1")...)
	cmd.Stdin = bytes.NewReader(s.files[rendition])
	out, err := cmd.Output()
	if err != nil {
		return -1
	}
	return len(out)
}

type upload struct {
	*bytes.Reader
	url string
}

func (u upload) URL() string { return u.url }
func (u upload) Err() error  { return nil }

// verdictLimit is how long a damaged clip of two seconds may take to its verdict: some of what bounds a process is a minute.
const verdictLimit = 3 * time.Minute

// stuckAfter is how long the end of its context may take to reach the verdict.
const stuckAfter = time.Minute

// hidden is the number of a file whose pictures are copied, with damage that decoders of several threads mostly do not tell of.
const hidden = 235

// maxDamagedChunks bounds what is encoded of a file whose headers promise hours.
const maxDamagedChunks = 2

// Whatever becomes of a file on its way, it ends as a video that plays or as a failure with a code; nothing hangs, and no
// process is left behind. `go tool task fuzz:media` damages a thousand files.
func TestDamagedFilesEndWithAVerdict(t *testing.T) {
	folder := t.TempDir()
	wholes := make([][]byte, len(containers))
	var making sync.WaitGroup
	for i, c := range containers[:min(len(containers), *damagedFiles)] {
		making.Go(func() {
			file := filepath.Join(folder, c.name)
			args := slices.Concat([]string{"-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x92:r=25:d=2", "-f", "lavfi", "-i", "sine=d=2:r=48000"},
				c.args, []string{"-pix_fmt", "yuv420p", "-threads", "1", file})
			if c.name == "prores.mov" || c.name == "cinepak.avi" || c.name == "mjpeg.mov" {
				args = slices.DeleteFunc(args, func(a string) bool { return a == "-pix_fmt" || a == "yuv420p" })
			}
			if out, err := exec.CommandContext(t.Context(), "ffmpeg", args...).CombinedOutput(); err != nil {
				t.Errorf("%s: %v: %s", c.name, err, out)
				return
			}
			data, err := os.ReadFile(file)
			if err != nil {
				t.Error(err)
			}
			wholes[i] = data
		})
	}
	making.Wait()
	if t.Failed() {
		return
	}
	tools, err := ffmpeg.Find(ffmpeg.DefaultMemory)
	if err != nil {
		t.Fatal(err)
	}
	ladder, err := plan.ParseLadder("92:400k:64k,64:100k:64k")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	files := map[string][]byte{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		data := files[r.URL.Path]
		mu.Unlock()
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}))
	defer server.Close()

	verdicts, slowest, slow, judged := map[string]int{}, time.Duration(0), "", 0
	one := func(n int) {
		c := containers[n%len(containers)]
		data, how := damage(rand.New(rand.NewPCG(*damageSeed, uint64(n))), wholes[n%len(containers)])
		what := fmt.Sprintf("%s, %s (-fuzz.media.seed=%d, file %d)", c.name, how, *damageSeed, n)
		path := fmt.Sprintf("/%d", n)
		mu.Lock()
		files[path] = data
		mu.Unlock()
		began := time.Now()
		ctx, cancel := context.WithTimeoutCause(t.Context(), verdictLimit, errHangs)
		defer cancel()
		var verdict string
		var err error
		end := make(chan struct{})
		go func() {
			defer close(end)
			verdict, err = judge(ctx, t, tools, upload{bytes.NewReader(data), server.URL + path}, ladder)
		}()
		select {
		case <-end:
		case <-time.After(verdictLimit + stuckAfter): // no context ends it
			panic(what + ": it is stuck")
		}
		took := time.Since(began)
		mu.Lock()
		defer mu.Unlock()
		delete(files, path)
		verdicts[verdict]++
		if took > slowest {
			slowest, slow = took, what
		}
		if verdict == "" {
			t.Errorf("%s: %v", what, err)
		}
		if judged++; judged%100 == 0 {
			fmt.Printf("%d of %d files\n", judged, *damagedFiles)
		}
	}
	var workers sync.WaitGroup
	next := make(chan int)
	for range 2 {
		workers.Go(func() {
			for n := range next {
				one(n)
			}
		})
	}
	for n := range *damagedFiles {
		if *damagedFile < 0 || n == *damagedFile {
			next <- n
		}
	}
	if *damagedFiles <= hidden && *damagedFile < 0 {
		next <- hidden
	}
	close(next)
	workers.Wait()
	if left := children(t); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
	for _, verdict := range slices.Sorted(maps.Keys(verdicts)) {
		t.Logf("%-20s %d", verdict, verdicts[verdict])
	}
	t.Logf("the slowest took %v: %s", slowest.Round(time.Millisecond), slow)
	fmt.Printf("RESULT {\"name\":\"damaged files\",\"files\":%d,\"seed\":%d,\"playable\":%d,\"without a verdict\":%d,\"slowest_s\":%.1f}\n",
		*damagedFiles, *damageSeed, verdicts["playable"]+verdicts["playable as it is"], verdicts[""], slowest.Seconds())
}

var errHangs = errors.New("no verdict in time")

// judge takes a file to its end: "playable", or the code with which its job fails, or "" and what went wrong.
func judge(ctx context.Context, t *testing.T, tools ffmpeg.Tools, u upload, ladder plan.Ladder) (string, error) {
	code := func(err error) (string, error) {
		failure, bad := (*job.Failure)(nil), (*ffmpeg.Error)(nil)
		switch {
		case errors.Is(context.Cause(ctx), errHangs):
			return "", errHangs
		case errors.As(err, &failure):
			return string(failure.Code), err
		case errors.As(err, &bad), strings.HasPrefix(err.Error(), "read the encoder's MP4"):
			return string(job.EncodingFailed), err // what the worker makes of it
		}
		return "", err
	}
	s, err := probe.Probe(ctx, tools, u)
	if err != nil {
		return code(err)
	}
	p := plan.Make("key", "etag", u.Size(), s, ladder)
	e := encode.Encoder{Tools: tools, Preset: "ultrafast"}
	chunks := p.Chunks[:min(len(p.Chunks), maxDamagedChunks)]
	if p.Copyable() && remux.Fit(u, p) == nil {
		verdict, err := playCopied(ctx, t, e, p.Copy(), chunks, u)
		if verdict != restarted {
			return verdict, err
		}
	}
	r := &reel{files: map[string][]byte{}}
	for _, c := range chunks {
		if len(p.Video) == 0 {
			break // only the sound is whole enough
		}
		if err := e.Picture(ctx, p, c, u.url, r, nil); err != nil {
			return code(err)
		}
		// The chunk is decoded by itself, as a player does that begins with it.
		for _, v := range p.Video {
			if n := r.play(t, v.Name, "-f", "rawvideo", "-pix_fmt", "gray"); n != int(c.End-c.First)*v.Width*v.Height {
				return "", fmt.Errorf("chunk %d of %d frames of %dx%d plays as %d bytes", c.Number, c.End-c.First, v.Width, v.Height, n)
			}
		}
	}
	if len(p.Audio) > 0 && len(chunks) == len(p.Chunks) {
		if err := e.Sound(ctx, p, chunks, u.url, r, nil); err != nil {
			return code(err)
		}
		want := int(p.Duration()*48000) * 2 // of 16 bits, mono
		for _, a := range p.Audio {
			if n := r.play(t, a.Name, "-f", "s16le", "-ac", "1", "-ar", "48000"); n < want-1<<14 || n > want+1<<14 {
				return "", fmt.Errorf("%s: %.2f s of sound play as %d bytes, want about %d", a.Name, p.Duration(), n, want)
			}
		}
	}
	return "playable", nil
}

// restarted is the verdict on a file whose own pictures cannot be published although its index said so.
const restarted = "restarted"

// playCopied publishes the file's own pictures as the top rung. What is taken for whole must play without an error.
func playCopied(ctx context.Context, t *testing.T, e encode.Encoder, p plan.Plan, chunks []plan.Chunk, u upload) (string, error) {
	r := &reel{files: map[string][]byte{}}
	for _, c := range chunks {
		err := encode.Copy(ctx, p, c, u, r)
		if err == nil {
			err = e.Picture(ctx, p.Encoded(), c, u.url, r, nil)
		}
		if err != nil {
			return restarted, err
		}
		v := p.Video[0]
		if n := r.play(t, v.Name, "-f", "rawvideo", "-pix_fmt", "gray"); n != int(c.End-c.First)*v.Width*v.Height {
			return "", fmt.Errorf("chunk %d of %d frames of %dx%d is copied, and plays as %d bytes", c.Number, c.End-c.First, v.Width, v.Height, n)
		}
	}
	return "playable as it is", nil
}

// children are the processes that this one has started and not waited for.
func children(t *testing.T) []string {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, name := range stats {
		data, _ := os.ReadFile(name)
		_, rest, _ := strings.Cut(string(data), ") ")
		if f := strings.Fields(rest); len(f) > 1 && f[1] == fmt.Sprint(os.Getpid()) {
			found = append(found, string(data))
		}
	}
	return found
}

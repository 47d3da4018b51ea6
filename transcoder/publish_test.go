package main

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Eyevinn/hls-m3u8/m3u8"

	"weir/transcoder/internal/r2"
	"weir/transcoder/internal/r2/r2test"
)

// patience is for a job of a few seconds of video on a busy machine.
const patience = 3 * time.Minute

func TestVideosArePublished(t *testing.T) {
	x264 := []string{"-c:v", "libx264", "-preset", "ultrafast", "-g", "250"}
	sound := []string{"-f", "lavfi", "-i", "sine=d=14:r=44100"}
	picture := func(size, rate string) []string {
		return []string{"-f", "lavfi", "-i", "testsrc2=d=14:s=" + size + ":r=" + rate}
	}
	phone := turn(t, clip(t, "upright.mp4", join(picture("640x360", "25"), x264)...))
	shared := start(t, t.TempDir(), nil)
	for _, c := range []struct {
		name   string
		file   string
		clip   []string
		rungs  string
		sound  string
		frames int
		gop    int
	}{
		{
			name: "landscape NTSC with mono sound", file: "clip.mp4",
			clip:  join(picture("854x480", "30000/1001"), sound, x264, []string{"-ac", "1"}),
			rungs: "480p 854x480 29.970, 360p 640x360 29.970", sound: "audio_128k, audio_96k", frames: 420, gop: 60,
		},
		{
			name: "portrait by a rotation matrix, without sound", file: "phone.mov",
			clip:  []string{"-i", phone, "-c", "copy"},
			rungs: "360p 360x640 25.000", frames: 350, gop: 50,
		},
		{
			name: "odd dimensions below the lowest rung, in 4:4:4", file: "odd.mkv",
			clip:  join(picture("177x145", "24"), x264, []string{"-pix_fmt", "yuv444p"}),
			rungs: "144p 176x144 24.000", frames: 336, gop: 48,
		},
		{
			name: "pixels that are not square", file: "dv.mp4",
			clip:  join(picture("720x576", "25"), x264, []string{"-vf", "setsar=16/15"}),
			rungs: "540p 720x540 25.000, 360p 480x360 25.000", frames: 350, gop: 50,
		},
		{
			name: "a variable frame rate", file: "vfr.mp4",
			clip:  join(picture("320x180", "30"), x264, []string{"-vf", "select='mod(n,7)*mod(n,5)',setpts=PTS+0.004*mod(N\\,3)/TB", "-fps_mode", "vfr"}),
			rungs: "180p 320x180 30.000", frames: 419, gop: 60,
		},
		{
			name: "shorter than a key frame distance", file: "blink.webm",
			clip:  []string{"-f", "lavfi", "-i", "testsrc2=d=0.2:s=320x180:r=25", "-c:v", "libvpx", "-deadline", "realtime"},
			rungs: "180p 320x180 25.000", frames: 5, gop: 50,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n, hook := shared.in(t), receive(t)
			n.post(id(t), upload(t, clip(t, c.file, c.clip...)), hook.URL)
			e := hook.next(t, patience)
			if e.Type != "video.processed" || e.Status != "processed" || e.VideoID != id(t) {
				t.Fatalf("told %+v", e)
			}
			tree := readTree(t, id(t))
			if got := tree.rungs(); got != c.rungs {
				t.Errorf("rungs:\n got %s\nwant %s", got, c.rungs)
			}
			if got := tree.sounds(); got != c.sound {
				t.Errorf("sound: got %q, want %q", got, c.sound)
			}
			var duration float64
			for _, v := range tree.variants() {
				duration = float64(c.frames) / v.FrameRate
			}
			for _, r := range tree.renditions {
				r.check(t, c.frames, c.gop, duration)
			}
			var v video
			n.do("GET", "/videos/"+id(t), nil, &v)
			if v.State != "processed" || v.Progress != 100 || math.Abs(v.DurationS-duration) > 0.05 {
				t.Errorf("the job is %+v", v)
			}
		})
	}
}

// The picture of these clips is a flat grey that says which frame it is, so that a frame that is missing, doubled or out of
// place anywhere shows, at the joins of chunks above all.
func TestEveryFrameIsThereOnce(t *testing.T) {
	const frames, rate = 650, 25
	grey := func(n int) int { return 40 + n*37%160 }
	shared := start(t, t.TempDir(), nil)
	for _, c := range []struct {
		name, file string
		args       []string
	}{
		{"MP4 with B-frames and an open GOP", "clip.mp4", []string{"-c:v", "libx264", "-preset", "fast", "-g", "250", "-x264-params", "open-gop=1"}},
		{"MP4 with a key frame wherever a chunk begins", "clip.mp4", []string{"-c:v", "libx264", "-preset", "fast", "-g", "50", "-flags", "+cgop"}},
		{"MP4 with open GOPs that begin around chunks", "clip.mp4", []string{"-c:v", "libx264", "-preset", "fast", "-g", "49", "-keyint_min", "49", "-x264-params", "open-gop=1:bframes=5"}},
		{"HEVC with open GOPs", "clip.mp4", []string{"-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "keyint=49:min-keyint=49:open-gop=1:log-level=none"}},
		{"Matroska", "clip.mkv", []string{"-c:v", "libx264", "-preset", "ultrafast", "-g", "250"}},
		{"Matroska with a key frame wherever a chunk begins", "clip.mkv", []string{"-c:v", "libx264", "-preset", "fast", "-g", "50"}},
		{"MPEG-TS, which has no index", "clip.ts", []string{"-c:v", "libx264", "-preset", "fast", "-g", "250", "-output_ts_offset", "100"}},
		{"MPEG-TS with a single key frame, which no search finds", "clip.ts", []string{"-c:v", "libx264", "-preset", "ultrafast", "-g", "1000", "-keyint_min", "1000", "-sc_threshold", "0"}},
		{"fragmented MP4", "clip.mp4", []string{"-an", "-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-movflags", "frag_keyframe+empty_moov"}},
		{"WebM", "clip.webm", []string{"-c:v", "libvpx", "-deadline", "realtime", "-b:v", "1M"}},
		{"AVI", "clip.avi", []string{"-an", "-fps_mode", "passthrough", "-c:v", "mpeg4", "-q:v", "2"}},
		{"FLV", "clip.flv", []string{"-c:v", "libx264", "-preset", "ultrafast", "-g", "100"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n, hook := shared.in(t), receive(t)
			file := clip(t, c.file, join([]string{
				"-f", "lavfi", "-i", fmt.Sprintf("color=s=160x90:r=%d:d=%d", rate, frames/rate),
				"-f", "lavfi", "-i", fmt.Sprintf("sine=d=%d", frames/rate),
				"-vf", "format=gray,geq=lum='40+mod(N*37,160)',format=yuv420p",
			}, c.args)...)
			n.post(id(t), upload(t, file), hook.URL)
			if e := hook.next(t, patience); e.Type != "video.processed" {
				t.Fatalf("told %+v", e)
			}
			for _, r := range readTree(t, id(t)).renditions {
				if r.sound {
					continue
				}
				got := r.greys(t)
				if len(got) < frames || len(got) > frames+1 { // a container may round its length up
					t.Errorf("%s has %d frames, want %d", r.name, len(got), frames)
				}
				for i, g := range got[:min(len(got), frames)] {
					if math.Abs(float64(int(g)-grey(i))) > 8 {
						t.Fatalf("%s: frame %d has grey %d, want %d", r.name, i, g, grey(i))
					}
				}
			}
		})
	}
}

// A flash and a beep every two seconds, in a source whose tracks start at different times.
func TestPictureAndSoundStayTogether(t *testing.T) {
	const seconds, rate = 26, 25
	const flash = "format=gray,geq=lum='if(lt(mod(T,2),0.1),235,16)',format=yuv420p"
	shared := start(t, t.TempDir(), nil)
	for _, c := range []struct {
		name, file     string
		args           []string
		flashes, beeps int
	}{
		{"both start at 0", "clip.mp4", nil, 13, 13},
		{"the sound starts late", "late.mkv", []string{"-af", "atrim=start=1.5"}, 13, 12},
		{"the picture starts late", "early.mkv", []string{"-vf", flash + ",trim=start=7.5"}, 9, 13},
		{"the picture starts later than a chunk is long", "radio.mkv", []string{"-vf", flash + ",trim=start=15.5"}, 5, 13},
		{"the sound is short", "brief.mkv", []string{"-af", "atrim=end=5"}, 13, 3},
		{"the sound goes on", "longer.mkv", []string{"-vf", flash + ",trim=end=9.5"}, 5, 13},
		{"a clock that starts elsewhere", "broadcast.ts", []string{"-output_ts_offset", "3600"}, 13, 13},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n, hook := shared.in(t), receive(t)
			file := clip(t, c.file, join([]string{
				"-f", "lavfi", "-i", fmt.Sprintf("color=black:s=160x90:r=%d:d=%d", rate, seconds),
				"-f", "lavfi", "-i", fmt.Sprintf("aevalsrc='if(lt(mod(t,2),0.1),0.8*sin(2*PI*1000*t),0)':d=%d:s=48000", seconds),
				"-vf", flash, "-copyts",
				"-c:v", "libx264", "-preset", "fast", "-c:a", "aac",
			}, c.args)...)
			n.post(id(t), upload(t, file), hook.URL)
			if e := hook.next(t, patience); e.Type != "video.processed" {
				t.Fatalf("told %+v", e)
			}
			var flashes, beeps []float64
			for _, r := range readTree(t, id(t)).renditions {
				if r.sound {
					beeps = onsets(r.loudness(t), 100)
				} else {
					flashes = onsets(r.greys(t), rate)
				}
			}
			if len(flashes) < c.flashes || len(beeps) < c.beeps {
				t.Errorf("flashes at %v, want %d; beeps at %v, want %d", flashes, c.flashes, beeps, c.beeps)
			}
			for _, together := range [][2][]float64{{flashes, beeps}, {beeps, flashes}} {
				if len(together[0]) <= len(together[1]) && !paired(together[0], together[1]) {
					t.Errorf("flashes at %.3f, beeps at %.3f", flashes, beeps)
				}
			}
		})
	}
}

// turn writes the matrix of a phone that was held upright into an MP4's first track header (ISO/IEC 14496-12, 8.3.2).
func turn(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	header := bytes.Index(data, []byte("tkhd\x00"))
	if header < 0 {
		t.Fatal("the file has no track header of version 0")
	}
	for i, v := range []int32{0, 1 << 16, 0, -1 << 16, 0, 0} {
		binary.BigEndian.PutUint32(data[header+44+4*i:], uint32(v))
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// paired tells whether each of the times is within 50 ms of one of the others.
func paired(times, others []float64) bool {
	for _, at := range times {
		if !slices.ContainsFunc(others, func(other float64) bool { return math.Abs(at-other) <= 0.05 }) {
			return false
		}
	}
	return true
}

func join(parts ...[]string) []string {
	var all []string
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// onsets are the times, in seconds, at which a signal rises above half.
func onsets(signal []byte, rate float64) []float64 {
	var times []float64
	for i, v := range signal {
		if v > 127 && (i == 0 || signal[i-1] <= 127) {
			times = append(times, float64(i)/rate)
		}
	}
	return times
}

// tree is a published video as a player finds it.
type tree struct {
	master     *m3u8.MasterPlaylist
	renditions []rendition
	texts      []text
	iframes    int // playlists
	board      board
}

type rendition struct {
	name     string
	sound    bool
	playlist *m3u8.MediaPlaylist
	media    []byte // the init segment and all segments
}

func readTree(t *testing.T, id string) tree {
	t.Helper()
	b := bucket()
	read := func(key string) []byte {
		data, _, err := b.Read(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	root := "videos/" + id + "/hls/"
	out := tree{master: readMaster(t, id), board: readBoard(t, id)}
	named := map[string]bool{root + "master.m3u8": true}
	for _, key := range out.board.keys {
		named[key] = true
	}
	add := func(uri string, sound bool) {
		r := rendition{name: path.Dir(uri), sound: sound}
		named[root+uri] = true
		list, _, err := m3u8.DecodeFrom(bytes.NewReader(read(root+uri)), true)
		if err != nil {
			t.Fatal(err)
		}
		r.playlist = list.(*m3u8.MediaPlaylist)
		part := func(uri string) {
			key := root + path.Join(r.name, uri)
			named[key] = true
			r.media = append(r.media, read(key)...)
		}
		part(r.playlist.Map.URI)
		for _, s := range r.playlist.GetAllSegments() {
			part(s.URI)
		}
		out.renditions = append(out.renditions, r)
	}
	for _, v := range out.master.Variants {
		if !v.Iframe {
			add(v.URI, false)
			continue
		}
		named[root+v.URI] = true
		list, _, err := m3u8.DecodeFrom(bytes.NewReader(read(root+v.URI)), true)
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range list.(*m3u8.MediaPlaylist).GetAllSegments() {
			data := read(root + path.Join(path.Dir(v.URI), s.URI))
			if picture := data[s.Offset : s.Offset+s.Limit]; string(picture[4:8]) != "moof" {
				t.Errorf("%s: I-frame %d starts with %q", v.URI, i, picture[4:8])
			}
		}
		out.iframes++
	}
	if pictures := len(out.renditions); out.iframes != pictures {
		t.Errorf("there are %d I-frame playlists of %d pictures", out.iframes, pictures)
	}
	for _, a := range out.master.GetAllAlternatives() {
		if a.Type == "SUBTITLES" {
			out.texts = append(out.texts, readText(t, root, a, named))
			continue
		}
		add(a.URI, true)
	}
	checkConclusion(t, id, named)
	for o, err := range b.List(t.Context(), "videos/"+id+"/") {
		if err != nil {
			t.Fatal(err)
		}
		if !named[o.Key] {
			t.Errorf("%s is in the tree but no playlist names it", o.Key)
		}
	}
	return out
}

func readMaster(t *testing.T, id string) *m3u8.MasterPlaylist {
	t.Helper()
	data, _, err := bucket().Read(t.Context(), "videos/"+id+"/hls/master.m3u8")
	if err != nil {
		t.Fatal(err)
	}
	list, _, err := m3u8.DecodeFrom(bytes.NewReader(data), true)
	if err != nil {
		t.Fatal(err)
	}
	return list.(*m3u8.MasterPlaylist)
}

// variants are those with pictures that move, highest first.
func (tr tree) variants() []*m3u8.Variant {
	variants := slices.DeleteFunc(slices.Clone(tr.master.Variants), func(v *m3u8.Variant) bool { return v.Iframe })
	slices.SortFunc(variants, func(a, b *m3u8.Variant) int { return cmp.Compare(b.Bandwidth, a.Bandwidth) })
	return variants
}

func (tr tree) rungs() string {
	var out []string
	for _, v := range tr.variants() {
		out = append(out, fmt.Sprintf("%s %s %.3f", path.Dir(v.URI), v.Resolution, v.FrameRate))
	}
	return strings.Join(out, ", ")
}

func (tr tree) sounds() string {
	var out []string
	for _, a := range tr.master.GetAllAlternatives() {
		out = append(out, a.GroupId)
	}
	return strings.Join(out, ", ")
}

// check decodes a rendition and compares it with its playlist and with the source.
func (r rendition) check(t *testing.T, frames, gop int, duration float64) {
	t.Helper()
	listed := 0.0
	for i, s := range r.playlist.GetAllSegments() {
		listed += s.Duration
		want := 6.0
		if i == 0 {
			want = 2
		}
		if i < int(r.playlist.Count())-1 && math.Abs(s.Duration-want) > 0.05 {
			t.Errorf("%s: segment %d has %.3f s", r.name, i, s.Duration)
		}
	}
	if r.playlist.MediaType != m3u8.VOD || !r.playlist.Closed {
		t.Errorf("%s: the playlist may still grow", r.name)
	}
	if math.Abs(listed-duration) > 0.05 {
		t.Errorf("%s: the segments last %.3f s, the source %.3f s", r.name, listed, duration)
	}
	var report struct {
		Streams []struct {
			Frames    string `json:"nb_read_frames"`
			StartTime string `json:"start_time"`
		}
		Packets []struct{ Flags string }
	}
	out := r.pipe(t, "ffprobe", "-count_frames", "-show_streams", "-show_packets", "-of", "json", "-")
	if err := json.Unmarshal(out, &report); err != nil || len(report.Streams) != 1 {
		t.Fatalf("%s: %v: %s", r.name, err, out)
	}
	s := report.Streams[0]
	// Where pictures are shown in another order than they are decoded in, FFmpeg's demuxer shows all of them later.
	if reordered := strings.HasSuffix(r.name, "_hevc"); s.StartTime != "0.000000" && !reordered {
		t.Errorf("%s starts at %s", r.name, s.StartTime)
	}
	if r.sound {
		return
	}
	if s.Frames != fmt.Sprint(frames) {
		t.Errorf("%s has %s frames, want %d", r.name, s.Frames, frames)
	}
	for i, p := range report.Packets {
		if key := strings.Contains(p.Flags, "K"); key != (i%gop == 0) {
			t.Errorf("%s: picture %d: key frame: %v", r.name, i, key)
		}
	}
}

// greys is the mean brightness of each frame.
func (r rendition) greys(t *testing.T) []byte {
	t.Helper()
	return r.pipe(t, "ffmpeg", "-i", "-", "-vf", "scale=1:1:flags=area,format=gray", "-fps_mode", "passthrough", "-f", "rawvideo", "-")
}

// loudness is the peak of each hundredth of a second.
func (r rendition) loudness(t *testing.T) []byte {
	t.Helper()
	pcm := r.pipe(t, "ffmpeg", "-i", "-", "-ac", "1", "-ar", "48000", "-f", "s16le", "-")
	peaks := make([]byte, len(pcm)/960)
	for i := range peaks {
		for j := 0; j < 960; j += 2 {
			v := int16(binary.LittleEndian.Uint16(pcm[i*960+j:]))
			peaks[i] = max(peaks[i], byte(math.Abs(float64(v))/128))
		}
	}
	return peaks
}

// pipe feeds the rendition to a program and returns what it writes.
func (r rendition) pipe(t *testing.T, program string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, append([]string{"-v", "error"}, args...)...)
	cmd.Stdin = bytes.NewReader(r.media)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("%s of %s: %v: %s", program, r.name, err, &stderr)
	}
	return out
}

func TestBucketKeepsTheContract(t *testing.T) { r2test.Contract(t, bucket()) }

// Of a bucket that is not there, and of credentials that are not its own, a node is told.
func TestTheCheckIsOfThisBucket(t *testing.T) {
	good := r2.Config{Endpoint: cloud.Endpoint, Bucket: cloud.Bucket, AccessKeyID: cloud.AccessKeyID, SecretAccessKey: cloud.SecretAccessKey}
	other, stranger := good, good
	other.Bucket, stranger.SecretAccessKey = "nobodys-bucket", "wrong"
	if err := r2.Open(good).Check(t.Context()); err != nil {
		t.Error(err)
	}
	for code, c := range map[string]r2.Config{"NoSuchBucket": other, "SignatureDoesNotMatch": stranger} {
		if err := r2.Open(c).Check(t.Context()); err == nil || !strings.Contains(err.Error(), code) {
			t.Errorf("got %v, want %s", err, code)
		}
	}
}

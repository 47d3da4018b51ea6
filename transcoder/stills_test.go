package main

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"math"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"weir/transcoder/internal/still"
)

// board is a video's poster and storyboard as a page finds them.
type board struct {
	keys   []string // of all their objects
	poster *image.YCbCr
	cues   []cue
	sheets int
}

// cue is one picture and when it is shown, in seconds.
type cue struct {
	start, end float64
	picture    *image.YCbCr
}

var cuePattern = regexp.MustCompile(`(\d\d):(\d\d):(\d\d\.\d{3}) --> (\d\d):(\d\d):(\d\d\.\d{3})\n(\S+)#xywh=(\d+),(\d+),(\d+),(\d+)\n`)

// readBoard reads the pictures, and holds the WebVTT file and the image playlist to each other and to the sheets.
func readBoard(t *testing.T, id string) board {
	t.Helper()
	b, root := bucket(), "videos/"+id+"/"
	read := func(key string) []byte {
		data, _, err := b.Read(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	picture := func(key string) *image.YCbCr {
		m, err := jpeg.Decode(bytes.NewReader(read(key)))
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		return m.(*image.YCbCr)
	}
	folder := root + "storyboard/"
	out := board{keys: []string{root + "poster.jpg", folder + "storyboard.vtt"}, poster: picture(root + "poster.jpg")}

	_, line, found := strings.Cut(string(read(root+"hls/master.m3u8")), "#EXT-X-IMAGE-STREAM-INF:")
	uri := regexp.MustCompile(`URI="([^"]+)"`).FindStringSubmatch(line)
	if !found || uri == nil {
		t.Fatal("the master playlist names no image playlist")
	}
	list := path.Join(root+"hls", uri[1])
	out.keys = append(out.keys, list)
	text := string(read(list))
	if !strings.Contains(text, "#EXT-X-IMAGES-ONLY\n") || !strings.HasSuffix(text, "#EXT-X-ENDLIST\n") {
		t.Errorf("the image playlist is\n%s", text)
	}
	sheets := map[string]*image.YCbCr{}
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^#EXT-X-TILES:.*\n#EXTINF:.*\n(.+)$`).FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
		sheets[m[1]] = picture(folder + m[1])
		out.keys = append(out.keys, folder+m[1])
	}
	out.sheets = len(names)

	vtt := string(read(folder + "storyboard.vtt"))
	matches := cuePattern.FindAllStringSubmatch(vtt, -1)
	if !strings.HasPrefix(vtt, "WEBVTT\n\n") || strings.Count(vtt, "-->") != len(matches) {
		t.Fatalf("the storyboard is\n%s", vtt)
	}
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	seconds := func(m []string) float64 {
		s, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			t.Fatal(err)
		}
		return float64(3600*number(m[0])+60*number(m[1])) + s
	}
	var used []string
	for _, m := range matches {
		c := cue{start: seconds(m[1:4]), end: seconds(m[4:7])}
		if n := len(out.cues); n == 0 && c.start != 0 || n > 0 && c.start != out.cues[n-1].end || c.end <= c.start {
			t.Errorf("a cue goes from %g to %g", c.start, c.end)
		}
		if !slices.Contains(used, m[7]) {
			used = append(used, m[7])
		}
		area := image.Rect(number(m[8]), number(m[9]), number(m[8])+number(m[10]), number(m[9])+number(m[11]))
		sheet := sheets[m[7]]
		if sheet == nil || !area.In(sheet.Rect) || area.Min.X%2+area.Min.Y%2+area.Dx()%2+area.Dy()%2 != 0 {
			t.Fatalf("%s has no part %v", m[7], area)
		}
		c.picture = sheet.SubImage(area).(*image.YCbCr)
		out.cues = append(out.cues, c)
	}
	if !slices.Equal(used, names) {
		t.Errorf("the cues show the sheets %v, the image playlist %v", used, names)
	}
	return out
}

// distance is how far two pictures are from each other: the mean difference of their luma.
func distance(a *image.YCbCr, b []byte) float64 {
	sum, size := 0.0, a.Rect.Size()
	for y := range size.Y {
		row := a.Y[a.YOffset(a.Rect.Min.X, a.Rect.Min.Y+y):][:size.X]
		for x, v := range row {
			sum += math.Abs(float64(v) - float64(b[y*size.X+x]))
		}
	}
	return sum / float64(len(b))
}

// lumas are a rendition's frames in a size, as JPEG has luma.
func (r rendition) lumas(t *testing.T, size image.Point) [][]byte {
	t.Helper()
	raw := r.pipe(t, "ffmpeg", "-i", "-", "-vf", fmt.Sprintf("scale=%d:%d:flags=area:out_color_matrix=bt601:out_range=pc,format=yuvj420p", size.X, size.Y),
		"-fps_mode", "passthrough", "-f", "rawvideo", "-")
	var frames [][]byte
	for frame := range slices.Chunk(raw, size.X*size.Y*3/2) {
		frames = append(frames, frame[:size.X*size.Y])
	}
	return frames
}

// Whatever was uploaded, each cue shows what a player shows at its time, and no other cue's picture.
func TestEachCueShowsThePictureOfItsTime(t *testing.T) {
	x264 := []string{"-c:v", "libx264", "-preset", "ultrafast", "-g", "250"}
	// A grey that is another one each second.
	clock := "format=gray,geq=lum='if(lt(Y,H/2),30+mod(floor(T)*67,190),if(lt(X,W/3),235,16))',format=yuv420p"
	phone := turn(t, clip(t, "upright.mp4", join([]string{"-f", "lavfi", "-i", "testsrc2=d=6:s=320x180:r=25"}, x264)...))
	shared := start(t, t.TempDir(), nil)
	for _, c := range []struct {
		name, file string
		clip       []string
		request    map[string]any
		size       string // of a tile
		cues       int
		sheets     int
		alike      int // cues at the end that show the same picture
	}{
		{
			name: "landscape, at a rate that is no whole number", file: "clip.mp4",
			clip: join([]string{"-f", "lavfi", "-i", "color=s=320x180:r=30000/1001:d=13", "-vf", clock}, x264),
			size: "160x90", cues: 13, sheets: 1,
		},
		{
			name: "sheets, interval and size that were asked for", file: "clip.mkv",
			clip:    join([]string{"-f", "lavfi", "-i", "color=s=320x180:r=25:d=13", "-vf", clock}, x264),
			request: map[string]any{"storyboard": map[string]int{"interval_s": 2, "columns": 2, "rows": 2, "width": 96}},
			size:    "96x54", cues: 7, sheets: 2,
		},
		{
			name: "portrait by a rotation matrix", file: "phone.mov", clip: []string{"-i", phone, "-c", "copy"},
			size: "160x284", cues: 6, sheets: 1,
		},
		{
			name: "shorter than an interval", file: "blink.mp4",
			clip: join([]string{"-f", "lavfi", "-i", "testsrc2=d=0.2:s=320x180:r=25"}, x264),
			size: "160x90", cues: 1, sheets: 1,
		},
		{
			name: "the sound goes on", file: "longer.mkv",
			clip: join([]string{"-f", "lavfi", "-i", "color=s=320x180:r=25:d=6", "-f", "lavfi", "-i", "sine=d=10", "-vf", clock}, x264, []string{"-c:a", "aac"}),
			size: "160x90", cues: 10, sheets: 1, alike: 4,
		},
		{
			name: "a stream without an index, whose clock starts elsewhere", file: "broadcast.ts",
			clip: join([]string{"-f", "lavfi", "-i", "color=s=320x180:r=25:d=9", "-vf", clock}, x264, []string{"-output_ts_offset", "100"}),
			size: "160x90", cues: 9, sheets: 1,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n, hook := shared.in(t), receive(t)
			body := map[string]any{"video_id": id(t), "key": upload(t, clip(t, c.file, c.clip...)), "webhook_url": hook.URL}
			for name, value := range c.request {
				body[name] = value
			}
			if r := n.do("POST", "/transcode", body, nil); r.StatusCode != http.StatusAccepted {
				t.Fatalf("POST /transcode answered %s", r.Status)
			}
			if e := hook.next(t, patience); e.Type != "video.processed" {
				t.Fatalf("told %+v", e)
			}
			tree := readTree(t, id(t))
			b := tree.board
			if len(b.cues) != c.cues || b.sheets != c.sheets {
				t.Fatalf("%d cues on %d sheets, want %d on %d", len(b.cues), b.sheets, c.cues, c.sheets)
			}
			size := b.cues[0].picture.Rect.Size()
			if got := fmt.Sprintf("%dx%d", size.X, size.Y); got != c.size {
				t.Errorf("a tile has %s, want %s", got, c.size)
			}
			pictures := slices.DeleteFunc(slices.Clone(tree.renditions), func(r rendition) bool { return r.sound })
			lowest := pictures[len(pictures)-1]
			frames, rate := lowest.lumas(t, size), tree.master.Variants[0].FrameRate
			if last := b.cues[len(b.cues)-1].end; math.Abs(last-float64(len(frames))/rate) > 0.001 {
				t.Errorf("the cues end at %g s, the video at %g s", last, float64(len(frames))/rate)
			}
			at := func(c cue) []byte {
				first, end := int(math.Round(c.start*rate)), int(math.Round(c.end*rate))
				return frames[first+(end-first)/2]
			}
			for i, cue := range b.cues {
				own := distance(cue.picture, at(cue))
				if own > 8 {
					t.Errorf("cue %d is %.1f from what is shown then", i, own)
				}
				for j, other := range b.cues {
					same := i == j || i >= c.cues-c.alike-1 && j >= c.cues-c.alike-1
					if d := distance(cue.picture, at(other)); !same && d < own+3 {
						t.Errorf("cue %d is %.1f from its own picture, and %.1f from that of cue %d", i, own, d, j)
					}
				}
			}
			var v struct{ Poster, Storyboard string }
			n.do("GET", "/videos/"+id(t), nil, &v)
			if v.Poster != "videos/"+id(t)+"/poster.jpg" || v.Storyboard != "videos/"+id(t)+"/storyboard/storyboard.vtt" {
				t.Errorf("the video is told to have %+v", v)
			}
		})
	}
}

func TestThePosterShowsSomething(t *testing.T) {
	// Black for nearly half of the time, with a fade.
	args := []string{"-f", "lavfi", "-i", "testsrc2=d=10:s=1280x720:r=5", "-vf", "fade=in:st=4.5:d=0.5", "-c:v", "libx264", "-preset", "ultrafast"}
	file := clip(t, "dark.mp4", args...)
	for _, c := range []struct {
		name string
		at   any
		dark bool
	}{
		{"chosen", nil, false},
		{"asked for", 8, false},
		{"asked for where it is dark", 1.5, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, hook := start(t, t.TempDir(), map[string]string{"LADDER": "720:3000k:96k,144:200k:64k"}), receive(t)
			body := map[string]any{"video_id": id(t), "key": upload(t, file), "webhook_url": hook.URL, "poster_at_s": c.at}
			if r := n.do("POST", "/transcode", body, nil); r.StatusCode != http.StatusAccepted {
				t.Fatalf("POST /transcode answered %s", r.Status)
			}
			if e := hook.next(t, patience); e.Type != "video.processed" {
				t.Fatalf("told %+v", e)
			}
			poster := readBoard(t, id(t)).poster
			if size := poster.Rect.Size(); size != image.Pt(1280, 720) {
				t.Errorf("it has %v", size)
			}
			if dark := still.Contrast(poster) < still.Plain; dark != c.dark {
				t.Errorf("its contrast is %.1f", still.Contrast(poster))
			}
			if at, ok := c.at.(int); ok {
				small := readTree(t, id(t)).renditions[0].lumas(t, image.Pt(1280, 720))
				if d := distance(poster, small[at*5]); d > 8 {
					t.Errorf("it is %.1f from what is shown then", d)
				}
			}
		})
	}
}

// While a video is replaced, people see the pictures of the one before; then those of the new one, and nothing of both.
func TestAVideoThatIsReplacedGetsPicturesOfItsOwn(t *testing.T) {
	n, hook := start(t, t.TempDir(), nil), receive(t)
	post := func(color string) board {
		file := clip(t, color+".mp4", "-f", "lavfi", "-i", "color="+color+":s=160x90:r=25:d=3", "-c:v", "libx264", "-preset", "ultrafast")
		body := map[string]any{"video_id": id(t), "key": upload(t, file), "webhook_url": hook.URL, "replace": true}
		if r := n.do("POST", "/transcode", body, nil); r.StatusCode != http.StatusAccepted {
			t.Fatalf("POST /transcode answered %s", r.Status)
		}
		if e := hook.next(t, patience); e.Type != "video.processed" {
			t.Fatalf("told %+v", e)
		}
		return readBoard(t, id(t))
	}
	mean := func(m *image.YCbCr) float64 { return distance(m, make([]byte, m.Rect.Dx()*m.Rect.Dy())) }
	for color, luma := range map[string]float64{"black": 0, "white": 255} {
		b := post(color)
		if len(b.cues) != 3 || math.Abs(mean(b.poster)-luma) > 4 || math.Abs(mean(b.cues[2].picture)-luma) > 4 {
			t.Errorf("%s: %d cues, the poster has %.0f, the last picture %.0f", color, len(b.cues), mean(b.poster), mean(b.cues[2].picture))
		}
		for _, key := range b.keys {
			if m, err := bucket().Stat(t.Context(), key); err != nil || m.Size == 0 {
				t.Errorf("%s: %+v, %v", key, m, err)
			}
		}
	}
}

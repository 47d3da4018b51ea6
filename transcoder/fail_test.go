package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/transcoder/internal/r2"
)

func TestWhatIsNoVideoFailsWithACode(t *testing.T) {
	whole := clip(t, "whole.mp4", "-f", "lavfi", "-i", "testsrc2=d=20:s=320x180:r=25", "-c:v", "libx264", "-preset", "ultrafast")
	faststart := clip(t, "faststart.mp4", "-i", whole, "-c", "copy", "-movflags", "faststart")
	matroska := clip(t, "whole.mkv", "-i", whole, "-c", "copy")
	spoken := clip(t, "spoken.mp4", "-i", whole, "-f", "lavfi", "-i", "sine=d=20", "-c:v", "copy", "-c:a", "aac")
	avi := clip(t, "whole.avi", "-f", "lavfi", "-i", "testsrc2=d=5:s=320x180:r=25", "-c:v", "mpeg4")
	read := func(file string) []byte {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	cut := func(file string, part float64) []byte {
		data := read(file)
		return data[:int(float64(len(data))*part)]
	}
	damaged := read(faststart) // its header is whole, its pictures are noise
	for i := len(damaged) / 10; i < len(damaged); i++ {
		damaged[i] = byte(i * i >> 3)
	}
	shared := start(t, t.TempDir(), nil)
	for _, c := range []struct {
		name string
		data []byte // nil: no object
		code string
	}{
		{"no object under the key", nil, "source_not_found"},
		{"an empty object", []byte{}, "source_empty"},
		{"a text", []byte(strings.Repeat("This is no video.\n", 100)), "unsupported_format"},
		{"an HLS playlist called .mp4", []byte("#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\nhttp://127.0.0.1:1/canary.ts\n#EXT-X-ENDLIST\n"), "unsupported_format"},
		{"a list of files", []byte("ffconcat version 1.0\nfile /etc/passwd\n"), "unsupported_format"},
		{"a picture", read(clip(t, "picture.png", "-f", "lavfi", "-i", "testsrc2", "-frames:v", "1")), "unsupported_format"},
		{"a picture in a codec that nobody knows, beside sound", bytes.ReplaceAll(read(spoken), []byte("avc1"), []byte("zzzz")), "unsupported_format"},
		{"an MP4 header and nothing else", []byte("\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2"), "unsupported_format"},
		{"an MP4 cut in the middle, its index at the end", cut(whole, 0.5), "source_truncated"},
		{"an MP4 cut in the middle, its index at the start", cut(faststart, 0.5), "source_truncated"},
		{"a Matroska file cut in the middle", cut(matroska, 0.5), "source_truncated"},
		{"an AVI cut in the middle", cut(avi, 0.5), "source_truncated"},
		{"a whole MP4 whose pictures are noise", damaged, "encoding_failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n, hook := shared.in(t), receive(t)
			key := "uploads/" + id(t) + "/none.mp4"
			if c.data != nil {
				key = uploadBytes(t, "file.mp4", c.data)
			}
			n.post(id(t), key, hook.URL)
			e := hook.next(t, patience)
			if e.Type != "video.failed" || e.Status != "failed" || e.VideoID != id(t) || e.Data.Error.Code != c.code {
				t.Errorf("told %+v, want the code %s", e, c.code)
			}
			if strings.Contains(e.Data.Error.Message, "127.0.0.1") || len(e.Data.Error.Message) < 20 {
				t.Errorf("the message is %q", e.Data.Error.Message)
			}
			var v video
			n.do("GET", "/videos/"+id(t), nil, &v)
			if v.State != "failed" || v.Error.Code != c.code {
				t.Errorf("the job is %+v", v)
			}
			nothingPublished(t, id(t))
			if response := n.do("GET", "/videos/"+id(t)+"/playback", nil, nil); response.StatusCode != http.StatusConflict {
				t.Errorf("playback answered %s", response.Status)
			}
		})
	}
}

func nothingPublished(t *testing.T, id string) {
	t.Helper()
	for o, err := range bucket().List(t.Context(), "videos/"+id+"/") {
		if err != nil {
			t.Fatal(err)
		}
		t.Errorf("%s was left behind", o.Key)
	}
}

// Damage anywhere in a file ends as a video that keeps the rules, or as a failure that says what to do. A thousand files more are
// damaged by `go tool task fuzz:media`.
func TestADamagedUploadIsAVideoOrFailsWithACode(t *testing.T) {
	var wholes [][]byte
	for _, name := range []string{"clip.mp4", "clip.mkv", "clip.ts", "clip.avi"} {
		data, err := os.ReadFile(clip(t, name, "-f", "lavfi", "-i", "testsrc2=d=9:s=160x90:r=25", "-f", "lavfi", "-i", "sine=d=9",
			"-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-bf", "0", "-c:a", "aac"))
		if err != nil {
			t.Fatal(err)
		}
		wholes = append(wholes, data)
	}
	n, hook := start(t, t.TempDir(), map[string]string{"LADDER": "90:300k:96k,64:200k:64k"}), receive(t)
	const files = 16
	hows := map[string]string{}
	for i := range files {
		r := rand.New(rand.NewPCG(7, uint64(i)))
		data := bytes.Clone(wholes[i%len(wholes)])
		at := r.IntN(len(data))
		var how string
		switch i / len(wholes) % 3 {
		case 0:
			for range 50 {
				data[r.IntN(len(data))] ^= 1 << r.IntN(8)
			}
			how = "50 bits are flipped"
		case 1:
			data, how = data[:at], fmt.Sprintf("it is cut at %d", at)
		default:
			clear(data[at:min(at+5000, len(data))])
			how = fmt.Sprintf("5000 zeros at %d", at)
		}
		video := fmt.Sprintf("%s-%d", id(t), i)
		hows[video] = fmt.Sprintf("file %d: %s", i, how)
		n.post(video, uploadBytes(t, fmt.Sprintf("%d.bin", i), data), hook.URL)
	}
	public := []string{"unsupported_format", "source_truncated", "source_empty", "encoding_failed"}
	ends := map[string]int{}
	for range files {
		e := hook.next(t, 2*patience)
		ends[e.Status+" "+e.Data.Error.Code]++
		if e.Status != "processed" && (!slices.Contains(public, e.Data.Error.Code) || len(e.Data.Error.Message) < 20) {
			t.Errorf("%s: told %+v", hows[e.VideoID], e)
		}
		delete(hows, e.VideoID)
	}
	if len(hows) > 0 || ends["processed "] == 0 || ends["processed "] == files {
		t.Errorf("they ended as %v; of %v nothing is known", ends, hows)
	}
	t.Log(ends)
}

func TestAFailedVideoMayBePostedAgain(t *testing.T) {
	n, hook := start(t, t.TempDir(), nil), receive(t)
	key := "uploads/" + id(t) + "/late.mp4"
	n.post(id(t), key, hook.URL)
	first := hook.next(t, patience)
	if first.Status != "failed" {
		t.Fatalf("told %+v", first)
	}
	data, err := os.ReadFile(short(t))
	if err != nil {
		t.Fatal(err)
	}
	if got := uploadBytes(t, "late.mp4", data); got != key {
		t.Fatalf("uploaded to %q", got)
	}
	n.post(id(t), key, hook.URL)
	second := hook.next(t, patience)
	if second.Status != "processed" || second.ID == first.ID {
		t.Errorf("told %+v after %+v", second, first)
	}
	readTree(t, id(t))
}

// short makes a clip of two chunks that is encoded in no time.
func short(t *testing.T) string {
	t.Helper()
	return clip(t, "short.mp4", "-f", "lavfi", "-i", "testsrc2=d=8:s=128x72:r=25", "-c:v", "libx264", "-preset", "ultrafast")
}

func TestTheSameRequestIsTheSameJob(t *testing.T) {
	n, hook := start(t, t.TempDir(), nil), receive(t)
	key := upload(t, short(t))
	var created []string
	for range 5 {
		v := n.post(id(t), key, hook.URL)
		created = append(created, v.VideoID)
	}
	hook.next(t, patience)
	if v := n.post(id(t), key, hook.URL); v.State != "processed" {
		t.Errorf("posted after its end, the job is %+v", v)
	}
	select {
	case e := <-hook.events:
		t.Errorf("told a second time: %+v", e)
	case <-time.After(time.Second):
	}
	other := n.do("POST", "/transcode", request{id(t), key + ".other", hook.URL}, nil)
	if other.StatusCode != http.StatusConflict {
		t.Errorf("another source under the same video_id: %s", other.Status)
	}
	if len(created) != 5 {
		t.Error("a repeated request was refused")
	}
}

func TestASourceThatChangesIsNotMixed(t *testing.T) {
	n, hook := start(t, t.TempDir(), map[string]string{"TASKS": "1", "X264_PRESET": "slow"}), receive(t)
	file := clip(t, "long.mp4", "-f", "lavfi", "-i", "testsrc2=d=30:s=1280x720:r=30", "-c:v", "libx264", "-preset", "ultrafast", "-qp", "5")
	key := upload(t, file)
	n.post(id(t), key, hook.URL)
	waitFor(t, "an encoder to work", func() bool {
		var v video
		n.do("GET", "/videos/"+id(t), nil, &v)
		return v.Progress > 0
	})
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	uploadBytes(t, "long.mp4", bytes.ToUpper(data))
	e := hook.next(t, patience)
	if e.Data.Error.Code != "source_changed" {
		t.Errorf("told %+v", e)
	}
	nothingPublished(t, id(t))
}

// When one task cannot be done, the others are ended: on a long video they would go on for minutes, for nothing.
func TestAFailedJobEndsItsTasks(t *testing.T) {
	n, hook := start(t, t.TempDir(), map[string]string{"X264_PRESET": "slow"}), receive(t)
	n.post(id(t), upload(t, clip(t, "clip.mp4", "-f", "lavfi", "-i", "testsrc2=d=60:s=854x480:r=30", "-c:v", "libx264", "-preset", "ultrafast")), hook.URL)
	var children []string
	waitFor(t, "encoders to work", func() bool {
		children = encoders(t, os.Getpid())
		return len(children) == 2
	})
	var run string
	for o := range bucket().List(t.Context(), "work/"+id(t)+"/") {
		run = strings.TrimSuffix(o.Key, "plan.json")
	}
	outcome := `{"error":{"code":"source_truncated","message":"The last chunk is not there."}}`
	if err := bucket().Write(t.Context(), run+"chunk_3.json", []byte(outcome), r2.Meta{}); err != nil {
		t.Fatal(err)
	}
	if e := hook.next(t, patience); e.Data.Error.Code != "source_truncated" {
		t.Errorf("told %+v", e)
	}
	waitFor(t, "the encoders to end", func() bool { return len(alive(encoders(t, os.Getpid()))) == 0 })
	nothingPublished(t, id(t))
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

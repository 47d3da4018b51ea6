package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
)

// ready makes a file whose pictures are what would be made of them; extra are further arguments.
func ready(t *testing.T, extra ...string) (file string) {
	t.Helper()
	return clip(t, "clip.mp4", join([]string{
		"-f", "lavfi", "-i", "testsrc2=d=10:s=640x360:r=25", "-f", "lavfi", "-i", "sine=d=10:r=48000",
		"-c:v", "libx264", "-preset", "veryfast", "-bf", "0", "-g", "50", "-sc_threshold", "0", "-flags", "+cgop", "-pix_fmt", "yuv420p",
		"-color_range", "tv", "-colorspace", "bt709",
	}, extra)...)
}

// A source that is what would be made of it is published as it is; one that only seems so is encoded, which nobody hears of.
func TestTheTopRungIsCopied(t *testing.T) {
	const frames, gop, seconds = 250, 50, 10.0
	for _, c := range []struct {
		name   string
		extra  []string
		copied bool
	}{
		{"whole", nil, true},
		{"damaged", []string{"-bsf:v", "noise=amount=30000"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := ready(t, c.extra...)
			n, hook := start(t, t.TempDir(), map[string]string{"LADDER": "360:2000k:96k,180:300k:96k"}), receive(t)
			n.post(id(t), upload(t, file), hook.URL)
			if e := hook.next(t, patience); e.Status != "processed" {
				t.Fatalf("told %+v", e)
			}
			var v video
			if response := n.do(http.MethodGet, "/videos/"+id(t), nil, &v); response.StatusCode != http.StatusOK || v.Version != 1 {
				t.Errorf("the job is %+v", v)
			}
			for _, r := range readTree(t, id(t)).renditions {
				r.check(t, frames, gop, seconds)
			}
			var m struct {
				Renditions []struct {
					Name   string
					Copied bool
				}
			}
			data, _, err := bucket().Read(t.Context(), "videos/"+id(t)+"/manifest.json")
			if err == nil {
				err = json.Unmarshal(data, &m)
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, want := fmt.Sprint(m.Renditions), fmt.Sprintf("[{360p %v} {180p false} {audio_96k false}]", c.copied); got != want {
				t.Errorf("the manifest has the renditions %s, want %s", got, want)
			}
			if len(hook.events)+len(hook.playable) > 1 {
				t.Error("the backend is told twice")
			}
		})
	}
}

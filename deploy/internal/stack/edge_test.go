package stack_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/deploy/internal/check"
	"weir/deploy/internal/sample"
	"weir/deploy/internal/stack"
	"weir/deploy/internal/viewer"
)

// A bucket that speaks S3, the transcoder and `weir edge` are a platform: the requests, the video, its key and the page for people are
// all at the edge's address, and nobody asks a Worker.
func TestWithoutTheWorker(t *testing.T) {
	weir, err := stack.Start(t.Context(), stack.Options{Edge: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := weir.Stop(); err != nil {
			t.Error(err)
		}
	})
	ctx, unguard := weir.Guard(t.Context())
	defer unguard()
	file := filepath.Join(t.TempDir(), "clip.mp4")
	if err := (sample.Sample{Width: 640, Height: 360, Duration: 8 * time.Second, Rate: 25}).Make(ctx, file); err != nil {
		t.Fatal(err)
	}
	if err := weir.Upload(ctx, file, "uploads/clip.mp4"); err != nil {
		t.Fatal(err)
	}
	for id, fields := range map[string]map[string]any{"clip": nil, "encrypted": {"encrypt": true}} {
		if _, err := weir.SubmitWith(ctx, id, "uploads/clip.mp4", fields); err != nil {
			t.Fatal(err)
		}
		news, err := weir.Hooks.End(ctx, id)
		if err != nil || news.Event.Status != "processed" {
			t.Fatalf("%s: %v", news.Body, err)
		}
		playback, err := weir.Playback(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		for _, url := range []string{playback.URLs.HLS, playback.URLs.HLSQuery} {
			if !strings.HasPrefix(url, weir.API+"/") {
				t.Fatalf("%s is not at the edge, %s", url, weir.API)
			}
			report, err := check.Run(ctx, url, check.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := report.Err(); err != nil || report.Segments < 6 {
				t.Errorf("%+v: %v", report, err)
			}
		}
		if id == "clip" { // the viewer decrypts nothing; check does
			if seen, err := viewer.Watch(ctx, playback.URLs.HLS); err != nil || seen.Frames != 8*25 {
				t.Errorf("seen of %s: %+v, %v", id, seen, err)
			}
		}
		for path, want := range map[string]int{
			"/t/" + playback.Token + "/watch/" + id: http.StatusOK,
			"/player/watch.js":                      http.StatusOK,
			"/videos/" + id + "/hls/master.m3u8":    http.StatusUnauthorized,
		} {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, weir.API+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
			if answer.StatusCode != want {
				t.Errorf("%s is answered %s, want %d", path, answer.Status, want)
			}
		}
	}
}

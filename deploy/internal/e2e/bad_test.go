package e2e_test

import (
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"weir/deploy/internal/sample"
	"weir/deploy/internal/stack"
)

// What is no video becomes no video: the webhook says why, and nothing can be played.
func TestBadInput(t *testing.T) {
	short := sample.Sample{Width: 640, Height: 360, Duration: 10 * time.Second, Rate: 30}
	for _, c := range []struct {
		name  string
		file  func(*testing.T) string
		codes []string
	}{
		{"a key that is not there", func(*testing.T) string { return "" }, []string{"source_not_found"}},
		{"a text with a video's name", text, []string{"unsupported_format"}},
		{"a file whose media ends early", func(t *testing.T) string {
			return cut(t, clip(t, short).file, 0.6)
		}, []string{"source_truncated"}},
		{"a file that ends before it has a header", func(t *testing.T) string {
			return cut(t, uneven(t, clip(t, short), "null").file, 0.6) // no faststart: the header comes last
		}, []string{"source_truncated", "unsupported_format"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			id := fresh("bad")
			news := theWorld.transcode(t, id, c.file(t))
			code, message := news.Event.Failure()
			if news.Event.Type != "video.failed" || news.Event.Status != "failed" || !slices.Contains(c.codes, code) || message == "" {
				t.Errorf("webhook %s, want video.failed with %q", news.Body, c.codes)
			}
			v, err := theWorld.weir.Video(t.Context(), id)
			if err != nil || v.State != "failed" || v.Error.Code != code {
				t.Errorf("the API says %+v, %v", v, err)
			}
			var refused *stack.APIError
			if _, err := theWorld.weir.Playback(t.Context(), id); !errors.As(err, &refused) || refused.Status != http.StatusConflict {
				t.Errorf("playback: %v, want 409", err)
			}
			if got := fetchMaster(t, id); got != http.StatusNotFound {
				t.Errorf("the master playlist answers %d, want 404", got)
			}
		})
	}
}

// fetchMaster asks the Worker with a good token, which the API would not have given.
func fetchMaster(t *testing.T, id string) int {
	t.Helper()
	url, err := theWorld.weir.Cloud.WatchURL(id)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

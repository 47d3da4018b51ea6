package encode

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"weir/transcoder/internal/ffmpeg"
	"weir/transcoder/internal/plan"
)

// serve gives the URL of a file on loopback, for as long as the test goes on, the tools that read it, and a ladder.
func serve(t *testing.T, file, rungs string) (url string, tools ffmpeg.Tools, ladder plan.Ladder) {
	t.Helper()
	server := httptest.NewServer(http.FileServer(http.Dir(filepath.Dir(file))))
	t.Cleanup(server.Close)
	tools, err := ffmpeg.Find(ffmpeg.DefaultMemory)
	if err != nil {
		t.Fatal(err)
	}
	if ladder, err = plan.ParseLadder(rungs); err != nil {
		t.Fatal(err)
	}
	return server.URL + "/" + filepath.Base(file), tools, ladder
}

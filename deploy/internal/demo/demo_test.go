package demo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/deploy/internal/demo"
	"weir/deploy/internal/sample"
)

// startTimeout is for a start of everything on a busy machine.
const startTimeout = 2 * time.Minute

func TestRunLeavesWithAResult(t *testing.T) {
	video := filepath.Join(t.TempDir(), "it's a video.mp4")
	if err := (sample.Sample{Width: 854, Height: 480, Duration: 7 * time.Second, Rate: 30}).Make(t.Context(), video); err != nil {
		t.Fatal(err)
	}
	temp := emptyTemp(t)
	var out bytes.Buffer
	if err := demo.Run(t.Context(), demo.Options{Video: video, Exit: true}, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	line, ok := strings.CutPrefix(lines[len(lines)-1], "RESULT ")
	var r demo.Result
	if err := json.Unmarshal([]byte(line), &r); !ok || err != nil {
		t.Fatalf("last line %q: %v", lines[len(lines)-1], err)
	}
	// 480p and 360p, their two audio renditions; 7 s at 30 fps.
	if r.Renditions != 4 || r.Frames != 210 || r.Duration != 7 || r.Segments < r.Renditions || r.Bytes == 0 ||
		r.Playable <= 0 || r.Processed < r.Playable {
		t.Errorf("result %+v", r)
	}
	for _, want := range []string{"upload it's a video.mp4", `"type": "video.processed"`, "Webhook-Signature: v1,"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, out.String())
		}
	}
	wantEmpty(t, temp)
}

func TestRunFailsWithTheJob(t *testing.T) {
	video := filepath.Join(t.TempDir(), "text.mp4")
	if err := os.WriteFile(video, []byte("no video"), 0o600); err != nil {
		t.Fatal(err)
	}
	temp := emptyTemp(t)
	var out bytes.Buffer
	err := demo.Run(t.Context(), demo.Options{Video: video, Exit: true}, &out)
	var failed *demo.JobError
	if !errors.As(err, &failed) || failed.Code != "unsupported_format" || failed.Message == "" {
		t.Errorf("error %v, want the job's", err)
	}
	if strings.Contains(out.String(), "RESULT") {
		t.Error("a failed job has a result")
	}
	wantEmpty(t, temp)
}

func TestDevRunsUntilItIsToldToEnd(t *testing.T) {
	temp := emptyTemp(t)
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	out := &lockedBuffer{}
	ended := make(chan error, 1)
	go func() { ended <- demo.Dev(ctx, false, out) }()
	for !strings.Contains(out.String(), "Ctrl-C") {
		select {
		case err := <-ended:
			t.Fatalf("Dev ended: %v\n%s", err, out.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, want := range []string{`(?m)^transcoder +http://127`, `(?m)^API key +key_`, `curl -T video.mp4 'http://127.*Signature=`, `curl -X POST http://127\S+/transcode`} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("the output lacks %s:\n%s", want, out.String())
		}
	}
	wantEmpty(t, temp)
}

// emptyTemp makes a folder the place for temporary files.
func emptyTemp(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	return dir
}

func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		if !strings.HasPrefix(e.Name(), "go-build") { // of a compiler that still cleans up
			t.Errorf("left behind: %s", e.Name())
		}
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

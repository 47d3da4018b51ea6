package ffmpeg_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weir/transcoder/internal/ffmpeg"
)

func TestTheProgramsAreTriedInTheirBox(t *testing.T) {
	good := tools(t)
	if err := good.Check(t.Context()); err != nil {
		t.Error(err)
	}
	small, err := ffmpeg.Find(64 << 20)
	if err != nil {
		t.Fatal(err)
	}
	if err := small.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "67108864 bytes of memory") {
		t.Errorf("with too little memory: %v", err)
	}

	// A script is not confined with what it starts: it starts nothing.
	folder := t.TempDir()
	for _, name := range []string{"ffmpeg", "ffprobe"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("#!/bin/sh\nexec /usr/bin/"+name+" \"$@\"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", folder)
	wrapped := tools(t)
	err = wrapped.Check(t.Context())
	if failed := (*ffmpeg.Error)(nil); err == nil || errors.As(err, &failed) || !strings.Contains(err.Error(), "is a script") {
		t.Errorf("a script: %v", err)
	}
	wrapped.Unconfined = true
	if err := wrapped.Check(t.Context()); err != nil {
		t.Errorf("a script that is not confined: %v", err)
	}
}

// The box is closed even where the arguments, which say the same, are not.
func TestAProgramReachesItsInputAndNothingElse(t *testing.T) {
	_, err := tools(t).Probe(t.Context(), []string{"-f", "mov", "-i", "http://127.0.0.1:9/x"})
	if failed := (*ffmpeg.Error)(nil); !errors.As(err, &failed) || !strings.Contains(failed.Stderr, "Connection refused") {
		t.Errorf("the port that the arguments name: %v", err)
	}
	_, err = tools(t).Probe(t.Context(), []string{"-f", "mov", "-i", "tcp://127.0.0.1:9"})
	if failed := (*ffmpeg.Error)(nil); !errors.As(err, &failed) || strings.Contains(failed.Stderr, "Connection refused") {
		t.Errorf("a port that nothing says is the input's: %v", err)
	}
	_, err = tools(t).Probe(t.Context(), []string{"-f", "mov", "-i", "/etc/passwd"})
	if failed := (*ffmpeg.Error)(nil); !errors.As(err, &failed) || !strings.Contains(failed.Stderr, "Permission denied") {
		t.Errorf("a file: %v", err)
	}
}

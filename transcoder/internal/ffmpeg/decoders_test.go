package ffmpeg

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// A name that FFmpeg does not know would shut out what it was meant for, and nobody would notice.
func TestDecodersAreKnown(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-decoders").Output()
	if err != nil {
		t.Fatal(err)
	}
	var known []string
	for line := range strings.Lines(string(out)) {
		if fields := strings.Fields(line); len(fields) > 1 {
			known = append(known, fields[1])
		}
	}
	names := strings.Fields(decoders)
	for i, name := range names {
		if !slices.Contains(known, name) {
			t.Errorf("FFmpeg has no decoder %q", name)
		}
		if slices.Contains(names[:i], name) {
			t.Errorf("%q is there twice", name)
		}
	}
}

package demo

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestBarWritesALineEveryFewPercentToAPipe(t *testing.T) {
	var out bytes.Buffer
	b := newBar(&out, "transcode")
	for p := -1.0; p <= 101; p += 0.25 {
		b.show(p, "processing")
	}
	b.show(100, "processed")
	b.end()
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	// 0, 5, … 100, and the change of state.
	if len(lines) != 22 || !strings.HasPrefix(lines[21], "transcode 100 % processed ") {
		t.Errorf("%d lines: %q", len(lines), lines)
	}
	if strings.ContainsAny(out.String(), "\r\x1b") {
		t.Error("a pipe gets control characters")
	}
}

func TestBarLivesOnOneLineOfATerminal(t *testing.T) {
	var out bytes.Buffer
	b := newBar(&out, "transcode")
	b.live = true
	b.show(0, "queued")
	b.show(50, "processing")
	b.show(100, "processed")
	b.end()
	if n := strings.Count(out.String(), "\n"); n != 1 {
		t.Errorf("%d lines", n)
	}
	if want := strings.Repeat("█", 16) + strings.Repeat("░", 16) + "  50 % processing"; !strings.Contains(out.String(), want) {
		t.Errorf("%q does not show %q", out.String(), want)
	}
	if !regexp.MustCompile(`█{32} 100 % processed [0-9.]+ s\n$`).MatchString(out.String()) {
		t.Errorf("ends %q", out.String())
	}
}

func TestAFileIsNoTerminal(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/log")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if newBar(f, "x").live {
		t.Error("a file is taken for a terminal")
	}
}

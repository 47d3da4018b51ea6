package encode

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/transcoder/internal/ffmpeg"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
	"weir/transcoder/internal/subtitle"
)

// WebVTT is copied, because FFmpeg's decoder would drop what is only there; times are those of the output, and a day.
func TestSubtitleArguments(t *testing.T) {
	got := subtitleArgs(plan.Plan{Origin: 1.4}, []plan.Subtitle{{Index: 2, Codec: "subrip"}, {Index: 5, Codec: "webvtt"}})
	want := "-map 0:2 -c:s:0 ass -map 0:5 -c:s:1 copy -output_ts_offset 86398.600000 -f matroska"
	if strings.Join(got, " ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A track of more cues than anybody reads is cut off; one with a cue that FFmpeg does not take fails, and alone.
func TestHugeSubtitlesAreBounded(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	stamp := func(ms int) string {
		return fmt.Sprintf("%02d:%02d:%02d,%03d", ms/3_600_000, ms/60_000%60, ms/1000%60, ms%1000)
	}
	var many strings.Builder
	for n := range subtitle.MaxCues + 1000 {
		fmt.Fprintf(&many, "%d\n%s --> %s\ncue %d\n\n", n, stamp(20*n), stamp(20*n+20), n)
	}
	const long = "1\n00:00:01,000 --> 00:00:02,000\n"
	file := filepath.Join(dir, "huge.mkv")
	args := []string{"-v", "error", "-i", write("many.srt", many.String()), "-i", write("long.srt", long+strings.Repeat("x", 100_000)+"\n"),
		"-i", write("endless.srt", long+strings.Repeat("x", 2<<20)+"\n"), "-map", "0", "-map", "1", "-map", "2", "-c", "copy", file}
	if out, err := exec.CommandContext(t.Context(), "ffmpeg", args...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	url, tools, ladder := serve(t, file, "90:300k:64k")
	source := media.Source{Demuxer: "matroska", Video: media.Video{Width: 160, Height: 90, Rate: media.Rate{Num: 25, Den: 1}, End: 1200}}
	for n := range 3 {
		source.Subtitles = append(source.Subtitles, media.Subtitle{Index: n, Codec: "subrip"})
	}
	p := plan.Make("k", "e", 1, source, ladder)
	e := Encoder{Tools: tools}
	cues, err := e.Subtitles(t.Context(), p, p.Subtitles[:2], url)
	if err != nil {
		t.Fatal(err)
	}
	if len(cues[0]) != subtitle.MaxCues || cues[0][49].Text != "cue 49" || cues[0][49].Start != 980*time.Millisecond {
		t.Errorf("%d cues, the 50th is %+v", len(cues[0]), cues[0][49])
	}
	if len(cues[1]) != 1 || len(cues[1][0].Text) > 5<<10 || cues[1][0].Start != time.Second || cues[1][0].End != 2*time.Second {
		t.Errorf("of the long one there are %d cues", len(cues[1]))
	}
	failed := (*ffmpeg.Error)(nil)
	if _, err := e.Subtitles(t.Context(), p, p.Subtitles, url); !errors.As(err, &failed) {
		t.Errorf("with a cue without end: %v", err)
	}
}

package probe

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/transcoder/internal/ffmpeg"
	"weir/transcoder/internal/job"
)

// A small file can promise more than any machine has. It is refused, at once and with words.
func TestWhatIsTooMuchIsRefused(t *testing.T) {
	tools, err := ffmpeg.Find(ffmpeg.DefaultMemory)
	if err != nil {
		t.Fatal(err)
	}
	tiny := []string{"-f", "lavfi", "-i", "color=s=16x16:r=25:d=0.04"}
	for _, c := range []struct {
		name, file string
		args       []string
		says       string // "": it is taken
	}{
		{"pictures of 81 million pixels", "large.mov", []string{"-f", "lavfi", "-i", "color=gray:s=9000x9000:r=25:d=0.04,format=yuvj420p", "-c:v", "mjpeg"}, "67 million pixels"},
		{"two days and two hours", "long.mkv", []string{"-f", "lavfi", "-i", "testsrc2=s=64x64:r=1:d=3", "-vf", "setpts=N*90000/TB", "-fps_mode", "vfr", "-c:v", "mjpeg"}, "50 hours"},
		{"a film of half a day", "film.mkv", []string{"-f", "lavfi", "-i", "testsrc2=s=64x64:r=1:d=3", "-vf", "setpts=N*20000/TB", "-fps_mode", "vfr", "-c:v", "mjpeg"}, ""},
		{"three hundred tracks", "tracks.mkv", slices.Concat(tiny, slices.Repeat([]string{"-map", "0"}, 300), []string{"-c:v", "rawvideo"}), "cannot be read"},
		{"forty tracks", "few.mkv", slices.Concat(tiny, slices.Repeat([]string{"-map", "0"}, 40), []string{"-c:v", "rawvideo"}), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), c.file)
			produce(t, append(c.args, file)...)
			u := serve(t, contents(t, file))
			began := time.Now()
			s, err := Probe(t.Context(), tools, u)
			var failure *job.Failure
			if c.says == "" && err != nil ||
				c.says != "" && (!errors.As(err, &failure) || failure.Code != job.UnsupportedFormat || !strings.Contains(failure.Message, c.says)) {
				t.Errorf("got %+v, %v", s, err)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

package e2e_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"weir/deploy/internal/sample"
	"weir/deploy/local"
)

// source is a video and what must be seen of it.
type source struct {
	file     string
	duration float64 // seconds
	aspect   float64 // width by height, as shown
	audio    bool
}

// clip is a sample with speech.
func clip(t *testing.T, s sample.Sample) source {
	t.Helper()
	file := filepath.Join(t.TempDir(), "clip.mp4")
	if err := s.Make(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	return source{file: file, duration: probedDuration(t, file), audio: !s.Silent, aspect: float64(s.Width) / float64(s.Height)}
}

// film is half a minute of a real film, where it lies beside the checkout; elsewhere a clip of the same shape.
func film(t *testing.T) source {
	t.Helper()
	root, err := local.Root()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, "..", "shared", "media", "bbb-480p-30s.mp4")
	if _, err := os.Stat(file); err != nil {
		t.Logf("%s is not there; a generated clip of the same shape takes its place", file)
		return clip(t, sample.Sample{Width: 854, Height: 480, Duration: 30 * time.Second, Rate: 24})
	}
	return source{file: file, duration: probedDuration(t, file), audio: true, aspect: 854.0 / 480}
}

// phone is what a phone records: a landscape picture that a matrix in the header turns upright, at a frame rate that
// follows the light.
func phone(t *testing.T) source {
	t.Helper()
	src := clip(t, sample.Sample{Width: 1280, Height: 720, Duration: 8 * time.Second, Rate: 30})
	return turned(t, uneven(t, src, "null"))
}

// odd has dimensions that no 4:2:0 encoder takes, upright by a matrix, with an uneven frame rate and without audio.
func odd(t *testing.T) source {
	t.Helper()
	src := clip(t, sample.Sample{Width: 854, Height: 480, Duration: 8 * time.Second, Rate: 30, Silent: true})
	return turned(t, uneven(t, src, "scale=853:479,format=yuv444p"))
}

// uneven drops frames at random and moves the others by up to 8 ms. The first and the last second keep all of theirs, so
// that the duration stays.
func uneven(t *testing.T, src source, filter string) source {
	t.Helper()
	out := filepath.Join(t.TempDir(), "uneven.mp4")
	ffmpeg(t, "-i", src.file,
		"-vf", filter+",settb=1/90000,select='lt(t,1)+gt(t,"+strconv.Itoa(int(src.duration)-1)+")+gt(random(1),0.3)',"+
			"setpts='PTS+if(between(T,1,"+strconv.Itoa(int(src.duration)-1)+"),720*random(2),0)'",
		"-fps_mode", "vfr", "-video_track_timescale", "90000",
		"-c:v", "libx264", "-preset", "ultrafast", "-crf", "18", "-c:a", "copy", out)
	src.file, src.duration = out, probedDuration(t, out)
	return src
}

// turned adds a rotation by 90° to the header; the pictures stay as they are.
func turned(t *testing.T, src source) source {
	t.Helper()
	data, err := os.ReadFile(src.file)
	if err != nil {
		t.Fatal(err)
	}
	// The matrix in the first track header (ISO/IEC 14496-12, 8.3.2), as a phone that is held upright writes it.
	header := bytes.Index(data, []byte("tkhd\x00"))
	for i, v := range []int32{0, 1 << 16, 0, -1 << 16, 0, 0} {
		binary.BigEndian.PutUint32(data[header+44+4*i:], uint32(v))
	}
	out := filepath.Join(t.TempDir(), "turned.mp4")
	if err := os.WriteFile(out, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := ffprobe(t, out, "stream_side_data=rotation"); !strings.Contains(got, "90") {
		t.Fatalf("the file has no rotation: %q", got)
	}
	src.file, src.aspect = out, 1/src.aspect
	return src
}

// cut keeps the first part of a file.
func cut(t *testing.T, file string, part float64) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "cut.mp4")
	if err := os.WriteFile(out, data[:int(float64(len(data))*part)], 0o600); err != nil {
		t.Fatal(err)
	}
	return out
}

func text(t *testing.T) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "text.mp4")
	if err := os.WriteFile(out, []byte(strings.Repeat("This is no video, whatever its name says.\n", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	return out
}

func ffmpeg(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "ffmpeg", append([]string{"-v", "error", "-y"}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, out)
	}
}

func ffprobe(t *testing.T, file, entries string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-show_entries", entries, "-of", "json", file).Output()
	if err != nil {
		t.Fatalf("ffprobe: %v", err)
	}
	return string(out)
}

func probedDuration(t *testing.T, file string) float64 {
	t.Helper()
	var answer struct{ Format struct{ Duration string } }
	if err := json.Unmarshal([]byte(ffprobe(t, file, "format=duration")), &answer); err != nil {
		t.Fatal(err)
	}
	d, err := strconv.ParseFloat(answer.Format.Duration, 64)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

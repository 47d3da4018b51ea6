package viewer_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"weir/deploy/internal/viewer"
)

const master = `#EXTM3U
#EXT-X-VERSION:7
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="sound",NAME="sound",DEFAULT=YES,URI="audio/playlist.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=200000,CODECS="avc1.64000d,mp4a.40.2",RESOLUTION=320x180,AUDIO="sound"
big/playlist.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=100000,CODECS="avc1.64000c,mp4a.40.2",RESOLUTION=160x90,AUDIO="sound"
small/playlist.m3u8
`

func TestWatchSeesAll(t *testing.T) {
	dir := tree(t)
	got, err := viewer.Watch(t.Context(), serve(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	// 6 s at 25 fps in segments of 2 s. The bytes are those of the files.
	want := viewer.Report{Renditions: 3, Segments: 9, Bytes: mediaBytes(t, dir), Duration: 6, Frames: 150}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if err := viewer.FirstSegment(t.Context(), serve(t, dir)); err != nil {
		t.Error(err)
	}
}

// Each defect is one that a player would show, and that Watch must not overlook.
func TestWatchFindsDefects(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, dir string)
		want   string
	}{
		{"a segment is missing", func(t *testing.T, dir string) {
			remove(t, filepath.Join(dir, "small/segment_1.m4s"))
		}, "404"},
		{"a segment is another's", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "small/segment_1.m4s"), read(t, filepath.Join(dir, "audio/segment_1.m4s")))
		}, "small"},
		{"a picture is damaged", func(t *testing.T, dir string) {
			data := []byte(read(t, filepath.Join(dir, "big/segment_1.m4s")))
			for i := len(data) / 2; i < len(data)/2+200; i++ {
				data[i] ^= 0x55
			}
			write(t, filepath.Join(dir, "big/segment_1.m4s"), string(data))
		}, "decode"},
		{"the playlist is still growing", func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, "audio/playlist.m3u8"), "#EXT-X-ENDLIST", "")
		}, "not whole"},
		{"a rendition is shorter", func(t *testing.T, dir string) {
			p := filepath.Join(dir, "small/playlist.m3u8")
			text := read(t, p)
			write(t, p, text[:strings.LastIndex(text, "#EXTINF")]+"#EXT-X-ENDLIST\n")
		}, "lasts"},
		{"a rendition has fewer frames in the same time", func(t *testing.T, dir string) {
			rendition(t, filepath.Join(dir, "small"), "-vf", "framestep=2", "-g", "25", "-s", "160x90")
		}, "frames"},
		{"the master is a media playlist", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "master.m3u8"), read(t, filepath.Join(dir, "big/playlist.m3u8")))
		}, "media playlist"},
		{"the master lists nothing", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "master.m3u8"), "#EXTM3U\n#EXT-X-INDEPENDENT-SEGMENTS\n")
		}, "master playlist"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := tree(t)
			c.damage(t, dir)
			got, err := viewer.Watch(t.Context(), serve(t, dir))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%+v, error %v, want one with %q", got, err, c.want)
			}
		})
	}
}

// tree makes a video of two video renditions and one of audio.
func tree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	rendition(t, filepath.Join(dir, "big"), "-g", "50", "-s", "320x180")
	rendition(t, filepath.Join(dir, "small"), "-g", "50", "-s", "160x90")
	rendition(t, filepath.Join(dir, "audio"), "-vn", "-c:a", "aac")
	write(t, filepath.Join(dir, "master.m3u8"), master)
	return dir
}

func rendition(t *testing.T, dir string, args ...string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	all := []string{"-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=r=25:d=6", "-f", "lavfi", "-i", "sine=d=5.9:r=48000"}
	if args[0] != "-vn" {
		all = append(all, "-an", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-sc_threshold", "0")
	}
	all = append(append(all, args...), "-f", "hls", "-hls_time", "2", "-hls_playlist_type", "vod", "-hls_segment_type", "fmp4",
		"-hls_segment_filename", "segment_%d.m4s", "playlist.m3u8")
	cmd := exec.CommandContext(t.Context(), "ffmpeg", all...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, out)
	}
}

func serve(t *testing.T, dir string) string {
	t.Helper()
	s := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(s.Close)
	return s.URL + "/master.m3u8"
}

func mediaBytes(t *testing.T, dir string) (sum int64) {
	t.Helper()
	for _, pattern := range []string{"*/*.m4s", "*/*.mp4"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			sum += int64(len(read(t, f)))
		}
	}
	return sum
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func edit(t *testing.T, path, from, to string) {
	t.Helper()
	write(t, path, strings.ReplaceAll(read(t, path), from, to))
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

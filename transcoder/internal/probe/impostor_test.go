package probe

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/Eyevinn/mp4ff/mp4"
	"golang.org/x/sys/unix"

	"weir/transcoder/internal/ffmpeg"
	"weir/transcoder/internal/job"
)

// lures are what impostors lead to: a file, and a server that is not the one which uploads are read from. Both notice who
// comes.
type lures struct {
	folder  string
	file    string // a real video
	url     string
	reached atomic.Int32 // connections to the server
	watch   int          // an inotify descriptor
}

func lay(t *testing.T) *lures {
	t.Helper()
	l := &lures{folder: t.TempDir()}
	l.file = filepath.Join(l.folder, "secret.ts")
	produce(t, "-f", "lavfi", "-i", "testsrc2=s=64x64:d=1", "-c:v", "mpeg2video", l.file)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.url = "http://" + listener.Addr().String()
	server := &httptest.Server{Listener: listener, Config: &http.Server{
		Handler:   http.FileServer(http.Dir(l.folder)),
		ConnState: func(_ net.Conn, s http.ConnState) { l.count(s) },
	}}
	server.Start()
	t.Cleanup(server.Close)
	if l.watch, err = unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(l.watch) })
	if _, err := unix.InotifyAddWatch(l.watch, l.file, unix.IN_OPEN); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *lures) count(s http.ConnState) {
	if s == http.StateNew {
		l.reached.Add(1)
	}
}

// taken tells whether anybody came since it was last called.
func (l *lures) taken() (file, server bool) {
	n, _ := unix.Read(l.watch, make([]byte, 1<<12))
	return n > 0, l.reached.Swap(0) > 0
}

func produce(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "ffmpeg", append([]string{"-v", "error", "-y"}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg %v: %v: %s", args, err, out)
	}
}

// served is an upload on a server of its own, which counts what else it is asked for.
type served struct {
	*bytes.Reader
	url     string
	strange atomic.Int32
}

func (s *served) URL() string { return s.url }
func (s *served) Err() error  { return nil }

func serve(t *testing.T, data []byte) *served {
	t.Helper()
	s := &served{Reader: bytes.NewReader(data)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/video.mp4" {
			s.strange.Add(1)
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}))
	t.Cleanup(server.Close)
	s.url = server.URL + "/video.mp4"
	return s
}

// impostor is a file that is no video but would make FFmpeg open others.
type impostor struct {
	name, data string
	// dangerous impostors do so when FFmpeg's own program is given the file, or its URL, without anything else: so the test
	// can fail.
	dangerous bool
}

func playlist(lines ...string) string {
	return "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:6\n" + strings.Join(lines, "\n") + "\n#EXT-X-ENDLIST\n"
}

func sized(order binary.ByteOrder, n int) string {
	b := make([]byte, 4)
	order.PutUint32(b, uint32(n))
	return string(b)
}

func wide(s string) string {
	b := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return string(b)
}

func impostors(t *testing.T, l *lures) []impostor {
	file, url := l.file, l.url+"/secret.ts"
	hls := playlist("#EXTINF:6,", url)
	local := playlist("#EXTINF:6,", file)
	mpd := func(base string) string {
		return `<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT6S" ` +
			`profiles="urn:mpeg:dash:profile:isoff-on-demand:2011" minBufferTime="PT2S"><Period><AdaptationSet mimeType="video/mp4">` +
			`<Representation id="1" bandwidth="1000" codecs="avc1.64001f" width="64" height="64"><BaseURL>` + base +
			`</BaseURL><SegmentList duration="6"><SegmentURL media="` + base + `"/></SegmentList></Representation></AdaptationSet></Period></MPD>`
	}
	sdp := "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
	list := []impostor{
		{"HLS that names a file by its path", local, true},
		{"HLS that names a file by its URL", playlist("#EXTINF:6,", "file://"+file), true},
		{"HLS that names another server", hls, true},
		{"HLS with a key on another server", playlist(`#EXT-X-KEY:METHOD=AES-128,URI="`+url+`"`, "#EXTINF:6,", file), true},
		{"HLS with an initialization in a file", playlist(`#EXT-X-MAP:URI="`+file+`"`, "#EXTINF:6,", file), true},
		{"HLS of other playlists", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n" + url + "\n", true},
		{"HLS with sound elsewhere", "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a\",URI=\"" + url + "\"\n#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"\n" + url + "\n", true},
		{"HLS that joins files (CVE-2016-1897)", playlist("#EXTINF:6,", "concat:"+l.url+"/x?|file://"+file), false},
		{"HLS that cuts files (CVE-2016-1898)", playlist("#EXTINF:6,", "subfile,,start,0,end,64,,:"+file), false},
		{"HLS that decrypts a file", playlist("#EXTINF:6,", "crypto+file://"+file), false},
		{"HLS within a data URL", playlist("#EXTINF:6,", "data:application/vnd.apple.mpegurl,"+local), false},
		{"HLS that names itself (CVE-2026-107695)", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nvideo.mp4\n", false},
		{"HLS behind a byte order mark", "\ufeff" + hls, false},
		{"HLS behind blank lines", "\n\n" + hls, false},
		{"HLS in UTF-16", wide(hls), false},
		{"HLS of low latency", playlist(`#EXT-X-PART:DURATION=1,URI="`+url+`"`, `#EXT-X-PRELOAD-HINT:TYPE=PART,URI="`+url+`"`), false},
		{"a list of files with absolute names", "ffconcat version 1.0\nfile '" + file + "'\n", false},
		{"a list of files with relative names", "ffconcat version 1.0\nfile secret.ts\n", true},
		{"a list of files on another server", "ffconcat version 1.0\nfile '" + url + "'\n", false},
		{"a list of files without its title", "file '" + file + "'\nfile '" + url + "'\n", false},
		{"SDP", sdp, false},
		{"SDP of a stream over RTSP", sdp + "a=control:rtsp://" + strings.TrimPrefix(l.url, "http://") + "/x\n", false},
		{"DASH with another server", mpd(url), true},
		{"DASH with a file", mpd("file://" + file), true},
		{"DASH with a part elsewhere", strings.Replace(mpd(url), "<Period>", `<Period xmlns:xlink="http://www.w3.org/1999/xlink" xlink:href="`+url+`">`, 1), true},
		{"Smooth Streaming", `<?xml version="1.0"?><SmoothStreamingMedia MajorVersion="2"><StreamIndex Url="` + url + `"/></SmoothStreamingMedia>`, false},
		{"IMF", `<?xml version="1.0"?><CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2013"><Id>urn:uuid:1</Id></CompositionPlaylist>`, false},
		{"QuickTime's redirection", "RTSPtext\r\nrtsp://" + strings.TrimPrefix(l.url, "http://") + "/x\r\n", false},
		{"ASX", `<ASX version="3.0"><Entry><Ref href="` + url + `"/></Entry></ASX>`, false},
		{"Windows Media's reference", "[Reference]\r\nRef1=" + url + "\r\n", false},
		{"PLS", "[playlist]\nFile1=" + url + "\nNumberOfEntries=1\n", false},
		{"M3U", "#EXTM3U\n#EXTINF:6,x\n" + url + "\n", false},
		{"AviSynth", "AviSource(\"" + file + "\")\n", false},
		{"FFmpeg's metadata", ";FFMETADATA1\ntitle=x\n[STREAM]\ntitle=" + file + "\n", false},
		{"XBIN (CVE-2023-6604)", "XBIN\x1a\x50\x00\x19\x00\x10\x00" + strings.Repeat("A", 8000), false},
		{"a terminal's text (CVE-2023-6602)", "\x1b[2J\x1b[1;31m" + strings.Repeat("secret ", 300), false},
		{"subtitles, SubRip", "1\n00:00:00,000 --> 00:00:05,000\n<img src=\"" + url + "\">\n", false},
		{"subtitles, ASS", "[Script Info]\nScriptType: v4.00+\nVideo File: " + file + "\n[Events]\nDialogue: 0,0:00:00.00,0:00:05.00,Default,,0,0,0,,x\n", false},
		{"subtitles, WebVTT", "WEBVTT\n\n00:00.000 --> 00:05.000\n" + url + "\n", false},
		{"subtitles, VobSub, which name their pictures", "# VobSub index file, v7 (do not modify this line!)\nsize: 64x64\nid: en, index: 0\ntimestamp: 00:00:00:000, filepos: 000000000\n", false},
		{"subtitles, SAMI", "<SAMI><BODY><SYNC Start=0><P>" + url + "</SAMI>", false},
		{"a drawing", `<svg xmlns="http://www.w3.org/2000/svg"><image href="file://` + file + `"/></svg>`, false},
		{"a DVD's index", "DVDVIDEO-VTS" + strings.Repeat("\x00", 4096), false},
		{"a CD's index", "FILE \"" + file + "\" BINARY\n  TRACK 01 MODE1/2352\n    INDEX 01 00:00:00\n", false},
		// Behind the magic of real containers.
		{"MP4's magic, then HLS", boxed("ftyp", "isom\x00\x00\x02\x00isomiso2") + boxed("skip", hls), false},
		{"MP4's media, which is HLS", boxed("ftyp", "isom\x00\x00\x02\x00") + boxed("mdat", local), false},
		{"free space, which is HLS", boxed("free", local), false},
		{"AVI's magic, then HLS", "RIFF" + sized(binary.LittleEndian, 4+len(local)) + "AVI " + local, false},
		{"Matroska's magic, then HLS", "\x1a\x45\xdf\xa3\x80" + local, false},
		{"FLV's magic, then HLS", "FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00" + hls, false},
		{"Ogg's magic, then HLS", "OggS\x00\x02" + hls, false},
		{"ASF's magic, then a reference", "\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c" + strings.Repeat("\x00", 14) + "[Reference]\r\nRef1=" + url, false},
		{"MPEG-PS's magic, then HLS", "\x00\x00\x01\xba" + hls, false},
		{"MPEG-TS's magic, with HLS in it", packets188(local), false},
		{"MP3's tag, then HLS", "ID3\x04\x00\x00\x00\x00\x00\x00" + hls, false},
		{"MP3's first frame, then HLS", "\xff\xfb\x90\xc4" + strings.Repeat("x", 413) + hls, false},
		{"AAC's header, then HLS", "\xff\xf1\x50\x80\x08\x1f\xfc" + hls, false},
		{"FLAC's magic, then HLS", "fLaC\x00\x00\x00\x22" + local, false},
		{"WAV's magic, then HLS", "RIFF" + sized(binary.LittleEndian, 8+len(local)) + "WAVEfmt " + local, false},
		{"AIFF's magic, then HLS", "FORM" + sized(binary.BigEndian, 8+len(local)) + "AIFFCOMM" + local, false},
	}
	folder := t.TempDir()
	made := func(name, file string, args ...string) {
		file = filepath.Join(folder, file)
		produce(t, append(args, file)...)
		list = append(list, impostor{name: name, data: string(contents(t, file))})
	}
	note := filepath.Join(folder, "playlist.m3u8")
	if err := os.WriteFile(note, []byte(local), 0o600); err != nil {
		t.Fatal(err)
	}
	srt := filepath.Join(folder, "titles.srt")
	if err := os.WriteFile(srt, []byte("1\n00:00:00,000 --> 00:00:01,000\nx\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	made("Matroska with nothing but attachments", "attached.mkv", "-i", srt, "-attach", note, "-metadata:s:t", "mimetype=application/vnd.apple.mpegurl")
	made("MP4 with nothing but subtitles", "titles.mp4", "-i", srt, "-c:s", "mov_text")
	made("a picture", "picture.png", "-f", "lavfi", "-i", "testsrc2", "-frames:v", "1")
	made("a picture that would be one of many", "img%03d.jpg", "-f", "lavfi", "-i", "testsrc2", "-frames:v", "1")
	made("a codec that nobody looks after", "asus.avi", "-f", "lavfi", "-i", "testsrc2=s=64x64:d=1", "-c:v", "asv1")
	movie := filepath.Join(folder, "movie.mov")
	produce(t, "-f", "lavfi", "-i", "testsrc2=s=64x64:d=1", "-c:v", "mjpeg", movie)
	for kind, reference := range map[string]string{
		"url ": "file://" + file + "\x00", "url2": url + "\x00", "urn ": "urn:x\x00" + url + "\x00", "alis": alias(file), "rsrc": alias(file),
	} {
		list = append(list, impostor{name: fmt.Sprintf("QuickTime whose pictures are elsewhere (%s)", kind), data: elsewhere(t, movie, strings.Replace(kind, "2", " ", 1), reference)})
	}
	rmra := boxed("moov", boxed("rmra", boxed("rmda", boxed("rdrf", "\x00\x00\x00\x00url "+sized(binary.BigEndian, len(url)+1)+url+"\x00"))))
	return append(list, impostor{name: "QuickTime that refers to another movie", data: boxed("ftyp", "qt  \x00\x00\x00\x00qt  ") + rmra})
}

func boxed(kind, content string) string {
	return sized(binary.BigEndian, 8+len(content)) + kind + content
}

// packets188 is a text in packets of a transport stream that nothing announces.
func packets188(s string) string {
	var b strings.Builder
	for range 8 {
		b.WriteString("\x47\x41\x00\x10" + (s + strings.Repeat("\xff", 184))[:184])
	}
	return b.String()
}

// alias is a Macintosh alias record with a path in it, as QuickTime's data references have one.
func alias(path string) string {
	b := make([]byte, 150)
	b = binary.BigEndian.AppendUint16(b, 2) // an absolute path, in the Macintosh's spelling
	name := strings.ReplaceAll(path, "/", ":")
	b = binary.BigEndian.AppendUint16(b, uint16(len(name)))
	b = append(b, name...)
	b = binary.BigEndian.AppendUint16(b, 18) // and in that of Unix
	b = binary.BigEndian.AppendUint16(b, uint16(len(path)))
	b = append(b, path...)
	return string(append(b, 0xff, 0xff, 0, 0))
}

// elsewhere makes a movie refer to another file for all its media.
func elsewhere(t *testing.T, movie, kind, reference string) string {
	t.Helper()
	file, err := mp4.DecodeFile(bytes.NewReader(contents(t, movie)))
	if err != nil {
		t.Fatal(err)
	}
	for _, track := range file.Moov.Traks {
		dref := track.Mdia.Minf.Dinf.Dref
		dref.Children = []mp4.Box{mp4.CreateUnknownBox(kind, uint64(12+len(reference)), append([]byte{0, 0, 0, 0}, reference...))}
	}
	var out bytes.Buffer
	if err := file.Encode(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func contents(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(strings.Replace(file, "%03d", "001", 1))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func drain(r io.Reader) error { _, err := io.Copy(io.Discard, r); return err }

// Whatever a file says of itself, nothing is opened but the upload, and the answer comes at once.
func TestImpostorsOpenNothing(t *testing.T) {
	l := lay(t)
	tools, err := ffmpeg.Find(ffmpeg.DefaultMemory)
	if err != nil {
		t.Fatal(err)
	}
	list := impostors(t, l)
	if len(list) < 40 {
		t.Errorf("only %d impostors", len(list))
	}
	l.taken()
	for _, i := range list {
		t.Run(i.name, func(t *testing.T) {
			u := serve(t, []byte(i.data))
			began := time.Now()
			s, err := Probe(t.Context(), tools, u)
			var failure *job.Failure
			if !errors.As(err, &failure) || failure.Code != job.UnsupportedFormat {
				t.Errorf("got %+v, %v", s, err)
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("it took %v", took)
			}
			if i.dangerous {
				// Past the first bytes as well, had they been of a video.
				in := ffmpeg.Input{URL: u.URL(), Demuxer: "mov"}
				_ = tools.Run(t.Context(), ffmpeg.Options{}, in.Args(), []ffmpeg.Output{{Args: []string{"-f", "null"}, Read: drain}}, nil)
			}
			file, server := l.taken()
			if n := u.strange.Load(); file || server || n > 0 {
				t.Errorf("it opened the file: %v, the server: %v, strange paths: %d", file, server, n)
			}
			if !i.dangerous {
				return
			}
			name := filepath.Join(l.folder, "video.mp4") // beside the lure
			if err := os.WriteFile(name, []byte(i.data), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, input := range []string{name, u.URL()} {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // it may be long about what it should not do
				_ = exec.CommandContext(ctx, "ffprobe", "-v", "error", input).Run()
				cancel()
				if file, server := l.taken(); file || server {
					return
				}
			}
			t.Error("ffprobe alone opens nothing either: this proves nothing")
		})
	}
	t.Logf("%d impostors", len(list))
}

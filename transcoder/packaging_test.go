package main

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/Eyevinn/hls-m3u8/m3u8"
)

// packaged is a rendition as a player gets it through the Worker.
type packaged struct {
	playlist *m3u8.MediaPlaylist
	parts    [][]byte // the init segment, if there is one, and the segments, in the clear
	stored   [][]byte // the same as the bucket has them
	key      []byte   // nil in the clear
}

// The picture of the source is a flat grey that says which frame it is. It is so little for the encoder that all of its runs make the
// same bits.
func TestEveryPackagingHoldsTheSameVideo(t *testing.T) {
	const frames, rate = 350, 25
	n, hook := start(t, t.TempDir(), map[string]string{"LADDER": "90:300k:96k,64:200k:64k"}), receive(t)
	key := upload(t, clip(t, "clip.mp4",
		"-f", "lavfi", "-i", fmt.Sprintf("color=s=160x90:r=%d:d=%d", rate, frames/rate), "-f", "lavfi", "-i", fmt.Sprintf("sine=d=%d", frames/rate),
		"-vf", "format=gray,geq=lum='40+mod(N*37,160)',format=yuv420p", "-c:v", "libx264", "-preset", "ultrafast"))
	videos := map[string]map[string]packaged{}
	for name, spec := range map[string]map[string]any{
		"fmp4":           {"segment_format": "fmp4"},
		"fmp4-encrypted": {"encrypt": true},
		"ts":             {"segment_format": "ts"},
		"ts-encrypted":   {"segment_format": "ts", "encrypt": true},
	} {
		video := id(t) + "-" + name
		spec["video_id"], spec["key"], spec["webhook_url"] = video, key, hook.URL
		if response := n.do("POST", "/transcode", spec, nil); response.StatusCode != http.StatusAccepted {
			t.Fatalf("POST /transcode answered %s", response.Status)
		}
		if e := hook.next(t, patience); e.Type != "video.processed" {
			t.Fatalf("%s: told %+v", name, e)
		}
		videos[name] = n.packaged(t, video)
		checkEntrances(t, n, video, spec)
	}
	for name, renditions := range videos {
		if len(renditions) != 4 {
			t.Errorf("%s has %d renditions, want 4", name, len(renditions))
		}
		for folder, r := range renditions {
			r.check(t, name+" "+folder, frames)
			clear := videos[strings.TrimSuffix(name, "-encrypted")][folder]
			for i := range r.parts {
				if !bytes.Equal(r.parts[i], clear.parts[i]) {
					t.Errorf("%s %s: segment %d is another when it is decrypted", name, folder, i)
				}
			}
		}
	}
	checkKeysAreKept(t, id(t), videos)
}

// Whatever segments are written in, all that a source has is there, and keeps the rules: its languages, its subtitles, its codecs.
func TestEveryPackagingHoldsAllTracks(t *testing.T) {
	texts := filepath.Join(t.TempDir(), "a.srt")
	if err := os.WriteFile(texts, []byte("1\n00:00:01,000 --> 00:00:03,000\nHello\n\n2\n00:00:07,000 --> 00:00:09,000\nBye\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	sounds := []string{"-f", "lavfi", "-i", "sine=f=300:d=10", "-f", "lavfi", "-i", "sine=f=700:d=10"}
	languages := []string{"-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=deu"}
	film := clip(t, "film.mkv", join(sounds, []string{"-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=10", "-i", texts, "-map", "2", "-map", "0", "-map", "1",
		"-map", "3", "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", "-c:s", "srt", "-metadata:s:s:0", "language=eng"}, languages)...)
	book := clip(t, "book.mka", join(sounds, []string{"-map", "0", "-map", "1", "-c:a", "flac"}, languages)...)
	shared := start(t, t.TempDir(), map[string]string{"LADDER": "90:300k:96k,64:200k:64k"})
	for _, c := range []struct {
		name                    string
		file                    string
		spec                    map[string]any
		pictures, sounds, texts int
	}{
		{"transport streams", film, map[string]any{"segment_format": "ts"}, 2, 4, 1},
		{"encrypted", film, map[string]any{"encrypt": true}, 2, 4, 1},
		{"encrypted transport streams", film, map[string]any{"segment_format": "ts", "encrypt": true}, 2, 4, 1},
		{"encrypted in all codecs", film, map[string]any{"encrypt": true, "codecs": []string{"h264", "hevc", "av1"}}, 6, 4, 1},
		{"sound in transport streams", book, map[string]any{"segment_format": "ts"}, 0, 4, 0},
		{"sound encrypted", book, map[string]any{"encrypt": true}, 0, 4, 0},
		{"sound in encrypted transport streams", book, map[string]any{"segment_format": "ts", "encrypt": true}, 0, 4, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n, hook := shared.in(t), receive(t)
			c.spec["video_id"], c.spec["key"], c.spec["webhook_url"] = id(t), upload(t, c.file), hook.URL
			if response := n.do("POST", "/transcode", c.spec, nil); response.StatusCode != http.StatusAccepted {
				t.Fatalf("POST /transcode answered %s", response.Status)
			}
			if e := hook.next(t, 2*patience); e.Type != "video.processed" { // further codecs are as nice as can be
				t.Fatalf("told %+v", e)
			}
			type manifest struct {
				Renditions []struct {
					Type string
					CRF  int
				}
				Subtitles []struct{}
			}
			m, kinds := stored[manifest](t, "videos/"+id(t)+"/manifest.json"), map[string]int{}
			for _, r := range m.Renditions {
				kinds[r.Type]++
				if (r.Type == "video") != (r.CRF > 0) {
					t.Errorf("%+v", r)
				}
			}
			if kinds["video"] != c.pictures || kinds["audio"] != c.sounds || len(m.Subtitles) != c.texts {
				t.Errorf("%v and %d subtitles; want %d, %d, %d", kinds, len(m.Subtitles), c.pictures, c.sounds, c.texts)
			}
		})
	}
}

// packaged fetches all of a video with the token that its backend is given.
func (n *node) packaged(t *testing.T, video string) map[string]packaged {
	t.Helper()
	var playback struct{ URLs struct{ HLS string } }
	n.do("GET", "/videos/"+video+"/playback", nil, &playback)
	out := map[string]packaged{}
	master := readMaster(t, video)
	uris := map[string]bool{}
	for _, v := range master.Variants {
		if !v.Iframe {
			uris[v.URI] = true
		}
	}
	for _, a := range master.GetAllAlternatives() {
		uris[a.URI] = true
	}
	for uri := range uris {
		list := resolve(t, playback.URLs.HLS, uri)
		decoded, _, err := m3u8.DecodeFrom(bytes.NewReader(fetched(t, list)), true)
		if err != nil {
			t.Fatal(err)
		}
		r := packaged{playlist: decoded.(*m3u8.MediaPlaylist)}
		if m := r.playlist.Map; m != nil {
			init := fetched(t, resolve(t, list, m.URI))
			r.parts, r.stored = append(r.parts, init), append(r.stored, init)
		}
		for _, s := range r.playlist.GetAllSegments() {
			data := fetched(t, resolve(t, list, s.URI))
			r.stored = append(r.stored, data)
			for _, k := range s.Keys {
				if k.Method != "AES-128" || k.Keyformat != "" {
					t.Fatalf("%s: the key is %+v", uri, k)
				}
				r.key = fetched(t, resolve(t, list, k.URI))
				data = decrypted(t, data, r.key, k.IV)
			}
			r.parts = append(r.parts, data)
		}
		out[path.Dir(uri)] = r
	}
	return out
}

// check decodes a rendition and looks at its frames, one by one.
func (r packaged) check(t *testing.T, name string, frames int) {
	t.Helper()
	format, offset := "mov", 0.0
	if stream := strings.HasPrefix(name, "ts"); stream {
		format, offset = "mpegts", 10
	}
	if (r.playlist.Map == nil) != (format == "mpegts") || r.playlist.Version() != map[string]uint8{"mov": 7, "mpegts": 4}[format] {
		t.Errorf("%s: an init segment %+v in version %d", name, r.playlist.Map, r.playlist.Version())
	}
	if (r.key != nil) != strings.Contains(name, "encrypted") {
		t.Errorf("%s: the key is %x", name, r.key)
	}
	whole := rendition{name: name, media: bytes.Join(r.parts, nil)}
	// A gap in the packets' counters or in time is a warning.
	cmd := exec.CommandContext(t.Context(), "ffmpeg", "-v", "warning", "-f", format, "-i", "-", "-f", "null", "-")
	cmd.Stdin = bytes.NewReader(whole.media)
	if words, err := cmd.CombinedOutput(); err != nil || len(words) > 0 {
		t.Errorf("%s: ffmpeg says %v: %s", name, err, words)
	}
	if strings.Contains(name, "audio") {
		if n := len(whole.loudness(t)); n < 1395 || n > 1405 {
			t.Errorf("%s: %d hundredths of a second of sound", name, n)
		}
	} else {
		greys := whole.greys(t)
		for i, g := range greys {
			if math.Abs(float64(int(g)-(40+i*37%160))) > 8 {
				t.Fatalf("%s: frame %d has grey %d", name, i, g)
			}
		}
		if len(greys) != frames {
			t.Errorf("%s: %d frames, want %d", name, len(greys), frames)
		}
	}
	cmd = exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-f", format, "-show_entries", "format=start_time", "-of", "csv=p=0", "-")
	cmd.Stdin = bytes.NewReader(whole.media)
	if start, err := cmd.Output(); err != nil || strings.TrimSpace(string(start)) != fmt.Sprintf("%.6f", offset) {
		t.Errorf("%s starts at %s (%v), want %.6f", name, start, err, offset)
	}
}

// checkEntrances looks at what leads to a video: only what is in fragmented MP4 and in the clear has an MPD.
func checkEntrances(t *testing.T, n *node, video string, spec map[string]any) {
	t.Helper()
	stream, encrypted := spec["segment_format"] == "ts", spec["encrypt"] == true
	var playback struct{ URLs map[string]string }
	n.do("GET", "/videos/"+video+"/playback", nil, &playback)
	manifest, _, err := bucket().Read(t.Context(), "videos/"+video+"/manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	var said struct {
		Segments   struct{ Format, Encryption string }
		Playlists  map[string]string
		Renditions []struct{ Init, IFrames, Type string }
	}
	if err := json.Unmarshal(manifest, &said); err != nil {
		t.Fatal(err)
	}
	_, _, missing := bucket().Read(t.Context(), "videos/"+video+"/dash/manifest.mpd")
	dash := !stream && !encrypted
	if (missing == nil) != dash || (playback.URLs["dash"] != "") != dash || (said.Playlists["dash"] != "") != dash {
		t.Errorf("%s: the MPD: %v; playback names %q, the manifest %q", video, missing, playback.URLs["dash"], said.Playlists["dash"])
	}
	if (said.Segments.Format == "ts") != stream || (said.Segments.Encryption == "AES-128") != encrypted {
		t.Errorf("%s: the manifest says %+v", video, said.Segments)
	}
	for _, r := range said.Renditions {
		if (r.Init == "") != stream || (r.IFrames != "") != (r.Type == "video") {
			t.Errorf("%s: the manifest says %+v", video, r)
		}
	}
	iframes := 0
	for _, v := range readMaster(t, video).Variants {
		if v.Iframe {
			iframes++
			checkPictures(t, resolve(t, playback.URLs["hls"], v.URI))
		}
	}
	if iframes != 2 {
		t.Errorf("%s has %d I-frame playlists, want 2", video, iframes)
	}
	if playback.URLs["poster"] == "" || playback.URLs["storyboard"] == "" {
		t.Errorf("%s has no pictures: %v", video, playback.URLs)
	}
}

// checkPictures plays each picture of an I-frame playlist by itself.
func checkPictures(t *testing.T, list string) {
	t.Helper()
	decoded, _, err := m3u8.DecodeFrom(bytes.NewReader(fetched(t, list)), true)
	if err != nil {
		t.Fatal(err)
	}
	playlist := decoded.(*m3u8.MediaPlaylist)
	var init []byte
	if m := playlist.Map; m != nil {
		init = fetched(t, resolve(t, list, m.URI))
	}
	for i, s := range playlist.GetAllSegments() {
		data := fetched(t, resolve(t, list, s.URI))
		if s.Limit > 0 {
			tables := []byte(nil)
			if init == nil {
				tables = data[:2*188] // of the stream, which a player has read before
			}
			data = slices.Concat(tables, data[s.Offset:s.Offset+s.Limit])
		}
		for _, k := range s.Keys {
			data = decrypted(t, data, fetched(t, resolve(t, list, k.URI)), k.IV)
		}
		cmd := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-i", "-", "-fps_mode", "passthrough", "-s", "8x8", "-f", "rawvideo", "-pix_fmt", "gray", "-")
		cmd.Stdin = bytes.NewReader(slices.Concat(init, data))
		if picture, err := cmd.Output(); err != nil || len(picture) != 8*8 {
			t.Errorf("%s: I-frame %d plays as %d bytes: %v", list, i, len(picture), err)
		}
	}
}

// checkKeysAreKept looks for the keys in all that there is of the videos, and asks for them without the right.
func checkKeysAreKept(t *testing.T, id string, videos map[string]map[string]packaged) {
	t.Helper()
	keys := map[string][]byte{}
	for name, renditions := range videos {
		blocks := map[string]string{} // the first of each segment
		for folder, r := range renditions {
			if r.key == nil {
				continue
			}
			if old := keys[name]; len(r.key) != 16 || old != nil && !bytes.Equal(old, r.key) {
				t.Errorf("%s has the keys %x and %x", name, old, r.key)
			}
			keys[name] = r.key
			for i, data := range r.stored[len(r.stored)-int(r.playlist.Count()):] {
				if other, ok := blocks[string(data[:16])]; ok {
					t.Errorf("%s: segment %d of %s begins as %s does", name, i, folder, other)
				}
				blocks[string(data[:16])] = fmt.Sprint(i, " of ", folder)
			}
		}
	}
	if len(keys) != 2 || bytes.Equal(keys["ts-encrypted"], keys["fmp4-encrypted"]) {
		t.Fatalf("the keys are %x", keys)
	}
	objects := 0
	for o, err := range bucket().List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(o.Key, id) {
			continue
		}
		objects++
		data, _, err := bucket().Read(t.Context(), o.Key)
		if err != nil {
			continue // one that was to be deleted
		}
		for name, key := range keys {
			for _, form := range []string{string(key), hex.EncodeToString(key), base64.RawURLEncoding.EncodeToString(key), base64.StdEncoding.EncodeToString(key), cloud.EncryptionKey} {
				if bytes.Contains(data, []byte(form)) {
					t.Errorf("%s has the key of %s", o.Key, name)
				}
			}
		}
	}
	if objects < 100 {
		t.Errorf("there are %d objects only", objects)
	}
}

// Who replaces a video by one of transport streams finds no MPD any more, which would lead to what is removed a day later.
func TestAReplacedVideoLosesItsMPD(t *testing.T) {
	n, hook := start(t, t.TempDir(), nil), receive(t)
	spec := map[string]any{"video_id": id(t), "webhook_url": hook.URL, "key": upload(t, clip(t, "clip.mp4", "-f", "lavfi", "-i", "testsrc2=d=1:s=64x64:r=25"))}
	dash := func() string {
		var playback struct{ URLs struct{ DASH string } }
		n.do("GET", "/videos/"+id(t)+"/playback", nil, &playback)
		return playback.URLs.DASH
	}
	post := func() {
		n.do("POST", "/transcode", spec, nil)
		if e := hook.next(t, patience); e.Type != "video.processed" {
			t.Fatalf("told %+v", e)
		}
	}
	post()
	if url := dash(); url == "" || len(fetched(t, url)) == 0 {
		t.Fatal("the first version has no MPD")
	}
	spec["segment_format"], spec["replace"] = "ts", true
	post()
	if url := dash(); url != "" {
		t.Errorf("playback names %s", url)
	}
	if _, _, err := bucket().Read(t.Context(), "videos/"+id(t)+"/dash/manifest.mpd"); err == nil {
		t.Error("the MPD of the version before is there")
	}
	delete(spec, "segment_format")
	post()
	if url := dash(); url == "" || len(fetched(t, url)) == 0 {
		t.Error("the third version has no MPD")
	}
}

func TestEncryptionTakesAKey(t *testing.T) {
	n := start(t, t.TempDir(), map[string]string{"ENCRYPTION_KEY": ""})
	var answer struct {
		Error struct{ Code, Message string }
	}
	spec := map[string]any{"video_id": id(t), "key": "uploads/x", "webhook_url": "http://127.0.0.1/", "encrypt": true}
	if response := n.do("POST", "/transcode", spec, &answer); response.StatusCode != http.StatusBadRequest || !strings.Contains(answer.Error.Message, "ENCRYPTION_KEY") {
		t.Errorf("%s: %+v", response.Status, answer)
	}
}

// decrypted undoes AES-128 with CBC and PKCS #7.
func decrypted(t *testing.T, data, key []byte, iv string) []byte {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	vector, err := hex.DecodeString(strings.TrimPrefix(iv, "0x"))
	if err != nil || len(vector) != 16 || len(data)%16 != 0 {
		t.Fatalf("%d bytes with the IV %q", len(data), iv)
	}
	clear := slices.Clone(data)
	cipher.NewCBCDecrypter(block, vector).CryptBlocks(clear, clear)
	padding := int(clear[len(clear)-1])
	if padding < 1 || padding > 16 || !bytes.Equal(clear[len(clear)-padding:], bytes.Repeat([]byte{byte(padding)}, padding)) {
		t.Fatalf("the padding is % x", clear[len(clear)-16:])
	}
	return clear[:len(clear)-padding]
}

func resolve(t *testing.T, base, uri string) string {
	t.Helper()
	u, err := url.Parse(base)
	if err == nil {
		u, err = u.Parse(uri)
	}
	if err != nil {
		t.Fatal(err)
	}
	return u.String()
}

func fetched(t *testing.T, url string) []byte {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", url, response.Status, err)
	}
	return data
}

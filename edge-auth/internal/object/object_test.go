package object_test

import (
	"net/url"
	stdpath "path"
	"strings"
	"testing"
	"unicode/utf8"

	"weir/edge-auth/internal/object"
	"weir/edge-auth/internal/playlist"
)

func TestKey(t *testing.T) {
	for _, c := range []struct {
		name, path, key string // no key: the path names no object
	}{
		{"a segment", "/videos/abc/hls/720p/segment_1_ab.m4s", "videos/abc/hls/720p/segment_1_ab.m4s"},
		{"escapes are decoded", "/videos/abc/a%20b%C3%BC%2B.json", "videos/abc/a bü+.json"},
		{"a plus is a plus", "/videos/abc/a+b.json", "videos/abc/a+b.json"},
		{"escapes are decoded once", "/videos/abc/%2561", "videos/abc/%61"},
		{"dots in a name are no dot segment", "/videos/abc/..a...b", "videos/abc/..a...b"},
		{"1,024 bytes", "/videos/abc/" + strings.Repeat("a", 1013), "videos/abc/" + strings.Repeat("a", 1013)},
		{"1,025 bytes", "/videos/abc/" + strings.Repeat("a", 1014), ""},

		{"nothing", "", ""},
		{"no leading slash", "videos/abc/x", ""},
		{"another folder", "/jobs/abc.json", ""},
		{"the folder's name in other letters", "/Videos/abc/x", ""},
		{"a folder whose name begins the same", "/videosx/abc/x", ""},
		{"no object in a video", "/videos/abc", ""},
		{"a folder", "/videos/abc/", ""},
		{"no video", "/videos//x", ""},
		{"a video ID with a space", "/videos/a%20b/x", ""},
		{"a video ID that is too long", "/videos/" + strings.Repeat("a", 129) + "/x", ""},
		{"up", "/videos/abc/../def/x", ""},
		{"up, escaped", "/videos/abc/%2e%2E/def/x", ""},
		{"up at the end", "/videos/abc/..", ""},
		{"here", "/videos/abc/./x", ""},
		{"an empty segment", "/videos/abc//x", ""},
		{"an escaped slash", "/videos/abc%2Fx", ""},
		{"an escaped slash, small", "/videos/abc/x%2fy", ""},
		{"a backslash", `/videos/abc/..\x`, ""},
		{"an escaped backslash", "/videos/abc/..%5Cx", ""},
		{"a NUL", "/videos/abc/x%00", ""},
		{"a line break", "/videos/abc/x%0a", ""},
		{"a DEL", "/videos/abc/x%7f", ""},
		{"no UTF-8", "/videos/abc/%ff", ""},
		{"an overlong dot", "/videos/abc/%c0%ae%c0%ae/x", ""},
		{"half an escape", "/videos/abc/%4", ""},
		{"an escape that is none", "/videos/abc/%zz", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			key, ok := object.Key(c.path)
			if key != c.key || ok != (c.key != "") {
				t.Errorf("got %q, %v", key, ok)
			}
		})
	}
}

func TestVideoID(t *testing.T) {
	for key, want := range map[string]string{
		"videos/aZ_-09/x/y":                         "aZ_-09",
		"videos/" + strings.Repeat("a", 128) + "/x": strings.Repeat("a", 128),
		"videos/abc":                                "",
		"videos/":                                   "",
		"videos/a.b/x":                              "",
		"videos/ü/x":                                "",
		"jobs/abc/x":                                "",
	} {
		if got := object.VideoID(key); got != want {
			t.Errorf("%q: got %q, want %q", key, got, want)
		}
	}
}

func TestUnder(t *testing.T) {
	for _, c := range []struct {
		key, prefix string
		want        bool
	}{
		{"videos/abc/x", "videos/abc", true},
		{"videos/abc/x", "videos/abc/x", true},
		{"videos/abc/x", "videos", true},
		{"videos/abcd/x", "videos/abc", false},
		{"videos/abc/x", "videos/abc/", false},
		{"videos/abc/x", "/videos/abc", false},
		{"videos/abc/x", "", false},
		{"videos/abc/x", "videos/abc/x/y", false},
	} {
		if got := object.Under(c.key, c.prefix); got != c.want {
			t.Errorf("%q under %q: got %v", c.key, c.prefix, got)
		}
	}
}

// Whatever the path, a key is in one video, is what the standard library decodes, and leads nowhere else.
func FuzzKeyIsPlain(f *testing.F) {
	for _, path := range []string{"/videos/abc/x", "/videos/abc/%2e%2e/x", "/videos/a/b%20c", "/videos/abc/%25"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		key, ok := object.Key(path)
		if !ok {
			return
		}
		if decoded, err := url.PathUnescape(path); err != nil || decoded != "/"+key {
			t.Errorf("%q: got %q, net/url %q, %v", path, key, decoded, err)
		}
		if cleaned := stdpath.Clean("/" + key); cleaned != "/"+key {
			t.Errorf("%q: %q is %q when cleaned", path, key, cleaned)
		}
		if !utf8.ValidString(key) || object.VideoID(key) == "" || !object.Under(key, "videos/"+object.VideoID(key)) {
			t.Errorf("%q: %q is in no video", path, key)
		}
	})
}

func TestClassOf(t *testing.T) {
	const year = 31536000
	for name, want := range map[string]object.Class{
		"hls/720p/init_0a.mp4":         {Type: "video/mp4", MaxAge: year, Immutable: true},
		"hls/720p/segment_12_0a.m4s":   {Type: "video/iso.segment", MaxAge: year, Immutable: true},
		"hls/720p/segment_12_0a.ts":    {Type: "video/mp2t", MaxAge: year, Immutable: true},
		"hls/subs_en/segment_1_0a.vtt": {Type: "text/vtt", Text: true, MaxAge: year, Immutable: true},
		"hls/subs_en/track_0a.vtt":     {Type: "text/vtt", Text: true, MaxAge: year, Immutable: true},
		"hls/720p/playlist.m3u8":       {Type: "application/vnd.apple.mpegurl", Text: true, MaxAge: 60, Format: playlist.HLS},
		"dash/manifest.mpd":            {Type: "application/dash+xml", Text: true, MaxAge: 60, Format: playlist.DASH},
		"manifest.json":                {Type: "application/json", Text: true, MaxAge: 60},
		"storyboard/storyboard.vtt":    {Type: "text/vtt", Text: true, MaxAge: 60, Format: playlist.Storyboard, Thumbnail: true},
		"captions/en.vtt":              {Type: "text/vtt", Text: true, MaxAge: 60},
		"poster.jpg":                   {Type: "image/jpeg", MaxAge: 60, Thumbnail: true},
		"download.mp4":                 {Type: "video/mp4", MaxAge: 60},
		"page.html":                    {Type: "application/octet-stream", MaxAge: 60},
		"m3u8":                         {Type: "application/octet-stream", MaxAge: 60},
		"init_folder/x":                {Type: "application/octet-stream", MaxAge: 60},
	} {
		if got := object.ClassOf("videos/abc/" + name); got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
}

func TestCacheControl(t *testing.T) {
	segment, playlist := object.ClassOf("videos/a/segment_1_b.m4s"), object.ClassOf("videos/a/playlist.m3u8")
	for _, c := range []struct {
		name    string
		class   object.Class
		stored  string
		private bool
		want    string
	}{
		{"a segment", segment, "", false, "public, max-age=31536000, immutable"},
		{"a segment, whatever was stored", segment, "no-cache, max-age=1", false, "public, max-age=31536000, immutable"},
		{"a segment for one", segment, "", true, "private, max-age=31536000, immutable"},
		{"a playlist", playlist, "", false, "public, max-age=60"},
		{"a playlist that grows", playlist, "Public, Max-Age=1", false, "public, max-age=1"},
		{"a playlist that was meant to stay longer", playlist, "public, max-age=3600", false, "public, max-age=60"},
		{"a playlist with what is no number", playlist, "max-age=abc", true, "private, max-age=60"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.class.CacheControl(c.stored, c.private); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

package playlist_test

import (
	"strings"
	"testing"

	"weir/edge-auth/internal/playlist"
)

func withToken(t *testing.T, text, token string) string {
	t.Helper()
	got := playlist.Append([]byte("before "), []byte(text), token)
	if size := playlist.Size([]byte(text), token); size != int64(len(got)-len("before ")) {
		t.Errorf("%q: the size is said to be %d, not that of %q", text, size, got)
	}
	return strings.TrimPrefix(string(got), "before ")
}

func TestLines(t *testing.T) {
	for _, c := range []struct{ name, line, want string }{
		{"a segment", "segment_1_a.m4s", "segment_1_a.m4s?token=T"},
		{"a path", "../audio/playlist.m3u8", "../audio/playlist.m3u8?token=T"},
		{"a path from the root", "/videos/a/x.m4s", "/videos/a/x.m4s?token=T"},
		{"a query", "x.m4s?a=1", "x.m4s?a=1&token=T"},
		{"an empty query", "x.m4s?", "x.m4s?token=T"},
		{"a fragment stays last", "x.m4s?a=1#b", "x.m4s?a=1&token=T#b"},
		{"a question mark in a fragment is no query", "x.m4s#b?c", "x.m4s?token=T#b?c"},
		{"a colon behind a slash is no scheme", "a/b:c.m4s", "a/b:c.m4s?token=T"},
		{"a token of its own stays", "x.m4s?token=S", "x.m4s?token=S"},
		{"a token of its own behind others stays", "x.m4s?a=1&token=S", "x.m4s?a=1&token=S"},

		{"another host", "https://example.com/x.m4s", "https://example.com/x.m4s"},
		{"another host with this scheme", "//example.com/x.m4s", "//example.com/x.m4s"},
		{"another host, as browsers read it", `/\example.com/x.m4s`, `/\example.com/x.m4s`},
		{"another host behind a tab that browsers drop", "/\t/example.com/x.m4s", "/\t/example.com/x.m4s"},
		{"data", "data:text/plain,x", "data:text/plain,x"},
		{"nothing", "", ""},
		{"a comment", "# x.m4s", "# x.m4s"},

		{"EXT-X-MAP", `#EXT-X-MAP:URI="init.mp4",BYTERANGE="10@0"`, `#EXT-X-MAP:URI="init.mp4?token=T",BYTERANGE="10@0"`},
		{"EXT-X-MEDIA", `#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="x, URI=y",URI="a.m3u8"`,
			`#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="x, URI=y",URI="a.m3u8?token=T"`},
		{"EXT-X-MEDIA without URI", `#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,INSTREAM-ID="CC1"`, `#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,INSTREAM-ID="CC1"`},
		{"EXT-X-I-FRAME-STREAM-INF", `#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,CODECS="a,b",URI="i.m3u8"`,
			`#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,CODECS="a,b",URI="i.m3u8?token=T"`},
		{"EXT-X-KEY", `#EXT-X-KEY:METHOD=AES-128,URI="k.key",IV=0x1`, `#EXT-X-KEY:METHOD=AES-128,URI="k.key?token=T",IV=0x1`},
		{"EXT-X-KEY of a DRM", `#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://x"`, `#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://x"`},
		{"EXT-X-PART", `#EXT-X-PART:DURATION=1,URI="p.m4s",INDEPENDENT=YES`, `#EXT-X-PART:DURATION=1,URI="p.m4s?token=T",INDEPENDENT=YES`},
		{"EXT-X-STREAM-INF", `#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS="a"`, `#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS="a"`},
		{"an attribute whose name ends in URI", `#EXT-X-DATERANGE:X-ASSET-URI="x"`, `#EXT-X-DATERANGE:X-ASSET-URI="x"`},
		{"a title that looks like an attribute", `#EXTINF:6.0,URI="x"`, `#EXTINF:6.0,URI="x"`},
		{"a value without its quotes", `#EXT-X-MAP:URI=init.mp4`, `#EXT-X-MAP:URI=init.mp4`},
		{"a value without its second quote", `#EXT-X-MAP:URI="init.mp4`, `#EXT-X-MAP:URI="init.mp4`},
		{"a tag without a value", "#EXTM3U", "#EXTM3U"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, ending := range []string{"", "\n", "\r\n"} {
				if got := withToken(t, c.line+ending, "T"); got != c.want+ending {
					t.Errorf("got  %q\nwant %q", got, c.want+ending)
				}
			}
		})
	}
}

func TestWholePlaylist(t *testing.T) {
	const text = "#EXTM3U\n#EXT-X-VERSION:7\n\n#EXT-X-MAP:URI=\"i.mp4\"\n#EXTINF:6.000,\na.m4s\n#EXTINF:2.5,\nb.m4s\n#EXT-X-ENDLIST\n"
	const want = "#EXTM3U\n#EXT-X-VERSION:7\n\n#EXT-X-MAP:URI=\"i.mp4?token=T\"\n#EXTINF:6.000,\na.m4s?token=T\n#EXTINF:2.5,\nb.m4s?token=T\n#EXT-X-ENDLIST\n"
	if got := withToken(t, text, "T"); got != want {
		t.Errorf("got %q", got)
	}
}

// Whatever the text: taking the tokens out again gives the text, lines stay lines, those that are no URIs stay
// as they are, and a second time changes nothing.
func FuzzOnlyTokensAreAdded(f *testing.F) {
	for _, text := range []string{
		"#EXTM3U\nx.m4s\r\n\n#EXT-X-MAP:URI=\"a?b#c\",X=1\n", "#EXT-X-KEY:URI=\"", "a:b\n//c\n?\n#", `#EXT:=",URI="x"`,
	} {
		f.Add(text)
	}
	const token = "T0ken"
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, token) {
			t.Skip("the text has the token already")
		}
		got := withToken(t, text, token)
		if again := withToken(t, got, token); again != got {
			t.Errorf("%q\nbecomes %q\nand then %q", text, got, again)
		}
		before, after := strings.Split(text, "\n"), strings.Split(got, "\n")
		if len(before) != len(after) {
			t.Fatalf("%d lines become %d", len(before), len(after))
		}
		for i, line := range before {
			if without(after[i], token) != without(line, token) {
				t.Errorf("%q becomes %q", line, after[i])
			}
			if strings.HasPrefix(line, "#") && !strings.Contains(line, `URI="`) && after[i] != line {
				t.Errorf("%q is no URI and becomes %q", line, after[i])
			}
			if strings.Contains(line, "://") && !strings.HasPrefix(line, "#") && !strings.ContainsAny(line[:strings.Index(line, "://")], "/?#") &&
				after[i] != line {
				t.Errorf("%q leads elsewhere and becomes %q", line, after[i])
			}
		}
	})
}

// without takes a token out again. A lone ? stays ambiguous ("x?" and "x" become the same), so it goes too.
func without(line, token string) string {
	line = strings.ReplaceAll(line, "&token="+token, "")
	line = strings.ReplaceAll(line, "?token="+token, "")
	return strings.ReplaceAll(line, "?", "")
}

package playlist_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/Eyevinn/hls-m3u8/m3u8"

	"weir/edge-auth/internal/playlist"
)

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
		{"blanks around it", " x.m4s\t", " x.m4s?token=T\t"},
		{"another host behind blanks", " //example.com/x", " //example.com/x"},
		{"a variable that may be a host", "{$a}/x.m4s", "{$a}/x.m4s"},
		{"a variable that may end a scheme", "http{$a}/x.m4s", "http{$a}/x.m4s"},
		{"a variable that may be a host behind a slash", "/{$a}/x.m4s", "/{$a}/x.m4s"},
		{"a variable that may be a host behind a blank and a slash", " /{$a}/x.m4s", " /{$a}/x.m4s"},
		{"a variable that is a part of a path", "a/{$b}/x.m4s", "a/{$b}/x.m4s?token=T"},
		{"a variable in a query", "x.m4s?a={$b}", "x.m4s?a={$b}&token=T"},
		{"a token of its own that is a variable", "x.m4s?token={$token}", "x.m4s?token={$token}"},
		{"a parameter that ends in token", "x.m4s?xtoken=S", "x.m4s?xtoken=S&token=T"},
		{"data", "data:text/plain,x", "data:text/plain,x"},
		{"nothing", "", ""},
		{"blanks", " \t", " \t"},
		{"a comment", "# x.m4s", "# x.m4s"},

		{"EXT-X-KEY of a DRM", `#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://x"`, `#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://x"`},
		{"an attribute whose name ends in URI", `#EXT-X-DATERANGE:X-COM-EXAMPLE-URI="x"`, `#EXT-X-DATERANGE:X-COM-EXAMPLE-URI="x"`},
		{"a title that looks like an attribute", `#EXTINF:6.0,URI="x"`, `#EXTINF:6.0,URI="x"`},
		{"a title that looks like a second attribute", `#EXTINF:6.0,A="b",URI="x"`, `#EXTINF:6.0,A="b",URI="x"`},
		{"a comment that looks like a tag", `# EXT-X-MAP:URI="x"`, `# EXT-X-MAP:URI="x"`},
		{"a quoted value that looks like an attribute", `#EXT-X-MEDIA:NAME="a,URI=",URI="b"`, `#EXT-X-MEDIA:NAME="a,URI=",URI="b?token=T"`},
		{"nothing escapes a quote, so this is no list of attributes", `#EXT-X-MEDIA:NAME="a,URI=\"x",URI="b"`, `#EXT-X-MEDIA:NAME="a,URI=\"x",URI="b"`},
		{"a backslash in front of a closing quote", `#EXT-X-MEDIA:NAME="a\",URI="b"`, `#EXT-X-MEDIA:NAME="a\",URI="b?token=T"`},
		{"a space behind a comma", `#EXT-X-MAP:BYTERANGE="1@0", URI="x"`, `#EXT-X-MAP:BYTERANGE="1@0", URI="x?token=T"`},
		{"an attribute in small letters", `#EXT-X-MAP:uri="x"`, `#EXT-X-MAP:uri="x"`},
		{"another host in an attribute", `#EXT-X-MAP:URI="https://example.com/x"`, `#EXT-X-MAP:URI="https://example.com/x"`},
		{"an empty attribute", `#EXT-X-MAP:URI=""`, `#EXT-X-MAP:URI=""`},
		{"a value without its quotes", `#EXT-X-MAP:URI=init.mp4`, `#EXT-X-MAP:URI=init.mp4`},
		{"a value without its second quote", `#EXT-X-MAP:URI="init.mp4`, `#EXT-X-MAP:URI="init.mp4`},
		{"a tag without a value", "#EXTM3U", "#EXTM3U"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, ending := range []string{"", "\n", "\r\n"} {
				if got := withToken(t, playlist.HLS, c.line+ending); got != c.want+ending {
					t.Errorf("got  %q\nwant %q", got, c.want+ending)
				}
			}
		})
	}
}

func TestWholePlaylist(t *testing.T) {
	const text = "#EXTM3U\n#EXT-X-VERSION:7\n\n#EXT-X-MAP:URI=\"i.mp4\"\n#EXTINF:6.000,\na.m4s\n#EXTINF:2.5,\nb.m4s\n#EXT-X-ENDLIST\n"
	const want = "#EXTM3U\n#EXT-X-VERSION:7\n\n#EXT-X-MAP:URI=\"i.mp4?token=T\"\n#EXTINF:6.000,\na.m4s?token=T\n#EXTINF:2.5,\nb.m4s?token=T\n#EXT-X-ENDLIST\n"
	if got := withToken(t, playlist.HLS, text); got != want {
		t.Errorf("got %q", got)
	}
}

// Every tag that names something to fetch, by name, with the attribute that does.
func TestTags(t *testing.T) {
	for tag, attributes := range map[string][]string{
		"EXT-X-MAP":                {"URI"},
		"EXT-X-KEY":                {"URI"},
		"EXT-X-PART":               {"URI"},
		"EXT-X-PRELOAD-HINT":       {"URI"},
		"EXT-X-RENDITION-REPORT":   {"URI"},
		"EXT-X-MEDIA":              {"URI"},
		"EXT-X-I-FRAME-STREAM-INF": {"URI"},
		"EXT-X-IMAGE-STREAM-INF":   {"URI"},
		"EXT-X-SESSION-DATA":       {"URI"},
		"EXT-X-SESSION-KEY":        {"URI"},
		"EXT-X-CONTENT-STEERING":   {"SERVER-URI"},
		"EXT-X-DATERANGE":          {"X-ASSET-URI", "X-ASSET-LIST"},
		"EXT-X-OF-TOMORROW":        {"URI"},
	} {
		for _, name := range attributes {
			for _, form := range []string{`#%s:%s="x"`, `#%s:BANDWIDTH=1,NAME="a,URI=b",%s="x",IV=0x1`, `#%s:%s="x",CODECS="a,b"`} {
				text := fmt.Sprintf(form, tag, name)
				want := strings.Replace(text, `"x"`, `"x?token=T"`, 1)
				if got := withToken(t, playlist.HLS, text); got != want {
					t.Errorf("got  %s\nwant %s", got, want)
				}
			}
		}
	}
	for _, tag := range []string{
		"#EXTM3U", "#EXT-X-VERSION:7", "#EXTINF:6.000,", "#EXT-X-BYTERANGE:10@0", "#EXT-X-ENDLIST", "#EXT-X-DISCONTINUITY",
		`#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS="a,b",AUDIO="URI"`, `#EXT-X-START:TIME-OFFSET=0`, `#EXT-X-SERVER-CONTROL:HOLD-BACK=1`,
		`#EXT-X-DEFINE:NAME="URI",VALUE="x"`, `#EXT-X-TILES:RESOLUTION=1x1,LAYOUT=5x2`, "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00Z",
		`#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,INSTREAM-ID="CC1"`,
	} {
		if got := withToken(t, playlist.HLS, tag); got != tag {
			t.Errorf("got %s, want %s", got, tag)
		}
	}
}

func TestAByteOrderMarkIsNoURI(t *testing.T) {
	if got := withToken(t, playlist.HLS, "\uFEFF#EXTM3U\na\n"); got != "\uFEFF#EXTM3U\na?token=T\n" {
		t.Errorf("got %q", got)
	}
}

// A parser that knows nothing of tokens finds the same playlist, with the token once in every URI.
func TestAParserFindsTheTokens(t *testing.T) {
	const master = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n" +
		"#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"x, URI=y\",URI=\"audio/playlist.m3u8\"\n" +
		"#EXT-X-STREAM-INF:BANDWIDTH=1000,CODECS=\"avc1.640028,mp4a.40.2\",RESOLUTION=1280x720,AUDIO=\"a\"\n720p/playlist.m3u8\n" +
		"#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=100,CODECS=\"avc1.640028\",URI=\"720p/iframes.m3u8\"\n"
	const mediaText = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:6\n#EXT-X-PLAYLIST-TYPE:VOD\n" +
		"#EXT-X-MAP:URI=\"init.mp4\"\n#EXT-X-KEY:METHOD=AES-128,URI=\"k.key\"\n" +
		"#EXTINF:6.000,URI=\"title\"\na.m4s\n#EXTINF:2.500,\nb.m4s?x=1\n#EXT-X-ENDLIST\n"
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"a multivariant playlist": {master, []string{"720p/playlist.m3u8?token=T", "audio/playlist.m3u8?token=T", "720p/iframes.m3u8?token=T"}},
		"a media playlist":        {mediaText, []string{"init.mp4?token=T", "k.key?token=T", "a.m4s?token=T", "b.m4s?x=1&token=T"}},
	} {
		got := urisOfHLS(t, withToken(t, playlist.HLS, c.text))
		slices.Sort(got)
		if slices.Sort(c.want); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func urisOfHLS(t *testing.T, text string) []string {
	t.Helper()
	list, _, err := m3u8.DecodeFrom(strings.NewReader(text), true)
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	found := map[string]bool{}
	switch list := list.(type) {
	case *m3u8.MasterPlaylist:
		for _, v := range list.Variants {
			found[v.URI] = true
			for _, a := range v.Alternatives {
				found[a.URI] = true
			}
		}
	case *m3u8.MediaPlaylist:
		for _, s := range list.GetAllSegments() {
			found[s.URI] = true
			if s.Map != nil {
				found[s.Map.URI] = true
			}
			for _, k := range s.Keys {
				found[k.URI] = true
			}
		}
		if list.Map != nil {
			found[list.Map.URI] = true
		}
	}
	return slices.Collect(maps.Keys(found))
}

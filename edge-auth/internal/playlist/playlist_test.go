package playlist_test

import (
	"encoding/xml"
	"errors"
	"html"
	"io"
	"net/url"
	"strings"
	"testing"

	"weir/edge-auth/internal/playlist"
)

// withToken gives text with the token T.
func withToken(t *testing.T, format playlist.Format, text string) string {
	t.Helper()
	return withThis(t, format, text, "T")
}

func withThis(t *testing.T, format playlist.Format, text, token string) string {
	t.Helper()
	got := playlist.Append([]byte("before "), []byte(text), format, token)
	if size := playlist.Size([]byte(text), format, token); size != int64(len(got)-len("before ")) {
		t.Errorf("%q: the size is said to be %d, not that of %q", text, size, got)
	}
	return strings.TrimPrefix(string(got), "before ")
}

func TestWhatRefersToNothingStays(t *testing.T) {
	for _, text := range []string{"", "x.m4s\n", `<MPD><BaseURL>x</BaseURL></MPD>`} {
		if got := withToken(t, playlist.None, text); got != text {
			t.Errorf("%q becomes %q", text, got)
		}
	}
}

// However many URIs there are, no more is allocated.
func TestOnlyTheResultIsAllocated(t *testing.T) {
	for format, uris := range map[playlist.Format][3]string{
		playlist.HLS:        {"#EXTM3U\n", "#EXT-X-PART:URI=\"a\"\nb?c\n", ""},
		playlist.DASH:       {"<MPD>", `<SegmentURL media="a?b"/><BaseURL>c</BaseURL>`, "</MPD>"},
		playlist.Storyboard: {"WEBVTT\n\n", "00:00.000 --> 00:01.000\na.jpg#xywh=0,0,1,1\n\n", ""},
	} {
		token, to := strings.Repeat("T", 300), make([]byte, 0, 1<<20)
		allocations := func(n int) (size, result float64) {
			text := []byte(uris[0] + strings.Repeat(uris[1], n) + uris[2])
			size = testing.AllocsPerRun(10, func() { playlist.Size(text, format, token) })
			return size, testing.AllocsPerRun(10, func() { playlist.Append(to, text, format, token) })
		}
		size1, result1 := allocations(1)
		size1000, result1000 := allocations(1000)
		if size1 != size1000 || result1 != result1000 {
			t.Errorf("format %d: %v and %v allocations with one URI, %v and %v with a thousand", format, size1, result1, size1000, result1000)
		}
	}
}

// Whatever the text: taking the tokens out again gives the text, a second time changes nothing, and no token
// goes to another host.
func FuzzOnlyTokensAreAdded(f *testing.F) {
	for _, text := range []string{
		"#EXTM3U\nx.m4s\r\n\n#EXT-X-MAP:URI=\"a?b#c\",X=1\n", "#EXT-X-KEY:URI=\"", "a:b\n//c\n?\n#", `#EXT-X-M:=",URI="x"`,
		"\uFEFF#EXTM3U\n{$a}/b\n/{$a}/b\nc/{$a}\n\t/{$a}", "http://example.com/x\n/\\x\nx?\nx?a=1&#b",
	} {
		f.Add(int(playlist.HLS), text)
	}
	for _, text := range []string{
		rich, "<MPD><BaseURL>//c/</BaseURL><SegmentURL media='a'/></MPD>", "<MPD><BaseURL>h&#58;//c/</BaseURL><SegmentURL media='a'/></MPD>",
		"<MPD><BaseURL><![CDATA[//c/]]></BaseURL><SegmentURL media='a'/></MPD>", "<m:MPD><m:SegmentURL media='?&amp;'/><SegmentURL media=''/></m:MPD>",
		`<MPD><SegmentTemplate media="$RepresentationID$/a"/><Representation id="//c"/></MPD>`, "<MPD><!--><SegmentURL media='a'/>--></MPD>",
	} {
		f.Add(int(playlist.DASH), text)
	}
	for _, text := range []string{board, "WEBVTT\n-->\na.jpg?\n//c.jpg\n", "WEBVTT x\r\n-->\r\na#xywh=\r\n\r\nb.jpg"} {
		f.Add(int(playlist.Storyboard), text)
	}
	const token = "T0ken"
	f.Fuzz(func(t *testing.T, number int, text string) {
		format := playlist.Format(number & 3)
		if strings.Contains(text, token) {
			t.Skip("the text has the token already")
		}
		got := withThis(t, format, text, token)
		if again := withThis(t, format, got, token); again != got {
			t.Errorf("%q\nbecomes %q\nand then %q", text, got, again)
		}
		if without := takeOut(got, text, token); without != text {
			t.Errorf("%q\nbecomes %q\nand without the token %q", text, got, without)
		}
		for _, uri := range carriers(got, token, format) {
			for _, spelling := range spellings(uri, got, format) {
				if host := hostOf(spelling, bases(got, format)); host != home {
					t.Errorf("%q\nbecomes %q, whose %q leads to %q", text, got, spelling, host)
				}
			}
		}
	})
}

// takeOut takes a token out of a text that was made of another, which says whether a ? in front of it was there already.
func takeOut(got, text, token string) string {
	var without strings.Builder
	pieces := strings.Split(got, "token="+token)
	for i, piece := range pieces {
		if i < len(pieces)-1 && !strings.HasPrefix(text[min(without.Len(), len(text)):], piece) {
			for _, separator := range []string{"?", "&amp;", "&"} {
				if cut, ok := strings.CutSuffix(piece, separator); ok {
					piece = cut
					break
				}
			}
		}
		without.WriteString(piece)
	}
	return without.String()
}

// carriers are the URIs of a text with the token: lines, or what stands between the quotes of a tag or in markup.
func carriers(text, token string, format playlist.Format) []string {
	var list []string
	collect := func(text, bounds string) {
		for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune(bounds, r) }) {
			if strings.Contains(word, token) {
				list = append(list, word)
			}
		}
	}
	if format == playlist.DASH {
		collect(text, "\"'<>")
		return list
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimPrefix(line, "\uFEFF"), "#") {
			collect(line, "\"")
		} else {
			collect(line, "")
		}
	}
	return list
}

// spellings are what a player makes of a URI: it replaces variables and templates, and undoes escapes.
func spellings(uri, text string, format playlist.Format) []string {
	switch format {
	case playlist.HLS:
		i := strings.Index(uri, "{$")
		if i < 0 {
			return []string{uri}
		}
		name, _, _ := strings.Cut(uri[i:], "}")
		return []string{uri, strings.ReplaceAll(uri, name+"}", "//else.test"), strings.ReplaceAll(uri, name+"}", "/else.test"),
			strings.ReplaceAll(uri, name+"}", "http://else.test"), strings.ReplaceAll(uri, name+"}", "://else.test")}
	case playlist.DASH:
		uri = html.UnescapeString(uri)
		list := []string{uri}
		each(text, func(element, attribute, value string) {
			if element == "Representation" && attribute == "id" {
				list = append(list, strings.ReplaceAll(uri, "$RepresentationID$", value))
			}
		})
		return list
	}
	return []string{uri}
}

// bases are the BaseURLs of an MPD, as far as it is XML.
func bases(text string, format playlist.Format) []string {
	list := []string{""}
	if format == playlist.DASH {
		each(text, func(element, attribute, value string) {
			if element == "BaseURL" && attribute == "" {
				list = append(list, value)
			}
		})
	}
	return list
}

const home = "home.test"

// hostOf is the host that a browser asks for a URI (WHATWG URL section 4.4), or home.
func hostOf(uri string, bases []string) string {
	for _, b := range bases {
		for _, u := range []string{b, uri} {
			u = strings.NewReplacer("\t", "", "\n", "", "\r", "", "\\", "/").Replace(strings.Trim(u, " \t\r\n"))
			reference, _, _ := strings.Cut(u, "#")
			reference, _, _ = strings.Cut(reference, "?")
			if strings.HasPrefix(reference, "//") {
				return reference
			}
			scheme, _, _ := strings.Cut(reference, "/")
			if name, _, ok := strings.Cut(scheme, ":"); ok {
				return name
			}
			if parsed, err := url.Parse(u); err == nil && (parsed.Host != "" || parsed.Scheme != "") {
				return parsed.Host
			}
		}
	}
	return home
}

// each calls visit for every attribute of an XML document, in order, and for the text behind each start tag
// as that of an attribute without a name. It reports whether all of it is XML.
func each(text string, visit func(element, attribute, value string)) bool {
	d := xml.NewDecoder(strings.NewReader(text))
	element, words := "", ""
	for {
		token, err := d.Token()
		if err != nil {
			return errors.Is(err, io.EOF)
		}
		switch token := token.(type) {
		case xml.StartElement:
			element, words = token.Name.Local, ""
			for _, a := range token.Attr {
				visit(element, a.Name.Local, a.Value)
			}
		case xml.CharData:
			words += string(token)
		case xml.EndElement:
			if element != "" {
				visit(element, "", words)
			}
			element = ""
		}
	}
}

// Package playlist lets the objects that a document refers to inherit the document's token.
//
// A relative URI does not inherit the query of the document that it stands in (RFC 3986 section 5.2), so a
// player that was given playlist.m3u8?token=… would ask for the segments without it. [Append] writes the
// token into every URI of a document that a player fetches next, and [Size] says how long that gets. What the
// URIs are is known for each [Format].
//
// It never adds the token to a URI that leads to another host, or may, nor to one that already carries a
// token, and it changes nothing else: no line is added, removed or moved. What it does not understand, it
// leaves as it is. It allocates nothing but what Append returns: the edge's collector copes badly with large
// pieces of garbage.
package playlist

import "strings"

// Format is a kind of document that refers to other objects.
type Format int

// The formats. None is a document that refers to nothing, which stays as it is.
const (
	None       Format = iota
	HLS               // a playlist (RFC 8216)
	DASH              // a media presentation description (ISO/IEC 23009-1)
	Storyboard        // WebVTT whose cues are pictures, or parts of them
)

// Append appends text with token=… added to the query of every URI that leads back to this host. The token's
// characters are those of a JWT, which need no escape in any format.
func Append(to, text []byte, format Format, token string) []byte {
	out := output{text: to, keep: true, token: []byte(token)}
	out.rewrite(text, format)
	return out.text
}

// Size is how many bytes Append appends.
func Size(text []byte, format Format, token string) int64 {
	out := output{token: []byte(token)}
	out.rewrite(text, format)
	return out.size
}

// output takes the result part by part. It keeps the parts, or only counts them.
type output struct {
	text  []byte
	keep  bool
	size  int64
	token []byte
}

// add takes the next part.
func (o *output) add(part []byte) {
	o.size += int64(len(part))
	if o.keep {
		o.text = append(o.text, part...)
	}
}

func (o *output) rewrite(text []byte, format Format) {
	const mark = "\uFEFF" // belongs to no line
	if starts(text, mark) {
		o.add(text[:len(mark)])
		text = text[len(mark):]
	}
	switch format {
	case HLS:
		rewriteHLS(text, o)
	case DASH:
		rewriteDASH(text, o)
	case Storyboard:
		rewriteStoryboard(text, o)
	default:
		o.add(text)
	}
}

// blank is what may stand around a URI.
const blank = " \t\r\n"

// inherit adds a URI with the token in its query, in front of its fragment. ampersand is how the format
// spells "&".
func (o *output) inherit(uri []byte, ampersand string) {
	end := len(uri)
	for end > 0 && strings.IndexByte(blank, uri[end-1]) >= 0 {
		end--
	}
	reference := uri[:until(uri[:end], "#")]
	path := uri[:until(reference, "?")]
	query := reference[len(path):]
	if end == 0 || !sameHost(uri) || hasToken(query) {
		o.add(uri)
		return
	}
	o.add(reference)
	switch len(query) {
	case 0:
		o.add([]byte("?"))
	case 1: // a lone question mark
	default:
		o.add([]byte(ampersand))
	}
	o.add([]byte("token="))
	o.add(o.token)
	o.add(uri[len(reference):])
}

// hasToken reports whether a query, which begins with its question mark, has a parameter called token.
func hasToken(query []byte) bool {
	return starts(query, "?token=") || find(query, "&token=") < len(query) || find(query, "&amp;token=") < len(query)
}

// sameHost reports whether a URI is a relative reference that stays on the document's host (RFC 3986 section
// 4.2), as the empty one does. An absolute one does not count as such, whatever its host. Browsers drop
// control characters from a URL and read a backslash as a slash, which could turn a path into another host;
// no document of ours has any of these.
func sameHost(uri []byte) bool {
	uri = trim(uri)
	for _, c := range uri {
		if c <= ' ' || c == 0x7f || c == '\\' {
			return false
		}
	}
	if starts(uri, "//") {
		return false
	}
	i := until(uri, ":/?#")
	return i == len(uri) || uri[i] != ':' // a colon in front of the first slash ends a scheme
}

// trim cuts off what is blank around text. What it and the functions below do, package bytes does in general, for up
// to 2 KB of the module each; some are kept from being inlined, which would cost another 2 KB.
func trim(text []byte) []byte {
	for len(text) > 0 && strings.IndexByte(blank, text[0]) >= 0 {
		text = text[1:]
	}
	for len(text) > 0 && strings.IndexByte(blank, text[len(text)-1]) >= 0 {
		text = text[:len(text)-1]
	}
	return text
}

// until is how long text is up to the first byte that is one of stops.
func until(text []byte, stops string) int {
	for i, c := range text {
		if strings.IndexByte(stops, c) >= 0 {
			return i
		}
	}
	return len(text)
}

// cutLine cuts off the first line. ending is its line feed, and the carriage return in front of that.
func cutLine(text []byte) (line, ending, rest []byte) {
	end := until(text, "\n")
	rest = text[min(end+1, len(text)):]
	if end > 0 && text[end-1] == '\r' {
		end--
	}
	return text[:end], text[end : len(text)-len(rest)], rest
}

// find is how long text is up to word, all of it if word is not there.
func find(text []byte, word string) int {
	for i := range text {
		if text[i] == word[0] && starts(text[i:], word) {
			return i
		}
	}
	return len(text)
}

// starts reports whether text starts with word.
func starts(text []byte, word string) bool {
	if len(text) < len(word) {
		return false
	}
	for i := range len(word) {
		if text[i] != word[i] {
			return false
		}
	}
	return true
}

// is reports whether text is word. TinyGo would make a copy for string(text) == word.
func is(text []byte, word string) bool { return len(text) == len(word) && starts(text, word) }

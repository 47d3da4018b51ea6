// Package playlist lets the objects that an HLS playlist refers to inherit the playlist's token.
//
// A relative URI does not inherit the query of the document that it stands in (RFC 3986 section 5.2), so a
// player that was given playlist.m3u8?token=… would ask for the segments without it. [Append] writes the
// token into every URI of the playlist, be it a line or a URI attribute (RFC 8216 section 4), and [Size] says
// how long that gets.
//
// It never adds the token to a URI that names another host, nor to one that already carries a token, and it
// changes nothing else: no line is added, removed or moved. It allocates nothing but what Append returns:
// the edge's collector copes badly with large pieces of garbage.
package playlist

import "bytes"

// Append appends text with token=… added to the query of every URI that leads back to this host.
func Append(to, text []byte, token string) []byte {
	rewrite(text, []byte(token), func(part []byte) { to = append(to, part...) })
	return to
}

// Size is how many bytes Append appends.
func Size(text []byte, token string) int64 {
	size := int64(0)
	rewrite(text, []byte(token), func(part []byte) { size += int64(len(part)) })
	return size
}

// emit takes the next part of the result.
type emit func(part []byte)

func rewrite(text, token []byte, out emit) {
	for line := range bytes.Lines(text) {
		content := bytes.TrimRight(line, "\r\n")
		switch {
		case bytes.HasPrefix(content, []byte("#EXT")):
			rewriteTag(content, token, out)
		case len(content) == 0 || content[0] == '#': // a blank line or a comment
			out(content)
		default:
			inherit(content, token, out)
		}
		out(line[len(content):])
	}
}

// rewriteTag emits a tag with the token in its URI attributes. Attributes are NAME=value, separated by commas;
// a comma or a URI= inside a quoted value is text (RFC 8216 section 4.2).
func rewriteTag(tag, token []byte, out emit) {
	rest := tag[nameLength(tag, ':'):]
	out(tag[:len(tag)-len(rest)])
	for len(rest) > 0 {
		name := rest[:nameLength(rest, '=')]
		value := rest[len(name):]
		value = value[:valueLength(value)]
		rest = rest[len(name)+len(value):]
		out(name)
		if quoted(value) && string(bytes.TrimLeft(name, ", ")) == "URI=" {
			out(value[:1])
			inherit(value[1:len(value)-1], token, out)
			out(value[len(value)-1:])
		} else {
			out(value)
		}
	}
}

// nameLength is where the name at the start of text ends: behind its separator, or at the end of text.
func nameLength(text []byte, separator byte) int {
	if i := bytes.IndexByte(text, separator); i >= 0 {
		return i + 1
	}
	return len(text)
}

// valueLength is where the attribute value at the start of text ends: behind its closing quote, or at a comma.
func valueLength(text []byte) int {
	if len(text) > 0 && text[0] == '"' {
		return 1 + nameLength(text[1:], '"')
	}
	if i := bytes.IndexByte(text, ','); i >= 0 {
		return i
	}
	return len(text)
}

func quoted(value []byte) bool {
	return len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"'
}

// inherit emits a URI with the token in its query, in front of its fragment.
func inherit(uri, token []byte, out emit) {
	if !sameHost(uri) {
		out(uri)
		return
	}
	reference, fragment := uri, []byte(nil)
	if i := bytes.IndexByte(uri, '#'); i >= 0 {
		reference, fragment = uri[:i], uri[i:]
	}
	_, query, hasQuery := bytes.Cut(reference, []byte("?"))
	separator := ""
	switch {
	case bytes.HasPrefix(query, []byte("token=")) || bytes.Contains(query, []byte("&token=")):
		out(uri)
		return
	case !hasQuery:
		separator = "?"
	case len(query) > 0:
		separator = "&"
	}
	out(reference)
	out([]byte(separator))
	out([]byte("token="))
	out(token)
	out(fragment)
}

// sameHost reports whether uri is a relative reference that stays on the playlist's host (RFC 3986 section
// 4.2). Browsers trim a URL, drop control characters from it and read a backslash as a slash, which could turn
// a path into another host; no playlist of ours has any of these.
func sameHost(uri []byte) bool {
	for _, c := range uri {
		if c <= ' ' || c == 0x7f || c == '\\' {
			return false
		}
	}
	if len(uri) == 0 || bytes.HasPrefix(uri, []byte("//")) {
		return false
	}
	i := bytes.IndexAny(uri, ":/?#")
	return i < 0 || uri[i] != ':' // a colon in front of the first slash ends a scheme
}

package playlist

import "bytes"

// rewriteHLS adds an HLS playlist with the token in its URIs, be they lines or attributes of tags (RFC 8216 section 4.1).
func rewriteHLS(text []byte, out *output) {
	for len(text) > 0 {
		content, ending, rest := cutLine(text)
		switch {
		case starts(content, "#EXT-X-"): // no other tags have attributes
			rewriteTag(content, out)
		case starts(content, "#"):
			out.add(content)
		default:
			inheritUnlessVariable(content, out)
		}
		out.add(ending)
		text = rest
	}
}

// rewriteTag adds a tag with the token in its URI attributes. Attributes are NAME=value, separated by commas;
// a comma or a URI= inside a quoted value is text, and nothing escapes a quote (RFC 8216 section 4.2).
func rewriteTag(tag []byte, out *output) {
	rest := tag[nameLength(tag, ":"):]
	out.add(tag[:len(tag)-len(rest)])
	for len(rest) > 0 {
		name := rest[:nameLength(rest, "=")]
		value := rest[len(name):]
		value = value[:valueLength(value)]
		rest = rest[len(name)+len(value):]
		out.add(name)
		if quoted(value) && leads(name) {
			out.add(value[:1])
			inheritUnlessVariable(value[1:len(value)-1], out)
			out.add(value[len(value)-1:])
		} else {
			out.add(value)
		}
	}
}

// leads reports whether the value of an attribute is a URI that a player fetches. name is all from the comma in
// front of the attribute's name to its equals sign. Beside URI itself, these are the steering manifest of
// EXT-X-CONTENT-STEERING and what an interstitial plays (draft-pantos-hls-rfc8216bis appendix D): if they are
// relative, they are objects of this host, which opens nothing without a token.
func leads(name []byte) bool {
	for len(name) > 0 && (name[0] == ',' || name[0] == ' ') {
		name = name[1:]
	}
	return is(name, "URI=") || is(name, "SERVER-URI=") || is(name, "X-ASSET-URI=") || is(name, "X-ASSET-LIST=")
}

// nameLength is where the name at the start of text ends: behind its separator, or at the end of text.
func nameLength(text []byte, separator string) int {
	return min(until(text, separator)+1, len(text))
}

// valueLength is where the attribute value at the start of text ends: behind its closing quote, or at a comma.
func valueLength(text []byte) int {
	if len(text) > 0 && text[0] == '"' {
		return 1 + nameLength(text[1:], `"`)
	}
	return until(text, ",")
}

func quoted(value []byte) bool {
	return len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"'
}

// inheritUnlessVariable adds a URI with the token, unless a variable of EXT-X-DEFINE (rfc8216bis section 4.3)
// stands in its first segment: such a variable may hold another host.
func inheritUnlessVariable(uri []byte, out *output) {
	whole := trim(uri)
	fixed := whole[:find(whole, "{$")]
	if len(fixed) < len(whole) && bytes.LastIndexByte(fixed, '/') <= 0 && bytes.IndexByte(fixed, '?') < 0 {
		out.add(uri)
		return
	}
	out.inherit(uri, "&")
}

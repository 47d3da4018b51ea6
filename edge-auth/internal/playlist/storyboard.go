package playlist

import (
	"bytes"
	"strings"
)

// rewriteStoryboard adds a WebVTT file with the token in the pictures that its cues name. A cue is a line with
// an arrow and what follows, up to a blank line (WebVTT section 6.1); its identifier is in front, and every
// other block has no arrow.
func rewriteStoryboard(text []byte, out *output) {
	const magic = "WEBVTT"
	if !starts(text, magic) || len(text) > len(magic) && strings.IndexByte(blank, text[len(magic)]) < 0 {
		out.add(text)
		return
	}
	first, inCue := true, false
	for len(text) > 0 {
		content, ending, rest := cutLine(text)
		switch {
		case first || len(content) == 0:
			first, inCue = false, false
			out.add(content)
		case find(content, "-->") < len(content):
			inCue = true
			out.add(content)
		case inCue && isPicture(content):
			out.inherit(content, "&")
		default:
			out.add(content)
		}
		out.add(ending)
		text = rest
	}
}

// isPicture reports whether a line names a picture, or a part of one (Media Fragments URI section 4.2.2).
func isPicture(line []byte) bool {
	line = trim(line)
	path, fragment := line[:until(line, "?#")], line[until(line, "#"):]
	extension := path[bytes.LastIndexByte(path, '.')+1:]
	return starts(fragment, "#xywh=") || len(extension) < len(path) &&
		(is(extension, "jpg") || is(extension, "jpeg") || is(extension, "png") || is(extension, "webp"))
}

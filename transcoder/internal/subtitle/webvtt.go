package subtitle

import (
	"html"
	"regexp"
	"strings"
)

// WebVTT turns a cue of a WebVTT track, as Matroska has it (identifier, settings and text, each on lines of its own), into cue
// text and settings. Bold, italic and underlined text, ruby, languages and voices stay; classes go, as there is no style sheet
// for them, and so do times within the text.
func WebVTT(block string) (cue, settings string) {
	fields := strings.SplitN(block, "\n", 3)
	if len(fields) < 3 {
		return "", ""
	}
	var t text
	for rest := fields[2]; rest != ""; {
		end := strings.IndexByte(rest, '<')
		if end < 0 {
			end = len(rest)
		}
		t.add(html.UnescapeString(rest[:end]))
		if rest = rest[end:]; rest == "" {
			break
		}
		close := strings.IndexByte(rest, '>')
		if close < 0 {
			close = len(rest) - 1 // so parsers read it (section 6.4)
		}
		t.tag(strings.TrimSuffix(rest[1:close+1], ">"))
		rest = rest[close+1:]
	}
	return t.String(), settingsOf(fields[1])
}

// tag is what stands between angle brackets: a slash or not, an element, its classes, an annotation.
var tag = regexp.MustCompile(`^(/?)(b|i|u|v|ruby|rt|lang)(?:\.[^\s]*)?(?:\s+(.*))?$`)

// annotated are the elements that say something besides.
var annotated = map[string]bool{"v": true, "lang": true}

func (t *text) tag(inner string) {
	m := tag.FindStringSubmatch(strings.ReplaceAll(inner, "\n", " "))
	switch {
	case m == nil:
	case m[1] == "/":
		t.end(m[2])
	case annotated[m[2]]:
		if note := annotation(m[3]); note != "" {
			t.start(m[2], note)
		}
	default:
		t.start(m[2], "")
	}
}

// maxAnnotation is the longest name of a voice, in bytes.
const maxAnnotation = 200

// annotation is one that may stand in a start tag.
func annotation(s string) string {
	if len(s) > maxAnnotation {
		return ""
	}
	var t text
	t.add(html.UnescapeString(s))
	return strings.ReplaceAll(t.String(), "\n", " ")
}

// setting is one that says where a cue is shown (section 4.4). Regions are none: the track has no definitions of them.
var setting = regexp.MustCompile(`^(vertical:(rl|lr)|line:(-?\d{1,3}|\d{1,3}(\.\d{1,3})?%)(,(start|center|end))?|` +
	`position:\d{1,3}(\.\d{1,3})?%(,(line-left|center|line-right))?|size:\d{1,3}(\.\d{1,3})?%|align:(start|center|end|left|right))$`)

func settingsOf(list string) string {
	var out []string
	for _, s := range strings.Fields(list) {
		if setting.MatchString(s) {
			out = append(out, s)
		}
	}
	return strings.Join(out[:min(len(out), maxSettings)], " ")
}

// maxSettings is how many there are.
const maxSettings = 5

package subtitle

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// ASS turns an event of Advanced SubStation Alpha, as FFmpeg's decoders and Matroska have it (ReadOrder, Layer, Style, Name,
// three margins, Effect and Text, separated by commas), into cue text and settings. What makes text bold, italic or underlined
// stays, and so does the place at the edge of the picture; colours, fonts, movements and drawings go. comments says that braces
// without an override code in them are comments, as in files of that format; in other formats they are text.
func ASS(event string, comments bool) (cue, settings string) {
	fields := strings.SplitN(event, ",", 9)
	if len(fields) < 9 {
		return "", ""
	}
	var a ass
	for rest := fields[8]; rest != ""; {
		switch {
		case rest[0] == '{':
			end := strings.IndexByte(rest, '}')
			if end < 0 || !comments && !strings.Contains(rest[:end], `\`) {
				a.add("{")
				rest = rest[1:]
				continue
			}
			a.override(rest[1:end])
			rest = rest[end+1:]
		case rest[0] == '\\' && len(rest) > 1:
			if plain, ok := escapes[rest[1]]; ok {
				a.add(plain)
				rest = rest[2:]
				continue
			}
			a.add(`\`)
			rest = rest[1:]
		default:
			end := strings.IndexAny(rest[1:], `{\`) + 1
			if end == 0 {
				end = len(rest)
			}
			a.add(rest[:end])
			rest = rest[end:]
		}
	}
	return a.text.String(), places[a.place]
}

// escapes are what a backslash makes of the next character: a line break, one that depends on the style of wrapping, and a blank
// that keeps words together; and braces that are text.
var escapes = map[byte]string{'N': "\n", 'n': " ", 'h': "\u00a0", '{': "{", '}': "}"}

// places are the settings for the alignments of ASS, which are numbered like the keys of a numeric keypad. Text is at the bottom
// in the middle unless it is said.
var places = map[string]string{
	"1": "align:left", "3": "align:right",
	"4": "line:50% align:left", "5": "line:50%", "6": "line:50% align:right",
	"7": "line:0 align:left", "8": "line:0", "9": "line:0 align:right",
}

// ass is what is written, and what the override codes so far have said of what comes next.
type ass struct {
	text    text
	place   string
	drawing bool
	style   []string // of b, i and u, in this order
}

// bold is from which weight on text counts as bold, where a code says the weight of it.
const bold = 600

// code is an override code that is looked at.
var code = regexp.MustCompile(`\\(?:(b|i|u|p)(\d+)|an([1-9])|(r)[^\\]*)`)

func (a *ass) override(codes string) {
	for _, m := range code.FindAllStringSubmatch(codes, -1) {
		n, _ := strconv.Atoi(m[2]) // 0 where there is none
		switch {
		case m[1] == "p": // a scale
			a.drawing = n > 0
		case m[1] != "":
			a.style = slices.DeleteFunc(a.style, func(s string) bool { return s == m[1] })
			if n == 1 || n >= bold {
				a.style = append(a.style, m[1])
				slices.Sort(a.style)
			}
		case m[3] != "" && a.place == "": // the first one holds
			a.place = m[3]
		case m[4] != "":
			a.style = nil
		}
	}
}

func (a *ass) add(s string) {
	if a.drawing {
		return
	}
	if !slices.Equal(a.text.open, a.style) {
		for len(a.text.open) > 0 {
			a.text.end(a.text.open[0])
		}
		if strings.TrimSpace(s) != "" {
			for _, element := range a.style {
				a.text.start(element, "")
			}
		}
	}
	a.text.add(s)
}

package subtitle

import (
	"slices"
	"strings"
	"unicode"
)

// text writes the text of a cue: escaped, in lines of which none is blank, with markup that is closed in the order in which it
// was opened, and no longer than it may be.
type text struct {
	out   strings.Builder
	open  []string // elements, the innermost last
	begun bool     // there is something to be seen
	shown bool     // also on this line
	owed  bool     // a line break, which is written when something follows
	full  bool
}

// add writes characters that stand for themselves. Blank ones at the start of a line are left out, and so are control characters.
func (t *text) add(s string) {
	for _, r := range s {
		switch {
		case r == '\n' || r == '\u2028' || r == '\u2029':
			t.owed, t.shown = t.owed || t.shown, false
			continue
		case r == '\t':
			r = ' '
		case unicode.IsControl(r):
			continue
		}
		if unicode.IsSpace(r) && !t.shown {
			continue
		}
		if t.full = t.full || t.out.Len() > maxText-reserve; t.full {
			return
		}
		t.pay()
		t.begun, t.shown = true, true
		switch r {
		case '&':
			t.out.WriteString("&amp;")
		case '<':
			t.out.WriteString("&lt;")
		case '>': // also keeps an arrow from being one
			t.out.WriteString("&gt;")
		default:
			t.out.WriteRune(r)
		}
	}
}

// pay writes the line break that is owed.
func (t *text) pay() {
	if t.owed {
		t.out.WriteByte('\n')
	}
	t.owed = false
}

// reserve is what end tags may take, and the character before them.
const reserve = 128

// maxDepth is how many elements may be in each other.
const maxDepth = 8

// start opens an element. annotation, such as the name of a voice, may be empty.
func (t *text) start(element, annotation string) {
	if len(t.open) == maxDepth || t.full {
		return
	}
	t.pay()
	t.open = append(t.open, element)
	t.out.WriteString("<" + element)
	if annotation != "" {
		t.out.WriteString(" " + annotation)
	}
	t.out.WriteByte('>')
}

// end closes an element, with those in it. One that is not open is none.
func (t *text) end(element string) {
	if !slices.Contains(t.open, element) {
		return
	}
	for {
		last := t.open[len(t.open)-1]
		t.open = t.open[:len(t.open)-1]
		t.out.WriteString("</" + last + ">")
		if last == element {
			return
		}
	}
}

// String is the whole; "" where there is nothing to be seen.
func (t *text) String() string {
	for len(t.open) > 0 {
		t.end(t.open[len(t.open)-1])
	}
	if !t.begun {
		return ""
	}
	return t.out.String()
}

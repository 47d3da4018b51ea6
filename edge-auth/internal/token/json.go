package token

import (
	"strings"
	"unicode/utf8"
	"unsafe"
)

const (
	// maxDepth bounds the nesting of a token's JSON. The reader recurses, the Wasm stack is 64 KiB, and a header is read
	// before its signature is checked.
	maxDepth = 8

	// maxNumber bounds a number, in bytes, and maxExponent its exponent, in digits: every number is one that a float64 holds,
	// as other readers of JSON want it to be.
	maxNumber, maxExponent = 64, 2
)

// usualMembers is how many members most objects have at most.
const usualMembers = 4

// value is a JSON value (RFC 8259). nil is one that is not there.
type value struct {
	kind    kind
	text    string  // of a string, without quotes and escapes; of a number, as it is written
	members []value // of an object, in order, each with its name; or of an array
	name    string
}

// kind is a kind of JSON value, by the byte that it starts with.
type kind byte

const (
	isObject  kind = '{'
	isArray   kind = '['
	isString  kind = '"'
	isNumber  kind = '0'
	isLiteral kind = 't' // true, false or null, which no claim is
)

// parseObject reads JSON that is one object. It is stricter than the RFC: no name twice in an object, so that no two readers
// see two different tokens; no half of a surrogate pair, which is no character; and the bounds above. data is kept, and must
// not change.
func parseObject(data []byte) (*value, bool) {
	r := reader{rest: unsafe.String(unsafe.SliceData(data), len(data))} //nolint:gosec // as its comment says
	if !utf8.ValidString(r.rest) {
		return nil, false
	}
	v := r.value(0)
	r.space()
	if r.failed || r.rest != "" || v.kind != isObject {
		return nil, false
	}
	return &v, true
}

// member is the object's member of this name, or nil.
func (v *value) member(name string) *value {
	if v == nil || v.kind != isObject {
		return nil
	}
	for i := range v.members {
		if v.members[i].name == name {
			return &v.members[i]
		}
	}
	return nil
}

// string is the string that v is, or "" if it is something else.
func (v *value) string() string {
	if v == nil || v.kind != isString {
		return ""
	}
	return v.text
}

// elements are those of the array that v is, or none if it is something else.
func (v *value) elements() []value {
	if v == nil || v.kind != isArray {
		return nil
	}
	return v.members
}

// reader reads JSON from the front of rest. Once it has failed, it reads nothing more.
type reader struct {
	rest   string
	failed bool
}

func (r *reader) fail() value {
	r.failed = true
	return value{}
}

func (r *reader) space() {
	for len(r.rest) > 0 && (r.rest[0] == ' ' || r.rest[0] == '\t' || r.rest[0] == '\n' || r.rest[0] == '\r') {
		r.rest = r.rest[1:]
	}
}

// next takes the next byte if it is c, after white space.
func (r *reader) next(c byte) bool {
	r.space()
	if r.failed || r.rest == "" || r.rest[0] != c {
		return false
	}
	r.rest = r.rest[1:]
	return true
}

func (r *reader) value(depth int) value {
	r.space()
	if r.failed || r.rest == "" {
		return r.fail()
	}
	switch c := r.rest[0]; {
	case c == '{' || c == '[':
		if depth == maxDepth {
			return r.fail()
		}
		r.rest = r.rest[1:]
		return r.list(kind(c), depth+1)
	case c == '"':
		return value{kind: isString, text: r.string()}
	case c == '-' || '0' <= c && c <= '9':
		return value{kind: isNumber, text: r.number()}
	}
	for _, word := range []string{"true", "false", "null"} {
		if rest, ok := strings.CutPrefix(r.rest, word); ok {
			r.rest = rest
			return value{kind: isLiteral}
		}
	}
	return r.fail()
}

// list reads an object or an array whose first bracket is taken.
func (r *reader) list(k kind, depth int) value {
	v, closing := value{kind: k}, byte(k)+2 // in ASCII
	if r.next(closing) {
		return v
	}
	v.members = make([]value, 0, usualMembers)
	for {
		name := ""
		if k == isObject {
			r.space()
			name = r.string()
			if v.member(name) != nil || !r.next(':') {
				return r.fail()
			}
		}
		m := r.value(depth)
		m.name = name
		v.members = append(v.members, m)
		switch {
		case r.failed:
			return value{}
		case r.next(closing):
			return v
		case !r.next(','):
			return r.fail()
		}
	}
}

// string reads a string with its quotes.
func (r *reader) string() string {
	if r.failed || r.rest == "" || r.rest[0] != '"' {
		r.fail()
		return ""
	}
	r.rest = r.rest[1:]
	for i := 0; i < len(r.rest); i++ {
		switch c := r.rest[i]; {
		case c == '"': // without an escape, as nearly all are
			plain := r.rest[:i]
			r.rest = r.rest[i+1:]
			return plain
		case c == '\\':
			return r.escaped()
		case c < ' ':
			r.fail()
			return ""
		}
	}
	r.fail()
	return ""
}

// escaped reads a string with an escape in it, whose first quote is taken.
func (r *reader) escaped() string {
	var b []byte
	for r.rest != "" {
		c := r.rest[0]
		r.rest = r.rest[1:]
		switch {
		case c == '"':
			return string(b)
		case c < ' ':
			r.fail()
			return ""
		case c != '\\':
			b = append(b, c)
			continue
		case r.rest == "":
			r.fail()
			return ""
		}
		c = r.rest[0]
		r.rest = r.rest[1:]
		if c == 'u' {
			b = utf8.AppendRune(b, r.character())
			continue
		}
		i := strings.IndexByte(`"\/bfnrt`, c)
		if i < 0 {
			r.fail()
			return ""
		}
		b = append(b, "\"\\/\b\f\n\r\t"[i])
	}
	r.fail()
	return ""
}

// character reads what follows `\u`: four hexadecimal digits, and those of the other half of a surrogate pair.
func (r *reader) character() rune {
	high := r.hex()
	if high < 0xd800 || high > 0xdfff {
		return high
	}
	rest, ok := strings.CutPrefix(r.rest, `\u`)
	r.rest = rest
	low := r.hex()
	if !ok || high > 0xdbff || low < 0xdc00 || low > 0xdfff {
		r.fail()
		return 0
	}
	return 0x10000 + (high-0xd800)<<10 + (low - 0xdc00)
}

func (r *reader) hex() (n rune) {
	for range 4 {
		if r.rest == "" {
			r.fail()
			return 0
		}
		c := r.rest[0]
		r.rest = r.rest[1:]
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			r.fail()
		}
		n = n<<4 | rune(c&15)
	}
	return n
}

// number reads a number, which is not calculated.
func (r *reader) number() string {
	all := r.rest
	if r.rest[0] == '-' {
		r.rest = r.rest[1:]
	}
	leading := strings.HasPrefix(r.rest, "0")
	if n := r.digits(); n == 0 || leading && n > 1 {
		r.fail()
		return ""
	}
	if strings.HasPrefix(r.rest, ".") {
		r.rest = r.rest[1:]
		if r.digits() == 0 {
			r.fail()
			return ""
		}
	}
	if strings.HasPrefix(r.rest, "e") || strings.HasPrefix(r.rest, "E") {
		r.rest = r.rest[1:]
		if strings.HasPrefix(r.rest, "+") || strings.HasPrefix(r.rest, "-") {
			r.rest = r.rest[1:]
		}
		if n := r.digits(); n == 0 || n > maxExponent {
			r.fail()
			return ""
		}
	}
	written := all[:len(all)-len(r.rest)]
	if len(written) > maxNumber {
		r.fail()
	}
	return written
}

// digits takes the digits in front and counts them.
func (r *reader) digits() (n int) {
	for n < len(r.rest) && '0' <= r.rest[n] && r.rest[n] <= '9' {
		n++
	}
	r.rest = r.rest[n:]
	return n
}

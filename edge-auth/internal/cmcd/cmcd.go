// Package cmcd reads what players say of themselves: Common Media Client Data (CTA-5004), from the headers CMCD-Request,
// CMCD-Object, CMCD-Status and CMCD-Session, or from the query parameter CMCD, and the reports of events of its second version
// (CTA-5004-A), one a line, from the body of a request.
//
// Start at [Parse] and [Query].
package cmcd

import (
	"strings"

	"weir/edge-auth/internal/decimal"
)

// maxText bounds a text that a player says, in bytes; the standard has 64 for the longest, the content's ID.
const maxText = 64

// Report is what a player says at one time. A text that is not said is empty, and a number that is not said is -1.
type Report struct {
	Session    string // sid
	Content    string // cid
	Object     string // ot: m, a, v, av, i, c, tt, k or o
	Format     string // sf: d, h, s or o
	Stream     string // st: v or l
	Event      string // e, of a report of an event
	Bitrate    int64  // br, of the encoded object, in kbit/s
	Top        int64  // tb, the highest that the player may choose, in kbit/s
	Duration   int64  // d, of the object, in ms
	Buffer     int64  // bl, in ms
	Throughput int64  // mtp, as measured, in kbit/s
	Deadline   int64  // dl, in ms
	Starved    int64  // bs: 1 if the buffer ran empty since the report before
	Startup    int64  // su: 1 while the player starts, seeks or recovers
}

// Parse reads key-value pairs with commas between them. Pairs that are not known or not of their type are left out, because
// whatever a player says must not keep it from playing. ok tells whether there was any that counts.
func Parse(text string) (r Report, ok bool) {
	r = Report{Bitrate: -1, Top: -1, Duration: -1, Buffer: -1, Throughput: -1, Deadline: -1}
	for text != "" {
		var key, value string
		key, value, text = next(text)
		if r.set(key, value) {
			ok = true
		}
	}
	return r, ok
}

// next cuts the first pair from the front. A comma in quotes is text.
func next(text string) (key, value, rest string) {
	quoted, end := false, len(text)
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			end = i
		}
		if end < len(text) {
			break
		}
	}
	pair := strings.TrimSpace(text[:end])
	if end < len(text) {
		rest = text[end+1:]
	}
	key, value, hasValue := strings.Cut(pair, "=")
	if !hasValue {
		value = "1" // a key alone is true
	}
	return key, value, rest
}

func (r *Report) set(key, value string) bool {
	if text := r.text(key); text != nil {
		value = strings.TrimSuffix(strings.TrimPrefix(value, `"`), `"`)
		if value == "" || len(value) > maxText || !printable(value) {
			return false
		}
		*text = value
		return true
	}
	number := r.number(key)
	if number == nil {
		return false
	}
	switch value {
	case "true":
		value = "1"
	case "false":
		value = "0"
	}
	value, _, _ = strings.Cut(value, ".") // whole units are enough
	n, ok := decimal.Parse(value)
	if ok {
		*number = n
	}
	return ok
}

func (r *Report) text(key string) *string {
	switch key {
	case "sid":
		return &r.Session
	case "cid":
		return &r.Content
	case "ot":
		return &r.Object
	case "sf":
		return &r.Format
	case "st":
		return &r.Stream
	case "e":
		return &r.Event
	}
	return nil
}

func (r *Report) number(key string) *int64 {
	switch key {
	case "br":
		return &r.Bitrate
	case "tb":
		return &r.Top
	case "d":
		return &r.Duration
	case "bl":
		return &r.Buffer
	case "mtp":
		return &r.Throughput
	case "dl":
		return &r.Deadline
	case "bs":
		return &r.Starved
	case "su":
		return &r.Startup
	}
	return nil
}

func printable(text string) bool {
	for _, c := range []byte(text) {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// Query gives the parameter CMCD of a URL's query, decoded, or "".
func Query(query string) string {
	for query != "" {
		pair, rest, _ := strings.Cut(query, "&")
		if value, ok := strings.CutPrefix(pair, "CMCD="); ok {
			return unescape(value)
		}
		query = rest
	}
	return ""
}

// unescape percent-decodes a text; an escape that is none stays as it is.
func unescape(text string) string {
	if !strings.Contains(text, "%") {
		return text
	}
	decoded := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '%' && i+2 < len(text) && nibble(text[i+1]) >= 0 && nibble(text[i+2]) >= 0 {
			c = byte(nibble(text[i+1])<<4 | nibble(text[i+2]))
			i += 2
		}
		decoded = append(decoded, c)
	}
	return string(decoded)
}

func nibble(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

package gate

import (
	"strings"

	"weir/edge-auth/internal/decimal"
)

// Part is a range of bytes as a client asks for it: the last Suffix bytes if that is set, else Length bytes
// from Offset on, or all from there if Length is 0. The zero value is all of an object.
type Part struct {
	Offset, Length, Suffix int64
}

// parseRange reads a Range header (RFC 9110 section 14.2) with one range of bytes. Several ranges, other
// units and malformed ranges are ignored, as the RFC allows and wants; the client gets all of the object.
func parseRange(header string) (Part, bool) {
	unit, set, ok := strings.Cut(header, "=")
	if !ok || !strings.EqualFold(unit, "bytes") {
		return Part{}, false
	}
	from, to, ok := strings.Cut(strings.Trim(set, " \t"), "-")
	if !ok {
		return Part{}, false
	}
	first, okFirst := decimal.Parse(from)
	last, okLast := decimal.Parse(to)
	switch {
	case from == "" && okLast && last == 0: // the last no bytes: like bytes behind every end
		return Part{Offset: decimal.Max}, true
	case from == "" && okLast:
		return Part{Suffix: last}, true
	case okFirst && to == "":
		return Part{Offset: first}, true
	case okFirst && okLast && first <= last:
		return Part{Offset: first, Length: last - first + 1}, true
	}
	return Part{}, false
}

// of gives where the part of an object of this size begins and how long it is, and whether there is any.
func (p Part) of(size int64) (first, length int64, ok bool) {
	if p.Suffix > 0 {
		length = min(p.Suffix, size)
		return size - length, length, length > 0
	}
	if p.Offset >= size {
		return 0, 0, false
	}
	length = size - p.Offset
	if p.Length > 0 {
		length = min(p.Length, length)
	}
	return p.Offset, length, true
}

func contentRange(first, length, size int64) string {
	return "bytes " + decimal.Text(first) + "-" + decimal.Text(first+length-1) +
		"/" + decimal.Text(size)
}

package gate

import "strings"

// verdict is what the preconditions of a request make of it.
type verdict int

const (
	proceed verdict = iota
	notModified
	preconditionFailed
)

// evaluate tests the preconditions of a GET or HEAD in the order of RFC 9110 section 13.2.2. A date that
// cannot be read is as good as none.
func (d description) evaluate(r Request) verdict {
	if r.IfMatch != "" {
		if !d.matches(r.IfMatch, strong) {
			return preconditionFailed
		}
	} else if date, ok := parseDate(r.IfUnmodifiedSince); ok && d.modified > date {
		return preconditionFailed
	}
	if r.IfNoneMatch != "" {
		if d.matches(r.IfNoneMatch, weak) {
			return notModified
		}
	} else if date, ok := parseDate(r.IfModifiedSince); ok && d.modified <= date {
		return notModified
	}
	return proceed
}

// ifRange tests If-Range (RFC 9110 section 13.1.5): whether a part is wanted, for the client has the rest of
// this very object. Only a strong validator, or the exact date, can say so.
func (d description) ifRange(header string) bool {
	if header == "" || strings.HasPrefix(header, `"`) || strings.HasPrefix(header, "W/") {
		return header == "" || strong(header, d.etag)
	}
	date, ok := parseDate(header)
	return ok && date == d.modified
}

// matches reports whether a list of entity tags (RFC 9110 section 8.8.3), or "*", has the object's. The list
// is read up to the first thing in it that is no entity tag.
func (d description) matches(list string, equal func(a, b string) bool) bool {
	if strings.TrimSpace(list) == "*" {
		return true
	}
	for {
		list = strings.TrimLeft(list, ", \t")
		tag, rest, ok := cutTag(list)
		if !ok {
			return false
		}
		if equal(tag, d.etag) {
			return true
		}
		list = rest
	}
}

// cutTag cuts the entity tag that list starts with. There are no escapes in one; a comma may be.
func cutTag(list string) (tag, rest string, ok bool) {
	opaque := strings.TrimPrefix(list, "W/")
	if !strings.HasPrefix(opaque, `"`) {
		return "", "", false
	}
	end := strings.IndexByte(opaque[1:], '"')
	if end < 0 {
		return "", "", false
	}
	length := len(list) - len(opaque) + 1 + end + 1
	return list[:length], list[length:], true
}

// strong and weak compare entity tags (RFC 9110 section 8.8.3.2).
func strong(a, b string) bool { return a == b && !strings.HasPrefix(a, "W/") }
func weak(a, b string) bool   { return strings.TrimPrefix(a, "W/") == strings.TrimPrefix(b, "W/") }

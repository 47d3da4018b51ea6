package token

import (
	"strconv"
	"unicode/utf8"

	"github.com/valyala/fastjson"
)

// maxDepth bounds the nesting of a token's JSON. The parser recurses, the Wasm stack is 64 KiB, and a header
// is read before its signature is checked.
const maxDepth = 8

// parseObject reads text as one JSON object (RFC 8259) with no member name twice at its top level. It is
// stricter than fastjson alone, which lets some control characters in strings and numbers beyond all bounds
// pass, and keeps both of two members with one name, so that two readers could see two different tokens.
func parseObject(text string) (*fastjson.Object, bool) {
	if !utf8.ValidString(text) || !shallow(text) || fastjson.Validate(text) != nil {
		return nil, false
	}
	value, err := fastjson.Parse(text)
	if err != nil {
		return nil, false
	}
	object, err := value.Object()
	if err != nil || repeatsName(object) || !finite(value) {
		return nil, false
	}
	return object, true
}

// shallow reports whether text nests no deeper than maxDepth and has no control character in a string. It
// only keeps track of strings and brackets; that they match is the parser's business.
func shallow(text string) bool {
	depth, inString := 0, false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case inString && c == '\\':
			i++ // whatever is escaped does not end the string
		case inString && c < ' ':
			return false
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return false
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return true
}

func repeatsName(object *fastjson.Object) bool {
	names := make([]string, 0, object.Len())
	repeated := false
	object.Visit(func(name []byte, _ *fastjson.Value) {
		for _, seen := range names {
			repeated = repeated || seen == string(name)
		}
		names = append(names, string(name))
	})
	return repeated
}

// finite reports whether every number in value is one that a float64 can hold.
func finite(value *fastjson.Value) bool {
	switch value.Type() {
	case fastjson.TypeNumber:
		_, err := strconv.ParseFloat(value.String(), 64)
		return err == nil
	case fastjson.TypeArray:
		for _, element := range value.GetArray() {
			if !finite(element) {
				return false
			}
		}
	case fastjson.TypeObject:
		all := true
		value.GetObject().Visit(func(_ []byte, member *fastjson.Value) { all = all && finite(member) })
		return all
	}
	return true
}

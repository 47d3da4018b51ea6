// Package object knows the bucket's layout as the edge sees it: which URL path names which object, and how an
// object of each class is served.
//
// Start at [Key], which turns a URL path into an object's key, and [ClassOf], which says what is told about
// the object of a key. Both work on names alone.
//
// Keys are byte strings and never normalised: a path that is not already in its one plain spelling names no
// object, so that what was checked against the token is exactly what is read from the bucket.
package object

import (
	"strings"
	"unicode/utf8"
)

// Root is where everything that may be read lies; what is beside it (jobs/, work/, uploads/) is private.
const Root = "videos/"

// maxKey is R2's bound on a key, in bytes.
const maxKey = 1024

// Key gives the key of the object that path names, and whether it names one. path is a URL's path as it was
// sent, with its leading slash; it is percent-decoded once.
func Key(path string) (key string, ok bool) {
	decoded, ok := unescape(path)
	if !ok || !strings.HasPrefix(decoded, "/"+Root) {
		return "", false
	}
	key = decoded[1:]
	if len(key) > maxKey || !utf8.ValidString(key) || !plain(key) || VideoID(key) == "" {
		return "", false
	}
	return key, true
}

// VideoID is the ID of the video that a key belongs to, or "" if it belongs to none.
func VideoID(key string) string {
	rest, ok := strings.CutPrefix(key, Root)
	id, _, inside := strings.Cut(rest, "/")
	if !ok || !inside || len(id) > 128 {
		return ""
	}
	for _, c := range []byte(id) {
		if !InID(c) {
			return ""
		}
	}
	return id
}

// InID reports whether a video's ID may have a byte.
func InID(c byte) bool { return letter(c) || digit(c) || c == '_' || c == '-' }

// Under reports whether key lies under prefix, a path without slashes around it, in whole segments.
func Under(key, prefix string) bool {
	rest, ok := strings.CutPrefix(key, prefix)
	return ok && prefix != "" && (rest == "" || rest[0] == '/')
}

// plain reports whether key has only segments that mean themselves everywhere: none empty, "." or "..", and
// no backslash or control character in any.
func plain(key string) bool {
	start := 0 // of the segment
	for i := range len(key) + 1 {
		if i == len(key) || key[i] == '/' {
			if segment := key[start:i]; segment == "" || segment == "." || segment == ".." {
				return false
			}
			start = i + 1
		} else if c := key[i]; c < ' ' || c == 0x7f || c == '\\' {
			return false
		}
	}
	return true
}

// unescape percent-decodes path once. An escaped slash is refused: it would be a separator afterwards and was
// none before.
func unescape(path string) (string, bool) {
	if !strings.Contains(path, "%") {
		return path, true
	}
	decoded := make([]byte, 0, len(path))
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '%' {
			if i+2 >= len(path) || !hex(path[i+1]) || !hex(path[i+2]) {
				return "", false
			}
			c = nibble(path[i+1])<<4 | nibble(path[i+2])
			i += 2
			if c == '/' {
				return "", false
			}
		}
		decoded = append(decoded, c)
	}
	return string(decoded), true
}

func letter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
func digit(c byte) bool  { return '0' <= c && c <= '9' }
func hex(c byte) bool    { return digit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

func nibble(c byte) byte {
	if digit(c) {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

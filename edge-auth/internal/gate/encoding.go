package gate

import "strings"

// takesGzip reports whether a client takes gzip (RFC 9110 section 12.5.3). Nothing is compressed for one that does not say so:
// there are players that ask for playlists as they are, and mean it.
func takesGzip(acceptEncoding string) bool {
	for acceptEncoding != "" {
		coding, rest, _ := strings.Cut(acceptEncoding, ",")
		name, parameters, _ := strings.Cut(coding, ";")
		if name = strings.TrimSpace(name); strings.EqualFold(name, "gzip") || strings.EqualFold(name, "x-gzip") {
			return !refused(parameters)
		}
		acceptEncoding = rest
	}
	return false
}

// refused reports whether a weight is 0, as in q=0.000.
func refused(parameter string) bool {
	weight, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(parameter)), "q=")
	return ok && strings.Trim(weight, "0.") == ""
}

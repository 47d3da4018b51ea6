package playlist

import "strings"

// role is what a part of an MPD is to the token.
type role int

const (
	other      role = iota
	reference       // a URI that is fetched
	base            // a URI that others are relative to, and that is fetched if it names a file
	identifier      // what stands for $RepresentationID$ in the URIs of templates
)

// roles are all but other, by element and attribute. No attribute is the element's text.
var roles = []struct {
	element, attribute string
	role               role
}{
	{"BaseURL", "", base},
	{"Location", "", reference},
	{"PatchLocation", "", reference},
	{"ImportedMPD", "", reference},
	{"ContentSteering", "", reference}, // as HLS's SERVER-URI
	{"SegmentTemplate", "media", reference},
	{"SegmentTemplate", "index", reference},
	{"SegmentTemplate", "initialization", reference},
	{"SegmentTemplate", "bitstreamSwitching", reference},
	{"SegmentURL", "media", reference},
	{"SegmentURL", "index", reference},
	{"Initialization", "sourceURL", reference},
	{"RepresentationIndex", "sourceURL", reference},
	{"BitstreamSwitching", "sourceURL", reference},
	{"InitializationSet", "initialization", reference},
	{"InitializationSet", "xlink:href", reference},
	{"Period", "xlink:href", reference},
	{"EventStream", "xlink:href", reference},
	{"AdaptationSet", "xlink:href", reference},
	{"SegmentList", "xlink:href", reference},
	{"Representation", "id", identifier},
}

func roleOf(element, attribute []byte) role {
	for _, r := range roles {
		if is(element, r.element) && is(attribute, r.attribute) {
			return r.role
		}
	}
	return other
}

// rewriteDASH adds an MPD with the token in its URIs. If one BaseURL leads to another host, so may every
// relative URI; and an identifier that looks like the beginning of an absolute URI may make one of a template.
// Then the MPD stays as it is.
func rewriteDASH(mpd []byte, out *output) {
	stays := true
	understood := scan(mpd, func(part []byte, role role) {
		switch role {
		case base:
			stays = stays && plain(part) && sameHost(part)
		case identifier:
			stays = stays && plain(part) && sameHost(part) && len(part) > 0 && strings.IndexByte(blank+"/", part[0]) < 0
		}
	})
	if !understood || !stays {
		out.add(mpd)
		return
	}
	scan(mpd, func(part []byte, role role) {
		if plain(part) && (role == reference || role == base && namesFile(part)) {
			out.inherit(part, "&amp;")
		} else {
			out.add(part)
		}
	})
}

// plain reports whether text has no reference but &amp;. Any other could stand for a colon or a slash.
func plain(text []byte) bool {
	for i, c := range text {
		if c == '&' && !starts(text[i:], "&amp;") {
			return false
		}
	}
	return true
}

// namesFile reports whether a BaseURL may be fetched itself. A folder is not, and its query is not inherited (RFC
// 3986 section 5.2.2).
func namesFile(uri []byte) bool {
	uri = trim(uri)
	path := uri[:until(uri, "?#")]
	return len(path) > 0 && path[len(path)-1] != '/'
}

// scan visits all of an MPD, part by part, and reports whether it understands it. It reads as much of XML 1.0
// as it takes to find the parts.
func scan(mpd []byte, visit func(part []byte, role role)) bool {
	s := scanner{rest: mpd, visit: visit}
	for len(s.rest) > 0 {
		if !s.text() || len(s.rest) > 0 && !s.markup() {
			return false
		}
	}
	return s.rooted
}

type scanner struct {
	rest  []byte // what is not visited yet
	visit func(part []byte, role role)

	rooted  bool   // whether the root was there
	element []byte // whose start tag was the last markup
}

// take visits the next n bytes.
func (s *scanner) take(n int, role role) []byte {
	part := s.rest[:n]
	s.rest = s.rest[n:]
	s.visit(part, role)
	return part
}

// takeThrough visits what ends with end, and reports whether it does.
func (s *scanner) takeThrough(end string) bool {
	s.take(find(s.rest, end), other)
	return s.takeIf(end)
}

// takeIf visits a word if it comes next.
func (s *scanner) takeIf(word string) bool {
	if !starts(s.rest, word) {
		return false
	}
	s.take(len(word), other)
	return true
}

func (s *scanner) takeBlank() {
	i := 0
	for i < len(s.rest) && strings.IndexByte(blank, s.rest[i]) >= 0 {
		i++
	}
	s.take(i, other)
}

func (s *scanner) takeName() []byte {
	return s.take(until(s.rest, blank+`/=<>"'`), other)
}

// text visits what is in front of the next markup. Markup in the middle of a URI is not understood.
func (s *scanner) text() bool {
	i := until(s.rest, "<")
	role := roleOf(s.element, nil)
	if role != other && !starts(s.rest[i:], "</") {
		return false
	}
	s.take(i, role)
	return true
}

func (s *scanner) markup() bool {
	s.element = nil
	switch {
	case s.takeIf("<!--"):
		return s.takeThrough("-->")
	case s.takeIf("<![CDATA["):
		return s.takeThrough("]]>")
	case s.takeIf("<?"):
		return s.takeThrough("?>")
	case s.takeIf("<!"): // a document type may declare anything
		return false
	case s.takeIf("</"):
		return s.takeThrough(">")
	}
	return s.startTag()
}

func (s *scanner) startTag() bool {
	s.takeIf("<")
	element := s.takeName()
	if colon := until(element, ":"); colon < len(element) { // players look at no prefix
		element = element[colon+1:]
	}
	if !s.rooted && !is(element, "MPD") {
		return false
	}
	s.rooted = true
	for {
		s.takeBlank()
		switch {
		case s.takeIf("/>"):
			return true
		case s.takeIf(">"):
			s.element = element
			return true
		case !s.attribute(element):
			return false
		}
	}
}

func (s *scanner) attribute(element []byte) bool {
	name := s.takeName()
	s.takeBlank()
	if len(name) == 0 || !s.takeIf("=") {
		return false
	}
	s.takeBlank()
	quote := `"`
	if !s.takeIf(quote) {
		if quote = `'`; !s.takeIf(quote) {
			return false
		}
	}
	s.take(until(s.rest, quote), roleOf(element, name))
	return s.takeIf(quote)
}

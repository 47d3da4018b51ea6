package check

import (
	"bytes"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/Eyevinn/hls-m3u8/m3u8"
)

// attribute is a value of an attribute list.
type attribute struct {
	text   string
	quoted bool
}

// tag is a tag with an attribute list, and the URI on the next line if there is one.
type tag struct {
	uri   string
	attrs map[string]attribute
}

func (t tag) text(name string) string { return t.attrs[name].text }

// number is a decimal attribute; 0 if it is not there or no number.
func (t tag) number(name string) float64 {
	n, err := strconv.ParseFloat(t.text(name), 64)
	if err != nil {
		return 0
	}
	return n
}

// soundOnly tells whether a variant has no picture.
func (t tag) soundOnly() bool {
	for codec := range strings.SplitSeq(t.text("CODECS"), ",") {
		if !strings.HasPrefix(strings.TrimSpace(codec), "mp4a.") {
			return false
		}
	}
	return true
}

// rate is what the variant says that it needs on average.
func (t tag) rate() float64 {
	if n := t.number("AVERAGE-BANDWIDTH"); n > 0 {
		return n
	}
	return t.number("BANDWIDTH")
}

// master is a multivariant playlist.
type master struct {
	variants, iframes, images, media []tag
	independent                      bool
}

// playlist is a media playlist.
type playlist struct {
	version     int
	target      int
	kind        string // of EXT-X-PLAYLIST-TYPE
	ended       bool
	iframesOnly bool
	encrypted   bool // in a way that is not known
	mapURI      string
	mapKey      *key
	items       []item
}

// item is a segment's entry.
type item struct {
	uri            string
	duration       float64 // of EXTINF, in seconds
	ranged         bool
	length, offset int64
	discontinuity  bool
	key            *key   // nil in the clear
	sequence       uint64 // media sequence number
	tiles          tag    // EXT-X-TILES, of images
}

// masterName is the multivariant playlist in reports.
const masterName = "multivariant playlist"

// readMaster reads the multivariant playlist; false if it lists no variant.
func (c *checker) readMaster(r *response) (m master, ok bool) {
	c.judgePlaylist(masterName, r)
	version, next := 1, (*tag)(nil)
	for _, line := range lines(r.body) {
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "#EXT-X-VERSION":
			version, _ = strconv.Atoi(value)
		case "#EXT-X-INDEPENDENT-SEGMENTS":
			m.independent = true
		case "#EXT-X-MEDIA":
			m.media = append(m.media, tag{attrs: c.attributes(masterName, value)})
		case "#EXT-X-STREAM-INF":
			next = &tag{attrs: c.attributes(masterName, value)}
		case "#EXT-X-I-FRAME-STREAM-INF":
			t := tag{attrs: c.attributes(masterName, value)}
			t.uri = t.text("URI")
			m.iframes = append(m.iframes, t)
		case "#EXT-X-IMAGE-STREAM-INF":
			t := tag{attrs: c.attributes(masterName, value)}
			t.uri = t.text("URI")
			m.images = append(m.images, t)
		default:
			if !strings.HasPrefix(line, "#") && next != nil {
				next.uri = line
				m.variants = append(m.variants, *next)
				next = nil
			}
		}
	}
	if version < 1 {
		c.find("RFC 4.3.1.2", masterName, "a version", "%d", version)
	}
	return m, len(m.variants) > 0
}

// readPlaylist reads a media playlist.
func (c *checker) readPlaylist(name string, r *response) playlist {
	c.judgePlaylist(name, r)
	var p playlist
	var next item
	var now *key
	var tiles tag
	sequence := uint64(0)
	end := map[string]int64{} // where the last range of an object ended
	p.target = -1
	for _, line := range lines(r.body) {
		kind, value, _ := strings.Cut(line, ":")
		switch kind {
		case "#EXT-X-VERSION":
			p.version, _ = strconv.Atoi(value)
		case "#EXT-X-TARGETDURATION":
			if n, err := strconv.Atoi(value); err == nil {
				p.target = n
			}
		case "#EXT-X-PLAYLIST-TYPE":
			p.kind = value
		case "#EXT-X-ENDLIST":
			p.ended = true
		case "#EXT-X-I-FRAMES-ONLY":
			p.iframesOnly = true
		case "#EXT-X-DISCONTINUITY":
			next.discontinuity = true
		case "#EXT-X-KEY":
			var known bool
			now, known = readKey(c.attributes(name, value))
			p.encrypted = p.encrypted || !known
		case "#EXT-X-TILES":
			tiles = tag{attrs: c.attributes(name, value)}
		case "#EXT-X-MEDIA-SEQUENCE":
			sequence, _ = strconv.ParseUint(value, 10, 64)
		case "#EXT-X-MAP":
			if uri := c.attributes(name, value)["URI"].text; p.mapURI == "" {
				p.mapURI, p.mapKey = uri, now
			} else if uri != p.mapURI {
				c.find("W read", name, "one init segment", "another one, of which the segments are not looked into")
			}
		case "#EXTINF":
			text, _, _ := strings.Cut(value, ",")
			d, err := strconv.ParseFloat(text, 64)
			if err != nil || d < 0 {
				c.find("RFC 4", name, "a duration in EXTINF", "%q", text)
			}
			next.duration = d
		case "#EXT-X-BYTERANGE":
			length, offset, placed := strings.Cut(value, "@")
			next.length, _ = strconv.ParseInt(length, 10, 64)
			next.ranged = true
			if next.offset = -1; placed {
				next.offset, _ = strconv.ParseInt(offset, 10, 64)
			}
		default:
			if strings.HasPrefix(line, "#") {
				continue
			}
			next.uri, next.key, next.sequence, next.tiles = line, now, sequence, tiles
			sequence++
			if next.offset < 0 {
				next.offset = end[line]
			}
			end[line] = next.offset + next.length
			p.items = append(p.items, next)
			next = item{}
		}
	}
	return p
}

// judgePlaylist looks at a playlist's text and at how it is served.
func (c *checker) judgePlaylist(name string, r *response) {
	c.mu.Lock()
	c.result.Playlists++
	c.mu.Unlock()
	c.judgeServed(name, r, "application/vnd.apple.mpegurl")
	if !r.gzip {
		c.find("10.1", name, "Content-Encoding: gzip", "%q", r.header.Get("Content-Encoding"))
	}
	switch {
	case bytes.HasPrefix(r.body, []byte("\ufeff")), !utf8.Valid(r.body):
		c.find("RFC 4.1", name, "UTF-8 without a byte order mark", "something else")
	case !bytes.HasPrefix(r.body, []byte("#EXTM3U\n")) && !bytes.HasPrefix(r.body, []byte("#EXTM3U\r\n")):
		c.find("RFC 4.1", name, "#EXTM3U on the first line", "something else")
	}
	if _, _, err := m3u8.DecodeFrom(bytes.NewReader(r.body), true); err != nil {
		c.find("RFC 4", name, "a playlist", "%v", err)
	}
}

// lines are those of a playlist that say something.
func lines(body []byte) []string {
	var out []string
	for line := range strings.Lines(string(body)) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			out = append(out, line)
		}
	}
	return out
}

// oneAttribute is AttributeName=AttributeValue (RFC 8216, section 4.2).
var oneAttribute = regexp.MustCompile(`^([A-Z0-9-]+)=("([^"\r\n]*)"|[^",\s]+)(,|$)`)

// attributes reads an attribute list.
func (c *checker) attributes(name, text string) map[string]attribute {
	all := map[string]attribute{}
	for rest := text; rest != ""; {
		m := oneAttribute.FindStringSubmatch(rest)
		if m == nil {
			c.find("RFC 4.2", name, "an attribute", "%q", rest)
			return all
		}
		if _, twice := all[m[1]]; twice {
			c.find("RFC 4.2", name, m[1]+" once", "it twice")
		}
		quoted := strings.HasPrefix(m[2], `"`)
		all[m[1]] = attribute{text: strings.Trim(m[2], `"`), quoted: quoted}
		if quoted != quotedAttributes[m[1]] && known[m[1]] {
			c.find("RFC 4.2", name, fmt.Sprintf("%s quoted: %v", m[1], !quoted), "%s", m[0])
		}
		rest = rest[len(m[0]):]
	}
	return all
}

// known are the attributes whose form is checked, and quotedAttributes those of them that are in quotation marks.
var (
	known = set("BANDWIDTH AVERAGE-BANDWIDTH RESOLUTION FRAME-RATE TYPE DEFAULT AUTOSELECT METHOD " +
		"CODECS AUDIO SUBTITLES URI GROUP-ID NAME LANGUAGE CHANNELS FORCED CHARACTERISTICS")
	quotedAttributes = set("CODECS AUDIO SUBTITLES URI GROUP-ID NAME LANGUAGE CHANNELS CHARACTERISTICS")
)

func set(names string) map[string]bool {
	all := map[string]bool{}
	for _, name := range strings.Fields(names) {
		all[name] = true
	}
	return all
}

// duration is the sum of the playlist.
func (p playlist) duration() float64 {
	sum := 0.0
	for _, i := range p.items {
		sum += i.duration
	}
	return sum
}

// rounded is a duration in whole seconds, as EXT-X-TARGETDURATION counts.
func rounded(seconds float64) int { return int(math.Round(seconds)) }

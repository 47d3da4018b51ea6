package check

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// group is the renditions of EXT-X-MEDIA that share a type and a GROUP-ID.
type group struct {
	kind, id   string
	renditions []string // what each is, but for where it is
	preferred  bool     // one of them is the default
}

// groups are those of a multivariant playlist, in its order.
func (m master) groups() []*group {
	var all []*group
	for _, r := range m.media {
		i := slices.IndexFunc(all, func(g *group) bool { return g.kind == r.text("TYPE") && g.id == r.text("GROUP-ID") })
		if i < 0 {
			i, all = len(all), append(all, &group{kind: r.text("TYPE"), id: r.text("GROUP-ID")})
		}
		all[i].renditions = append(all[i].renditions,
			r.describe("NAME", "LANGUAGE", "ASSOC-LANGUAGE", "DEFAULT", "AUTOSELECT", "FORCED", "CHARACTERISTICS"))
		all[i].preferred = all[i].preferred || r.text("DEFAULT") == "YES"
	}
	for _, g := range all {
		slices.Sort(g.renditions)
	}
	return all
}

// describe is what a tag says in some attributes.
func (t tag) describe(names ...string) string {
	var said []string
	for _, name := range names {
		if text := t.text(name); text != "" {
			said = append(said, name+"="+text)
		}
	}
	return strings.Join(said, " ")
}

// judgeChoices looks at what a player offers to choose from, and at what it may take by itself.
func (c *checker) judgeChoices(m master) {
	first := map[string]*group{} // of each type
	for _, g := range m.groups() {
		where := g.kind + " " + g.id
		if g.kind == "AUDIO" && !g.preferred {
			c.find("W default", where, "a rendition with DEFAULT=YES", "none")
		}
		if first[g.kind] == nil {
			first[g.kind] = g
		}
		if want := first[g.kind]; !slices.Equal(g.renditions, want.renditions) {
			c.find("RFC 4.3.4.2.1", where, fmt.Sprintf("the renditions of %s, %q", want.id, want.renditions), "%q", g.renditions)
		}
	}
	automatic := map[string]bool{}
	for _, r := range m.media {
		if r.text("AUTOSELECT") != "YES" {
			continue
		}
		told := r.describe("TYPE", "GROUP-ID", "LANGUAGE", "ASSOC-LANGUAGE", "FORCED", "CHARACTERISTICS")
		if automatic[told] {
			c.find("RFC 4.3.4.1.1", r.text("TYPE")+" "+r.text("GROUP-ID"), "AUTOSELECT=YES once of its kind", "%q as well", r.text("NAME"))
		}
		automatic[told] = true
	}
}

// judgeSoundAlone compares what is said of a variant without a picture with its segments, and with those of the other sounds in
// its group: a player needs one of them.
func (c *checker) judgeSoundAlone(t *tree, v tag) {
	for _, name := range []string{"RESOLUTION", "FRAME-RATE", "VIDEO-RANGE"} {
		if v.text(name) != "" {
			c.find("RFC 4.3.4.2", v.uri, "no "+name+" of sound", "%s", v.text(name))
		}
	}
	for _, r := range t.master.media {
		own := r.text("URI") == "" || r.text("URI") == v.uri
		if r.text("TYPE") == "AUDIO" && r.text("GROUP-ID") == v.text("AUDIO") && own != (r.text("DEFAULT") == "YES") {
			c.find("W default", v.uri, "the default sound in the variant's own segments", "%q with the URI %q", r.text("NAME"), r.text("URI"))
		}
	}
	l := t.audio[v.uri]
	if l == nil || l.track == nil {
		return
	}
	codecs := []string{l.track.codecs}
	peak, average := l.bandwidth()
	for _, a := range t.sound(v) {
		if a.track == nil {
			return
		}
		codecs = append(codecs, a.track.codecs)
		p, m := a.bandwidth()
		peak, average = max(peak, p), max(average, m)
	}
	c.judgeSaid(v, l, codecs)
	c.judgeRates(v, peak, average)
}

// judgeChannels compares what is said of sounds with how many channels they have (RFC 8216, section 4.3.4.1). One without a URI
// is in the segments of a variant without a picture.
func (c *checker) judgeChannels(t *tree) {
	for _, r := range t.master.media {
		if r.text("TYPE") != "AUDIO" || r.text("CHANNELS") == "" {
			continue
		}
		uri := r.text("URI")
		for _, v := range t.master.variants {
			if uri == "" && v.soundOnly() && v.text("AUDIO") == r.text("GROUP-ID") {
				uri = v.uri
			}
		}
		l := t.audio[uri]
		if l == nil || l.track == nil || l.track.heard() == 0 {
			continue
		}
		if said, _, _ := strings.Cut(r.text("CHANNELS"), "/"); said != strconv.Itoa(l.track.heard()) {
			c.find("RFC 4.3.4.1", r.text("TYPE")+" "+r.text("GROUP-ID"), fmt.Sprintf("CHANNELS=\"%d\" of %q, as %s has", l.track.heard(), r.text("NAME"), l.name),
				"%q", r.text("CHANNELS"))
		}
	}
}

// judgeSounds compares how long renditions of sound alone are, and where their segments start.
func (c *checker) judgeSounds(audio []*list) {
	for _, l := range audio {
		first := audio[0]
		if a, b := l.length(), first.length(); math.Abs(a-b) > soundSlack {
			c.find("8.7", l.name, fmt.Sprintf("%.3f s, as %s lasts", b, first.name), "%.3f s", a)
		}
		c.judgeAligned(l, first, 1e-9)
	}
}

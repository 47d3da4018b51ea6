package check

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// judgeMaster looks at the multivariant playlist's own text.
func (c *checker) judgeMaster(t *tree) {
	m := t.master
	if !m.independent {
		c.find("9.11", masterName, "EXT-X-INDEPENDENT-SEGMENTS", "none")
	}
	all, shapes := map[string]bool{}, map[string]bool{}
	for _, v := range m.variants {
		c.wantAttributes(v, v.uri, map[string]string{"CODECS": "9.1", "AVERAGE-BANDWIDTH": "9.14", "BANDWIDTH": "RFC 4.3.4.2"})
		all[v.uri] = true
		if v.soundOnly() {
			continue
		}
		shapes[v.uri] = true
		c.wantAttributes(v, v.uri, map[string]string{"RESOLUTION": "9.2", "FRAME-RATE": "9.15"})
		if rate := v.number("FRAME-RATE"); rate > 60 {
			c.find("1.19", v.uri, "at most 60 frames a second", "%.3f", rate)
		}
	}
	if n := len(shapes); n == 1 || n == 0 && len(all) < 2 {
		c.find("9.9", masterName, "several variants", "%d", max(n, len(all)))
	}
	for _, v := range m.iframes {
		c.wantAttributes(v, v.uri, map[string]string{"CODECS": "9.3", "RESOLUTION": "9.4", "BANDWIDTH": "RFC 4.3.4.2", "URI": "RFC 4.3.4.2"})
	}
	if len(m.iframes) == 0 && len(shapes) > 0 {
		c.find("6.1", masterName, "EXT-X-I-FRAME-STREAM-INF", "none")
	}
	for _, v := range m.variants {
		if r := v.text("RESOLUTION"); len(m.iframes) > 0 && r != "" && !slices.ContainsFunc(m.iframes, func(i tag) bool { return i.text("RESOLUTION") == r }) {
			c.find("6.6", masterName, "an I-frame playlist of "+r, "none")
		}
	}
	first := func(v tag) float64 { return math.Abs(v.rate() - 2_000_000) }
	common := slices.DeleteFunc(slices.Clone(m.variants), tag.further) // what all players know is what they are to begin with
	if len(common) == 0 {
		c.find("W H.264", masterName, "a variant in H.264", "none")
		common = m.variants
	}
	if nearest := slices.MinFunc(common, func(a, b tag) int { return sign(first(a) - first(b)) }); first(nearest) < first(m.variants[0]) {
		c.find("1.32", masterName, nearest.uri+" first", "%s", m.variants[0].uri)
	}
	c.judgeShapes(m)
	c.judgeGroups(m)
	c.judgeChoices(m)
	c.judgeSubtitles(m)
}

func (c *checker) wantAttributes(t tag, where string, rules map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		if t.text(name) == "" {
			c.find(rules[name], where, name, "none")
		}
	}
}

// judgeShapes compares the aspect ratios. Each side of a picture is rounded to an even number, the largest one's as well.
func (c *checker) judgeShapes(m master) {
	const rounding = 2
	var width, height int
	for _, v := range m.variants {
		if w, h, ok := resolution(v); ok && w*h > width*height {
			width, height = w, h
		}
	}
	for _, v := range m.variants {
		w, h, ok := resolution(v)
		if !ok {
			continue
		}
		byHeight, byWidth := float64(h*width)/float64(height), float64(w*height)/float64(width)
		if math.Abs(byHeight-float64(w)) > rounding && math.Abs(byWidth-float64(h)) > rounding {
			c.find("1.33", v.uri, fmt.Sprintf("the shape of %dx%d", width, height), "%dx%d", w, h)
		}
	}
}

func resolution(v tag) (width, height int, ok bool) {
	n, err := fmt.Sscanf(v.text("RESOLUTION"), "%dx%d", &width, &height)
	return width, height, n == 2 && err == nil && width > 0 && height > 0
}

// judgeGroups looks at EXT-X-MEDIA.
func (c *checker) judgeGroups(m master) {
	names, defaults := map[string]bool{}, map[string]bool{}
	for _, r := range m.media {
		where := r.text("TYPE") + " " + r.text("GROUP-ID")
		c.wantAttributes(r, where, map[string]string{"TYPE": "RFC 4.3.4.1", "GROUP-ID": "RFC 4.3.4.1", "NAME": "RFC 4.3.4.1"})
		if r.text("TYPE") == "AUDIO" && r.text("CHANNELS") == "" { // which SHOULD be said
			c.findAs(Warning, "RFC 4.3.4.1", where, "CHANNELS", "none")
		}
		if r.text("TYPE") != "VIDEO" && r.text("LANGUAGE") == "" {
			c.find("8.10", where, "LANGUAGE", "none")
		}
		if names[where+" "+r.text("NAME")] {
			c.find("RFC 4.3.4.1", where, "NAME once", "%q twice", r.text("NAME"))
		}
		names[where+" "+r.text("NAME")] = true
		if r.text("DEFAULT") == "YES" {
			if defaults[where] {
				c.find("RFC 4.3.4.1", where, "one DEFAULT", "two")
			}
			defaults[where] = true
			if a := r.text("AUTOSELECT"); a != "" && a != "YES" {
				c.find("RFC 4.3.4.1", where, "AUTOSELECT=YES of the default", "%s", a)
			}
		}
	}
	for _, v := range m.variants {
		for _, kind := range []string{"AUDIO", "SUBTITLES", "VIDEO"} {
			group := v.text(kind)
			if group != "" && !slices.ContainsFunc(m.media, func(r tag) bool { return r.text("TYPE") == kind && r.text("GROUP-ID") == group }) {
				c.find("RFC 4.3.4.2", v.uri, "a group "+kind+" "+group, "none")
			}
		}
	}
}

// sound are the playlists of a variant's audio group.
func (t *tree) sound(v tag) []*list {
	var lists []*list
	for _, r := range t.master.media {
		if r.text("TYPE") == "AUDIO" && r.text("GROUP-ID") == v.text("AUDIO") && v.text("AUDIO") != "" && t.audio[r.text("URI")] != nil {
			lists = append(lists, t.audio[r.text("URI")])
		}
	}
	return lists
}

// judgeTogether compares the renditions with each other and with what the multivariant playlist says of them.
func (c *checker) judgeTogether(t *tree) {
	for _, v := range t.master.variants {
		if l := t.video[v.uri]; l != nil && l.track != nil {
			c.judgeVariant(t, v, l)
		}
		if v.soundOnly() {
			c.judgeSoundAlone(t, v)
		}
	}
	for _, v := range t.master.iframes {
		l := t.iframes[v.uri]
		if l == nil || l.track == nil {
			continue
		}
		c.judgeSaid(v, l, []string{l.track.codecs})
		peak, average := l.bandwidth()
		c.judgeRate("6.9", v.uri, "BANDWIDTH", v.number("BANDWIDTH"), peak)
		if said := v.number("AVERAGE-BANDWIDTH"); said > 0 {
			c.judgeRate("1.26", v.uri, "AVERAGE-BANDWIDTH", said, average)
		}
	}
	c.judgeChannels(t)
	c.judgeTargets(t)
	c.judgeLengths(t)
}

func (c *checker) judgeVariant(t *tree, v tag, l *list) {
	if said, want := cmp.Or(v.text("VIDEO-RANGE"), "SDR"), l.track.videoRange(); said != want {
		c.find("9.16", v.uri, fmt.Sprintf("VIDEO-RANGE=%s, for transfer characteristics %d", want, l.track.transfer), "%q", v.text("VIDEO-RANGE"))
	}
	codecs, read := []string{l.track.codecs}, !slices.Contains(l.segments, nil)
	peak, average := l.bandwidth()
	var soundPeak, soundAverage float64
	sound := t.sound(v)
	for _, a := range sound {
		if a.track == nil {
			return
		}
		codecs, read = append(codecs, a.track.codecs), read && !slices.Contains(a.segments, nil)
		p, m := a.bandwidth()
		soundPeak, soundAverage = max(soundPeak, p), max(soundAverage, m)
	}
	if len(sound) == 0 && strings.Contains(v.text("CODECS"), "mp4a") {
		c.find("9.5", v.uri, "sound in an EXT-X-MEDIA of its own", "it in the picture's segments")
		return
	}
	var textPeak, textAverage float64
	for _, s := range t.subtitles(v) {
		p, m := s.bandwidth()
		textPeak, textAverage = max(textPeak, p), max(textAverage, m)
	}
	peak, average = peak+soundPeak+textPeak, average+soundAverage+textAverage
	c.judgeSaid(v, l, codecs)
	if !read {
		return // what is missing was found, and nothing can be measured
	}
	if said, _ := l.rate(); math.Abs(v.number("FRAME-RATE")-said) > 0.002 {
		c.find("RFC 4.3.4.2", v.uri, fmt.Sprintf("FRAME-RATE=%.3f, as the samples last", said), "%.3f", v.number("FRAME-RATE"))
	}
	c.judgeRates(v, peak, average)
}

// judgeRates compares what a variant says that it needs with what was measured.
func (c *checker) judgeRates(v tag, peak, average float64) {
	bandwidth := v.number("BANDWIDTH")
	c.judgeRate("1.27", v.uri, "BANDWIDTH", bandwidth, peak)
	if said := v.number("AVERAGE-BANDWIDTH"); said > 0 {
		c.judgeRate("1.26", v.uri, "AVERAGE-BANDWIDTH", said, average)
	}
	if bandwidth < peak*0.999 {
		c.find("9.13", v.uri, fmt.Sprintf("BANDWIDTH=%.0f, the peaks of picture and sound", math.Ceil(peak)), "%.0f", bandwidth)
	}
	if peak > 2*average {
		c.find("1.30", v.uri, fmt.Sprintf("a peak of at most %.0f bit/s", 2*average), "%.0f", peak)
	}
}

// judgeSaid compares what is said of a variant with its init segments.
func (c *checker) judgeSaid(v tag, l *list, codecs []string) {
	said := strings.Split(v.text("CODECS"), ",")
	for i := range said {
		said[i] = strings.TrimSpace(said[i])
	}
	slices.Sort(said)
	slices.Sort(codecs)
	codecs = slices.Compact(codecs)
	if v.text("CODECS") != "" && !slices.EqualFunc(said, codecs, strings.EqualFold) {
		c.find("RFC 4.3.4.2", v.uri, "CODECS="+strings.Join(codecs, ","), "%s", strings.Join(said, ","))
	}
	if w, h, ok := resolution(v); ok && l.track.key != nil && (w != l.track.width || h != l.track.height) {
		c.find("RFC 4.3.4.2", v.uri, fmt.Sprintf("RESOLUTION=%dx%d, as the SPS says", l.track.width, l.track.height), "%dx%d", w, h)
	}
}

// judgeRate wants what is said within 10 % of what was measured.
func (c *checker) judgeRate(rule, where, name string, said, measured float64) {
	if measured > 0 && math.Abs(said-measured) > 0.1*measured {
		c.find(rule, where, fmt.Sprintf("%s within 10 %% of %.0f", name, measured), "%.0f", said)
	}
}

// bandwidth measures a rendition in bits per second: the peak over all runs of segments that are between half and one and a
// half target durations long, and the average (RFC 8216, section 4.3.4.2).
func (l *list) bandwidth() (peak, average float64) {
	type part struct{ bits, seconds float64 }
	var parts []part
	var total part
	for i, m := range l.segments {
		if m == nil {
			return 0, 0
		}
		p := part{float64(m.bytes) * 8, l.items[i].duration}
		if l.items[i].ranged {
			p.bits = float64(l.items[i].length) * 8
		} else if ticks := m.ticks(); ticks > 0 {
			p.seconds = l.seconds(ticks)
		}
		parts = append(parts, p)
		total.bits, total.seconds = total.bits+p.bits, total.seconds+p.seconds
	}
	if total.seconds == 0 {
		return 0, 0
	}
	target := float64(l.target)
	for first := range parts {
		var run part
		for _, p := range parts[first:] {
			run.bits, run.seconds = run.bits+p.bits, run.seconds+p.seconds
			if run.seconds > 1.5*target {
				break
			}
			if run.seconds >= 0.5*target {
				peak = max(peak, run.bits/run.seconds)
			}
		}
	}
	average = total.bits / total.seconds
	return max(peak, average), average
}

// judgeTargets compares the target durations (8.2).
func (c *checker) judgeTargets(t *tree) {
	target, where := -1, ""
	for _, lists := range []map[string]*list{t.video, t.audio} {
		for _, uri := range slices.Sorted(maps.Keys(lists)) {
			l := lists[uri]
			if target < 0 {
				target, where = l.target, l.name
			}
			if l.target != target {
				c.find("8.2", l.name, fmt.Sprintf("a target duration of %d, as %s has", target, where), "%d", l.target)
			}
		}
	}
}

// soundSlack is how far sound and picture may be apart at their ends, in seconds: what no viewer notices.
const soundSlack = 0.040

// judgeLengths compares how long the renditions are, where their segments start, and how many pictures they have.
func (c *checker) judgeLengths(t *tree) {
	video, audio, iframes := whole(t.video), whole(t.audio), whole(t.iframes)
	if len(video) == 0 {
		c.judgeSounds(audio)
		return
	}
	first, frame := video[0], t.frame()
	for _, l := range video[1:] {
		if a, b := len(l.samples()), len(first.samples()); a != b {
			c.find("RFC 6.2.4", l.name, fmt.Sprintf("%d pictures, as %s has", b, first.name), "%d", a)
		}
		if a, b := l.length(), first.length(); math.Abs(a-b) > 1e-6+l.seconds(l.jitter()) {
			c.find("8.7", l.name, fmt.Sprintf("%.6f s, as %s lasts", b, first.name), "%.6f s", a)
		}
		c.judgeAligned(l, first, 1e-9)
	}
	for _, l := range audio {
		sound := 0.0 // how long a frame of it lasts
		if all := l.samples(); len(all) > 0 {
			sound = l.seconds(uint64(all[0].dur))
		}
		if a, b := l.length(), first.length(); math.Abs(a-b) > soundSlack+sound {
			c.find("8.3", l.name, fmt.Sprintf("%.3f s, as %s lasts", b, first.name), "%.3f s", a)
		}
		c.judgeAligned(l, first, sound)
	}
	for _, l := range iframes {
		if a, b := l.duration(), first.length(); math.Abs(a-b) > frame {
			c.find("8.7", l.name, fmt.Sprintf("%.3f s, as %s lasts", b, first.name), "%.3f s", a)
		}
	}
	c.judgeTextLengths(t, first)
}

// whole are the playlists of which all could be read.
func whole(lists map[string]*list) []*list {
	var all []*list
	for _, uri := range slices.Sorted(maps.Keys(lists)) {
		if l := lists[uri]; l.track != nil && len(l.items) > 0 && !slices.Contains(l.segments, nil) {
			all = append(all, l)
		}
	}
	return all
}

// length is how long the samples of a rendition last, in seconds.
func (l *list) length() float64 {
	var ticks uint64
	for _, m := range l.segments {
		ticks += m.ticks()
	}
	return l.seconds(ticks)
}

// judgeAligned compares the starts of segments (8.22).
func (c *checker) judgeAligned(l, other *list, slack float64) {
	if len(l.segments) != len(other.segments) {
		c.find("8.22", l.name, fmt.Sprintf("%d segments, as %s has", len(other.segments), other.name), "%d", len(l.segments))
		return
	}
	for i, m := range l.segments {
		if a, b := l.seconds(m.start()), other.seconds(other.segments[i].start()); math.Abs(a-b) > slack {
			c.find("8.22", m.name, fmt.Sprintf("a start at %.6f s, as %s", b, other.segments[i].name), "%.6f s", a)
		}
	}
}

func sign(f float64) int {
	switch {
	case f < 0:
		return -1
	case f > 0:
		return 1
	}
	return 0
}

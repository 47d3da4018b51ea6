package check

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// text is a segment of WebVTT.
type text struct {
	name   string
	mapped bool    // it has an X-TIMESTAMP-MAP
	offset float64 // from its own times to those of the pictures, in seconds
	cues   []cue
}

// cue is when a text is shown, in seconds on the clock of its file.
type cue struct {
	start, end float64
	text       string // its settings as well
}

// readTexts fetches a playlist of subtitles and its segments. It is nil if it is not there.
func (c *checker) readTexts(ctx context.Context, uri string) (*list, error) {
	l, err := c.fetchList(ctx, uri)
	if l == nil {
		return nil, err
	}
	l.segments, l.texts = make([]*media, len(l.items)), make([]*text, len(l.items))
	return l, l.each(ctx, func(ctx context.Context, i int) error {
		r, err := c.readMedia(ctx, l.base, l.items[i].uri)
		if r == nil {
			return err
		}
		c.count(r)
		name := c.name(r.url)
		l.segments[i] = &media{name: name, bytes: int64(len(r.body))}
		t, err := parseText(r.body)
		if err != nil {
			c.find("WebVTT 4", name, "WebVTT", "%v", err)
			return nil
		}
		t.name = name
		l.texts[i] = t
		return nil
	})
}

// parseText reads a file as WebVTT section 4 has it, more strictly than players do.
func parseText(body []byte) (*text, error) {
	const mark = "\ufeff"
	if !utf8.Valid(body) || bytes.IndexByte(body, 0) >= 0 {
		return nil, errors.New("it is not UTF-8")
	}
	whole := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.TrimPrefix(string(body), mark))
	blocks := strings.Split(whole, "\n\n")
	t := &text{}
	for i, line := range strings.Split(blocks[0], "\n") {
		magic, comment := strings.CutPrefix(line, "WEBVTT")
		if i == 0 && (!comment || magic != "" && !strings.HasPrefix(magic, " ") && !strings.HasPrefix(magic, "\t")) {
			return nil, errors.New("it does not begin with WEBVTT")
		}
		if list, ok := strings.CutPrefix(line, "X-TIMESTAMP-MAP="); ok {
			var err error
			if t.offset, err = offset(list); err != nil {
				return nil, err
			}
			t.mapped = true
		}
	}
	last := math.Inf(-1)
	for _, block := range blocks[1:] {
		if block = strings.Trim(block, "\n"); block == "" || strings.HasPrefix(block, "NOTE") || strings.HasPrefix(block, "STYLE") || strings.HasPrefix(block, "REGION") {
			continue
		}
		one, err := parseCue(block)
		if err != nil {
			return nil, err
		}
		if one.start < last {
			return nil, fmt.Errorf("a cue at %.3f s comes after one at %.3f s", one.start, last)
		}
		last = one.start
		t.cues = append(t.cues, one)
	}
	return t, nil
}

func parseCue(block string) (cue, error) {
	head, payload, _ := strings.Cut(block, "\n")
	if !strings.Contains(head, "-->") { // an identifier
		head, payload, _ = strings.Cut(payload, "\n")
	}
	from, rest, ok := strings.Cut(head, " --> ")
	to, settings, _ := strings.Cut(rest, " ")
	start, err := clock(from)
	end, endErr := clock(to)
	switch {
	case !ok || err != nil || endErr != nil:
		return cue{}, fmt.Errorf("%q is no time of a cue", head)
	case end <= start:
		return cue{}, fmt.Errorf("a cue lasts from %.3f to %.3f s", start, end)
	case strings.Contains(payload, "-->"):
		return cue{}, fmt.Errorf("the cue at %.3f s has an arrow in its text", start)
	}
	return cue{start: start, end: end, text: settings + "\n" + payload}, nil
}

// clock reads a timestamp.
func clock(stamp string) (float64, error) {
	fields := strings.Split(stamp, ":")
	if len(fields) == 2 {
		fields = append([]string{"0"}, fields...)
	}
	if len(fields) != 3 {
		return 0, errors.New("no time")
	}
	h, err := strconv.Atoi(fields[0])
	m, minuteErr := strconv.Atoi(fields[1])
	s, secondErr := strconv.ParseFloat(fields[2], 64)
	return float64(h*3600+m*60) + s, errors.Join(err, minuteErr, secondErr)
}

// offset reads an X-TIMESTAMP-MAP (RFC 8216, section 3.5).
func offset(list string) (float64, error) {
	ticks, local, parts := 0, 0.0, 0
	for part := range strings.SplitSeq(list, ",") {
		var err error
		if text, ok := strings.CutPrefix(part, "MPEGTS:"); ok {
			ticks, err = strconv.Atoi(text)
			parts++
		} else if text, ok := strings.CutPrefix(part, "LOCAL:"); ok {
			local, err = clock(text)
			parts++
		}
		if err != nil {
			return 0, fmt.Errorf("X-TIMESTAMP-MAP=%s", list)
		}
	}
	if parts != 2 {
		return 0, fmt.Errorf("X-TIMESTAMP-MAP=%s", list)
	}
	return float64(ticks)/90_000 - local, nil
}

// subtitles are the playlists of a variant's group of subtitles.
func (t *tree) subtitles(v tag) []*list {
	var lists []*list
	for _, r := range t.master.media {
		if r.text("TYPE") == "SUBTITLES" && r.text("GROUP-ID") == v.text("SUBTITLES") && t.texts[r.text("URI")] != nil {
			lists = append(lists, t.texts[r.text("URI")])
		}
	}
	return lists
}

// judgeSubtitles looks at what the multivariant playlist says of subtitles.
func (c *checker) judgeSubtitles(m master) {
	for _, r := range m.media {
		where := r.text("TYPE") + " " + r.text("GROUP-ID") + " " + r.text("NAME")
		switch {
		case r.text("TYPE") == "SUBTITLES" && r.text("URI") == "":
			c.find("RFC 4.3.4.1", where, "a URI", "none")
		case r.text("TYPE") != "SUBTITLES" && r.text("FORCED") != "":
			c.find("RFC 4.3.4.1", where, "no FORCED, which is for subtitles", "%s", r.text("FORCED"))
		}
	}
	for _, v := range m.variants {
		if v.text("SUBTITLES") != m.variants[0].text("SUBTITLES") {
			c.find("W texts", v.uri, fmt.Sprintf("SUBTITLES=%q, as the first variant has", m.variants[0].text("SUBTITLES")), "%q", v.text("SUBTITLES"))
		}
	}
}

// judgeTexts holds the cues of a playlist to the times of its segments, which are counted from where the picture begins.
func (c *checker) judgeTexts(l *list) {
	zero, at := c.zero(), 0.0
	for i, t := range l.texts {
		from, to := at, at+l.items[i].duration
		at = to
		if t == nil {
			continue
		}
		if !t.mapped {
			c.findAs(Warning, "RFC 3.5", t.name, "an X-TIMESTAMP-MAP", "none")
		}
		for _, one := range t.cues {
			if start, end := one.start+t.offset-zero, one.end+t.offset-zero; start >= to || end <= from {
				c.find("RFC 3.5", t.name, fmt.Sprintf("cues that are shown from %.3f to %.3f s", from, to), "one from %.3f to %.3f s", start, end)
			}
		}
		if i+1 == len(l.texts) || l.texts[i+1] == nil {
			continue
		}
		next := l.texts[i+1]
		for _, one := range t.cues {
			one.start, one.end = one.start+t.offset-next.offset, one.end+t.offset-next.offset
			if one.end+next.offset-zero > to+slack && !slices.ContainsFunc(next.cues, one.same) {
				c.find("RFC 3.5", next.name, fmt.Sprintf("the cue from %.3f to %.3f s that goes on", one.start, one.end), "none like it")
			}
		}
	}
}

// zero is the time, on the clock of its segments, at which the picture begins, in seconds.
func (c *checker) zero() float64 {
	if !c.begun {
		return 0
	}
	return float64(c.begin) / 90_000 // of transport streams
}

// slack is less than the millisecond that WebVTT has.
const slack = 0.0005

func (a cue) same(b cue) bool {
	return math.Abs(a.start-b.start) < slack && math.Abs(a.end-b.end) < slack && a.text == b.text
}

// judgeTextLengths compares the times of subtitles with those of the picture.
func (c *checker) judgeTextLengths(t *tree, picture *list) {
	for _, uri := range slices.Sorted(maps.Keys(t.texts)) {
		l := t.texts[uri]
		if a, b := l.duration(), picture.length(); math.Abs(a-b) > t.frame() {
			c.find("8.7", l.name, fmt.Sprintf("%.3f s, as %s lasts", b, picture.name), "%.3f s", a)
		}
		if len(l.items) != len(picture.items) {
			c.find("8.22", l.name, fmt.Sprintf("%d segments, as %s has", len(picture.items), picture.name), "%d", len(l.items))
			continue
		}
		at := c.zero()
		for i, item := range l.items {
			if start := picture.seconds(picture.segments[i].start()); math.Abs(at-start) > t.frame() {
				c.find("8.22", l.name, fmt.Sprintf("segment %d at %.3f s, as %s", i, start, picture.segments[i].name), "%.3f s", at)
			}
			at += item.duration
		}
	}
}

// Package check holds a published HLS tree to the rules: those of Apple's HLS Authoring Specification (revision of May 2025), by
// their numbers, of RFC 8216, and a few of Weir's own. Start at [Run]; the rules are the table in rules.go.
//
// It knows a video by the URL of its multivariant playlist alone and reads all of it, every byte of every segment, as a
// player would. It shares no code with what wrote the tree. It reads video on demand with H.264, HEVC, AV1 and AAC in fragmented MP4, and
// with H.264 and AAC in transport streams, in the clear and encrypted with AES-128, whose keys it fetches as a player does, and
// subtitles in WebVTT. It does not judge what only people can (how the picture looks) nor which bit rates were chosen (1.25, 6.2, 6.5,
// 9.10).
package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Options are how the tree is asked for.
type Options struct {
	// Header goes with each request: a token that is not in the URL.
	Header http.Header
}

// Level is how bad a finding is.
type Level string

// The levels: what a rule says MUST be, and what it says SHOULD be.
const (
	Error   Level = "error"
	Warning Level = "warning"
)

// Finding is one place where the tree breaks a rule.
type Finding struct {
	Rule  string `json:"rule"` // its number in rules.go
	Level Level  `json:"level"`
	Where string `json:"where"` // the object, relative to the multivariant playlist, without what is secret in its URL
	Want  string `json:"want"`
	Found string `json:"found"`
}

func (f Finding) String() string {
	return fmt.Sprintf("%-7s %-14s %s: want %s, found %s", f.Level, f.Rule, f.Where, f.Want, f.Found)
}

// Report is what was read and found.
type Report struct {
	Playlists int       `json:"playlists"`
	Segments  int       `json:"segments"` // of all renditions, and their init segments
	Bytes     int64     `json:"bytes"`    // of these
	Errors    int       `json:"errors"`
	Warnings  int       `json:"warnings"`
	Findings  []Finding `json:"-"`
}

// Err is nil if the tree has no errors; warnings are none.
func (r Report) Err() error {
	var errs []error
	for _, f := range r.Findings {
		if f.Level == Error {
			errs = append(errs, errors.New(f.String()))
		}
	}
	return errors.Join(errs...)
}

// Run reads the tree below a multivariant playlist and holds it to the rules. It fails only if there is nothing to read: what
// is wrong with the tree is a finding.
func Run(ctx context.Context, master string, opts Options) (Report, error) {
	base, err := url.Parse(master)
	if err != nil || base.Host == "" {
		return Report{}, errors.New("the multivariant playlist's URL must be absolute")
	}
	c := &checker{fetcher: newFetcher(opts.Header), base: base, inits: map[string]*track{}, bodies: map[string]*media{}, vectors: map[string]string{}, secrets: map[string][]byte{}}
	r, err := c.get(ctx, base, "")
	if err != nil {
		return Report{}, fmt.Errorf("multivariant playlist: %w", err)
	}
	if r.status != http.StatusOK {
		return Report{}, fmt.Errorf("multivariant playlist: the server answers %d", r.status)
	}
	c.base = r.url
	t := &tree{}
	var multivariant bool
	if t.master, multivariant = c.readMaster(r); !multivariant {
		return Report{}, errors.New("multivariant playlist: it lists no variant")
	}
	if err := c.read(ctx, t); err != nil {
		return Report{}, err
	}
	c.judge(t)
	return c.report(), nil
}

// checker collects what is read and found.
type checker struct {
	*fetcher
	base *url.URL

	mu       sync.Mutex
	findings []Finding
	told     map[Finding]bool
	result   Report
	inits    map[string]*track // by URL
	bodies   map[string]*media
	vectors  map[string]string // objects by key and initialization vector
	begin    uint64            // where the picture of transport streams begins, in ticks
	begun    bool              // begin is known

	keys    sync.Mutex // one at a time fetches
	secrets map[string][]byte
}

// find reports that a rule is broken.
func (c *checker) find(rule, where, want, format string, args ...any) {
	level, ok := levels[rule]
	if !ok {
		panic("check: no rule " + rule)
	}
	c.findAs(level, rule, where, want, format, args...)
}

func (c *checker) findAs(level Level, rule, where, want, format string, args ...any) {
	f := Finding{Rule: rule, Level: level, Where: where, Want: want, Found: fmt.Sprintf(format, args...)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.told == nil {
		c.told = map[Finding]bool{}
	}
	if !c.told[f] {
		c.told[f] = true
		c.findings = append(c.findings, f)
	}
}

func (c *checker) report() Report {
	slices.SortStableFunc(c.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Level, b.Level), cmp.Compare(a.Where, b.Where), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Found, b.Found))
	})
	r := c.result
	r.Findings = c.findings
	for _, f := range r.Findings {
		if f.Level == Error {
			r.Errors++
		} else {
			r.Warnings++
		}
	}
	return r
}

// name is an object as reports name it.
func (c *checker) name(u *url.URL) string {
	dir := path.Dir(c.base.Path) + "/"
	if rest, ok := strings.CutPrefix(u.Path, dir); ok && u.Host == c.base.Host {
		return rest
	}
	return u.Host + "/…/" + path.Base(u.Path)
}

// tree is all that was read.
type tree struct {
	master master
	// lists are the media playlists of variants, of sound, and of I-frames, by the URIs in the multivariant playlist.
	video, audio, iframes map[string]*list
	texts                 map[string]*list // subtitles
}

// list is a media playlist and what it leads to.
type list struct {
	playlist
	name     string
	track    *track   // nil where the init segment cannot be read
	stream   bool     // its segments are transport streams
	begin    uint64   // where the video begins, in ticks
	segments []*media // beside playlist.items; nil where one cannot be read
	texts    []*text  // the same of subtitles; nil of everything else
}

// atOnce is how many objects are fetched side by side.
const atOnce = 4

// read fetches everything that the multivariant playlist leads to.
func (c *checker) read(ctx context.Context, t *tree) error {
	t.video, t.audio, t.iframes = map[string]*list{}, map[string]*list{}, map[string]*list{}
	t.texts = map[string]*list{}
	add := func(all map[string]*list, uri string) error {
		if uri == "" || all[uri] != nil {
			return nil
		}
		l, err := c.readList(ctx, uri)
		if l != nil {
			all[uri] = l
		}
		return err
	}
	for _, v := range t.master.variants {
		lists := t.video
		if v.soundOnly() {
			lists = t.audio
		}
		if err := add(lists, v.uri); err != nil {
			return err
		}
	}
	for _, m := range t.master.media {
		if m.text("TYPE") == "AUDIO" {
			if err := add(t.audio, m.text("URI")); err != nil {
				return err
			}
		}
		if uri := m.text("URI"); m.text("TYPE") == "SUBTITLES" && uri != "" && t.texts[uri] == nil {
			l, err := c.readTexts(ctx, uri)
			if err != nil {
				return err
			}
			if l != nil {
				t.texts[uri] = l
			}
		}
	}
	for _, v := range t.master.iframes {
		if err := add(t.iframes, v.uri); err != nil {
			return err
		}
	}
	return nil
}

// readList fetches a media playlist, its init segment and its segments. It is nil if it is not there.
func (c *checker) readList(ctx context.Context, uri string) (*list, error) {
	u, err := c.base.Parse(uri)
	if err != nil {
		c.find("RFC 4.1", "multivariant playlist", "a URI", "%q", uri)
		return nil, nil
	}
	l := &list{name: c.name(u)}
	r, err := c.get(ctx, u, "")
	if err != nil {
		return nil, err
	}
	if r.status != http.StatusOK {
		c.find("RFC 6.2.1", l.name, "status 200", "%d", r.status)
		return nil, nil
	}
	l.playlist = c.readPlaylist(l.name, r)
	l.segments = make([]*media, len(l.items))
	if l.encrypted {
		c.find("W read", l.name, "segments in the clear, or with AES-128", "EXT-X-KEY: they are not looked into")
		return l, nil
	}
	if !l.iframesOnly && slices.ContainsFunc(l.items, func(i item) bool { return i.ranged }) {
		c.find("W read", l.name, "an object a segment", "EXT-X-BYTERANGE: they are not looked into")
		return l, nil
	}
	if l.mapURI != "" {
		if l.track, err = c.readInit(ctx, r.url, l.mapURI, l.mapKey); err != nil {
			return nil, err
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i, item := range l.items {
		g.Go(func() (err error) {
			l.segments[i], err = c.readSegment(gctx, r.url, item, l.track)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	c.enter(l)
	if l.iframesOnly && len(l.items) > 0 && l.items[0].ranged {
		return l, c.readRange(ctx, r.url, l.items[0])
	}
	return l, nil
}

// enter takes what transport streams say of themselves, who have no init segment.
func (c *checker) enter(l *list) {
	for _, m := range l.segments {
		if m == nil || m.stream == nil || l.track != nil {
			continue
		}
		l.stream, l.track = true, m.stream.track
		if !c.begun {
			c.begin, c.begun = m.start(), true
		}
		l.begin = c.begin
	}
	if l.stream && !l.iframesOnly {
		l.stitch()
	}
}

// readMedia fetches an object of a rendition; nil if it is not there.
func (c *checker) readMedia(ctx context.Context, base *url.URL, uri string) (*response, error) {
	u, err := base.Parse(uri)
	if err != nil {
		c.find("RFC 4.1", c.name(base), "a URI", "%q", uri)
		return nil, nil
	}
	r, err := c.get(ctx, u, "")
	if err != nil {
		return nil, err
	}
	c.judgeMedia(c.name(u), r)
	if r.status != http.StatusOK {
		c.find("RFC 6.2.1", c.name(u), "status 200", "%d", r.status)
		return nil, nil
	}
	return r, nil
}

func (c *checker) readInit(ctx context.Context, base *url.URL, uri string, k *key) (*track, error) {
	key := resolved(base, uri)
	if t, ok := c.inits[key]; ok {
		return t, nil
	}
	r, err := c.readMedia(ctx, base, uri)
	if r == nil || err != nil {
		return nil, err
	}
	c.count(r)
	body, err := c.open(ctx, base, c.name(r.url), r.body, k, 0)
	if body == nil || err != nil {
		return nil, err
	}
	t, err := parseInit(body)
	if err != nil {
		c.find("ISO 14496-12", c.name(r.url), "an init segment with one track", "%v", err)
		t = nil
	}
	c.inits[key] = t
	return t, nil
}

func (c *checker) readSegment(ctx context.Context, base *url.URL, i item, t *track) (*media, error) {
	key := resolved(base, i.uri)
	c.mu.Lock()
	known, ok := c.bodies[key]
	c.mu.Unlock()
	if ok {
		return known, nil
	}
	r, err := c.readMedia(ctx, base, i.uri)
	if r == nil || err != nil {
		return nil, err
	}
	body, err := c.open(ctx, base, c.name(r.url), r.body, i.key, i.sequence)
	if body == nil || err != nil {
		return nil, err
	}
	m := c.parse(&media{name: c.name(r.url), bytes: int64(len(r.body))}, body, t)
	if m == nil && t == nil && !isStream(body) {
		return nil, nil // without an init segment, nobody can tell
	}
	c.mu.Lock()
	_, again := c.bodies[key]
	c.bodies[key] = m
	c.mu.Unlock()
	if !again {
		c.count(r)
	}
	return m, nil
}

// parse reads what a segment holds; nil if it cannot be read.
func (c *checker) parse(m *media, body []byte, t *track) *media {
	var err error
	switch {
	case t != nil:
		if m.fragments, err = parseSegment(body, t); err != nil {
			c.find("ISO 14496-12", m.name, "fragments of the track of the init segment", "%v", err)
			return nil
		}
	case isStream(body):
		if m.stream, m.fragments, err = parseStream(body); err != nil {
			c.find("ISO 13818-1", m.name, "a transport stream with one elementary stream", "%v", err)
			return nil
		}
	default:
		return nil
	}
	return m
}

// readRange asks for the bytes of one I-frame alone, as a player that winds does.
func (c *checker) readRange(ctx context.Context, base *url.URL, i item) error {
	u, err := base.Parse(i.uri)
	if err != nil {
		return nil // said of the segment
	}
	r, err := c.get(ctx, u, fmt.Sprintf("bytes=%d-%d", i.offset, i.offset+i.length-1))
	if err != nil {
		return err
	}
	if r.status != http.StatusPartialContent || int64(len(r.body)) != i.length {
		c.find("RFC 9110 14.2", c.name(u), fmt.Sprintf("status 206 with the %d bytes of an I-frame", i.length), "status %d with %d bytes",
			r.status, len(r.body))
	}
	return nil
}

func (c *checker) count(r *response) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.result.Segments++
	c.result.Bytes += int64(len(r.body))
}

func resolved(base *url.URL, uri string) string {
	u, err := base.Parse(uri)
	if err != nil {
		return uri
	}
	return u.String()
}

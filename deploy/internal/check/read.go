package check

import (
	"context"
	"fmt"
	"image"
	"net/http"
	"net/url"
	"slices"

	"golang.org/x/sync/errgroup"
)

// tree is all that was read.
type tree struct {
	master master
	// lists are the media playlists of variants, of sound, and of I-frames, by the URIs in the multivariant playlist.
	video, audio, iframes map[string]*list
	texts                 map[string]*list // subtitles
	images                map[string]*list
	beside                map[string][]byte // other objects in the video's folder, by their paths there; nil of what is not there
	manifest              *manifest         // nil where there is none
}

// list is a media playlist and what it leads to.
type list struct {
	playlist
	name     string
	base     *url.URL       // what its URIs are relative to
	track    *track         // nil where the init segment cannot be read
	stream   bool           // its segments are transport streams
	begin    uint64         // where the video begins, in ticks
	segments []*media       // beside playlist.items; nil where one cannot be read
	texts    []*text        // the same of subtitles; nil of everything else
	sheets   []image.Config // the same of images; zero where one cannot be read
}

// atOnce is how many objects are fetched side by side.
const atOnce = 4

// read fetches everything that the multivariant playlist leads to.
func (c *checker) read(ctx context.Context, t *tree) error {
	t.video, t.audio, t.iframes = map[string]*list{}, map[string]*list{}, map[string]*list{}
	t.texts, t.images = map[string]*list{}, map[string]*list{}
	add := func(all map[string]*list, uri string, read func(context.Context, string) (*list, error)) error {
		if uri == "" || all[uri] != nil {
			return nil
		}
		l, err := read(ctx, uri)
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
		if err := add(lists, v.uri, c.readList); err != nil {
			return err
		}
	}
	for _, m := range t.master.media {
		var err error
		switch m.text("TYPE") {
		case "AUDIO":
			err = add(t.audio, m.text("URI"), c.readList)
		case "SUBTITLES":
			err = add(t.texts, m.text("URI"), c.readTexts)
		}
		if err != nil {
			return err
		}
	}
	for _, v := range t.master.iframes {
		if err := add(t.iframes, v.uri, c.readList); err != nil {
			return err
		}
	}
	for _, v := range t.master.images {
		if err := add(t.images, v.uri, c.readImages); err != nil {
			return err
		}
	}
	return c.readBeside(ctx, t)
}

// fetchList fetches a media playlist. It is nil if it is not there.
func (c *checker) fetchList(ctx context.Context, uri string) (*list, error) {
	u, err := c.base.Parse(uri)
	if err != nil {
		c.find("RFC 4.1", masterName, "a URI", "%q", uri)
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
	l.base, l.playlist = r.url, c.readPlaylist(l.name, r)
	return l, nil
}

// object is what a URI leads to, as reports name it; "" where it is none.
func (c *checker) object(base *url.URL, uri string) string {
	u, err := base.Parse(uri)
	if err != nil {
		return ""
	}
	return c.name(u)
}

// each does something with the number of each segment of a playlist, some side by side.
func (l *list) each(ctx context.Context, do func(ctx context.Context, i int) error) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i := range l.items {
		g.Go(func() error { return do(gctx, i) })
	}
	return g.Wait()
}

// readList fetches a media playlist, its init segment and its segments. It is nil if it is not there.
func (c *checker) readList(ctx context.Context, uri string) (*list, error) {
	l, err := c.fetchList(ctx, uri)
	if l == nil {
		return nil, err
	}
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
		if l.track, err = c.readInit(ctx, l.base, l.mapURI, l.mapKey); err != nil {
			return nil, err
		}
	}
	if err := l.each(ctx, func(ctx context.Context, i int) (err error) {
		l.segments[i], err = c.readSegment(ctx, l.base, l.items[i], l.track)
		return err
	}); err != nil {
		return nil, err
	}
	c.enter(l)
	if l.iframesOnly && len(l.items) > 0 && l.items[0].ranged {
		return l, c.readRange(ctx, l.base, l.items[0])
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
	} else {
		t.bytes = int64(len(r.body))
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

package check

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// masterPath is where the multivariant playlist is in a video's folder, if that is like Weir's.
const masterPath = "/hls/master.m3u8"

// What is beside it, as paths in the video's folder.
const manifestPath, mpdPath, posterPath = "manifest.json", "dash/manifest.mpd", "poster.jpg"

// microsecond is the precision of times in playlists and manifests, in seconds.
const microsecond = 1e-6

// manifest is a part of Weir's: what is there, by paths in the video's folder.
type manifest struct {
	Playlists             struct{ HLS, DASH string }
	Pictures              struct{ Poster, Storyboard, Images string }
	Renditions, Subtitles []entry
}

// entry is a rendition of the manifest. Of a text, the whole is one more file.
type entry struct {
	Name, Playlist, IFrames, Init, File string
	Duration                            float64 `json:"duration_s"` // not of texts
	Segments                            int
	Bytes                               int64
}

// files are what it names beside playlists and what they name.
func (m manifest) files() []string {
	files := []string{m.Playlists.DASH, m.Pictures.Poster, m.Pictures.Storyboard}
	for _, e := range m.Subtitles {
		files = append(files, e.File)
	}
	return slices.DeleteFunc(files, func(path string) bool { return path == "" })
}

// readBeside fetches what is in the video's folder beside the playlists, as far as it is there: not all trees are Weir's.
func (c *checker) readBeside(ctx context.Context, t *tree) error {
	t.beside = map[string][]byte{}
	if !strings.HasSuffix(c.base.Path, masterPath) {
		return nil
	}
	if err := c.fetchBeside(ctx, t, manifestPath, mpdPath, posterPath); err != nil || t.beside[manifestPath] == nil {
		return err
	}
	var m manifest
	if err := json.Unmarshal(t.beside[manifestPath], &m); err != nil {
		c.find("W manifest", "../"+manifestPath, "a manifest in JSON", "%v", err)
		return nil
	}
	t.manifest = &m
	return c.fetchBeside(ctx, t, m.files()...)
}

// fetchBeside fetches objects of the video's folder. What is refused is not there for who asks.
func (c *checker) fetchBeside(ctx context.Context, t *tree, paths ...string) error {
	for _, path := range paths {
		if t.beside[path] != nil {
			continue
		}
		r, err := c.get(ctx, c.folder(path), "")
		if err != nil {
			return err
		}
		switch {
		case r.status == http.StatusOK:
			t.beside[path] = r.body
		case r.status < 400 || r.status > 499:
			c.find("RFC 6.2.1", "../"+path, "status 200", "%d", r.status)
		}
	}
	return nil
}

// folder is the URL of an object in the video's folder, with the query of the multivariant playlist's, which may have the token.
func (c *checker) folder(path string) *url.URL { return c.base.JoinPath("../..", path) }

// judgeManifest holds the manifest to the playlists.
func (c *checker) judgeManifest(t *tree) {
	m := t.manifest
	if m == nil {
		return
	}
	const where = "../" + manifestPath
	for _, path := range m.files() {
		if t.beside[path] == nil {
			c.find("W manifest", where, "what it names", "no %s", path)
		}
	}
	rest := byName(t.video, t.audio, t.texts)
	for _, e := range slices.Concat(m.Renditions, m.Subtitles) {
		name := c.name(c.folder(e.Playlist))
		l := rest[name]
		if l == nil {
			c.find("W manifest", where, "a playlist of "+e.Name+" that the multivariant playlist names, once", "%s", e.Playlist)
			continue
		}
		delete(rest, name)
		c.judgeEntry(t, e, l)
	}
	for _, name := range slices.Sorted(maps.Keys(rest)) {
		c.find("W manifest", where, "a rendition with "+name, "none")
	}
	if m.Playlists.HLS != "" && c.folder(m.Playlists.HLS).Path != c.base.Path {
		c.find("W manifest", where, "the multivariant playlist", "%s", m.Playlists.HLS)
	}
	if path := m.Pictures.Images; path != "" && byName(t.images)[c.name(c.folder(path))] == nil {
		c.find("W manifest", where, "an image playlist that the multivariant playlist names", "%s", path)
	}
}

// byName are playlists by how reports name them.
func byName(all ...map[string]*list) map[string]*list {
	named := map[string]*list{}
	for _, lists := range all {
		for _, l := range lists {
			named[l.name] = l
		}
	}
	return named
}

// judgeEntry holds a rendition of the manifest to its playlist.
func (c *checker) judgeEntry(t *tree, e entry, l *list) {
	where := "../" + manifestPath + " " + e.Name
	if e.Segments != len(l.items) {
		c.find("W manifest", where, fmt.Sprintf("%d segments, as %s has", len(l.items), l.name), "%d", e.Segments)
	}
	if want := l.duration(); l.texts == nil && math.Abs(e.Duration-want) > microsecond*float64(len(l.items)+1) {
		c.find("W manifest", where, fmt.Sprintf("%.6f s, as %s lasts", want, l.name), "%.6f s", e.Duration)
	}
	if init := c.object(l.base, l.mapURI); l.mapURI != "" && c.name(c.folder(e.Init)) != init {
		c.find("W manifest", where, "the init segment "+init, "%q", e.Init)
	}
	sizes := map[string]int64{}
	read := c.weigh(l, sizes)
	if e.IFrames != "" {
		frames := byName(t.iframes)[c.name(c.folder(e.IFrames))]
		if frames == nil {
			c.find("W manifest", where, "an I-frame playlist that the multivariant playlist names", "%s", e.IFrames)
			return
		}
		read = c.weigh(frames, sizes) && read
	}
	size := int64(len(t.beside[e.File]))
	for _, bytes := range sizes {
		size += bytes
	}
	if read && e.Bytes != size {
		c.find("W manifest", where, fmt.Sprintf("%d bytes, as its objects have", size), "%d", e.Bytes)
	}
}

// weigh adds how many bytes the objects of a playlist have, by their names; false if one could not be read.
func (c *checker) weigh(l *list, sizes map[string]int64) (read bool) {
	if l.mapURI != "" && l.track != nil {
		sizes[c.object(l.base, l.mapURI)] = l.track.bytes
	}
	for _, m := range l.segments {
		if m == nil {
			return false
		}
		sizes[m.name] = m.bytes
	}
	return l.mapURI == "" || l.track != nil
}

// mpd is a part of a media presentation description with segment lists (ISO/IEC 23009-1, section 5.3.9.3).
type mpd struct {
	Duration string `xml:"mediaPresentationDuration,attr"`
	Sets     []struct {
		Common          segmentList `xml:"SegmentList"`
		Representations []struct {
			ID      string      `xml:"id,attr"`
			BaseURL string      `xml:"BaseURL"`
			Own     segmentList `xml:"SegmentList"`
		} `xml:"Representation"`
	} `xml:"Period>AdaptationSet"`
}

// segmentList is one, or a part: what a representation's does not say is said by that of its set.
type segmentList struct {
	Timescale uint64 `xml:"timescale,attr"`
	Times     []struct {
		Ticks  uint64 `xml:"d,attr"`
		Repeat int    `xml:"r,attr"`
	} `xml:"SegmentTimeline>S"`
	Init struct {
		URL string `xml:"sourceURL,attr"`
	} `xml:"Initialization"`
	Segments []struct {
		URL string `xml:"media,attr"`
	} `xml:"SegmentURL"`
}

// within is the list with what it does not say itself.
func (s segmentList) within(common segmentList) segmentList {
	if s.Times == nil {
		s.Times, s.Timescale = common.Times, common.Timescale
	}
	return s
}

// durations are how long its segments are, in seconds, and one more than there are at most.
func (s segmentList) durations() []float64 {
	var all []float64
	for _, run := range s.Times {
		for range max(run.Repeat, 0) + 1 {
			if len(all) > len(s.Segments) {
				return all
			}
			all = append(all, float64(run.Ticks)/float64(max(s.Timescale, 1)))
		}
	}
	return all
}

// judgeMPD holds the MPD to the playlists.
func (c *checker) judgeMPD(t *tree) {
	text := t.beside[mpdPath]
	if text == nil {
		return
	}
	const where = "../" + mpdPath
	var m mpd
	if err := xml.Unmarshal(text, &m); err != nil {
		c.find("W MPD", where, "an MPD in XML", "%v", err)
		return
	}
	rest, longest := map[string]*list{}, 0.0 // by the first segment
	for _, l := range byName(t.video, t.audio) {
		if len(l.items) > 0 {
			rest[c.object(l.base, l.items[0].uri)] = l
			longest = max(longest, l.duration())
		}
	}
	for _, set := range m.Sets {
		for _, r := range set.Representations {
			segments := r.Own.within(set.Common)
			base, err := c.folder(mpdPath).Parse(r.BaseURL)
			if err != nil || len(segments.Segments) == 0 {
				continue // a text, which is one file
			}
			first := c.object(base, segments.Segments[0].URL)
			l := rest[first]
			if l == nil {
				c.find("W MPD", where, "the segments of a playlist in "+r.ID, "%q first", first)
				continue
			}
			delete(rest, first)
			c.judgeRepresentation(where+" "+r.ID, base, segments, l)
		}
	}
	for _, l := range rest {
		c.find("W MPD", where, "a representation with the segments of "+l.name, "none")
	}
	const rounding = 0.002 // up, to a whole millisecond, and that of each EXTINF
	said, err := time.ParseDuration(strings.ToLower(strings.TrimPrefix(m.Duration, "PT")))
	if err != nil || math.Abs(said.Seconds()-longest) > rounding {
		c.find("W MPD", where, fmt.Sprintf("a mediaPresentationDuration of %.3f s, as the playlists last", longest), "%q", m.Duration)
	}
}

// judgeRepresentation holds the segments of a representation to those of a playlist.
func (c *checker) judgeRepresentation(where string, base *url.URL, s segmentList, l *list) {
	if init, want := c.object(base, s.Init.URL), c.object(l.base, l.mapURI); l.mapURI != "" && init != want {
		c.find("W MPD", where, "the init segment "+want, "%q", init)
	}
	times := s.durations()
	if len(s.Segments) != len(l.items) || len(times) != len(l.items) {
		c.find("W MPD", where, fmt.Sprintf("%d segments and durations, as %s has", len(l.items), l.name), "%d and %d", len(s.Segments), len(times))
		return
	}
	for i, item := range l.items {
		if name, want := c.object(base, s.Segments[i].URL), c.object(l.base, item.uri); name != want {
			c.find("W MPD", where, "segment "+want, "%q", name)
			return
		}
		if math.Abs(times[i]-item.duration) > microsecond {
			c.find("W MPD", where, fmt.Sprintf("segment %d with %.6f s, as in %s", i, item.duration, l.name), "%.6f s", times[i])
			return
		}
	}
}

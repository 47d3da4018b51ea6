package fleet

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/Eyevinn/dash-mpd/mpd"
	"github.com/Eyevinn/hls-m3u8/m3u8"
)

// What a witness reads of playlists and MPDs: where they lead, and what they promise.

// leads tells whether an object says where others are: a playlist or an MPD.
func leads(key string) bool { return strings.HasSuffix(key, ".m3u8") || strings.HasSuffix(key, ".mpd") }

// playlist is what was read of one.
type playlist struct {
	etag   string
	master bool
	sound  bool // a master of variants without a picture
	mpd    bool
	names  []string // keys of what it leads to
	media  media
}

// media is a media playlist's promises to its players.
type media struct {
	init     string
	target   int
	sequence uint64
	segments []segment
	closed   bool
	hlsAlone bool // segments that no MPD leads to: transport streams, or encrypted
}

type segment struct {
	uri      string
	duration float64
}

// parse reads a playlist strictly, or an MPD.
func parse(key string, body []byte) (playlist, error) {
	if strings.HasSuffix(key, ".mpd") {
		return parseMPD(key, body)
	}
	read, _, err := m3u8.DecodeFrom(bytes.NewReader(body), true)
	if err != nil {
		return playlist{}, err
	}
	var l playlist
	name := func(uri string) {
		l.names = append(l.names, path.Join(path.Dir(key), uri))
	}
	switch p := read.(type) {
	case *m3u8.MasterPlaylist:
		l.master, l.sound = true, true
		for _, v := range p.Variants {
			name(v.URI)
			l.sound = l.sound && v.Resolution == ""
		}
		for _, a := range p.GetAllAlternatives() {
			if a.URI != "" {
				name(a.URI)
			}
		}
		if len(p.Variants) == 0 {
			return l, errors.New("it lists nothing")
		}
		if uri := imageStream(body); uri != "" {
			name(uri)
		}
	case *m3u8.MediaPlaylist:
		l.media = media{target: targetDuration(body), sequence: p.SeqNo, closed: p.Closed}
		if p.Map != nil {
			l.media.init = p.Map.URI
			name(p.Map.URI)
		}
		images := bytes.Contains(body, []byte("#EXT-X-IMAGES-ONLY"))
		for i, s := range p.GetAllSegments() {
			stream := strings.HasSuffix(s.URI, ".ts")
			if p.Map == nil && !stream && !images && !isText(p) {
				return l, errors.New("it has no EXT-X-MAP")
			}
			l.media.hlsAlone = l.media.hlsAlone || stream || len(s.Keys) > 0
			l.media.segments = append(l.media.segments, segment{s.URI, s.Duration})
			name(s.URI)
			if int(s.Duration+0.5) > l.media.target || s.Duration <= 0 {
				return l, fmt.Errorf("segment %d has %.3f s with a target duration of %d", i, s.Duration, l.media.target)
			}
		}
		if len(l.media.segments) == 0 {
			return l, errors.New("it lists nothing")
		}
		if (p.MediaType == m3u8.VOD) != p.Closed {
			return l, fmt.Errorf("it is of type VOD: %v, it has an end: %v", p.MediaType == m3u8.VOD, p.Closed)
		}
	}
	return l, nil
}

// isText tells whether a media playlist is one of subtitles, which have no init segment.
func isText(p *m3u8.MediaPlaylist) bool {
	return !slices.ContainsFunc(p.GetAllSegments(), func(s *m3u8.MediaSegment) bool { return !strings.HasSuffix(s.URI, ".vtt") })
}

// parseMPD reads an MPD whose representations list their segments, but for subtitles, of which each is one file.
func parseMPD(key string, body []byte) (playlist, error) {
	l := playlist{mpd: true}
	read, err := mpd.MPDFromBytes(body)
	if err != nil {
		return l, err
	}
	for _, period := range read.Periods {
		for _, set := range period.AdaptationSets {
			for _, r := range set.Representations {
				if set.ContentType == "text" && len(r.BaseURLs) == 1 {
					l.names = append(l.names, path.Join(path.Dir(key), string(r.BaseURLs[0].Value)))
					continue
				}
				if len(r.BaseURLs) != 1 || r.SegmentList == nil || r.SegmentList.Initialization == nil {
					return l, fmt.Errorf("representation %s lists no segments", r.Id)
				}
				folder := path.Join(path.Dir(key), string(r.BaseURLs[0].Value))
				l.names = append(l.names, path.Join(folder, string(r.SegmentList.Initialization.SourceURL)))
				for _, s := range r.SegmentList.SegmentURL {
					l.names = append(l.names, path.Join(folder, string(s.Media)))
				}
			}
		}
	}
	if len(l.names) == 0 {
		return l, errors.New("it lists nothing")
	}
	return l, nil
}

// imageStream is the URI of the playlist of pictures that a master playlist names; "" is none. The parser does not know the tag.
func imageStream(body []byte) string {
	for line := range bytes.Lines(body) {
		if attributes, ok := bytes.CutPrefix(line, []byte("#EXT-X-IMAGE-STREAM-INF:")); ok {
			_, uri, _ := strings.Cut(string(attributes), `URI="`)
			uri, _, _ = strings.Cut(uri, `"`)
			return uri
		}
	}
	return ""
}

// targetDuration is what the playlist says; the parser raises its own to what it finds. 0 is none.
func targetDuration(body []byte) int {
	for line := range bytes.Lines(body) {
		if text, ok := bytes.CutPrefix(line, []byte("#EXT-X-TARGETDURATION:")); ok {
			n, err := strconv.Atoi(string(bytes.TrimSpace(text)))
			if err != nil {
				return 0
			}
			return n
		}
	}
	return 0
}

// grewInto says in what way a later form of the playlist breaks its promises; "" if in none.
func (m media) grewInto(later media) string {
	switch {
	case len(later.segments) < len(m.segments):
		return fmt.Sprintf("%d segments after %d", len(later.segments), len(m.segments))
	case later.init != m.init:
		return "it has another init segment"
	case later.target != m.target:
		return fmt.Sprintf("the target duration is %d after %d", later.target, m.target)
	case later.sequence != m.sequence:
		return "its media sequence number changed"
	case m.closed && (!later.closed || len(later.segments) > len(m.segments)):
		return "it changed after its end"
	}
	for i, s := range m.segments {
		if later.segments[i] != s {
			return fmt.Sprintf("segment %d is %s after %s", i, later.segments[i].uri, s.uri)
		}
	}
	return ""
}

package hls

import (
	"errors"
	"fmt"
	"math"

	"github.com/Eyevinn/hls-m3u8/m3u8"

	"weir/transcoder/internal/media"
)

// IFrames writes a rendition's I-frame playlist, with which players seek in pictures and wind fast (RFC 8216, section 4.3.3.6;
// rules 6.1 to 6.10). Its segments are ranges of the media segments' bytes, each from a fragment's header to the end of
// its key frame, or objects of their own where segments are encrypted. ok is false for a rendition without key frames, or of which
// some are not known: it has no such playlist.
func IFrames(r media.Rendition) (playlist []byte, ok bool, err error) {
	pictures, ok := keyFrames(r)
	if !ok {
		return nil, false, nil
	}
	p, err := m3u8.NewMediaPlaylist(0, uint(len(pictures.Segments)))
	if err != nil {
		return nil, false, fmt.Errorf("write the I-frame playlist of %s: %w", r.Name, err)
	}
	p.SetVersion(versionOf(r))
	p.SetWritePrecision(precision)
	p.MediaType = m3u8.VOD
	p.SetIframeOnly()
	if r.Init != "" {
		p.SetDefaultMap(r.Init, 0, 0)
	}
	for _, s := range r.Segments {
		for _, k := range s.KeyFrames {
			picture := &m3u8.MediaSegment{URI: s.Name, Duration: r.Seconds(k.Ticks), Limit: k.Bytes, Offset: k.Offset}
			if k.Name != "" {
				picture = &m3u8.MediaSegment{URI: k.Name, Duration: r.Seconds(k.Ticks)}
			}
			if err := errors.Join(p.AppendSegment(picture), setKey(p, r, k.IV)); err != nil {
				return nil, false, fmt.Errorf("write the I-frame playlist of %s: %w", r.Name, err)
			}
		}
	}
	// Of its own: only playlists of whole segments have to share theirs (RFC 8216, section 6.2.4).
	p.TargetDuration = uint(targetDuration(pictures))
	p.Close()
	return p.Encode().Bytes(), true, nil
}

// HasIFrames tells whether a rendition has an I-frame playlist.
func HasIFrames(r media.Rendition) bool {
	_, ok := keyFrames(r)
	return ok
}

// keyFrames is a rendition of the key frames alone, each a segment that lasts until the next.
func keyFrames(r media.Rendition) (pictures media.Rendition, ok bool) {
	pictures = media.Rendition{Timescale: r.Timescale}
	for _, s := range r.Segments {
		if len(s.KeyFrames) == 0 {
			return media.Rendition{}, false
		}
		for _, k := range s.KeyFrames {
			pictures.Segments = append(pictures.Segments, media.Segment{Ticks: k.Ticks, Bytes: k.Bytes})
		}
	}
	return pictures, len(pictures.Segments) > 0
}

// targetDuration is the longest segment in whole seconds, rounded as RFC 8216, section 4.3.3.1, says.
func targetDuration(r media.Rendition) int {
	target := 1
	for _, s := range r.Segments {
		target = max(target, int(math.Round(r.Seconds(s.Ticks))))
	}
	return target
}

// Package hls writes HLS playlists (RFC 8216) from the plan and the segments that were made. Start at [Media] and [Master].
//
// Everything here is a pure function of its arguments: the same segments give the same bytes on every node. What is said
// about a rendition's bit rate is measured from its segments, never taken from what was asked of the encoder.
package hls

import (
	"fmt"
	"math"
	"path"

	"github.com/Eyevinn/hls-m3u8/m3u8"

	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
)

// version is the protocol version that EXT-X-MAP in a playlist of whole pictures needs (RFC 8216, section 7).
const version = 7

// precision is the number of decimals of a duration: a microsecond, so that sums stay within a frame.
const precision = 6

// Kind is what a player may expect of a playlist.
type Kind int

// The kinds (RFC 8216, section 4.3.3.5). A media playlist is an Event while segments are added at its end, and VOD when all
// are there.
const (
	Event Kind = iota
	VOD
)

// beginning is a start offset of 0, which the library would leave out if it were exactly that.
const beginning = 1e-9

// Media writes a rendition's media playlist with the target duration that all renditions of a video share (RFC 8216, section
// 4.3.3.1). As an Event, it asks players to start at its beginning; they would start at its end otherwise.
func Media(r media.Rendition, target int, kind Kind) ([]byte, error) {
	p, err := m3u8.NewMediaPlaylist(0, uint(max(len(r.Segments), 1)))
	if err != nil {
		return nil, fmt.Errorf("write the playlist of %s: %w", r.Name, err)
	}
	p.SetVersion(version)
	p.SetWritePrecision(precision)
	p.MediaType, p.StartTime = m3u8.EVENT, beginning
	if kind == VOD {
		p.MediaType, p.StartTime = m3u8.VOD, 0
	}
	p.SetDefaultMap(r.Init, 0, 0)
	for _, s := range r.Segments {
		if err := p.Append(s.Name, r.Seconds(s.Ticks), ""); err != nil {
			return nil, fmt.Errorf("write the playlist of %s: %w", r.Name, err)
		}
	}
	p.TargetDuration = uint(target)
	if kind == VOD {
		p.Close()
	}
	return p.Encode().Bytes(), nil
}

// Master writes the multivariant playlist: a variant for each rung of the plan, highest first, with the audio rendition
// that goes with it. playlist is the name of the media playlists in the renditions' folders. As long as these grow, the
// bandwidths are the upper bounds of what may come; then they are measured.
func Master(p plan.Plan, renditions []media.Rendition, playlist string, kind Kind) ([]byte, error) {
	byName := make(map[string]media.Rendition, len(renditions))
	for _, r := range renditions {
		byName[r.Name] = r
	}
	target := p.TargetDuration()
	master := m3u8.NewMasterPlaylist()
	master.SetVersion(version)
	master.SetIndependentSegments(true)
	for _, v := range p.Video {
		r, ok := byName[v.Name]
		if !ok {
			return nil, fmt.Errorf("write the master playlist: rendition %s is missing", v.Name)
		}
		peak, average := Bandwidth(r, target)
		params := m3u8.VariantParams{
			Codecs:     r.Codecs,
			Resolution: fmt.Sprintf("%dx%d", v.Width, v.Height),
			FrameRate:  p.Source.Video.Rate.Float(),
		}
		if v.Audio != "" {
			a, ok := byName[v.Audio]
			if !ok {
				return nil, fmt.Errorf("write the master playlist: rendition %s is missing", v.Audio)
			}
			audioPeak, audioAverage := Bandwidth(a, target)
			peak, average = peak+audioPeak, average+audioAverage
			params.Codecs += "," + a.Codecs
			params.Audio = v.Audio
			params.Alternatives = []*m3u8.Alternative{{
				Type: "AUDIO", GroupId: v.Audio, Name: "Default", URI: path.Join(v.Audio, playlist),
				Default: true, Autoselect: true, Channels: &m3u8.Channels{Amount: 2},
			}}
		}
		if kind == Event {
			peak, average = max(peak, p.Bound(v)), 0
		}
		params.Bandwidth, params.AverageBandwidth = uint32(peak), uint32(average)
		master.Append(path.Join(v.Name, playlist), nil, params)
	}
	return master.Encode().Bytes(), nil
}

// Bandwidth measures a rendition in bits per second: the peak over all runs of segments that are between half and one and
// a half target durations long, and the average (RFC 8216, section 4.3.4.2). A rendition too short for such a run has
// its average as its peak.
func Bandwidth(r media.Rendition, target int) (peak, average int64) {
	rate := func(bytes int64, seconds float64) int64 { return int64(math.Ceil(float64(bytes) * 8 / seconds)) }
	var total int64
	var ticks uint64
	for _, s := range r.Segments {
		total += s.Bytes
		ticks += s.Ticks
	}
	if ticks == 0 {
		return 0, 0
	}
	average = rate(total, r.Seconds(ticks))
	for first := range r.Segments {
		var bytes int64
		var run uint64
		for _, s := range r.Segments[first:] {
			bytes, run = bytes+s.Bytes, run+s.Ticks
			seconds := r.Seconds(run)
			if seconds > 1.5*float64(target) {
				break
			}
			if seconds >= 0.5*float64(target) {
				peak = max(peak, rate(bytes, seconds))
			}
		}
	}
	return max(peak, average), average
}

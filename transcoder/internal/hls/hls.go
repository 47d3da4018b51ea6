// Package hls writes HLS playlists (RFC 8216) from the plan and the segments that were made. Start at [Media], [IFrames] and
// [Master]. Rules named by a number alone are those of Apple's HLS Authoring Specification.
//
// Everything here is a pure function of its arguments: the same segments give the same bytes on every node. What is said
// about a rendition's bit rate is measured from its segments, never taken from what was asked of the encoder.
package hls

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"path"
	"slices"

	"github.com/Eyevinn/hls-m3u8/m3u8"

	"weir/transcoder/internal/job"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
)

// version is the protocol version that EXT-X-MAP in a playlist of whole pictures needs, and streamVersion the one of byte ranges and
// renditions, all that playlists of transport streams need (RFC 8216, section 7): old players refuse what is newer than they are.
const version, streamVersion = 7, 4

// versionOf is that of playlists that lead to renditions.
func versionOf(renditions ...media.Rendition) uint8 {
	if slices.ContainsFunc(renditions, func(r media.Rendition) bool { return r.Init != "" }) {
		return version
	}
	return streamVersion
}

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
	p.SetVersion(versionOf(r))
	p.SetWritePrecision(precision)
	p.MediaType, p.StartTime = m3u8.EVENT, beginning
	if kind == VOD {
		p.MediaType, p.StartTime = m3u8.VOD, 0
	}
	if r.Init != "" { // text has none
		p.SetDefaultMap(r.Init, 0, 0)
	}
	for _, s := range r.Segments {
		if err := errors.Join(p.Append(s.Name, r.Seconds(s.Ticks), ""), setKey(p, r, s.IV)); err != nil {
			return nil, fmt.Errorf("write the playlist of %s: %w", r.Name, err)
		}
	}
	p.TargetDuration = uint(target)
	if kind == VOD {
		p.Close()
	}
	return p.Encode().Bytes(), nil
}

// setKey says how the segment that was appended last is decrypted (RFC 8216, section 4.3.2.4), if it is encrypted. Each has an
// initialization vector of its own; so the key is named again and again, and fetched once. The init segment, which comes before all
// keys, is in the clear.
func setKey(p *m3u8.MediaPlaylist, r media.Rendition, iv string) error {
	if iv == "" {
		return nil
	}
	return p.SetKey("AES-128", r.KeyURI, "0x"+iv, "", "")
}

// firstRate is the average, in bits per second, near which a player is to begin (rule 1.32). hls.js and AVPlayer take the
// variant that is listed first until they have measured the network.
const firstRate = 2_000_000

// Master writes the multivariant playlist: a variant for each rung of the plan, with the group of audio renditions that goes with
// it, or for each group where there is sound alone. First comes the one in H.264 whose rate is nearest to [firstRate], then the
// others, codec by codec, highest first. playlist and iframes are the names of the media and I-frame playlists in the renditions'
// folders. As long as the media playlists grow, the bandwidths are the upper bounds of what may come, and there are no I-frame
// playlists; then they are measured. Each variant goes with all subtitles.
func Master(p plan.Plan, out media.Output, playlist, iframes string, kind Kind) ([]byte, error) {
	byName := make(map[string]media.Rendition, len(out.Renditions))
	for _, r := range out.Renditions {
		byName[r.Name] = r
	}
	for _, name := range p.Renditions() {
		if _, ok := byName[name]; !ok {
			return nil, fmt.Errorf("write the master playlist: rendition %s is missing", name)
		}
	}
	target := p.TargetDuration()
	master := m3u8.NewMasterPlaylist()
	master.SetVersion(versionOf(out.Renditions...))
	master.SetIndependentSegments(true)
	var variants, trick []m3u8.Variant
	common := 0 // how many of the variants are in H.264
	for _, v := range p.Video {
		r := byName[v.Name]
		peak, average := Bandwidth(r, target)
		params := m3u8.VariantParams{
			Codecs:     r.Codecs,
			Resolution: fmt.Sprintf("%dx%d", v.Width, v.Height),
			FrameRate:  p.Source.Video.Rate.Float(),
			Captions:   "NONE", // said of none, players look for captions in the picture (RFC 8216, section 4.3.4.2)
		}
		if sounds := p.Group(v.Audio); len(sounds) > 0 {
			// Of the sounds, players need the one that is chosen: the greatest counts.
			soundPeak, soundAverage := groupBandwidth(sounds, byName, target)
			peak, average = peak+soundPeak, average+soundAverage
			params.Codecs += "," + byName[sounds[0].Name].Codecs
			params.Audio = v.Audio
			params.Alternatives = alternatives(p, sounds, playlist)
		}
		if kind == Event {
			peak, average = max(peak, p.Bound(v)), 0
		}
		params.Bandwidth, params.AverageBandwidth = uint32(peak), uint32(average)
		variants = append(variants, m3u8.Variant{URI: path.Join(v.Name, playlist), VariantParams: params})
		if v.Coding() == job.H264 {
			common = len(variants)
		}
		if pictures, ok := keyFrames(r); ok && kind == VOD {
			peak, average := Bandwidth(pictures, targetDuration(pictures))
			trick = append(trick, m3u8.Variant{URI: path.Join(v.Name, iframes), VariantParams: m3u8.VariantParams{
				Iframe: true, Bandwidth: uint32(peak), AverageBandwidth: uint32(average), Codecs: r.Codecs, Resolution: params.Resolution,
			}})
		}
	}
	if len(p.Video) == 0 {
		variants = soundVariants(p, byName, playlist, kind)
		common = len(variants)
	}
	addSubtitles(p, variants, out.Texts, playlist)
	for _, v := range slices.Concat(startFirst(variants[:common]), variants[common:], trick) {
		master.Append(v.URI, nil, v.VariantParams)
	}
	return defaultsFirst(master.Encode().Bytes()), nil
}

// defaultsFirst puts the renditions that are played unless another one is chosen before the others, which are in the order of their
// names: Shaka Player, for one, begins with the first, whatever is said of it.
func defaultsFirst(master []byte) []byte {
	lines := bytes.SplitAfter(master, []byte("\n"))
	media := func(line []byte) bool { return bytes.HasPrefix(line, []byte("#EXT-X-MEDIA:")) }
	first := max(slices.IndexFunc(lines, media), 0)
	end := first
	for end < len(lines) && media(lines[end]) {
		end++
	}
	rank := func(line []byte) int {
		if bytes.Contains(line, []byte(",DEFAULT=YES")) {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(lines[first:end], func(a, b []byte) int { return rank(a) - rank(b) })
	return bytes.Join(lines, nil)
}

// startFirst puts the variant with which a player is to begin before the others.
func startFirst(variants []m3u8.Variant) []m3u8.Variant {
	if len(variants) == 0 {
		return nil
	}
	distance := func(v m3u8.Variant) int64 {
		rate := v.AverageBandwidth
		if rate == 0 {
			rate = v.Bandwidth
		}
		return max(int64(rate)-firstRate, firstRate-int64(rate))
	}
	first := 0
	for i, v := range variants {
		if distance(v) < distance(variants[first]) {
			first = i
		}
	}
	return slices.Concat(variants[first:first+1], variants[:first], variants[first+1:])
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

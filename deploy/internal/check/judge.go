package check

import (
	"fmt"
	"math"
	"path"
	"strconv"
	"strings"
)

// judge holds what was read to the rules.
func (c *checker) judge(t *tree) {
	c.judgeMaster(t)
	for _, lists := range []map[string]*list{t.video, t.audio, t.iframes, t.texts} {
		for _, l := range lists {
			c.judgeList(l)
		}
	}
	frame := t.frame()
	for _, l := range t.video {
		c.judgePicture(l)
		c.judgeTimeline(l, frame)
	}
	for _, l := range t.audio {
		c.judgeSound(l)
		c.judgeTimeline(l, frame)
	}
	for _, lists := range []map[string]*list{t.video, t.audio} {
		for _, l := range lists {
			c.judgeStream(l)
		}
	}
	for _, l := range t.iframes {
		c.judgeIFrames(l, t)
	}
	for _, l := range t.texts {
		c.judgeTexts(l)
	}
	c.judgeTogether(t)
	c.judgeImages(t)
	c.judgeManifest(t)
	c.judgeMPD(t)
}

// frame is how long a picture is shown, in seconds: what times are compared by.
func (t *tree) frame() float64 {
	for _, v := range t.master.variants {
		if rate := v.number("FRAME-RATE"); rate > 0 {
			return 1 / rate
		}
	}
	return 1.0 / 30
}

// judgeMedia looks at how an object of a rendition is served.
func (c *checker) judgeMedia(name string, r *response) {
	if r.redirected {
		c.find("8.18", name, "no redirect", "one")
	}
	if r.status != 200 {
		return
	}
	types := []string{"video/iso.segment", "video/mp4", "audio/mp4"}
	switch path.Ext(r.url.Path) {
	case ".mp4":
		types = types[1:]
	case ".ts":
		types = []string{"video/mp2t"}
	case ".vtt":
		types = []string{"text/vtt"}
	case ".jpg", ".jpeg":
		types = []string{"image/jpeg"}
	}
	c.judgeServed(name, r, types...)
}

// The bounds of caching: media never changes under its name, playlists may.
const minMediaAge, maxPlaylistAge = 60 * 60, 24 * 60 * 60

func (c *checker) judgeServed(name string, r *response, types ...string) {
	got, _, _ := strings.Cut(r.header.Get("Content-Type"), ";")
	good := false
	for _, t := range types {
		good = good || strings.EqualFold(got, t)
	}
	if !good {
		c.find("10.4", name, types[0], "%q", got)
	}
	control := r.header.Get("Cache-Control")
	age := -1
	for directive := range strings.SplitSeq(control, ",") {
		if text, ok := strings.CutPrefix(strings.TrimSpace(directive), "max-age="); ok {
			age, _ = strconv.Atoi(text)
		}
	}
	if playlist := types[0] == "application/vnd.apple.mpegurl"; playlist && (age < 0 || age > maxPlaylistAge) {
		c.find("W cache", name, "max-age of at most a day", "%q", control)
	} else if !playlist && age < minMediaAge {
		c.find("W cache", name, "max-age of an hour at least", "%q", control)
	}
}

// judgeList looks at what all media playlists have in common.
func (c *checker) judgeList(l *list) {
	least, why := 3, "EXTINF with a fraction"
	switch {
	case l.mapURI != "" && !l.iframesOnly:
		least, why = 6, "EXT-X-MAP"
	case l.mapURI != "":
		least, why = 5, "EXT-X-MAP"
	case l.iframesOnly:
		least, why = 4, "EXT-X-I-FRAMES-ONLY"
	}
	if l.version < least {
		c.find("RFC 4.3.1.2", l.name, fmt.Sprintf("version %d for %s", least, why), "%d", l.version)
	}
	if l.kind != "VOD" {
		c.find("8.6", l.name, "EXT-X-PLAYLIST-TYPE:VOD", "%q", l.kind)
	}
	if !l.ended {
		c.find("RFC 4.3.3.4", l.name, "EXT-X-ENDLIST", "none")
	}
	if l.mapURI == "" && !l.stream && l.texts == nil {
		c.find("8.20", l.name, "EXT-X-MAP", "none")
	}
	if l.target < 0 {
		c.find("RFC 4.3.3.1", l.name, "EXT-X-TARGETDURATION", "none")
	}
	seen := map[string]bool{}
	for i, item := range l.items {
		if rounded(item.duration) > l.target {
			c.find("RFC 4.3.3.1", l.name, fmt.Sprintf("at most %d s", l.target), "segment %d with %.3f s", i, item.duration)
		}
		key := fmt.Sprintf("%s %d", item.uri, item.offset)
		if seen[key] {
			c.find("W once", l.name, "each segment once", "%s again as segment %d", item.uri, i)
		}
		seen[key] = true
		if m := l.segments[i]; m != nil && item.ranged && item.offset+item.length > m.bytes {
			c.find("RFC 4.3.2.2", l.name, fmt.Sprintf("a range within the %d bytes of %s", m.bytes, item.uri), "%d@%d", item.length, item.offset)
		}
	}
}

// maxSize and maxRate are a level's greatest picture and number of macroblocks a second (H.264, table A-1).
var levelLimits = map[uint32]struct{ maxRate, maxSize int }{
	10: {1485, 99}, 11: {3000, 396}, 12: {6000, 396}, 13: {11880, 396},
	20: {11880, 396}, 21: {19800, 792}, 22: {20250, 1620},
	30: {40500, 1620}, 31: {108000, 3600}, 32: {216000, 5120},
	40: {245760, 8192}, 41: {245760, 8192}, 42: {522240, 8704},
	50: {589824, 22080}, 51: {983040, 36864}, 52: {2073600, 36864},
}

const profileHigh, maxLevel = 100, 52

// judgePicture looks at a video rendition's init segment and GOPs.
func (c *checker) judgePicture(l *list) {
	t := l.track
	switch {
	case t == nil:
		return
	case t.entry == "avc3" || t.entry == "hev1":
		c.find("1.10", l.name, "avc1 or hvc1", "%s", t.entry)
	case !t.video || t.entry != "avc1" && t.entry != "hvc1" && t.entry != "av01":
		c.find("1.1", l.name, "H.264, HEVC or AV1", "%q", t.entry)
		return
	}
	rate, shortest := l.rate()
	switch {
	case t.sps != nil:
		c.judgeH264(l, rate)
	case t.hevc != nil:
		c.judgeHEVC(l, rate)
	case t.av1 != nil:
		c.judgeAV1(l, rate)
	default:
		c.find("W read", l.name, "H.264, HEVC or AV1", "%s: its pictures are not looked into", t.entry)
		return
	}
	if shortest > 0 && 1/shortest > 60.5 {
		c.find("1.19", l.name, "at most 60 frames a second", "%.2f", 1/shortest)
	}
	c.judgeGOPs(l)
}

func (c *checker) judgeH264(l *list, rate float64) {
	t := l.track
	if t.sps.Profile > profileHigh || t.sps.Level > maxLevel {
		c.find("1.3b", l.name, "at most High profile, level 5.2", "profile %d, level %d", t.sps.Profile, t.sps.Level)
	}
	if t.sps.Profile < profileHigh {
		c.find("1.4", l.name, "High profile", "profile %d", t.sps.Profile)
	}
	size := ((int(t.sps.Width) + 15) / 16) * ((int(t.sps.Height) + 15) / 16)
	if limit, ok := levelLimits[t.sps.Level]; ok && (size > limit.maxSize || float64(size)*rate > float64(limit.maxRate)*1.001) {
		c.find("H.264 A.3", l.name, fmt.Sprintf("at most %d macroblocks, %d a second, at level %d", limit.maxSize, limit.maxRate, t.sps.Level),
			"%d, %.0f a second", size, float64(size)*rate)
	}
}

// rate is the frames a second, on average, and the shortest time that a frame lasts.
func (l *list) rate() (rate, shortest float64) {
	frames, ticks := 0, uint64(0)
	shortestTicks := uint64(math.MaxUint64)
	for _, s := range l.samples() {
		frames++
		ticks += uint64(s.dur)
		if s.dur > 0 {
			shortestTicks = min(shortestTicks, uint64(s.dur))
		}
	}
	if ticks == 0 {
		return 0, 0
	}
	return float64(frames) / l.seconds(ticks), l.seconds(shortestTicks)
}

func (l *list) samples() []sample {
	var all []sample
	for _, m := range l.segments {
		if m != nil {
			all = append(all, m.samples()...)
		}
	}
	return all
}

func (l *list) seconds(ticks uint64) float64 { return float64(ticks) / float64(l.track.timescale) }

// gopSeconds is how far IDR pictures may be from each other (1.13).
const gopSeconds = 2

// judgeGOPs looks at where IDR pictures are, and at what is shown between them.
func (c *checker) judgeGOPs(l *list) {
	for _, m := range l.segments {
		if m == nil {
			continue
		}
		for n, f := range m.fragments {
			if first := f.samples[0]; !first.idr || !first.sync {
				if n == 0 {
					c.find("7.4", m.name, "an IDR picture first", "IDR %v, marked as one %v", first.idr, first.sync)
				} else {
					c.find("1.13", m.name, "an IDR picture at the start of each fragment", "fragment %d: IDR %v, marked as one %v", n, first.idr, first.sync)
				}
			}
		}
	}
	all := l.samples()
	var gop []sample
	end := func(next *sample) {
		if len(gop) == 0 || !gop[0].idr {
			return
		}
		var ticks uint64
		closed := true // the first picture that breaks it is enough
		for i, s := range gop {
			ticks += uint64(s.dur)
			if s.shown < gop[0].shown && closed {
				closed = false
				c.find("W closed", l.name, fmt.Sprintf("no picture shown before %d, its IDR picture", gop[0].shown), "picture %d of the GOP at %d", i, s.shown)
			}
			if next != nil && s.shown >= next.shown && closed {
				closed = false
				c.find("W closed", l.name, fmt.Sprintf("no picture shown after %d, the next IDR picture", next.shown), "picture %d of the GOP at %d", i, s.shown)
			}
		}
		frame := l.seconds(uint64(gop[0].dur))
		if length := l.seconds(ticks); len(gop) > 1 && length > gopSeconds+frame {
			c.find("1.13", l.name, "an IDR picture every 2 s", "%.3f s without one, from %.3f s on", length, l.seconds(gop[0].decode))
		}
	}
	for i := range all {
		if all[i].idr {
			end(&all[i])
			gop = nil
		}
		gop = append(gop, all[i])
	}
	end(nil)
}

// judgeSound looks at a rendition of sound.
func (c *checker) judgeSound(l *list) {
	t := l.track
	if t == nil {
		return
	}
	if t.entry != "mp4a" || t.objectType != 2 && t.objectType != 5 && t.objectType != 29 {
		c.find("2.2", l.name, "AAC", "%q", t.entry+" "+t.codecs)
		return
	}
	if t.sampleRate != 32000 && t.sampleRate != 44100 && t.sampleRate != 48000 || t.objectType == 2 && t.sampleRate != t.entryRate {
		c.find("2.2", l.name, "32, 44.1 or 48 kHz, in the sample entry as well", "%d and %d Hz", t.sampleRate, t.entryRate)
	}
	if t.channels != 2 || t.entryCount != 2 {
		c.find("2.3", l.name, "stereo", "%d channels, the sample entry says %d", t.channels, t.entryCount)
	}
}

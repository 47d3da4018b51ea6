package check_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Eyevinn/mp4ff/avc"
	"github.com/Eyevinn/mp4ff/mp4"
)

// The trees of the tests: FFmpeg encodes, and what follows packages it anew each time, so that a test may change anything
// on the way.

const playlistType = "application/vnd.apple.mpegurl"

// video is what a tree is written from.
type video struct {
	t          *testing.T
	renditions []*rendition // of picture, the one listed first before others, then of sound
	cuts       []int        // the fragments before which segments end
	target     int          // seconds
	noIFrames  bool
}

// rendition is a track in fragments of two seconds.
type rendition struct {
	name      string
	init      []byte
	moov      *mp4.MoovBox
	fragments []*fragment
	cuts      []int  // its own, if not nil
	stream    *muxer // nil for MP4
}

type fragment struct {
	time    uint64
	samples []mp4.FullSample
}

// model is a right video of 14 s in two rungs with sound.
func model(t *testing.T) *video {
	t.Helper()
	return &video{t: t, cuts: []int{1, 4, 7}, target: 6, renditions: []*rendition{media(t, "big"), media(t, "small"), media(t, "sound")}}
}

// further adds two codecs, before the sound.
func (v *video) further() {
	last := len(v.renditions) - 1
	v.renditions = slices.Insert(v.renditions, last, media(v.t, "hevc"), media(v.t, "av1"))
}

// recipes are FFmpeg's arguments for each rendition of 14 s.
var recipes = map[string][]string{
	"big":    picture("320x180", "high", "50"),
	"small":  picture("160x90", "high", "50"),
	"main":   picture("320x180", "main", "50"),
	"sparse": picture("320x180", "high", "100"),
	"hdr":    append(picture("320x180", "high", "50"), "-x264-params", "transfer=smpte2084:colorprim=bt2020:colormatrix=bt2020nc"),
	"square": picture("120x120", "high", "50"),
	"hevc": further("-c:v", "libx265", "-preset", "ultrafast", "-tag:v", "hvc1",
		"-x265-params", "keyint=50:min-keyint=50:scenecut=0:open-gop=0:bframes=2:pools=1:frame-threads=1:info=0:log-level=none"),
	"av1":        further("-c:v", "libsvtav1", "-preset", "12", "-crf", "45", "-g", "50", "-svtav1-params", "irefresh-type=2:scd=0:lp=1"),
	"sound":      sound("48000", "2"),
	"mono":       sound("48000", "1"),
	"slow sound": sound("22050", "2"),
}

func picture(size, profile, gop string) []string {
	return []string{"-f", "lavfi", "-i", "testsrc2=r=25:d=14:s=" + size, "-c:v", "libx264", "-preset", "veryfast", "-threads", "1", "-bf", "2",
		"-pix_fmt", "yuv420p", "-profile:v", profile, "-g", gop, "-keyint_min", gop, "-sc_threshold", "0", "-flags", "+cgop",
		"-video_track_timescale", "25000", "-movflags", "+frag_keyframe+empty_moov+default_base_moof+negative_cts_offsets"}
}

// further is a picture in another codec; what is said of it is in described.
func further(encoder ...string) []string {
	args := append([]string{"-f", "lavfi", "-i", "testsrc2=r=25:d=14:s=320x180", "-pix_fmt", "yuv420p"}, encoder...)
	return append(args, "-video_track_timescale", "25000", "-movflags", "+frag_keyframe+empty_moov+default_base_moof+negative_cts_offsets")
}

// described is what the multivariant playlist says of a picture.
func (r *rendition) described(t *testing.T) (codecs string, width, height uint) {
	t.Helper()
	switch r.name {
	case "hevc":
		return "hvc1.1.6.L60.90", 320, 180
	case "av1":
		return "av01.0.00M.08", 320, 180
	}
	sps, err := avc.ParseSPSNALUnit(spsOf(r), true)
	if err != nil {
		t.Fatal(err)
	}
	codecs = strings.ToLower(avc.CodecString("avc1", sps))
	if bytes.Contains(r.init, []byte("avc3\x00")) {
		codecs = strings.Replace(codecs, "avc1", "avc3", 1)
	}
	return codecs, sps.Width, sps.Height
}

func sound(rate, channels string) []string {
	return []string{"-f", "lavfi", "-i", "sine=d=14:r=" + rate, "-c:a", "aac", "-b:a", "64k", "-ac", channels,
		"-frag_duration", "2000000", "-movflags", "+empty_moov+default_base_moof"}
}

// encoded is what FFmpeg makes of a recipe, once.
var encoded = struct {
	sync.Mutex
	files map[string][]byte
}{files: map[string][]byte{}}

// media encodes a recipe and reads its samples.
func media(t *testing.T, name string) *rendition {
	t.Helper()
	encoded.Lock()
	defer encoded.Unlock()
	if encoded.files[name] == nil {
		args := append([]string{"-nostdin", "-v", "error"}, recipes[name]...)
		out, err := exec.CommandContext(t.Context(), "ffmpeg", append(args, "-use_editlist", "0", "-f", "mp4", "-")...).Output()
		if err != nil {
			t.Fatal(err)
		}
		encoded.files[name] = out
	}
	file, err := mp4.DecodeFile(bytes.NewReader(encoded.files[name]))
	if err != nil {
		t.Fatal(err)
	}
	folder := map[string]string{"main": "big", "sparse": "big", "hdr": "big", "square": "small", "mono": "sound", "slow sound": "sound"}[name]
	if folder == "" {
		folder = name
	}
	var init bytes.Buffer
	if err := file.Init.Encode(&init); err != nil {
		t.Fatal(err)
	}
	r := &rendition{name: folder, init: init.Bytes(), moov: file.Init.Moov}
	var all []mp4.FullSample
	for _, s := range file.Segments {
		for _, f := range s.Fragments {
			full, err := f.GetFullSamples(file.Init.Moov.Mvex.Trex)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, full...)
		}
	}
	if r.video() {
		all = all[:min(len(all), 350)]
	} else {
		all = all[1:] // the encoder's run-up
	}
	delay, time := all[0].CompositionTimeOffset, uint64(0)
	var now *fragment
	for i := range all {
		if at := float64(time) / float64(r.timescale()); now == nil || int((at+0.011)/2) >= len(r.fragments) {
			now = &fragment{time: time}
			r.fragments = append(r.fragments, now)
		}
		s := all[i]
		s.CompositionTimeOffset -= delay
		s.DecodeTime = time
		s.Data = bytes.Clone(s.Data)
		now.samples = append(now.samples, s)
		time += uint64(s.Dur)
	}
	if n := len(r.fragments); n > 7 { // a rest of sound
		r.fragments[6].samples = append(r.fragments[6].samples, r.fragments[7].samples...)
		r.fragments = r.fragments[:7]
	}
	return r
}

func (r *rendition) video() bool { return r.moov.Trak.Mdia.Hdlr.HandlerType == "vide" }

func (r *rendition) timescale() uint32 { return r.moov.Trak.Mdia.Mdhd.Timescale }

// sps changes the sequence parameter set in the init segment: byte 1 is the profile, byte 3 the level.
func (r *rendition) sps(change func(sps []byte)) {
	set := r.moov.Trak.Mdia.Minf.Stbl.Stsd.AvcX.AvcC.SPSnalus[0]
	at := bytes.Index(r.init, set)
	change(r.init[at : at+len(set)])
}

// edit changes a byte of the init segment behind a mark.
func (r *rendition) edit(mark string, behind int, change func(b byte) byte) {
	at := bytes.Index(r.init, []byte(mark)) + len(mark) + behind
	r.init[at] = change(r.init[at])
}

// scale makes everything shorter.
func (r *rendition) scale(by uint32) {
	for _, f := range r.fragments {
		f.time /= uint64(by)
		for i := range f.samples {
			f.samples[i].Dur /= by
			f.samples[i].CompositionTimeOffset /= int32(by)
		}
	}
}

// shift moves all fragments from one on.
func (r *rendition) shift(from int, ticks int64) {
	for _, f := range r.fragments[from:] {
		f.time = uint64(int64(f.time) + ticks)
	}
}

// delay shows all pictures later.
func (r *rendition) delay(ticks int32) {
	for _, f := range r.fragments {
		for i := range f.samples {
			f.samples[i].CompositionTimeOffset += ticks
		}
	}
}

// truncate drops the last samples.
func (r *rendition) truncate(samples int) {
	last := r.fragments[len(r.fragments)-1]
	last.samples = last.samples[:len(last.samples)-samples]
}

// merge shows a picture for as long as it and the last one were.
func (r *rendition) merge() {
	last := r.fragments[len(r.fragments)-1]
	n := len(last.samples)
	last.samples[n-2].Dur *= 2
	last.samples = last.samples[:n-1]
}

// noIDR makes the fragment's first picture one that is none.
func (f *fragment) noIDR() {
	data := f.samples[0].Data
	for at := 0; at+4 < len(data); {
		size := int(data[at])<<24 | int(data[at+1])<<16 | int(data[at+2])<<8 | int(data[at+3])
		if avc.GetNaluType(data[at+4]) == avc.NALU_IDR {
			data[at+4] = data[at+4]&^0x1f | byte(avc.NALU_NON_IDR)
		}
		at += 4 + size
	}
}

// begun makes the fragment's first picture what its second is.
func (f *fragment) begun() {
	f.samples[0].Data, f.samples[0].Size = bytes.Clone(f.samples[1].Data), f.samples[1].Size
}

// unmark takes the mark of a key frame off the first picture.
func (f *fragment) unmark() { f.samples[0].Flags = mp4.NonSyncSampleFlags }

// pad makes the second picture larger by a NAL unit of filler data.
func (f *fragment) pad(size int) {
	nalu := append([]byte{byte(size >> 24), byte(size >> 16), byte(size >> 8), byte(size), 12}, make([]byte, size-1)...)
	f.samples[1].Data = append(f.samples[1].Data, nalu...)
	f.samples[1].Size = uint32(len(f.samples[1].Data))
}

// piece is a segment as it is written.
type piece struct {
	data    []byte
	seconds float64
	frames  []frame // key frames
}

type frame struct {
	seconds        float64
	offset, length int
}

func (r *rendition) pieces(t *testing.T, cuts []int) []piece {
	t.Helper()
	if r.cuts != nil {
		cuts = r.cuts
	}
	var out []piece
	number := uint32(0)
	for first, i := 0, 0; i < len(cuts); first, i = cuts[i], i+1 {
		var p piece
		if first >= len(r.fragments) {
			break
		}
		if r.stream != nil {
			p.data = r.stream.begin(r)
		}
		for _, f := range r.fragments[first:min(cuts[i], len(r.fragments))] {
			number++
			box, err := mp4.CreateFragment(number, r.moov.Trak.Tkhd.TrackID)
			if err != nil {
				t.Fatal(err)
			}
			time, ticks := f.time, uint64(0)
			for _, s := range f.samples {
				s.DecodeTime = time
				box.AddFullSample(s)
				time += uint64(s.Dur)
				ticks += uint64(s.Dur)
			}
			var data bytes.Buffer
			if err := box.Encode(&data); err != nil {
				t.Fatal(err)
			}
			seconds := float64(ticks) / float64(r.timescale())
			first, written := int(box.Moof.Size())+int(box.Mdat.HeaderSize())+len(f.samples[0].Data), data.Bytes()
			if r.stream != nil {
				written, first = r.stream.fragment(t, r, f)
			}
			p.frames = append(p.frames, frame{seconds, len(p.data), first})
			p.data = append(p.data, written...)
			p.seconds += seconds
		}
		out = append(out, p)
	}
	return out
}

// write makes the tree: every figure in it is measured.
func (v *video) write(t *testing.T) site {
	t.Helper()
	s := site{}
	put := func(name, text string) { s["videos/v/hls/"+name] = object(text, playlistType) }
	var variants, trick strings.Builder
	pieces := map[string][]piece{}
	for _, r := range v.renditions {
		pieces[r.name] = r.pieces(t, v.cuts)
		version, init, extension, mime := 7, "#EXT-X-MAP:URI=\"init.mp4\"\n", "m4s", "video/iso.segment"
		if r.stream != nil {
			version, init, extension, mime = 4, "", "ts", "video/mp2t"
		} else {
			s["videos/v/hls/"+r.name+"/init.mp4"] = object(string(r.init), "video/mp4")
		}
		head := func(target int, rest string) string {
			return fmt.Sprintf("#EXTM3U\n#EXT-X-VERSION:%d\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-TARGETDURATION:%d\n", version, target) + rest + init
		}
		list, frames := head(v.target, ""), head(4, "#EXT-X-I-FRAMES-ONLY\n")
		for i, p := range pieces[r.name] {
			name := fmt.Sprintf("segment_%d.%s", i, extension)
			s["videos/v/hls/"+r.name+"/"+name] = object(string(p.data), mime)
			list += fmt.Sprintf("#EXTINF:%.6f,\n%s\n", p.seconds, name)
			for _, f := range p.frames {
				frames += fmt.Sprintf("#EXTINF:%.6f,\n#EXT-X-BYTERANGE:%d@%d\n%s\n", f.seconds, f.length, f.offset, name)
			}
		}
		put(r.name+"/playlist.m3u8", list+"#EXT-X-ENDLIST\n")
		if r.video() && !v.noIFrames {
			put(r.name+"/iframes.m3u8", frames+"#EXT-X-ENDLIST\n")
		}
	}
	soundPeak, soundAverage := rates(pieces["sound"], v.target)
	textPeak, textAverage := rates(v.subtitles(s), v.target)
	for _, r := range v.renditions {
		if !r.video() {
			continue
		}
		codecs, width, height := r.described(t)
		peak, average := rates(pieces[r.name], v.target)
		rate := float64(r.timescale()) / float64(r.fragments[0].samples[0].Dur)
		fmt.Fprintf(&variants, "#EXT-X-STREAM-INF:BANDWIDTH=%d,AVERAGE-BANDWIDTH=%d,CODECS=\"%s,mp4a.40.2\",RESOLUTION=%dx%d,FRAME-RATE=%.3f,"+
			"AUDIO=\"sound\",SUBTITLES=\"subs\",CLOSED-CAPTIONS=NONE\n%s/playlist.m3u8\n", peak+soundPeak+textPeak, average+soundAverage+textAverage, codecs, width, height, rate, r.name)
		var keys []piece
		for _, p := range pieces[r.name] {
			for _, f := range p.frames {
				keys = append(keys, piece{data: p.data[f.offset : f.offset+f.length], seconds: f.seconds})
			}
		}
		if peak, average = rates(keys, 4); !v.noIFrames {
			fmt.Fprintf(&trick, "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=%d,AVERAGE-BANDWIDTH=%d,CODECS=\"%s\",RESOLUTION=%dx%d,URI=\"%s/iframes.m3u8\"\n",
				peak, average, codecs, width, height, r.name)
		}
	}
	put("master.m3u8", "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n"+
		"#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"sound\",NAME=\"Default\",LANGUAGE=\"und\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"2\",URI=\"sound/playlist.m3u8\"\n"+
		"#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"subs\",NAME=\"English\",LANGUAGE=\"en\",DEFAULT=NO,AUTOSELECT=YES,FORCED=NO,URI=\"subs/playlist.m3u8\"\n"+
		variants.String()+trick.String())
	return s
}

// subtitles writes subtitles in segments as long as those of the first picture, and returns them.
func (v *video) subtitles(s site) []piece {
	cues := []struct {
		start, end float64
		text       string
	}{
		{1, 3, "00:00:01.000 --> 00:00:03.000 line:0\n<i>one</i>\n"},
		{9, 13.5, "00:00:09.000 --> 00:00:13.500\ntwo\n"},
	}
	list := fmt.Sprintf("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-TARGETDURATION:%d\n", v.target)
	picture, zero := *v.renditions[0], 0
	if picture.stream != nil {
		picture.stream, zero = nil, 10*90_000 // its counters stay as they are
	}
	pieces, at := picture.pieces(v.t, v.cuts), 0.0
	for i, p := range pieces {
		vtt := fmt.Sprintf("WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:%d,LOCAL:00:00:00.000\n", zero)
		for _, c := range cues {
			if c.start < at+p.seconds && c.end > at {
				vtt += "\n" + c.text
			}
		}
		name := fmt.Sprintf("segment_%d.vtt", i)
		s["videos/v/hls/subs/"+name] = object(vtt, "text/vtt")
		list += fmt.Sprintf("#EXTINF:%.6f,\n%s\n", p.seconds, name)
		pieces[i].data, at = []byte(vtt), at+p.seconds
	}
	s["videos/v/hls/subs/playlist.m3u8"] = object(list+"#EXT-X-ENDLIST\n", playlistType)
	return pieces
}

// spsOf is the parameter set as it stands in the init segment.
func spsOf(r *rendition) []byte {
	set := r.moov.Trak.Mdia.Minf.Stbl.Stsd.AvcX.AvcC.SPSnalus[0]
	at := bytes.Index(r.init, set[4:])
	return r.init[at-4 : at-4+len(set)]
}

// rates are the peak of single pieces that are long enough, and the average.
func rates(pieces []piece, target int) (peak, average int) {
	var bits, seconds float64
	for first := range pieces {
		var b, s float64
		for _, p := range pieces[first:] {
			if b, s = b+float64(len(p.data))*8, s+p.seconds; s > 1.5*float64(target) {
				break
			}
			if s >= 0.5*float64(target) {
				peak = max(peak, int(math.Ceil(b/s)))
			}
		}
		bits, seconds = bits+float64(len(pieces[first].data))*8, seconds+pieces[first].seconds
	}
	if seconds == 0 {
		return 0, 0
	}
	average = int(math.Ceil(bits / seconds))
	return max(peak, average), average
}

// site is a server's objects by their keys.
type site map[string]*answer

// answer is an object and how it is served.
type answer struct {
	body         []byte
	mime, cache  string
	redirect     string
	plain, whole bool // no gzip, no ranges
}

func object(text, mime string) *answer {
	cache := "public, max-age=31536000, immutable"
	if mime == playlistType {
		cache = "public, max-age=60"
	}
	return &answer{body: []byte(text), mime: mime, cache: cache}
}

func (s site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/t/"), "/")
	a := s[key]
	switch {
	case a == nil:
		w.WriteHeader(http.StatusNotFound)
	case a.redirect != "":
		http.Redirect(w, r, a.redirect, http.StatusFound)
	default:
		w.Header().Set("Content-Type", a.mime)
		w.Header().Set("Cache-Control", a.cache)
		if a.mime == playlistType && !a.plain && r.Header.Get("Accept-Encoding") == "gzip" {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = z.Write(a.body)
			_ = z.Close()
			return
		}
		if a.whole {
			_, _ = w.Write(a.body)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.body))
	}
}

func serve(t *testing.T, s site) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(maps.Clone(s))
	t.Cleanup(server.Close)
	return server
}

// at is an object by its path relative to the multivariant playlist.
func (s site) at(name string) *answer { return s[path.Join("videos/v/hls", name)] }

func (s site) serve(name string, change func(a *answer)) { change(s.at(name)) }

// text changes a playlist; a change that changes nothing is a mistake of the test.
func (s site) text(name string, change func(text string) string) {
	a := s.at(name)
	after := change(string(a.body))
	if after == string(a.body) {
		panic("nothing was changed in\n" + after)
	}
	a.body = []byte(after)
}

func (s site) edit(name, from, to string) {
	s.text(name, func(text string) string { return strings.Replace(text, from, to, 1) })
}

// lines rewrites the lines that contain a mark.
func (s site) lines(name, mark string, change func(line string) string) {
	s.text(name, func(text string) string {
		var out strings.Builder
		for line := range strings.Lines(text) {
			if strings.Contains(line, mark) {
				line = change(line)
			}
			out.WriteString(line)
		}
		return out.String()
	})
}

func (s site) drop(name, mark string) {
	s.lines(name, mark, func(string) string { return "" })
}

func (s site) double(name, mark string) {
	s.lines(name, mark, func(line string) string { return line + line })
}

// merge makes one entry of the second and the third of a playlist, which lasts as long as both.
func (s site) merge(name string) {
	s.text(name, func(text string) string {
		parts := strings.Split(text, "#EXTINF:") // the first is what comes before them
		parts[2] = strings.Replace(parts[2], "2.000000", "4.000000", 1)
		return strings.Join(slices.Delete(parts, 3, 4), "#EXTINF:")
	})
}

// dropLast drops the last entry of a playlist.
func (s site) dropLast(name string) {
	s.text(name, func(text string) string { return text[:strings.LastIndex(text, "#EXTINF")] + "#EXT-X-ENDLIST\n" })
}

// without takes an attribute out of the tags with a name.
func (s site) without(name, tag, attribute string) {
	s.lines(name, tag+":", func(line string) string {
		head, list, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		list = "," + list
		at := strings.Index(list, ","+attribute+"=")
		rest := list[at+1:]
		end := strings.IndexByte(rest, ',')
		if value := strings.Index(rest, `="`); value >= 0 && (end < 0 || value < end) {
			end = value + 2 + strings.IndexByte(rest[value+2:], '"') + 1
		}
		if end < 0 {
			end = len(rest)
		}
		return head + ":" + strings.TrimPrefix(list[:at]+rest[end:], ",") + "\n"
	})
}

// dynamic gives the first variant a dynamic range.
func (s site) dynamic(value string) {
	s.edit("master.m3u8", "FRAME-RATE=25.000", "FRAME-RATE=25.000,VIDEO-RANGE="+value)
}

// attribute multiplies a number after a mark and "=", the first time that it is there.
func (s site) attribute(name, mark string, by float64) {
	s.text(name, func(text string) string {
		at := strings.Index(text, mark+"=") + len(mark) + 1
		return text[:at] + replaced(text[at:], func(n int) int { return int(float64(n) * by) })
	})
}

// number adds to a number after a mark, the last time that it is there.
func (s site) number(name, mark string, add int) {
	s.text(name, func(text string) string {
		at := strings.LastIndex(text, mark) + len(mark)
		return text[:at] + replaced(text[at:], func(n int) int { return n + add })
	})
}

// replaced changes the number that a text starts with.
func replaced(text string, change func(n int) int) string {
	n, digits := 0, 0
	for digits < len(text) && text[digits] >= '0' && text[digits] <= '9' {
		n = n*10 + int(text[digits]-'0')
		digits++
	}
	return fmt.Sprint(change(n)) + text[digits:]
}

package check_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"weir/deploy/internal/check"
)

func TestARightTreeHasNoFindings(t *testing.T) {
	report, err := check.Run(t.Context(), serve(t, model(t).write(t)).URL+"/t/secret/videos/v/hls/master.m3u8", check.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Findings {
		t.Errorf("%s", f)
	}
	if report.Err() != nil || report.Playlists != 7 || report.Segments != 15 || report.Bytes == 0 {
		t.Errorf("read %+v", report)
	}
}

func TestARightTreeInAllCodecsHasNoFindings(t *testing.T) {
	v := model(t)
	v.further()
	report, err := check.Run(t.Context(), serve(t, v.write(t)).URL+"/t/secret/videos/v/hls/master.m3u8", check.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Findings {
		t.Errorf("%s", f)
	}
	if report.Playlists != 11 || report.Segments != 23 {
		t.Errorf("read %+v", report)
	}
}

func TestAPictureThatSaysItsRangeHasNoFindings(t *testing.T) {
	v := model(t)
	v.renditions[0] = media(t, "hdr")
	s := v.write(t)
	s.dynamic("PQ")
	report, err := check.Run(t.Context(), serve(t, s).URL+"/t/secret/videos/v/hls/master.m3u8", check.Options{})
	if err != nil || len(report.Findings) > 0 {
		t.Errorf("%v, error %v", report.Findings, err)
	}
}

// RFC 8216, section 6.3.1: a client ignores tags that it does not know.
func TestTagsThatNobodyKnowsAreNoFinding(t *testing.T) {
	s := model(t).write(t)
	s.edit("master.m3u8", "#EXT-X-STREAM-INF", "#EXT-X-SCENT-STREAM-INF:BANDWIDTH=12000,CODECS=\"rose\",URI=\"scents.m3u8\"\n#EXT-X-STREAM-INF")
	report, err := check.Run(t.Context(), serve(t, s).URL+"/t/secret/videos/v/hls/master.m3u8", check.Options{})
	if err != nil || len(report.Findings) > 0 {
		t.Errorf("%v, error %v", report.Findings, err)
	}
}

// Each of these trees breaks one rule, and it is found under that rule. What else breaks with it may be found as well.
func TestABrokenRuleIsFoundUnderItsNumber(t *testing.T) {
	broken := map[string]bool{}
	for _, m := range slices.Concat(mutations, soundMutations, packagingMutations, besideMutations) {
		t.Run(m.rule+" "+m.name, func(t *testing.T) {
			v := model(t)
			if m.model != nil {
				m.model(v)
			}
			s := v.write(t)
			if m.site != nil {
				m.site(s)
			}
			report, err := check.Run(t.Context(), serve(t, s).URL+"/t/secret/videos/v/hls/master.m3u8", check.Options{})
			if err != nil {
				t.Fatal(err)
			}
			found := slices.ContainsFunc(report.Findings, func(f check.Finding) bool { return f.Rule == m.rule })
			if !found {
				t.Errorf("not found; but\n%v", report.Findings)
			}
			if len(report.Findings) > 25 {
				t.Errorf("%d findings for one defect", len(report.Findings))
			}
			for _, f := range report.Findings {
				if strings.Contains(f.String(), "secret") {
					t.Errorf("a finding tells the token: %s", f)
				}
			}
		})
		broken[m.rule] = true
	}
	for _, r := range check.Rules {
		if !broken[r.ID] {
			t.Errorf("no tree here breaks rule %s: %s", r.ID, r.Text)
		}
	}
}

func TestWhatCannotBeReadIsAnError(t *testing.T) {
	s := model(t).write(t)
	server := serve(t, s)
	s["videos/v/hls/empty.m3u8"] = object("#EXTM3U\n", playlistType)
	for name, url := range map[string]string{
		"another name":     server.URL + "/t/secret/videos/v/hls/missing.m3u8",
		"no variant":       server.URL + "/t/secret/videos/v/hls/empty.m3u8",
		"no URL":           "master.m3u8",
		"nobody is there":  "http://127.0.0.1:1/t/secret/master.m3u8",
		"a media playlist": server.URL + "/t/secret/videos/v/hls/big/playlist.m3u8",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := check.Run(t.Context(), url, check.Options{})
			if err == nil || strings.Contains(err.Error(), "secret") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestTheHeaderGoesWithEachRequest(t *testing.T) {
	s := model(t).write(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	url := server.URL + "/t/x/videos/v/hls/master.m3u8"
	if _, err := check.Run(t.Context(), url, check.Options{}); err == nil {
		t.Error("without the header, something was read")
	}
	report, err := check.Run(t.Context(), url, check.Options{Header: http.Header{"Authorization": {"Bearer secret"}}})
	if err != nil || len(report.Findings) > 0 {
		t.Errorf("%v, error %v", report.Findings, err)
	}
}

func TestCommandSaysWhatItFound(t *testing.T) {
	good := model(t).write(t)
	bad := model(t).write(t)
	bad.edit("master.m3u8", "FRAME-RATE=25.000", "FRAME-RATE=24.000")
	for _, c := range []struct {
		name   string
		site   site
		asJSON bool
		want   string
		failed bool
	}{
		{"nothing", good, false, "0 errors, 0 warnings", false},
		{"a line a finding", bad, false, "error   RFC 4.3.4.2", true},
		{"a line of JSON a finding", bad, true, `{"rule":"RFC 4.3.4.2","level":"error",`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			err := check.Command(t.Context(), serve(t, c.site).URL+"/t/x/videos/v/hls/master.m3u8", check.Options{}, c.asJSON, &out)
			if errors.Is(err, check.ErrFailed) != c.failed || !c.failed && err != nil {
				t.Errorf("error %v", err)
			}
			if !strings.Contains(out.String(), c.want) {
				t.Errorf("it says\n%s", &out)
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			result, ok := strings.CutPrefix(lines[len(lines)-1], "RESULT ")
			var r check.Report
			if err := json.Unmarshal([]byte(result), &r); !ok || err != nil || (r.Errors > 0) != c.failed {
				t.Errorf("the last line is %q: %v", lines[len(lines)-1], err)
			}
		})
	}
}

// mutation is what may go wrong, with the rule that it breaks: in what was encoded, or in what is served.
type mutation struct {
	rule, name string
	model      func(v *video)
	site       func(s site)
}

var mutations = []mutation{
	{rule: "1.1", name: "the picture is sound", site: func(s site) {
		s.edit("big/playlist.m3u8", "init.mp4", "../sound/init.mp4")
	}},
	{rule: "1.3b", name: "level 6", model: func(v *video) { v.renditions[0].sps(func(sps []byte) { sps[3] = 60 }) }},
	{rule: "1.4", name: "Main profile", model: func(v *video) { v.renditions[0] = media(v.t, "main") }},
	{rule: "1.6", name: "HEVC in the profile of range extensions", model: func(v *video) {
		v.further()
		v.renditions[2].edit("\x42\x01\x01", 0, func(byte) byte { return 4 }) // what follows the head of the SPS
	}},
	{rule: "1.10", name: "hev1", model: func(v *video) {
		v.further()
		v.renditions[2].init = bytes.ReplaceAll(v.renditions[2].init, []byte("hvc1\x00"), []byte("hev1\x00"))
	}},
	{rule: "H.265 A.4", name: "a level for less", model: func(v *video) {
		v.further()
		v.renditions[2].edit("\x42\x01\x01", 14, func(level byte) byte { return level / 2 })
	}},
	{rule: "AV1 A.3", name: "four times as many pictures", model: func(v *video) {
		v.further()
		v.renditions[3].scale(4)
	}},
	{rule: "ISO 14496-12", name: "av1C says another level than the bits", model: func(v *video) {
		v.further()
		v.renditions[3].edit("av1C", 1, func(byte) byte { return 8 })
	}},
	{rule: "W H.264", name: "HEVC and AV1 alone", model: func(v *video) {
		v.further()
		v.renditions = v.renditions[2:]
	}},
	{rule: "RFC 4.3.4.2", name: "CODECS of another level", model: (*video).further, site: func(s site) {
		s.edit("master.m3u8", "hvc1.1.6.L60.90", "hvc1.1.6.L93.90")
	}},
	{rule: "RFC 6.2.4", name: "a picture less in another codec", model: func(v *video) {
		v.further()
		v.renditions[3].merge()
	}},
	{rule: "7.4", name: "a segment in HEVC that starts with another picture", model: func(v *video) {
		v.further()
		v.renditions[2].fragments[1].begun()
	}},
	{rule: "7.4", name: "a segment in AV1 that starts with another picture", model: func(v *video) {
		v.further()
		v.renditions[3].fragments[1].begun()
	}},
	{rule: "8.22", name: "other boundaries in another codec", model: func(v *video) {
		v.further()
		v.renditions[3].cuts = []int{1, 3, 7}
	}},
	{rule: "1.32", name: "HEVC first", model: func(v *video) {
		v.further()
		v.renditions[0], v.renditions[2] = v.renditions[2], v.renditions[0]
	}},
	{rule: "1.10", name: "avc3", model: func(v *video) {
		v.renditions[0].init = bytes.ReplaceAll(v.renditions[0].init, []byte("avc1\x00"), []byte("avc3\x00"))
	}},
	{rule: "1.13", name: "an IDR picture after four seconds", model: func(v *video) { v.renditions[0] = media(v.t, "sparse") }},
	{rule: "1.13", name: "a fragment in a segment starts with another picture", model: func(v *video) { v.renditions[0].fragments[2].noIDR() }},
	{rule: "1.19", name: "100 frames a second", model: func(v *video) { v.renditions[0].scale(4) }},
	{rule: "1.26", name: "an average that is too high", site: func(s site) { s.attribute("master.m3u8", "AVERAGE-BANDWIDTH", 1.2) }},
	{rule: "1.26", name: "an average that is too low", site: func(s site) { s.attribute("master.m3u8", "AVERAGE-BANDWIDTH", 0.8) }},
	{rule: "1.27", name: "a peak that is too high", site: func(s site) { s.attribute("master.m3u8", ":BANDWIDTH", 1.2) }},
	{rule: "1.27", name: "a peak that is too low", site: func(s site) { s.attribute("master.m3u8", ":BANDWIDTH", 0.8) }},
	{rule: "1.30", name: "a segment of noise", model: func(v *video) { v.renditions[0].fragments[5].pad(4_000_000) }},
	{rule: "1.32", name: "the smallest first", model: func(v *video) { v.renditions[0], v.renditions[1] = v.renditions[1], v.renditions[0] }},
	{rule: "1.33", name: "a square", model: func(v *video) { v.renditions[1] = media(v.t, "square") }},
	{rule: "2.2", name: "a strange sample rate", model: func(v *video) { v.renditions[2] = media(v.t, "slow sound") }},
	{rule: "2.2", name: "sound in another codec", model: func(v *video) {
		v.renditions[2].init = bytes.ReplaceAll(v.renditions[2].init, []byte("mp4a\x00"), []byte("opus\x00"))
	}},
	{rule: "2.3", name: "mono", model: func(v *video) { v.renditions[2] = media(v.t, "mono") }},
	{rule: "6.1", name: "no I-frame playlists", model: func(v *video) { v.noIFrames = true }},
	{rule: "6.6", name: "an I-frame playlist for one resolution", site: func(s site) { s.drop("master.m3u8", `small/iframes.m3u8"`) }},
	{rule: "6.8", name: "an I-frame playlist that does not say so", site: func(s site) { s.drop("big/iframes.m3u8", "I-FRAMES-ONLY") }},
	{rule: "6.9", name: "a guessed I-frame bandwidth", site: func(s site) { s.attribute("master.m3u8", "I-FRAME-STREAM-INF:BANDWIDTH", 1.3) }},
	{rule: "6.10", name: "a range one byte short", site: func(s site) { s.number("big/iframes.m3u8", "BYTERANGE:", -1) }},
	{rule: "6.10", name: "a range that leaves out the moof", site: func(s site) { s.number("big/iframes.m3u8", "@", 100) }},
	{rule: "6.10", name: "a range that holds more than the picture", site: func(s site) { s.number("big/iframes.m3u8", "BYTERANGE:", 10) }},
	{rule: "7.3", name: "a gap", model: func(v *video) { v.renditions[0].shift(3, 40) }},
	{rule: "7.3", name: "an overlap", model: func(v *video) { v.renditions[2].shift(3, -1024) }},
	{rule: "7.4", name: "a segment starts with another picture", model: func(v *video) { v.renditions[0].fragments[1].noIDR() }},
	{rule: "7.4", name: "an IDR picture that is not marked", model: func(v *video) { v.renditions[0].fragments[1].unmark() }},
	{rule: "7.5", name: "another target duration", model: func(v *video) { v.target = 10 }},
	{rule: "7.6", name: "segments of other lengths", model: func(v *video) { v.cuts = []int{1, 3, 7} }},
	{rule: "7.7", name: "a segment that is too long", model: func(v *video) { v.cuts = []int{1, 5, 7} }},
	{rule: "8.1", name: "EXTINF that drifts", site: func(s site) { s.edit("big/playlist.m3u8", "EXTINF:6.000000", "EXTINF:5.900000") }},
	{rule: "8.1", name: "an I-frame's time", site: func(s site) { s.edit("big/iframes.m3u8", "EXTINF:2.000000", "EXTINF:1.900000") }},
	{rule: "8.2", name: "another target duration for sound", site: func(s site) { s.edit("sound/playlist.m3u8", "TARGETDURATION:6", "TARGETDURATION:7") }},
	{rule: "8.3", name: "the sound ends early", model: func(v *video) { v.renditions[2].truncate(10) }},
	{rule: "8.6", name: "no playlist type", site: func(s site) { s.drop("big/playlist.m3u8", "PLAYLIST-TYPE") }},
	{rule: "8.6", name: "an event", site: func(s site) { s.edit("big/playlist.m3u8", "TYPE:VOD", "TYPE:EVENT") }},
	{rule: "8.7", name: "a rung is shorter", model: func(v *video) { v.renditions[1].truncate(5) }},
	{rule: "8.7", name: "the I-frames end early", site: func(s site) { s.dropLast("big/iframes.m3u8") }},
	{rule: "8.10", name: "no language", site: func(s site) { s.edit("master.m3u8", `LANGUAGE="und",`, "") }},
	{rule: "8.18", name: "a redirect to the media", site: func(s site) {
		s["videos/v/hls/elsewhere.m4s"] = s["videos/v/hls/big/segment_1.m4s"]
		s.serve("big/segment_1.m4s", func(a *answer) { a.redirect = "../elsewhere.m4s" })
	}},
	{rule: "8.20", name: "no EXT-X-MAP", site: func(s site) { s.drop("big/playlist.m3u8", "EXT-X-MAP") }},
	{rule: "8.22", name: "other boundaries", model: func(v *video) { v.renditions[1].cuts = []int{1, 3, 7} }},
	{rule: "9.1", name: "no CODECS", site: func(s site) { s.without("master.m3u8", "EXT-X-STREAM-INF", "CODECS") }},
	{rule: "9.2", name: "no RESOLUTION", site: func(s site) { s.without("master.m3u8", "EXT-X-STREAM-INF", "RESOLUTION") }},
	{rule: "9.3", name: "no CODECS of I-frames", site: func(s site) { s.without("master.m3u8", "I-FRAME-STREAM-INF", "CODECS") }},
	{rule: "9.4", name: "no RESOLUTION of I-frames", site: func(s site) { s.without("master.m3u8", "I-FRAME-STREAM-INF", "RESOLUTION") }},
	{rule: "9.5", name: "sound in the picture's segments", site: func(s site) { s.without("master.m3u8", "EXT-X-STREAM-INF", "AUDIO") }},
	{rule: "9.9", name: "one variant", model: func(v *video) { v.renditions = slices.Delete(v.renditions, 1, 2) }},
	{rule: "9.11", name: "no INDEPENDENT-SEGMENTS", site: func(s site) { s.drop("master.m3u8", "INDEPENDENT") }},
	{rule: "9.13", name: "a little less than the peaks", site: func(s site) { s.attribute("master.m3u8", ":BANDWIDTH", 0.95) }},
	{rule: "9.14", name: "no AVERAGE-BANDWIDTH", site: func(s site) { s.without("master.m3u8", "EXT-X-STREAM-INF", "AVERAGE-BANDWIDTH") }},
	{rule: "9.15", name: "no FRAME-RATE", site: func(s site) { s.without("master.m3u8", "EXT-X-STREAM-INF", "FRAME-RATE") }},
	{rule: "9.16", name: "PQ that does not say so", model: func(v *video) { v.renditions[0] = media(v.t, "hdr") }},
	{rule: "9.16", name: "PQ that says HLG", model: func(v *video) { v.renditions[0] = media(v.t, "hdr") }, site: func(s site) { s.dynamic("HLG") }},
	{rule: "9.16", name: "PQ that says SDR", model: func(v *video) { v.renditions[0] = media(v.t, "hdr") }, site: func(s site) { s.dynamic("SDR") }},
	{rule: "9.16", name: "SDR that says PQ", site: func(s site) { s.dynamic("PQ") }},
	{rule: "9.16", name: "HEVC in SDR that says HLG", model: (*video).further, site: func(s site) {
		s.lines("master.m3u8", "STREAM-INF", func(line string) string {
			return strings.Replace(line, `CODECS="hvc1`, `VIDEO-RANGE=HLG,CODECS="hvc1`, 1)
		})
	}},
	{rule: "10.1", name: "no gzip", site: func(s site) { s.serve("master.m3u8", func(a *answer) { a.plain = true }) }},
	{rule: "10.4", name: "a playlist as text", site: func(s site) { s.serve("big/playlist.m3u8", func(a *answer) { a.mime = "text/plain" }) }},
	{rule: "10.4", name: "a segment as bytes", site: func(s site) {
		s.serve("big/segment_1.m4s", func(a *answer) { a.mime = "application/octet-stream" })
	}},
	{rule: "RFC 4", name: "an EXTINF without a number", site: func(s site) { s.edit("sound/playlist.m3u8", "EXTINF:6", "EXTINF:six") }},
	{rule: "RFC 3.5", name: "no X-TIMESTAMP-MAP", site: func(s site) { s.drop("subs/segment_1.vtt", "X-TIMESTAMP-MAP") }},
	{rule: "RFC 3.5", name: "another X-TIMESTAMP-MAP", site: func(s site) { s.edit("subs/segment_1.vtt", "MPEGTS:0", "MPEGTS:900000") }},
	{rule: "RFC 3.5", name: "a cue of another segment", site: func(s site) {
		s.edit("subs/segment_2.vtt", "00:00:09.000 -->", "00:00:04.000 --> 00:00:05.000\nearly\n\n00:00:09.000 -->")
	}},
	{rule: "RFC 3.5", name: "a cue that goes on and is not there", site: func(s site) {
		s.edit("subs/segment_1.vtt", "\n00:00:01.000 --> 00:00:03.000 line:0\n<i>one</i>\n", "")
	}},
	{rule: "WebVTT 4", name: "no WEBVTT", site: func(s site) { s.drop("subs/segment_0.vtt", "WEBVTT") }},
	{rule: "WebVTT 4", name: "no UTF-8", site: func(s site) { s.edit("subs/segment_0.vtt", "one", "\xff") }},
	{rule: "WebVTT 4", name: "a cue without an end", site: func(s site) { s.edit("subs/segment_2.vtt", " --> 00:00:13.500", "") }},
	{rule: "WebVTT 4", name: "a cue that ends before it starts", site: func(s site) { s.edit("subs/segment_2.vtt", "00:00:13.500", "00:00:08.500") }},
	{rule: "WebVTT 4", name: "cues in another order", site: func(s site) {
		s.edit("subs/segment_2.vtt", "\n00:00:09.000", "\n00:00:10.000 --> 00:00:11.000\nlate\n\n00:00:09.000")
	}},
	{rule: "WebVTT 4", name: "an arrow in a text", site: func(s site) { s.edit("subs/segment_2.vtt", "two", "00:00:10.000 --> 00:00:11.000") }},
	{rule: "8.7", name: "the subtitles end early", site: func(s site) { s.dropLast("subs/playlist.m3u8") }},
	{rule: "8.22", name: "other boundaries of subtitles", site: func(s site) {
		s.edit("subs/playlist.m3u8", "EXTINF:2.000000", "EXTINF:3.000000")
		s.edit("subs/playlist.m3u8", "EXTINF:6.000000", "EXTINF:5.000000")
	}},
	{rule: "8.10", name: "no language of subtitles", site: func(s site) { s.edit("master.m3u8", `LANGUAGE="en",`, "") }},
	{rule: "10.4", name: "subtitles as plain text", site: func(s site) { s.serve("subs/segment_1.vtt", func(a *answer) { a.mime = "text/plain" }) }},
	{rule: "W cache", name: "subtitles that are not kept", site: func(s site) { s.serve("subs/segment_1.vtt", func(a *answer) { a.cache = "no-store" }) }},
	{rule: "RFC 4.3.4.1", name: "subtitles without a URI", site: func(s site) { s.edit("master.m3u8", `,URI="subs/playlist.m3u8"`, "") }},
	{rule: "RFC 4.3.4.1", name: "sound that is forced", site: func(s site) { s.edit("master.m3u8", "TYPE=AUDIO", "TYPE=AUDIO,FORCED=NO") }},
	{rule: "RFC 6.2.1", name: "a segment of subtitles is missing", site: func(s site) { delete(s, "videos/v/hls/subs/segment_1.vtt") }},
	{rule: "W texts", name: "a variant without subtitles", site: func(s site) { s.edit("master.m3u8", `,SUBTITLES="subs"`, "") }},
	{rule: "RFC 4.1", name: "no EXTM3U", site: func(s site) { s.drop("big/playlist.m3u8", "EXTM3U") }},
	{rule: "RFC 4.1", name: "a byte order mark", site: func(s site) { s.edit("big/playlist.m3u8", "#EXTM3U", "\ufeff#EXTM3U") }},
	{rule: "RFC 4.1", name: "a URI that is none", site: func(s site) { s.edit("big/playlist.m3u8", "segment_1.m4s", "segment%zz") }},
	{rule: "RFC 4.2", name: "an attribute twice", site: func(s site) { s.edit("master.m3u8", "FRAME-RATE=25.000", "FRAME-RATE=25.000,FRAME-RATE=25.000") }},
	{rule: "RFC 4.2", name: "CODECS without quotation marks", site: func(s site) { s.edit("master.m3u8", `LANGUAGE="und"`, `LANGUAGE=und`) }},
	{rule: "RFC 4.2", name: "a broken list", site: func(s site) { s.edit("master.m3u8", "FRAME-RATE=25.000", "FRAME-RATE 25") }},
	{rule: "RFC 4.3.1.2", name: "a version that is too low", site: func(s site) { s.edit("big/playlist.m3u8", "VERSION:7", "VERSION:3") }},
	{rule: "RFC 4.3.2.2", name: "a range beyond its object", site: func(s site) { s.number("big/iframes.m3u8", "@", 100_000_000) }},
	{rule: "RFC 4.3.3.1", name: "EXTINF above the target", site: func(s site) { s.edit("big/playlist.m3u8", "TARGETDURATION:6", "TARGETDURATION:5") }},
	{rule: "RFC 4.3.3.1", name: "no target", site: func(s site) { s.drop("big/playlist.m3u8", "TARGETDURATION") }},
	{rule: "RFC 4.3.3.4", name: "no end", site: func(s site) { s.drop("sound/playlist.m3u8", "ENDLIST") }},
	{rule: "RFC 4.3.4.1", name: "no NAME", site: func(s site) { s.edit("master.m3u8", `NAME="Default",`, "") }},
	{rule: "RFC 4.3.4.1", name: "no CHANNELS", site: func(s site) { s.edit("master.m3u8", `CHANNELS="2",`, "") }},
	{rule: "RFC 4.3.4.1", name: "stereo with the CHANNELS of 5.1", site: func(s site) { s.edit("master.m3u8", `CHANNELS="2"`, `CHANNELS="6"`) }},
	{rule: "RFC 4.3.4.1", name: "mono with the CHANNELS of stereo", model: func(v *video) { v.renditions[2] = media(v.t, "mono") }},
	{rule: "RFC 4.3.4.1", name: "a rendition twice", site: func(s site) { s.double("master.m3u8", "TYPE=AUDIO") }},
	{rule: "RFC 4.3.4.2", name: "other CODECS", site: func(s site) { s.edit("master.m3u8", "avc1.64", "avc1.4d") }},
	{rule: "RFC 4.3.4.2", name: "CODECS without the sound's", site: func(s site) { s.edit("master.m3u8", ",mp4a.40.2", "") }},
	{rule: "RFC 4.3.4.2", name: "another RESOLUTION", site: func(s site) { s.edit("master.m3u8", "=320x180", "=640x360") }},
	{rule: "RFC 4.3.4.2", name: "another FRAME-RATE", site: func(s site) { s.edit("master.m3u8", "=25.000", "=30.000") }},
	{rule: "RFC 4.3.4.2", name: "a group that is not there", site: func(s site) { s.edit("master.m3u8", `,AUDIO="sound"`, `,AUDIO="noise"`) }},
	{rule: "RFC 6.2.1", name: "a segment is missing", site: func(s site) { delete(s, "videos/v/hls/big/segment_1.m4s") }},
	{rule: "RFC 6.2.1", name: "a playlist is missing", site: func(s site) { delete(s, "videos/v/hls/small/playlist.m3u8") }},
	{rule: "RFC 6.2.4", name: "a picture is missing", model: func(v *video) { v.renditions[1].merge() }},
	{rule: "RFC 9110 14.2", name: "no ranges", site: func(s site) {
		for _, a := range s {
			a.whole = true
		}
	}},
	{rule: "ISO 14496-12", name: "half a segment", site: func(s site) {
		s.serve("big/segment_1.m4s", func(a *answer) { a.body = a.body[:len(a.body)/2] })
	}},
	{rule: "ISO 14496-12", name: "a segment of another track", site: func(s site) {
		s.serve("big/segment_1.m4s", func(a *answer) {
			a.body = bytes.ReplaceAll(a.body, []byte("tfhd\x00\x02\x00\x28\x00\x00\x00\x01"), []byte("tfhd\x00\x02\x00\x28\x00\x00\x00\x07"))
			a.body = bytes.ReplaceAll(a.body, []byte("tfhd\x00\x02\x00\x08\x00\x00\x00\x01"), []byte("tfhd\x00\x02\x00\x08\x00\x00\x00\x07"))
			a.body = bytes.ReplaceAll(a.body, []byte("tfhd\x00\x02\x00\x00\x00\x00\x00\x01"), []byte("tfhd\x00\x02\x00\x00\x00\x00\x00\x07"))
		})
	}},
	{rule: "ISO 14496-12", name: "no init segment", site: func(s site) {
		s.serve("big/init.mp4", func(a *answer) { a.body = []byte("this is no MP4, whatever it says") })
	}},
	{rule: "H.264 A.3", name: "a level below the picture", model: func(v *video) { v.renditions[0].sps(func(sps []byte) { sps[3] = 10 }) }},
	{rule: "W start", name: "the clock starts later", model: func(v *video) { v.renditions[0].shift(0, 1000) }},
	{rule: "W start", name: "the reorder delay is left in", model: func(v *video) { v.renditions[0].delay(2000) }},
	{rule: "W closed", name: "a picture before its IDR picture", model: func(v *video) { v.renditions[0].fragments[2].samples[1].CompositionTimeOffset = -5000 }},
	{rule: "W closed", name: "a picture after the next IDR picture", model: func(v *video) { v.renditions[0].fragments[2].samples[40].CompositionTimeOffset = 50000 }},
	{rule: "W iframes", name: "two entries in one", site: func(s site) { s.merge("big/iframes.m3u8") }},
	{rule: "W iframes", name: "pictures of another rendition, at other times", model: func(v *video) { v.renditions[1].shift(3, 1000) }, site: func(s site) {
		s.text("big/iframes.m3u8", func(string) string {
			return strings.NewReplacer("init", "../small/init", "segment", "../small/segment").Replace(string(s.at("small/iframes.m3u8").body))
		})
	}},
	{rule: "W once", name: "a segment twice", site: func(s site) { s.edit("big/playlist.m3u8", "segment_2.m4s", "segment_1.m4s") }},
	{rule: "W cache", name: "media that is not kept", site: func(s site) { s.serve("big/segment_1.m4s", func(a *answer) { a.cache = "no-store" }) }},
	{rule: "W cache", name: "a playlist that is kept for ever", site: func(s site) {
		s.serve("big/playlist.m3u8", func(a *answer) { a.cache = "public, max-age=31536000, immutable" })
	}},
	{rule: "W read", name: "encrypted in another way", site: func(s site) {
		s.edit("big/playlist.m3u8", "#EXT-X-MAP", "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"key\"\n#EXT-X-MAP")
	}},
}

package check_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/jpeg"
	"math"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"weir/deploy/internal/check"
)

// complete adds to a tree what Weir publishes beside the playlists.
func (s site) complete() {
	master := string(s.at("master.m3u8").body)
	var folders []string
	for _, name := range []string{"big", "small", "hevc", "av1", "sound", "sound_de", "low", "low_de"} {
		if strings.Contains(master, name+"/playlist.m3u8") {
			folders = append(folders, name)
		}
	}
	said := map[string]any{"schema": 1, "playlists": map[string]any{"hls": "hls/master.m3u8"}}
	if strings.Contains(master, "RESOLUTION") {
		s.illustrate()
		said["pictures"] = map[string]any{
			"poster": "poster.jpg", "storyboard": "storyboard/storyboard.vtt", "images": "storyboard/playlist.m3u8",
		}
	}
	if s["keys/v"] == nil && s.at("sound/init.mp4") != nil {
		s["videos/v/dash/manifest.mpd"] = object(s.mpd(folders), "application/dash+xml")
		said["playlists"] = map[string]any{"hls": "hls/master.m3u8", "dash": "dash/manifest.mpd"}
	}
	var renditions []any
	for _, folder := range folders {
		renditions = append(renditions, s.described(folder))
	}
	said["renditions"] = renditions
	if strings.Contains(master, "subs/playlist.m3u8") {
		const whole = "WEBVTT\n\n00:00:01.000 --> 00:00:03.000\none\n"
		s["videos/v/hls/subs/track.vtt"] = object(whole, "text/vtt")
		text := s.described("subs")
		delete(text, "duration_s")
		text["file"], text["bytes"] = "hls/subs/track.vtt", text["bytes"].(int)+len(whole)
		said["subtitles"] = []any{text}
	}
	s["videos/v/manifest.json"] = object("", "application/json")
	s.say(said)
}

// say writes the manifest.
func (s site) say(said map[string]any) {
	text, err := json.MarshalIndent(said, "", " ")
	if err != nil {
		panic(err)
	}
	s.at("../manifest.json").body = text
}

// described is a rendition as the manifest has it.
func (s site) described(folder string) map[string]any {
	entries := s.entries(folder + "/playlist.m3u8")
	said := map[string]any{
		"name": folder, "playlist": "hls/" + folder + "/playlist.m3u8", "segments": len(entries), "duration_s": seconds(entries),
	}
	size := 0
	for _, e := range entries {
		size += len(s.at(path.Join(folder, e.name)).body)
	}
	if init := s.at(folder + "/init.mp4"); init != nil {
		said["init"] = "hls/" + folder + "/init.mp4"
		size += len(init.body)
	}
	if s.at(folder+"/iframes.m3u8") != nil {
		said["iframes"] = "hls/" + folder + "/iframes.m3u8"
		for _, e := range s.entries(folder + "/iframes.m3u8") {
			if !e.ranged {
				size += len(s.at(path.Join(folder, e.name)).body)
			}
		}
	}
	said["bytes"] = size
	return said
}

// entry is a segment of a playlist.
type entry struct {
	name    string
	seconds float64
	ranged  bool
}

func (s site) entries(list string) (all []entry) {
	var next entry
	for line := range strings.Lines(string(s.at(list).body)) {
		line = strings.TrimSpace(line)
		kind, value, _ := strings.Cut(line, ":")
		switch {
		case kind == "#EXTINF":
			var err error
			if next.seconds, err = strconv.ParseFloat(strings.TrimSuffix(value, ","), 64); err != nil {
				panic(err)
			}
		case kind == "#EXT-X-BYTERANGE":
			next.ranged = true
		case line != "" && !strings.HasPrefix(line, "#"):
			next.name = line
			all, next = append(all, next), entry{}
		}
	}
	return all
}

func seconds(entries []entry) (sum float64) {
	for _, e := range entries {
		sum += e.seconds
	}
	return sum
}

// mpd is that of some renditions, each in a set of its own.
func (s site) mpd(folders []string) string {
	var sets strings.Builder
	longest := 0.0
	for _, folder := range folders {
		var times, names strings.Builder
		entries := s.entries(folder + "/playlist.m3u8")
		for i := 0; i < len(entries); {
			n := 1 // as long as the next ones
			for i+n < len(entries) && entries[i+n].seconds == entries[i].seconds {
				n++
			}
			fmt.Fprintf(&times, `<S d="%.0f" r="%d"/>`, entries[i].seconds*1e6, n-1)
			i += n
		}
		for _, e := range entries {
			fmt.Fprintf(&names, `<SegmentURL media="%s"/>`, e.name)
		}
		longest = max(longest, seconds(entries))
		fmt.Fprintf(&sets, `<AdaptationSet><SegmentList timescale="1000000"><SegmentTimeline>%s</SegmentTimeline></SegmentList>
<Representation id="%s"><BaseURL>../hls/%s/</BaseURL><SegmentList><Initialization sourceURL="init.mp4"/>%s</SegmentList></Representation>
</AdaptationSet>
`, &times, folder, folder, &names)
	}
	const text = `<AdaptationSet><Representation id="subs"><BaseURL>../hls/subs/track.vtt</BaseURL></Representation></AdaptationSet>`
	return fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT%.3fS"><Period>
%s%s
</Period></MPD>`, math.Ceil(longest*1000)/1000, &sets, text)
}

// illustrate adds a poster and a storyboard of seven tiles, four to a sheet.
func (s site) illustrate() {
	put := func(name, text, mime string) { s["videos/v/"+name] = object(text, mime) }
	put("poster.jpg", gray(320, 180), "image/jpeg")
	put("storyboard/segment_0.jpg", gray(320, 180), "image/jpeg")
	put("storyboard/segment_1.jpg", gray(320, 180), "image/jpeg")
	put("storyboard/storyboard.vtt", "WEBVTT\n", "text/vtt")
	list := "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:8\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-IMAGES-ONLY\n"
	for i, length := range []int{8, 6} {
		list += fmt.Sprintf("#EXT-X-TILES:RESOLUTION=160x90,LAYOUT=2x2,DURATION=2.000000\n#EXTINF:%d.000000,\nsegment_%d.jpg\n", length, i)
	}
	put("storyboard/playlist.m3u8", list+"#EXT-X-ENDLIST\n", playlistType)
	s.text("master.m3u8", func(text string) string {
		return text + `#EXT-X-IMAGE-STREAM-INF:BANDWIDTH=12000,RESOLUTION=160x90,CODECS="jpeg",URI="../storyboard/playlist.m3u8"` + "\n"
	})
}

// gray is a JPEG.
func gray(width, height int) string {
	var out bytes.Buffer
	if err := jpeg.Encode(&out, image.NewGray(image.Rect(0, 0, width, height)), nil); err != nil {
		panic(err)
	}
	return out.String()
}

// completed is a change of a site after it was completed.
func completed(change func(s site)) func(s site) {
	return func(s site) {
		s.complete()
		change(s)
	}
}

func TestRightTreesThatAreCompleteHaveNoFindings(t *testing.T) {
	for name, c := range map[string]struct {
		model     func(v *video)
		site      func(s site)
		playlists int
	}{
		"one codec":                    {playlists: 8},
		"all codecs":                   {model: (*video).further, playlists: 12},
		"transport streams":            {model: streams, playlists: 8},
		"encrypted":                    {site: site.encrypt, playlists: 8},
		"encrypted, transport streams": {model: streams, site: site.encrypt, playlists: 8},
		"two languages":                {site: spoken, playlists: 9},
		"sound alone":                  {site: alone, playlists: 5},
	} {
		t.Run(name, func(t *testing.T) {
			v := model(t)
			if c.model != nil {
				c.model(v)
			}
			s := v.write(t)
			if c.site != nil {
				c.site(s)
			}
			s.complete()
			report, err := check.Run(t.Context(), serve(t, s).URL+"/t/secret/videos/v/hls/master.m3u8", check.Options{})
			if err != nil || len(report.Findings) > 0 || report.Playlists != c.playlists {
				t.Errorf("%+v, %v, error %v", report, report.Findings, err)
			}
		})
	}
}

// The token may be in the query, and a tree that is not like Weir's is left alone.
func TestWhatIsBesideIsAskedForAsThePlaylistIs(t *testing.T) {
	s := model(t).write(t)
	s.complete()
	s["videos/v/hls/index.m3u8"] = s.at("master.m3u8")
	for name, wants := range map[string]bool{"master.m3u8?token=secret": true, "index.m3u8?token=secret": false} {
		var asked []string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch path.Base(r.URL.Path) {
			case "manifest.json", "manifest.mpd", "poster.jpg", "storyboard.vtt", "track.vtt":
				asked = append(asked, r.URL.RawQuery)
			}
			s.ServeHTTP(w, r)
		}))
		t.Cleanup(server.Close)
		report, err := check.Run(t.Context(), server.URL+"/t/x/videos/v/hls/"+name, check.Options{})
		if err != nil || len(report.Findings) > 0 {
			t.Errorf("%s: %v, error %v", name, report.Findings, err)
		}
		if right := len(asked) == 5 && len(slices.Compact(asked)) == 1 && asked[0] == "token=secret"; right != wants || !wants && len(asked) > 0 {
			t.Errorf("%s: asked with %q", name, asked)
		}
	}
}

// besideMutations are what may go wrong beside the playlists.
var besideMutations = []mutation{
	{rule: "10.4", name: "a sheet as bytes", site: completed(func(s site) {
		s.serve("../storyboard/segment_1.jpg", func(a *answer) { a.mime = "application/octet-stream" })
	})},
	{rule: "RFC 6.2.1", name: "an image playlist is missing", site: completed(func(s site) { delete(s, "videos/v/storyboard/playlist.m3u8") })},
	{rule: "RFC 6.2.1", name: "a sheet is missing", site: completed(func(s site) { delete(s, "videos/v/storyboard/segment_0.jpg") })},
	{rule: "W images", name: "the images end early", site: completed(func(s site) { s.dropLast("../storyboard/playlist.m3u8") })},
	{rule: "W images", name: "a sheet without the second row", site: completed(func(s site) {
		s["videos/v/storyboard/segment_1.jpg"] = object(gray(320, 90), "image/jpeg")
	})},
	{rule: "W images", name: "tiles that are too wide", site: completed(func(s site) { s.edit("../storyboard/playlist.m3u8", "=160x90", "=162x90") })},
	{rule: "W images", name: "more time than tiles", site: completed(func(s site) { s.edit("../storyboard/playlist.m3u8", "DURATION=2.0", "DURATION=1.5") })},
	{rule: "W images", name: "tiles without a layout", site: completed(func(s site) { s.edit("../storyboard/playlist.m3u8", ",LAYOUT=2x2", "") })},
	{rule: "W images", name: "a sheet that is no picture", site: completed(func(s site) { s.serve("../storyboard/segment_0.jpg", text) })},
	{rule: "W images", name: "a poster that is no picture", site: completed(func(s site) { s.serve("../poster.jpg", text) })},
	{rule: "W manifest", name: "no JSON", site: completed(func(s site) { s.serve("../manifest.json", text) })},
	{rule: "W manifest", name: "fewer segments", site: entryOf("renditions", "segments", 2)},
	{rule: "W manifest", name: "more bytes", site: entryOf("renditions", "bytes", 1_000_000)},
	{rule: "W manifest", name: "another duration", site: entryOf("renditions", "duration_s", 13.96)},
	{rule: "W manifest", name: "the playlist of nothing", site: entryOf("renditions", "playlist", "hls/huge/playlist.m3u8")},
	{rule: "W manifest", name: "the playlist of another rendition", site: entryOf("renditions", "playlist", "hls/small/playlist.m3u8")},
	{rule: "W manifest", name: "another init segment", site: entryOf("renditions", "init", "hls/small/init.mp4")},
	{rule: "W manifest", name: "the I-frame playlist of nothing", site: entryOf("renditions", "iframes", "hls/huge/iframes.m3u8")},
	{rule: "W manifest", name: "fewer segments of subtitles", site: entryOf("subtitles", "segments", 2)},
	{rule: "W manifest", name: "fewer bytes of subtitles", site: entryOf("subtitles", "bytes", 10)},
	{rule: "W manifest", name: "a rendition is left out", site: completed(func(s site) {
		s.rewrite(func(said map[string]any) { said["renditions"] = said["renditions"].([]any)[1:] })
	})},
	{rule: "W manifest", name: "another multivariant playlist", site: completed(func(s site) { s.edit("../manifest.json", "hls/master.m3u8", "hls/main.m3u8") })},
	{rule: "W manifest", name: "images of nothing", site: completed(func(s site) {
		s.edit("../manifest.json", "storyboard/playlist.m3u8", "storyboard/images.m3u8")
	})},
	{rule: "W manifest", name: "the poster is missing", site: completed(func(s site) { delete(s, "videos/v/poster.jpg") })},
	{rule: "W manifest", name: "the storyboard is missing", site: completed(func(s site) { delete(s, "videos/v/storyboard/storyboard.vtt") })},
	{rule: "W manifest", name: "the MPD is missing", site: completed(func(s site) { delete(s, "videos/v/dash/manifest.mpd") })},
	{rule: "W manifest", name: "the subtitles' file is missing", site: completed(func(s site) { delete(s, "videos/v/hls/subs/track.vtt") })},
	{rule: "W manifest", name: "the bytes of encrypted segments without those of key frames", site: func(s site) {
		s.encrypt()
		s.complete()
		size := len(s.at("big/init.mp4").body)
		for _, e := range s.entries("big/playlist.m3u8") {
			size += len(s.at("big/" + e.name).body)
		}
		s.rewrite(func(said map[string]any) { said["renditions"].([]any)[0].(map[string]any)["bytes"] = size })
	}},
	{rule: "W MPD", name: "no XML", site: completed(func(s site) { s.serve("../dash/manifest.mpd", text) })},
	{rule: "W MPD", name: "a segment twice", site: completed(func(s site) { s.edit("../dash/manifest.mpd", "segment_2.m4s", "segment_1.m4s") })},
	{rule: "W MPD", name: "a segment is left out", site: completed(func(s site) { s.edit("../dash/manifest.mpd", `<SegmentURL media="segment_2.m4s"/>`, "") })},
	{rule: "W MPD", name: "other times", site: completed(func(s site) { s.edit("../dash/manifest.mpd", `d="6000000"`, `d="6000040"`) })},
	{rule: "W MPD", name: "a time too few", site: completed(func(s site) { s.edit("../dash/manifest.mpd", `r="1"`, `r="0"`) })},
	{rule: "W MPD", name: "a time too many", site: completed(func(s site) { s.edit("../dash/manifest.mpd", `r="1"`, `r="2"`) })},
	{rule: "W MPD", name: "another timescale", site: completed(func(s site) { s.edit("../dash/manifest.mpd", `"1000000"`, `"90000"`) })},
	{rule: "W MPD", name: "the segments of another rendition", site: completed(func(s site) { s.edit("../dash/manifest.mpd", "../hls/big/", "../hls/small/") })},
	{rule: "W MPD", name: "another init segment", site: completed(func(s site) { s.edit("../dash/manifest.mpd", `"init.mp4"`, `"../small/init.mp4"`) })},
	{rule: "W MPD", name: "a representation is left out", site: completed(func(s site) { s.drop("../dash/manifest.mpd", `id="small"`) })},
	{rule: "W MPD", name: "a shorter presentation", site: completed(func(s site) { s.edit("../dash/manifest.mpd", `Duration="PT1`, `Duration="PT`) })},
}

// text makes an object one of plain words.
func text(a *answer) { a.body = []byte("these are words") }

// rewrite changes the manifest.
func (s site) rewrite(change func(said map[string]any)) {
	var said map[string]any
	if err := json.Unmarshal(s.at("../manifest.json").body, &said); err != nil {
		panic(err)
	}
	change(said)
	s.say(said)
}

// entryOf changes a member of the first rendition in a list of the manifest.
func entryOf(list, member string, value any) func(s site) {
	return completed(func(s site) {
		s.rewrite(func(said map[string]any) { said[list].([]any)[0].(map[string]any)[member] = value })
	})
}

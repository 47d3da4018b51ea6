package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/Eyevinn/dash-mpd/mpd"
	"github.com/Eyevinn/hls-m3u8/m3u8"
)

// text is a published subtitle track as a player finds it.
type text struct {
	*m3u8.Alternative
	segments []string  // WebVTT
	seconds  []float64 // how long each lasts
	cues     []string  // of all segments, each once: "1.500-2.000 line:0 Hello"
}

func readText(t *testing.T, root string, a *m3u8.Alternative, named map[string]bool) text {
	t.Helper()
	read := func(key string) []byte {
		named[key] = true
		data, _, err := bucket().Read(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	out := text{Alternative: a}
	list, _, err := m3u8.DecodeFrom(bytes.NewReader(read(root+a.URI)), true)
	if err != nil {
		t.Fatal(err)
	}
	at := 0.0
	for _, s := range list.(*m3u8.MediaPlaylist).GetAllSegments() {
		vtt := string(read(root + path.Join(path.Dir(a.URI), s.URI)))
		body, ok := strings.CutPrefix(vtt, "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n")
		if !ok {
			t.Errorf("a segment of %s is\n%s", a.URI, vtt)
		}
		for _, c := range readCues(t, body) {
			if c.start >= at+s.Duration || c.end <= at {
				t.Errorf("%s: the segment at %.3f s of %.3f s has %v", a.URI, at, s.Duration, c)
			}
			if !slices.Contains(out.cues, c.String()) {
				out.cues = append(out.cues, c.String())
			}
		}
		out.segments, out.seconds, at = append(out.segments, vtt), append(out.seconds, s.Duration), at+s.Duration
	}
	return out
}

// spoken is a cue of subtitles.
type spoken struct {
	start, end     float64
	settings, text string
}

func (s spoken) String() string {
	return strings.Join(strings.Fields(fmt.Sprintf("%.3f-%.3f %s %s", s.start, s.end, s.settings, strings.ReplaceAll(s.text, "\n", "|"))), " ")
}

func readCues(t *testing.T, body string) []spoken {
	t.Helper()
	var out []spoken
	for block := range strings.SplitSeq(body, "\n\n") {
		if block = strings.Trim(block, "\n"); block == "" {
			continue
		}
		head, payload, _ := strings.Cut(block, "\n")
		var c spoken
		start, rest, ok := strings.Cut(head, " --> ")
		end, settings, _ := strings.Cut(rest, " ")
		c.start, c.end, c.settings, c.text = clock(t, start), clock(t, end), settings, payload
		if !ok || strings.Contains(payload, "-->") {
			t.Errorf("this is no cue:\n%s", block)
		}
		out = append(out, c)
	}
	return out
}

// clock reads a timestamp of WebVTT.
func clock(t *testing.T, stamp string) float64 {
	t.Helper()
	var h, m int
	var s float64
	if n, err := fmt.Sscanf(stamp, "%d:%d:%f", &h, &m, &s); n != 3 || err != nil {
		t.Errorf("%q is no time", stamp)
	}
	return float64(h*3600+m*60) + s
}

// checkTexts looks at what the MPD and the manifest say of subtitles, and adds their files to what is named.
func checkTexts(t *testing.T, root string, manifest []byte, description *mpd.MPD, named map[string]bool) {
	t.Helper()
	var m struct {
		Subtitles []struct {
			Name, Label, Language, Playlist, File string
			Cues, Segments                        int
		}
	}
	if err := json.Unmarshal(manifest, &m); err != nil {
		t.Fatal(err)
	}
	for _, s := range m.Subtitles {
		data, _, err := bucket().Read(t.Context(), root+s.File)
		if err != nil {
			t.Fatal(err)
		}
		body, ok := strings.CutPrefix(string(data), "WEBVTT\n")
		if got := len(readCues(t, body)); !ok || got != s.Cues || !named[root+s.Playlist] {
			t.Errorf("the manifest says %+v, its file has %d cues", s, got)
		}
		i := slices.IndexFunc(description.Periods[0].AdaptationSets, func(set *mpd.AdaptationSetType) bool {
			return set.ContentType == "text" && set.Representations[0].Id == s.Name
		})
		if i < 0 {
			t.Errorf("the MPD has no %s", s.Name)
			continue
		}
		set := description.Periods[0].AdaptationSets[i]
		if file := path.Join(root, "dash", string(set.Representations[0].BaseURLs[0].Value)); file != root+s.File || set.Lang != s.Language || set.Labels[0].Value != s.Label {
			t.Errorf("the MPD has %s in %s for %+v", file, set.Lang, s)
		}
		named[root+s.File] = true
	}
}

const (
	srt = `1
00:00:00,500 --> 00:00:01,501
Hello <b>bold</b> & <i>it</i>, a < b

2
00:00:01,750 --> 00:00:08,333
{\an8}Top <font color="red">red</font> line
--> and an arrow

3
00:00:02,500 --> 00:00:03,000
<b><i>both</i></b> {curly} <v Bob>?

4
00:00:12,900 --> 00:00:20,000
The end
`
	ass = `[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,{\pos(10,20)\c&HFF&}Ein, zwei\N{\i1}drei{\r} {a note}vier
Dialogue: 0,0:00:01.50,0:00:02.50,Default,,0,0,0,,{\p1}m 0 0 l 100 0 100 100{\p0}
Dialogue: 0,0:00:03.00,0:00:04.00,Default,,0,0,0,,{\k20}Ka{\k30}ra{\an7\u1}oke
`
	vtt = `WEBVTT

1
00:00:01.000 --> 00:00:02.000 line:0 align:left region:x
<v Bob>Hi <i>there</i></v> &lt;tag&gt;

00:00:05.500 --> 00:00:06.500
<ruby>漢<rt>kan</rt></ruby> <c.loud>you</c> <00:00:06.000>late
`
)

// Whatever the container and the format, each cue says what the source's says, when the source says it.
func TestSubtitlesArePublished(t *testing.T) {
	write := func(name, text string) string {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	none := write("none.ass", strings.Split(ass, "Dialogue")[0])
	endless := write("endless.srt", "1\n00:00:01,000 --> 00:00:02,000\n"+strings.Repeat("x", 2<<20)+"\n")
	cut := write("cut.srt", "1\n00:00:00,000 --> 00:00:01,000\nzero\n\n2\n00:00:01,000 --> 00:00:02,000\none\n\n"+
		"3\n00:00:03,000 --> 00:00:04,000\nthree\n\n4\n00:00:12,000 --> 00:00:13,000\ntwelve\n")
	srt, ass, vtt := write("a.srt", srt), write("a.ass", ass), write("a.vtt", vtt)
	picture := []string{"-f", "lavfi", "-i", "testsrc2=d=13:s=160x90:r=25"}
	x264 := []string{"-c:v", "libx264", "-preset", "ultrafast", "-g", "50"}
	english := []string{
		"0.500-1.501 Hello <b>bold</b> &amp; <i>it</i>, a &lt; b", "1.750-8.333 line:0 Top red line|--&gt; and an arrow",
		"2.500-3.000 <b><i>both</i></b> {curly} ?", "12.900-13.000 The end",
	}
	german := []string{"1.000-2.000 Ein, zwei|<i>drei</i> vier", "3.000-4.000 line:0 align:left Kara<u>oke</u>"}
	voices := []string{"1.000-2.000 line:0 align:left <v Bob>Hi <i>there</i></v> &lt;tag&gt;", "5.500-6.500 <ruby>漢<rt>kan</rt></ruby> you late"}
	shared := start(t, t.TempDir(), nil)
	for _, c := range []struct {
		name, file string
		clip       []string
		tracks     []string // as the master playlist has them
		cues       [][]string
	}{
		{
			name: "SubRip, Advanced SubStation Alpha and WebVTT in Matroska", file: "clip.mkv",
			clip: join(picture, []string{"-i", srt, "-i", ass, "-i", vtt, "-map", "0", "-map", "1", "-map", "2", "-map", "3", "-c:s", "copy"}, x264, []string{
				"-metadata:s:s:0", "language=eng", "-metadata:s:s:1", "language=ger", "-metadata:s:s:1", "title=Schilder \"im Bild\"\n",
				"-metadata:s:s:2", "language=eng", "-disposition:s:0", "default", "-disposition:s:1", "forced", "-disposition:s:2", "hearing_impaired",
			}),
			tracks: []string{
				`subs_de de "Schilder 'im Bild'" DEFAULT=NO FORCED`, `subs_en en "English" DEFAULT=NO`,
				`subs_en_2 en "English (SDH)" DEFAULT=NO public.accessibility.transcribes-spoken-dialog,public.accessibility.describes-music-and-sound`,
			},
			cues: [][]string{german, english, voices},
		},
		{
			name: "timed text in MP4", file: "clip.mp4",
			clip:   join(picture, []string{"-i", srt, "-c:s", "mov_text", "-metadata:s:s:0", "language=fra"}, x264),
			tracks: []string{`subs_fr fr "français" DEFAULT=NO`},
			// The format has no cues at the same time, and FFmpeg's writer no places.
			cues: [][]string{{
				"0.500-1.501 Hello <b>bold</b> &amp; <i>it</i>, a &lt; b", "1.750-2.500 Top red line|--&gt; and an arrow",
				"2.500-3.000 <b><i>both</i></b> {curly} ?", "12.900-13.000 The end",
			}},
		},
		{
			name: "WebVTT in WebM, of no language", file: "clip.webm",
			clip:   join(picture, []string{"-i", vtt, "-c:s", "copy", "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8"}),
			tracks: []string{`subs_und und "Subtitles" DEFAULT=NO`},
			cues:   [][]string{voices},
		},
		{
			name: "a clock that starts elsewhere", file: "offset.mkv",
			clip:   join(picture, []string{"-i", ass, "-c:s", "copy", "-output_ts_offset", "1000"}, x264),
			tracks: []string{`subs_und und "Subtitles" DEFAULT=NO`},
			cues:   [][]string{german},
		},
		{
			name: "the picture starts late: what comes before it is cut", file: "late.mkv",
			clip:   join(picture, []string{"-i", srt, "-c:s", "copy", "-vf", "trim=start=2", "-copyts"}, x264),
			tracks: []string{`subs_und und "Subtitles" DEFAULT=NO`},
			cues: [][]string{{
				"0.000-6.333 line:0 Top red line|--&gt; and an arrow", "0.500-1.000 <b><i>both</i></b> {curly} ?", "10.900-11.000 The end",
			}},
		},
		{
			name: "an edit list that cuts the first second", file: "edit.mov",
			clip:   join([]string{"-ss", "1", "-i", clip(t, "whole.mp4", join(picture, []string{"-i", cut, "-c:s", "mov_text"}, x264)...), "-map", "0", "-c", "copy"}),
			tracks: []string{`subs_und und "Subtitles" DEFAULT=NO`},
			cues:   [][]string{{"0.000-1.000 one", "2.000-3.000 three", "11.000-12.000 twelve"}},
		},
		{
			name: "an empty track among others", file: "empty.mkv",
			clip: join(picture, []string{"-i", none, "-i", ass, "-map", "0", "-map", "1", "-map", "2", "-c:s", "copy"}, x264),
			// Its name is not given to another.
			tracks: []string{`subs_und_2 und "Subtitles 2" DEFAULT=NO`},
			cues:   [][]string{german},
		},
		{
			name: "a track that FFmpeg fails on among others", file: "endless.mkv",
			clip:   join(picture, []string{"-i", endless, "-i", ass, "-map", "0", "-map", "1", "-map", "2", "-c:s", "copy"}, x264),
			tracks: []string{`subs_und_2 und "Subtitles 2" DEFAULT=NO`},
			cues:   [][]string{german},
		},
		{name: "none", file: "clip.ts", clip: join(picture, x264)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n, hook := shared.in(t), receive(t)
			n.post(id(t), upload(t, clip(t, c.file, c.clip...)), hook.URL)
			if e := hook.next(t, patience); e.Type != "video.processed" {
				t.Fatalf("told %+v", e)
			}
			tree := readTree(t, id(t))
			slices.SortFunc(tree.texts, func(a, b text) int { return strings.Compare(a.URI, b.URI) })
			var tracks []string
			for i, s := range tree.texts {
				line := fmt.Sprintf("%s %s %q DEFAULT=NO", path.Dir(s.URI), s.Language, s.Name)
				if s.Default || !s.Autoselect {
					t.Errorf("%s: default %v, chosen by itself %v", line, s.Default, s.Autoselect)
				}
				if s.Forced {
					line += " FORCED"
				}
				tracks = append(tracks, strings.TrimSpace(line+" "+s.Characteristics))
				if i < len(c.cues) && !slices.Equal(s.cues, c.cues[i]) {
					t.Errorf("%s has\n%s, want\n%s", line, strings.Join(s.cues, "\n"), strings.Join(c.cues[i], "\n"))
				}
				segments := tree.renditions[0].playlist.GetAllSegments()
				if len(s.seconds) != len(segments) {
					t.Fatalf("%s has %d segments, the picture %d", line, len(s.seconds), len(segments))
				}
				for n, p := range segments {
					if math.Abs(s.seconds[n]-p.Duration) > 1e-6 {
						t.Errorf("%s: segment %d has %g s, the picture's %g", line, n, s.seconds[n], p.Duration)
					}
				}
			}
			if !slices.Equal(tracks, c.tracks) {
				t.Errorf("the tracks are %q, want %q", tracks, c.tracks)
			}
			for _, v := range tree.master.Variants {
				if want := len(c.tracks) > 0 && !v.Iframe; (v.Subtitles == "subs") != want {
					t.Errorf("%s goes with the subtitles %q", v.URI, v.Subtitles)
				}
			}
		})
	}
}

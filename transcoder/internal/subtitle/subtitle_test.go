package subtitle_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/transcoder/internal/subtitle"
)

const s = time.Second

func TestTrack(t *testing.T) {
	c := func(start, end float64, text string) subtitle.Cue {
		return subtitle.Cue{Start: time.Duration(start * 1e9), End: time.Duration(end * 1e9), Text: text}
	}
	for _, test := range []struct {
		name     string
		in, want []subtitle.Cue
	}{
		{"as they are", []subtitle.Cue{c(1, 2, "a"), c(3, 4, "b")}, []subtitle.Cue{c(1, 2, "a"), c(3, 4, "b")}},
		{"overlapping", []subtitle.Cue{c(1, 4, "a"), c(2, 3, "b")}, []subtitle.Cue{c(1, 4, "a"), c(2, 3, "b")}},
		{"out of order, and in the order of the file at the same time", []subtitle.Cue{c(3, 4, "b"), c(1, 2, "z"), c(1, 2, "a")}, []subtitle.Cue{c(1, 2, "z"), c(1, 2, "a"), c(3, 4, "b")}},
		{"cut at both ends", []subtitle.Cue{c(-2, 1, "a"), c(9, 12, "b")}, []subtitle.Cue{c(0, 1, "a"), c(9, 10, "b")}},
		{"before and after the video", []subtitle.Cue{c(-2, -1, "a"), c(-2, 0, "b"), c(10, 12, "c"), c(11, 12, "d")}, nil},
		{"without an end: until the next", []subtitle.Cue{c(1, 1, "a"), c(1, 1, "b"), c(3, 4, "c")}, []subtitle.Cue{c(1, 3, "a"), c(1, 3, "b"), c(3, 4, "c")}},
		{"without an end: for some seconds", []subtitle.Cue{c(1, 0, "a"), c(8, 8, "b")}, []subtitle.Cue{c(1, 6, "a"), c(8, 10, "b")}},
		{"twice the same", []subtitle.Cue{c(1, 2, "a"), c(1, 2, "a"), c(3, 4, "a")}, []subtitle.Cue{c(1, 2, "a"), c(3, 4, "a")}},
		{"to the millisecond", []subtitle.Cue{c(1.0004, 2.0006, "a")}, []subtitle.Cue{c(1, 2.001, "a")}},
		{"too short to be written", []subtitle.Cue{c(1, 1.0001, "a")}, nil},
		{"nothing to be seen", []subtitle.Cue{c(1, 2, "")}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := subtitle.Track(test.in, 10*s); !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
	var crowd []subtitle.Cue
	for n := range 1000 {
		crowd = append(crowd, c(float64(n)/1000, 9, fmt.Sprint(n)))
	}
	if got := subtitle.Track(append(crowd, c(9, 10, "late")), 10*s); len(got) != 17 || got[16].Text != "late" {
		t.Errorf("of a crowd, %d are shown", len(got))
	}
}

func TestFilesAndSegments(t *testing.T) {
	cues := []subtitle.Cue{
		{Start: 1500 * time.Millisecond, End: 7 * s, Text: "a\nb", Settings: "line:0"}, {Start: 6 * s, End: 3661*s + 7*time.Millisecond, Text: "c"},
	}
	const a, c = "\n00:00:01.500 --> 00:00:07.000 line:0\na\nb\n", "\n00:00:06.000 --> 01:01:01.007\nc\n"
	if got := string(subtitle.File(cues)); got != "WEBVTT\n"+a+c {
		t.Errorf("the file is\n%s", got)
	}
	const head = "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n"
	for _, test := range []struct {
		start, end time.Duration
		want       string
	}{{0, s, head}, {0, 2 * s, head + a}, {2 * s, 6 * s, head + a}, {6 * s, 12 * s, head + a + c}, {7 * s, 12 * s, head + c}, {3662 * s, 3663 * s, head}} {
		if got := string(subtitle.Segment(cues, test.start, test.end, 0)); got != test.want {
			t.Errorf("from %v to %v it is\n%s, want\n%s", test.start, test.end, got, test.want)
		}
	}
}

func TestASS(t *testing.T) {
	for _, c := range []struct{ name, text, want, settings string }{
		{"text", "Hello, you", "Hello, you", ""},
		{"what WebVTT would take for markup", "a < b & c --> d <v X> &lt;", "a &lt; b &amp; c --&gt; d &lt;v X&gt; &amp;lt;", ""},
		{"styles", `{\b1}bold{\b0} {\i1}it{\i0} {\u1}under{\u0}`, "<b>bold</b> <i>it</i> <u>under</u>", ""},
		{"styles in each other, closed in another order", `{\b1}a{\i1}b{\b0}c`, "<b>a</b><b><i>b</i></b><i>c</i>", ""},
		{"a weight", `{\b700}a{\b0}b{\b400}c`, "<b>a</b>bc", ""},
		{"a style that is never closed", `{\i1}a\Nb`, "<i>a\nb</i>", ""},
		{"styles are taken back", `{\b1\i1}a{\r}b{\i1}c{\rSign}d`, "<b><i>a</i></b>b<i>c</i>d", ""},
		{"no style, but a border, a shadow, a blur", `{\bord2\shad1\be1\blur3\fscx50}a`, "a", ""},
		{"places", `{\an8}a`, "a", "line:0"},
		{"the first place holds", `{\an7}a{\an1}b`, "ab", "line:0 align:left"},
		{"the usual place", `{\an2}a`, "a", ""},
		{"drawings", `{\p1}m 0 0 l 10 0{\p0}a{\p4}m 1 1`, "a", ""},
		{"nothing but a drawing", `{\an7\p1}m 0 0 l 10 0`, "", "line:0 align:left"},
		{"colours, movements and karaoke", `{\c&HFF&\move(1,2,3,4)\t(0,1,\fs20)}Ka{\k20}ra`, "Kara", ""},
		{"a comment", "a{by X}b", "ab", ""},
		{"an open brace", "a{b", "a{b", ""},
		{"escaped braces", `a\{b\}`, "a{b}", ""},
		{"lines", `\N a \N\N\n b\hc`, "a \nb\u00a0c", ""},
		{"lines of nothing but markup", `a\N{\i1}\N{\i0}\Nb`, "a\nb", ""},
		{"a backslash", `C:\dir\`, `C:\dir\`, ""},
		{"control characters", "a\x00\x07\r\tb\u0085\u2028c\n\nd", "a b\nc\nd", ""},
		{"no UTF-8", "a\xffb", "a\ufffdb", ""},
		{"words from right to left", "\u202bשלום\u202c", "\u202bשלום\u202c", ""},
		{"blanks", " \\N \t", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			text, settings := subtitle.ASS("1,0,Default,,0,0,0,,"+c.text, true)
			if text != c.want || settings != c.settings {
				t.Errorf("got %q, %q, want %q, %q", text, settings, c.want, c.settings)
			}
		})
	}
	if text, _ := subtitle.ASS("1,0,Default,,0,0,0,,a {b} {\\i1}c", false); text != "a {b} <i>c</i>" {
		t.Errorf("where braces are text: %q", text)
	}
	if text, _ := subtitle.ASS("no event", true); text != "" {
		t.Errorf("of what is no event: %q", text)
	}
}

func TestWebVTT(t *testing.T) {
	for _, c := range []struct{ name, block, want, settings string }{
		{"text", "\n\nHello", "Hello", ""},
		{"an identifier", "1\n\nHello\nyou", "Hello\nyou", ""},
		{"what it knows", "\n\n<v Bob>Hi <i>there</i></v> <b>b</b> <u>u</u> <ruby>漢<rt>kan</rt></ruby> <lang de>ja</lang>",
			"<v Bob>Hi <i>there</i></v> <b>b</b> <u>u</u> <ruby>漢<rt>kan</rt></ruby> <lang de>ja</lang>", ""},
		{"classes, times, and what nobody knows", "\n\n<c.red>a</c> <b.loud>b</b> <00:00:01.000>c <x>d</x> <font color=red>e</font>", "a <b>b</b> c d e", ""},
		{"a voice of no name, and one that is no name", "\n\n<v>a</v> <v A&amp;B>b</v> <v <script>c", "a <v A&amp;B>b</v> <v &lt;script>c</v>", ""},
		{"what is not closed, or not open", "\n\n<b><i>a</b>c</u></i>", "<b><i>a</i></b>c", ""},
		{"references", "\n\n&lt;b&gt; &amp;amp; &nbsp;&#65;&quot;", "&lt;b&gt; &amp;amp; \u00a0A\"", ""},
		{"an arrow", "\n\n00:00:01.000 --&gt; 00:00:02.000", "00:00:01.000 --&gt; 00:00:02.000", ""},
		{"a bracket that is not closed", "\n\na <b", "a <b></b>", ""},
		{"settings", "x\nline:-1 position:10%,line-left size:50% align:start vertical:rl\na", "a", "line:-1 position:10%,line-left size:50% align:start vertical:rl"},
		{"settings that are none", "x\nregion:r line:1e9 align:up --> STYLE line:0\na", "a", "line:0"},
		{"nothing", "\n\n<b></b>", "", ""},
		{"no cue", "a", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if text, settings := subtitle.WebVTT(c.block); text != c.want || settings != c.settings {
				t.Errorf("got %q, %q, want %q, %q", text, settings, c.want, c.settings)
			}
		})
	}
}

// Whatever is in a track, what is written has the cues that it should have, and nothing else.
func FuzzNothingBreaksTheFile(f *testing.F) {
	for _, text := range []string{"Hello", `{\b1}a{\i1}b\N{\an8}c`, "<v Bob>a</b></v>", "a\n\n00:00:00.000 --> 00:00:09.000\nb", "NOTE\nSTYLE\n::cue{}", "\x00\xff{\\", "&lt;<b"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ass, place := subtitle.ASS("0,0,,,0,0,0,,"+text, true)
		vtt, settings := subtitle.WebVTT("\n" + text)
		plain, _ := subtitle.WebVTT("\n\n" + text)
		cues := subtitle.Track([]subtitle.Cue{
			{Start: 1 * s, End: 2 * s, Text: ass, Settings: place}, {Start: 3 * s, End: 4 * s, Text: vtt, Settings: settings}, {Start: 5 * s, End: 6 * s, Text: plain},
		}, 10*s)
		file := string(subtitle.File(cues))
		blocks := strings.Split(strings.TrimSuffix(file, "\n"), "\n\n")
		if strings.Count(file, "-->") != len(cues) || len(blocks) != len(cues)+1 || blocks[0] != "WEBVTT" && len(cues) > 0 {
			t.Errorf("%q becomes\n%s", text, file)
		}
		for _, c := range cues {
			if len(c.Text) > 5<<10 || strings.Count(c.Text, "<") != strings.Count(c.Text, ">") || strings.ContainsAny(c.Text, "\x00\r") {
				t.Errorf("%q becomes %q", text, c.Text)
			}
		}
	})
}

// A packet as Matroska has it in a block of a track, at a time in milliseconds.
func block(track byte, at int16, data string) []byte {
	return element(0xA1, append([]byte{0x80 | track, byte(at >> 8), byte(at), 0}, data...))
}

func element(id byte, body []byte) []byte {
	n := len(body)
	return append([]byte{id, 0x10 | byte(n>>24), byte(n >> 16), byte(n >> 8), byte(n)}, body...)
}

func TestRead(t *testing.T) {
	cluster := func(at uint16, groups ...[]byte) []byte {
		body := element(0xE7, []byte{byte(at >> 8), byte(at)})
		for _, g := range groups {
			body = append(body, element(0xA0, g)...)
		}
		return append([]byte{0x1F, 0x43, 0xB6, 0x75, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, body...) // of unknown size
	}
	file := slices.Concat([]byte{0x1A, 0x45, 0xDF, 0xA3, 0x81, 0}, []byte{0x18, 0x53, 0x80, 0x67, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		cluster(1000, slices.Concat(block(1, 500, "one"), element(0x9B, []byte{3, 232})), block(2, -250, "two")),
		cluster(9000, block(1, 0, strings.Repeat("x", 200_000))), element(0xEC, nil))
	read := func(file []byte) (got []string, err error) {
		err = subtitle.Read(bytes.NewReader(file), func(p subtitle.Packet) error {
			got = append(got, fmt.Sprintf("%d %v+%v %.3s", p.Track, p.Start, p.Duration, p.Data))
			if len(p.Data) > 64<<10 {
				t.Errorf("a packet has %d bytes", len(p.Data))
			}
			return nil
		})
		return got, err
	}
	got, err := read(file)
	if want := []string{"1 1.5s+1s one", "2 750ms+0s two", "1 9s+0s xxx"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if _, err := read(file[:100]); err == nil {
		t.Error("half a file was read")
	}
	if _, err := read([]byte("\x00 is no Matroska")); err == nil {
		t.Error("another file was read")
	}
	lost := fmt.Errorf("lost")
	if err := subtitle.Read(bytes.NewReader(file), func(subtitle.Packet) error { return lost }); err != lost { //nolint:errorlint // the very one
		t.Errorf("got %v", err)
	}
}

func FuzzReadEnds(f *testing.F) {
	f.Add(slices.Concat(element(0xE7, []byte{1}), element(0xA0, block(1, 1, "a"))))
	f.Fuzz(func(t *testing.T, file []byte) {
		_ = subtitle.Read(bytes.NewReader(file), func(p subtitle.Packet) error {
			if len(p.Data) > len(file) {
				t.Errorf("%d bytes of %d", len(p.Data), len(file))
			}
			return nil
		})
	})
}

func TestAHugeTextIsCutAndStaysWhole(t *testing.T) {
	text, _ := subtitle.ASS("0,0,,,0,0,0,,"+`{\b1\i1\u1}`+strings.Repeat("é<", 10<<20), true)
	if len(text) > 5<<10 || !strings.HasPrefix(text, "<b><i><u>é&lt;") || !strings.HasSuffix(text, "</u></i></b>") {
		t.Errorf("it has %d bytes, and ends with %q", len(text), text[max(len(text)-40, 0):])
	}
}

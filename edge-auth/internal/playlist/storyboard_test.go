package playlist_test

import (
	"strings"
	"testing"

	"weir/edge-auth/internal/playlist"
)

const board = `WEBVTT - sprite.jpg
Kind: metadata

NOTE
sprite_0.jpg

STYLE
::cue { background: url(sprite.jpg) }

REGION
id:sprite.jpg

sprite_1.jpg
00:00:00.000 --> 00:00:05.000
sprite_0.jpg#xywh=0,0,160,90

00:00:05.000 --> 00:00:10.000 line:sprite.jpg
sprite_0.jpg?v=1#xywh=160,0,160,90
sprite_1.jpg

NOTE the end
sprite_2.jpg
`

func TestStoryboard(t *testing.T) {
	want := strings.NewReplacer(
		"sprite_0.jpg#xywh=0", "sprite_0.jpg?token=T#xywh=0",
		"?v=1#", "?v=1&token=T#",
		"sprite_1.jpg\n\n", "sprite_1.jpg?token=T\n\n",
	).Replace(board)
	for _, c := range []struct{ name, text, want string }{
		{"all of it", board, want},
		{"lines that end in CRLF", strings.ReplaceAll(board, "\n", "\r\n"), strings.ReplaceAll(want, "\n", "\r\n")},
		{"a byte order mark", "\uFEFF" + board, "\uFEFF" + want},
		{"no last line end", strings.TrimSuffix(board, "\n"), strings.TrimSuffix(want, "\n")},
	} {
		if got := withToken(t, playlist.Storyboard, c.text); got != c.want {
			t.Errorf("%s: got %q", c.name, got)
		}
	}
}

func TestCues(t *testing.T) {
	for _, c := range []struct{ name, line, want string }{
		{"a picture", "x.jpg", "x.jpg?token=T"},
		{"a part of one", "x.png#xywh=0,0,1,1", "x.png?token=T#xywh=0,0,1,1"},
		{"a part of one in percent", "a/x.webp#xywh=percent:0,0,1,1", "a/x.webp?token=T#xywh=percent:0,0,1,1"},
		{"a part of one without an extension", "sprite?n=1#xywh=0,0,1,1", "sprite?n=1&token=T#xywh=0,0,1,1"},
		{"a path from the root", "/videos/a/x.jpeg", "/videos/a/x.jpeg?token=T"},
		{"a token of its own", "x.jpg?token=S#xywh=0,0,1,1", "x.jpg?token=S#xywh=0,0,1,1"},
		{"another host", "https://example.com/x.jpg#xywh=0,0,1,1", "https://example.com/x.jpg#xywh=0,0,1,1"},
		{"another host with this scheme", "//example.com/x.jpg", "//example.com/x.jpg"},
		{"words", "This is x.jpg", "This is x.jpg"},
		{"a word", "jpg", "jpg"},
		{"no picture", "x.html", "x.html"},
		{"a query that looks like a picture", "x?y.jpg", "x?y.jpg"},
	} {
		const cue = "WEBVTT\n\n00:00.000 --> 00:01.000\n"
		if got := withToken(t, playlist.Storyboard, cue+c.line); got != cue+c.want {
			t.Errorf("%s: got %q", c.name, got)
		}
	}
}

func TestWhatIsNoWebVTTStays(t *testing.T) {
	for _, text := range []string{"", "WEBVTTX\n\n-->\nx.jpg\n", "\n" + board, " " + board} {
		if got := withToken(t, playlist.Storyboard, text); got != text {
			t.Errorf("%q becomes %q", text, got)
		}
	}
}

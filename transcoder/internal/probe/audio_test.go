package probe

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"weir/transcoder/internal/media"
)

// sounds reads a report with such audio tracks; each is the rest of its members.
func sounds(t *testing.T, tracks ...string) media.Tracks {
	t.Helper()
	var list []string
	for i, rest := range tracks {
		list = append(list, fmt.Sprintf(`{"index":%d,"codec_type":"audio","codec_name":"aac","channels":2%s}`, i, rest))
	}
	var r report
	if err := json.Unmarshal([]byte(`{"streams":[`+strings.Join(list, ",")+`]}`), &r); err != nil {
		t.Fatal(err)
	}
	return r.tracks()
}

func TestWhatTheContainerCallsATrack(t *testing.T) {
	tag := func(language, rest string) string { return fmt.Sprintf(`,"tags":{"language":%q%s}`, language, rest) }
	for _, c := range []struct{ name, track, want string }{
		{"nothing", tag("eng", ""), ""},
		{"a title", tag("eng", `,"title":"The director's"`), "The director's"},
		{"MP4's own name", tag("eng", `,"handler_name":"SoundHandler"`), ""},
		{"a name in MP4", tag("eng", `,"handler_name":"Kommentar"`), "Kommentar"},
		{"what would break a playlist", tag("", `,"title":"a\"\n#EXT-X-ENDLIST\u0000\u202e b"`), "a' #EXT-X-ENDLIST b"},
		{"a long title", tag("", `,"title":"`+strings.Repeat("ä", 100)+`"`), strings.Repeat("ä", 60)},
	} {
		if got := sounds(t, c.track)[0].Name; got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestTheDefaultTrackComesFirst(t *testing.T) {
	for _, c := range []struct {
		name   string
		tracks []string
		want   string
	}{
		{"none is marked", []string{"", ""}, "0 main, 1 alternate"},
		{"one is marked", []string{"", "", `,"disposition":{"default":1}`, ""}, "2 main, 0 alternate, 1 alternate, 3 alternate"},
		{"all are marked", []string{`,"disposition":{"default":1}`, `,"disposition":{"default":1}`}, "0 main, 1 alternate"},
		{"roles", []string{"", `,"disposition":{"comment":1}`, `,"disposition":{"visual_impaired":1}`}, "0 main, 1 commentary, 2 description"},
		{"one that cannot be decoded", []string{`,"codec_name":"ac4"`, `,"codec_name":"unknown"`, ""}, "2 main"},
		{"more than are published", []string{"", "", "", "", "", "", "", "", "", `,"disposition":{"default":1}`},
			"9 main, 0 alternate, 1 alternate, 2 alternate, 3 alternate, 4 alternate, 5 alternate, 6 alternate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, a := range sounds(t, c.tracks...) {
				got = append(got, fmt.Sprintf("%d %s", a.Index, a.Role))
			}
			if text := strings.Join(got, ", "); text != c.want {
				t.Errorf("%s, want %s", text, c.want)
			}
		})
	}
}

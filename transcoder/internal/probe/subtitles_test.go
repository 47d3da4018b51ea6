package probe

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"weir/transcoder/internal/media"
)

func TestTitlesMayStandInPlaylists(t *testing.T) {
	for text, want := range map[string]string{
		" Director's  comments\n":               "Director's comments",
		"a\"\r\n#EXT-X-ENDLIST\x00\u202e\ufffd": "a' #EXT-X-ENDLIST",
		"\u200b \x01":                           "",
	} {
		if got := title(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

func TestAllSubtitleTracksAreKnown(t *testing.T) {
	var r report
	err := json.Unmarshal([]byte(`{"streams": [
		{"index": 0, "codec_type": "video", "codec_name": "h264"},
		{"index": 1, "codec_type": "subtitle", "codec_name": "subrip", "tags": {"language": "ger", "title": "Schilder"}, "disposition": {"forced": 1, "default": 1}},
		{"index": 2, "codec_type": "subtitle", "codec_name": "hdmv_pgs_subtitle", "disposition": {"hearing_impaired": 1}},
		{"index": 4, "codec_type": "subtitle", "codec_name": "webvtt", "disposition": {"metadata": 1}},
		{"index": 5, "codec_type": "subtitle", "codec_name": "webvtt", "disposition": {"descriptions": 1}},
		{"index": 6, "codec_type": "subtitle", "codec_name": "webvtt", "disposition": {"captions": 1}},
		{"index": 3, "codec_type": "subtitle", "tags": {"title": "`+strings.Repeat("é", 500_000)+`"}}]}`), &r)
	if err != nil {
		t.Fatal(err)
	}
	want := []media.Subtitle{
		{Index: 1, Codec: "subrip", Language: "de", Title: "Schilder", Forced: true},
		{Index: 2, Codec: "hdmv_pgs_subtitle", HearingImpaired: true},
		{Index: 6, Codec: "webvtt", HearingImpaired: true},
		{Index: 3, Title: strings.Repeat("é", 60)},
	}
	if got := r.subtitles(); !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

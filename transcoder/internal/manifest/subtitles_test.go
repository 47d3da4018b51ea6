package manifest_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"weir/transcoder/internal/manifest"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
)

// What the source has is all there, and what became of it is named.
func TestSubtitlesAreNamedWithTheirSources(t *testing.T) {
	p, renditions := video()
	p.Source.Subtitles = []media.Subtitle{
		{Index: 2, Codec: "subrip", Language: "en"}, {Index: 3, Codec: "hdmv_pgs_subtitle", Language: "fr", Title: "images"},
		{Index: 4, Codec: "ass", Language: "de", Forced: true},
	}
	p.Subtitles = []plan.Subtitle{
		{Name: "subs_en", Label: "English", Index: 2, Codec: "subrip", Language: "en"},
		{Name: "subs_de", Label: "Deutsch (forced)", Index: 4, Codec: "ass", Language: "de", Forced: true},
	}
	made := media.TextRendition{Rendition: media.Rendition{Name: "subs_en", Segments: []media.Segment{{Bytes: 100}, {Bytes: 60}}}, File: "track_0a.vtt", FileBytes: 90, Cues: 3}
	paths := manifest.Paths{Playlist: "playlist.m3u8"}
	text, err := manifest.Make(record(), p, media.Output{Renditions: renditions, Texts: []media.TextRendition{made}}, paths, nil, accepted)
	if err != nil {
		t.Fatal(err)
	}
	var m manifest.Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%+v of %+v", m.Subtitles, m.Source.Subtitles)
	want := fmt.Sprintf("%+v of %+v", []manifest.Subtitle{{
		Name: "subs_en", Label: "English", Language: "en", Cues: 3, Segments: 2, Bytes: 250,
		Playlist: "hls/subs_en/playlist.m3u8", File: "hls/subs_en/track_0a.vtt",
	}}, []manifest.SourceSubtitle{
		{Codec: "subrip", Language: "en", Rendition: "subs_en"},
		{Codec: "hdmv_pgs_subtitle", Language: "fr", Title: "images"},
		{Codec: "ass", Language: "de", Forced: true},
	})
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

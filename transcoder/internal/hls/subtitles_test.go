package hls_test

import (
	"testing"

	"weir/transcoder/internal/hls"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
)

// subtitled adds three tracks to a plan, of which one could not be read.
func subtitled(p plan.Plan) (plan.Plan, []media.TextRendition) {
	p.Subtitles = []plan.Subtitle{
		{Name: "subs_en", Label: "English (SDH)", Language: "en", HearingImpaired: true},
		{Name: "subs_fr", Label: "français", Language: "fr"},
		{Name: "subs_de", Label: "Schilder", Language: "de", Forced: true},
	}
	text := func(name string) media.TextRendition {
		return media.TextRendition{Rendition: media.Rendition{Name: name, Codecs: "wvtt", Timescale: 30000, Segments: []media.Segment{
			{Name: "segment_0_0b.vtt", Ticks: 180180, Bytes: 1500}, {Number: 1, Name: "segment_1_0c.vtt", Ticks: 180180, Bytes: 60},
			{Number: 2, Name: "segment_2_0d.vtt", Ticks: 90090, Bytes: 60},
		}}, File: "track_0e.vtt", FileBytes: 1400, Cues: 30}
	}
	return p, []media.TextRendition{text("subs_en"), text("subs_de")}
}

func TestSubtitlesGoWithEveryVariant(t *testing.T) {
	p, renditions := video()
	p, texts := subtitled(p)
	master, err := hls.Master(p, media.Output{Renditions: renditions, Texts: texts}, "playlist.m3u8", "iframes.m3u8", hls.VOD)
	if err != nil {
		t.Fatal(err)
	}
	check(t, "subtitled.m3u8", master)
	list, err := hls.Media(texts[0].Rendition, p.TargetDuration(), hls.VOD)
	if err != nil {
		t.Fatal(err)
	}
	check(t, "subs_en.m3u8", list)
}

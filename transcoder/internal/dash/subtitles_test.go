package dash_test

import (
	"testing"

	"github.com/Eyevinn/dash-mpd/mpd"

	"weir/transcoder/internal/dash"
	"weir/transcoder/internal/golden"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
)

func TestEachSubtitleTrackIsOneFile(t *testing.T) {
	p, renditions := video()
	p.Subtitles = []plan.Subtitle{
		{Name: "subs_en", Label: "Tom & Jerry", Language: "en"}, {Name: "subs_fr", Label: "français", Language: "fr"},
		{Name: "subs_de", Label: "Schilder", Language: "de", Forced: true}, {Name: "subs_und", Label: "Subtitles (SDH)", Language: "und", HearingImpaired: true},
	}
	text := func(name string) media.TextRendition {
		return media.TextRendition{Rendition: media.Rendition{Name: name}, File: "track_0e.vtt", FileBytes: 1400}
	}
	// That of French could not be read.
	out, err := dash.MPD(p, media.Output{Renditions: renditions, Texts: []media.TextRendition{text("subs_en"), text("subs_de"), text("subs_und")}})
	if err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "subtitled.mpd", out)
	read, err := mpd.MPDFromBytes(out)
	if err != nil {
		t.Fatal(err)
	}
	if sets := read.Periods[0].AdaptationSets; len(sets) != 5 || sets[2].Labels[0].Value != "Tom & Jerry" {
		t.Errorf("it is read as %d sets", len(sets))
	}
}

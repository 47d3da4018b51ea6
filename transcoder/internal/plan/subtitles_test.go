package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
)

func TestSubtitlesHaveNamesAndLabelsOfTheirOwn(t *testing.T) {
	for _, c := range []struct {
		name   string
		tracks []media.Subtitle
		want   string
	}{
		{"by language", []media.Subtitle{{Codec: "subrip", Language: "en"}, {Codec: "ass", Language: "de"}, {Codec: "mov_text", Language: "pt-BR"}},
			"subs_en English, subs_de Deutsch, subs_pt-BR português"},
		{"of no language", []media.Subtitle{{Codec: "webvtt"}}, "subs_und Subtitles"},
		{"by title", []media.Subtitle{{Codec: "subrip", Language: "en", Title: "Director's comments"}}, "subs_en Director's comments"},
		{"what they are for", []media.Subtitle{
			{Codec: "subrip", Language: "en"}, {Codec: "subrip", Language: "en", Forced: true}, {Codec: "subrip", Language: "en", HearingImpaired: true},
		}, "subs_en English, subs_en_2 English (forced), subs_en_3 English (SDH)"},
		{"twice the same", []media.Subtitle{{Codec: "text", Title: "A"}, {Codec: "text", Title: "A"}, {Codec: "text", Title: "A"}}, "subs_und A, subs_und_2 A 2, subs_und_3 A 3"},
		{"pictures and what nobody decodes are left out", []media.Subtitle{
			{Codec: "dvd_subtitle", Language: "en"}, {Codec: "hdmv_pgs_subtitle"}, {Codec: "dvb_teletext"}, {Codec: "eia_608"}, {}, {Codec: "ssa", Language: "fr"},
		}, "subs_fr français"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := source(640, 360, 10, false)
			s.Subtitles = c.tracks
			var got []string
			for _, track := range plan.Make("k", "e", 1, s, ladder(t, plan.DefaultLadder)).Subtitles {
				got = append(got, track.Name+" "+track.Label)
			}
			if strings.Join(got, ", ") != c.want {
				t.Errorf("got %q, want %q", strings.Join(got, ", "), c.want)
			}
		})
	}
}

func TestSubtitlesAreOneTaskThatWeighsNothing(t *testing.T) {
	s := source(640, 360, 60, true)
	ids := func() (ids []string) {
		for _, task := range plan.Make("k", "e", 1, s, ladder(t, plan.DefaultLadder)).Tasks() {
			ids = append(ids, task.ID)
		}
		return ids
	}
	if slices.Contains(ids(), plan.SubtitlesTask) {
		t.Error("without subtitles there is a task for them")
	}
	for n := range 100 {
		s.Subtitles = append(s.Subtitles, media.Subtitle{Index: n + 2, Codec: "subrip"})
	}
	p := plan.Make("k", "e", 1, s, ladder(t, plan.DefaultLadder))
	task, ok := p.Task(plan.SubtitlesTask)
	if !ok || len(p.Subtitles) != 32 {
		t.Fatalf("there is a task: %v, for %d tracks", ok, len(p.Subtitles))
	}
	if got := fmt.Sprint(task.Text, task.Weight, task.First(), task.Outcomes()); got != "true 0 false [subtitles]" {
		t.Errorf("the task is %s", got)
	}
}

package plan_test

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"weir/transcoder/internal/job"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
)

func tracks(languages ...string) media.Tracks {
	var all media.Tracks
	for i, l := range languages {
		all = append(all, media.Audio{Index: i + 1, Language: l, End: 60})
	}
	return all
}

func TestEachTrackHasARenditionABitRate(t *testing.T) {
	for _, c := range []struct {
		name   string
		tracks media.Tracks
		want   string
	}{
		{"one keeps its name, whatever its language", tracks("en"), "audio_128k audio_96k"},
		{"languages", tracks("en", "de"), "audio_en_128k audio_en_96k audio_de_128k audio_de_96k"},
		{"regions are left out", tracks("pt-BR", "en"), "audio_pt_128k audio_pt_96k audio_en_128k audio_en_96k"},
		{"the same language twice", tracks("en", "en"), "audio_en_128k audio_en_96k audio_en_2_128k audio_en_2_96k"},
		{"of one language in two regions", tracks("pt-BR", "pt-PT"), "audio_pt_128k audio_pt_96k audio_pt_2_128k audio_pt_2_96k"},
		{"no language", tracks("", "en", ""), "audio_und_128k audio_und_96k audio_en_128k audio_en_96k audio_und_2_128k audio_und_2_96k"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := source(1280, 720, 60, false)
			s.Audio = c.tracks
			p := plan.Make("k", "e", 1, s, ladder(t, "720:2800k:128k,480:1400k:128k,360:800k:96k"))
			var names []string
			for _, a := range p.Audio {
				names = append(names, a.Name)
			}
			if got := strings.Join(names, " "); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			if got := p.Groups(); !slices.Equal(got, []string{"audio_128k", "audio_96k"}) {
				t.Errorf("groups %v", got)
			}
			for _, v := range p.Video {
				if sounds := p.Group(v.Audio); len(sounds) != len(c.tracks) {
					t.Errorf("%s goes with %v", v.Name, sounds)
				}
			}
			checkTasks(t, p)
		})
	}
}

func TestThereAreNoMoreSoundsThanAProcessCanMake(t *testing.T) {
	var rungs []string
	for i := range 12 {
		rungs = append(rungs, fmt.Sprintf("%d:800k:%dk", 100+2*i, 64+i))
	}
	s := media.Source{Audio: tracks("en", "de", "fr", "es", "it", "pt", "nl", "pl")}
	p := plan.Make("k", "e", 1, s, ladder(t, strings.Join(rungs, ",")))
	if len(p.Audio) != 48 || !slices.Equal(p.Tracks(), []int{0, 1, 2, 3}) {
		t.Errorf("%d renditions of the tracks %v", len(p.Audio), p.Tracks())
	}
}

// checkTasks holds tasks to what progress and resumption rely on.
func checkTasks(t *testing.T, p plan.Plan) {
	t.Helper()
	sum, outcomes := 0.0, map[string]bool{}
	for _, task := range p.Tasks() {
		sum += task.Weight
		for _, name := range task.Outcomes() {
			if outcomes[name] {
				t.Errorf("%s is made twice", name)
			}
			outcomes[name] = true
		}
	}
	if math.Abs(sum-1) > 1e-9 {
		t.Errorf("the weights sum up to %v", sum)
	}
	for _, c := range p.Chunks {
		if !outcomes[plan.SoundOf(c)] || outcomes[plan.PictureOf(c)] != p.Source.HasPicture() {
			t.Errorf("the outcomes are %v", outcomes)
		}
	}
}

// Sound alone is planned in frames of sound: so its segments end where frames do, none of it is lost, and the next segment
// starts on the sample.
func TestSoundAloneIsCountedInItsOwnFrames(t *testing.T) {
	for _, seconds := range []float64{0.01, 1, 13, 61.7, 3600} {
		t.Run(fmt.Sprint(seconds), func(t *testing.T) {
			s := media.Source{Demuxer: "mp3", Audio: media.Tracks{{Start: 0.025, End: 0.025 + seconds}}}
			p := plan.Make("k", "e", 1, s, ladder(t, plan.DefaultLadder)).Illustrate(nil, job.Storyboard{Interval: 1, Columns: 1, Rows: 1, Width: 160})
			if p.Poster != nil || p.Storyboard != nil || len(p.Video) != 0 {
				t.Errorf("there are pictures: %+v", p)
			}
			if got := fmt.Sprint(p.Renditions()); got != "[audio_192k audio_128k audio_96k]" {
				t.Errorf("renditions %s", got)
			}
			frame := 1024.0 / 48000
			if rest := p.Duration() - seconds; p.Origin != 0.025 || rest < -1e-9 || rest > frame {
				t.Errorf("from %v on, %.4f s, of %.4f", p.Origin, p.Duration(), seconds)
			}
			if length := p.Rate().Seconds(p.Start(2) - p.Start(1)); p.Segments() > 2 && math.Abs(length-6) > frame {
				t.Errorf("a segment has %v s", length)
			}
			if p.Segments() > 2 && p.TargetDuration() != 6 {
				t.Errorf("the target duration is %d", p.TargetDuration())
			}
			checkTasks(t, p)
		})
	}
}

func TestThePlanCoversAllTracks(t *testing.T) {
	s := source(640, 360, 10, false)
	s.Audio = media.Tracks{{Start: 0, End: 10}, {Start: -2, End: 5}, {Start: 3, End: 12}}
	if p := plan.Make("k", "e", 1, s, ladder(t, plan.DefaultLadder)); p.Origin != -2 || p.Duration() != 14 {
		t.Errorf("from %v on, %v s", p.Origin, p.Duration())
	}
	s = media.Source{Audio: media.Tracks{{Start: 1, End: 10}, {Start: 0.99, End: 12}}}
	if p := plan.Make("k", "e", 1, s, ladder(t, plan.DefaultLadder)); p.Origin != 0.99 || p.Duration() < 11 {
		t.Errorf("sound alone: from %v on, %v s", p.Origin, p.Duration())
	}
}

// A plan of the version before this one, which knew one audio track, is done as that version would have done it.
func TestAPlanOfOldIsDoneAsItWas(t *testing.T) {
	const stored = `{"key":"k","etag":"e","size":1,"source":{"demuxer":"mov","video":{"index":0,"codec":"h264","width":640,"height":360,
		"rate":{"num":25,"den":1},"color":{"matrix":"bt709"},"start_s":0,"end_s":20},
		"audio":{"index":1,"codec":"aac","channels":2,"start_s":0,"end_s":20,"language":"en"}},"origin_s":0,"frames":500,"gop":50,
		"video":[{"name":"360p","width":640,"height":360,"bitrate":800000,"audio":"audio_96k"}],
		"audio":[{"name":"audio_96k","bitrate":96000}],
		"chunks":[{"number":0,"first":0,"end":50},{"number":1,"first":50,"end":500}]}`
	var p plan.Plan
	if err := json.Unmarshal([]byte(stored), &p); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, task := range p.Tasks() {
		ids = append(ids, fmt.Sprintf("%s %.3f", task.ID, task.Weight))
	}
	want := []string{"audio_0 0.005", "audio_rest 0.045", "chunk_0 0.095", "chunk_1 0.855"}
	if !slices.Equal(ids, want) || p.Duration() != 20 || p.Rate() != (media.Rate{Num: 25, Den: 1}) {
		t.Errorf("%v, %v s at %v", ids, p.Duration(), p.Rate())
	}
	sounds := p.Group(p.Video[0].Audio)
	if len(sounds) != 1 || sounds[0] != p.Audio[0] || p.Track(sounds[0]).Index != 1 || p.Bound(p.Video[0]) != 800_000*4/3+96_000 {
		t.Errorf("its sound is %+v", sounds)
	}
}

func TestEachTrackHasAName(t *testing.T) {
	track := func(language, name string) media.Audio { return media.Audio{Language: language, Name: name, End: 5} }
	ladder, err := plan.ParseLadder(plan.DefaultLadder)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		tracks media.Tracks
		want   string
	}{
		{"the only one, of which nothing is known", media.Tracks{track("", "")}, ""},
		{"the only one", media.Tracks{track("en", "")}, "English"},
		{"languages by their own names", media.Tracks{track("en", ""), track("de", ""), track("ja", "")}, "English|Deutsch|日本語"},
		{"titles", media.Tracks{track("en", "Stereo"), track("en", "The director's")}, "Stereo|The director's"},
		{"a language again", media.Tracks{track("en", ""), track("en", "")}, "English|Track 2"},
		{"nothing known", media.Tracks{track("", ""), track("", ""), track("", "")}, "Track 1|Track 2|Track 3"},
		{"the same title again", media.Tracks{track("en", "Film"), track("de", "Film"), track("de", "Film")}, "Film|Deutsch|Track 3"},
		{"a title that is another's number", media.Tracks{track("", "Track 2"), track("", "")}, "Track 2|Track 3"},
	} {
		var names []string
		for _, a := range plan.Make("k", "e", 1, media.Source{Audio: c.tracks}, ladder).Source.Audio {
			names = append(names, a.Name)
		}
		if got := strings.Join(names, "|"); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

package hls_test

import (
	"slices"
	"strings"
	"testing"

	"weir/transcoder/internal/hls"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
)

// spoken is the video with a dub, a commentary and a description beside its sound, in both bit rates.
func spoken() (plan.Plan, []media.Rendition) {
	p, renditions := video()
	p.Source.Audio = media.Tracks{
		{Language: "en", Name: "English", Role: media.Main},
		{Language: "de", Name: "Deutsch", Role: media.Alternate},
		{Language: "en", Name: "The director's", Role: media.Commentary},
		{Language: "en", Name: "Track 4", Role: media.Description},
		{Name: "Track 5", Role: media.Alternate},
		{Language: "de", Name: "Track 6", Role: media.Alternate},
	}
	sounds := slices.Clone(p.Audio)
	p.Audio = nil
	out := renditions[:3:3]
	for track, name := range []string{"en", "de", "en_2", "en_3", "und", "de_2"} {
		for i, a := range sounds {
			a.Name, a.Track = strings.Replace(a.Name, "audio", "audio_"+name, 1), track
			p.Audio = append(p.Audio, a)
			r := renditions[3+i]
			r.Name = a.Name
			out = append(out, r)
		}
	}
	return p, out
}

// alone is what a plan leaves of renditions where there is no picture.
func alone(p plan.Plan, renditions []media.Rendition) (plan.Plan, []media.Rendition) {
	p.Source.Video, p.Video = media.Video{}, nil
	p.Frames, p.GOP = 704, 94
	return p, slices.DeleteFunc(renditions, func(r media.Rendition) bool { return !strings.HasPrefix(r.Name, "audio") })
}

func TestPlaylistsOfSeveralSoundsAndOfSoundAlone(t *testing.T) {
	tracks, spokenRenditions := spoken()
	single, renditions := alone(video())
	several, aloneRenditions := alone(spoken())
	for _, c := range []struct {
		name       string
		plan       plan.Plan
		renditions []media.Rendition
		kind       hls.Kind
	}{
		{"tracks.m3u8", tracks, spokenRenditions, hls.VOD},
		{"sound.m3u8", single, renditions, hls.VOD},
		{"growing_sound.m3u8", single, renditions, hls.Event},
		{"sounds.m3u8", several, aloneRenditions, hls.VOD},
	} {
		master, err := hls.Master(c.plan, media.Output{Renditions: c.renditions}, "playlist.m3u8", "iframes.m3u8", c.kind)
		if err != nil {
			t.Fatal(err)
		}
		check(t, c.name, master)
	}
}

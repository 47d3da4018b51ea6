package dash_test

import (
	"testing"

	"weir/transcoder/internal/golden"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
)

func TestMPDsOfSeveralSoundsAndOfSoundAlone(t *testing.T) {
	p, renditions := video()
	p.Source.Audio = media.Tracks{
		{Language: "en", Name: "English", Role: media.Main},
		{Language: "de", Name: "Deutsch & mehr", Role: media.Commentary},
		{Language: "en", Name: "Track 3", Role: media.Description},
	}
	p.Audio = nil
	sounds := renditions[2:]
	renditions = renditions[:2:2]
	for track, prefix := range []string{"audio_en", "audio_de", "audio_en_2"} {
		for i, bitrate := range []int{128_000, 96_000} {
			r := sounds[i]
			r.Name = prefix + r.Name[len("audio"):]
			renditions = append(renditions, r)
			p.Audio = append(p.Audio, plan.AudioRendition{Name: r.Name, Bitrate: bitrate, Track: track})
		}
	}
	golden.Check(t, "tracks.mpd", write(t, p, renditions))

	p.Source.Video, p.Video, p.Audio, p.Source.Audio = media.Video{}, nil, p.Audio[:2], p.Source.Audio[:1]
	p.Frames, p.GOP = 798, 94
	golden.Check(t, "sound.mpd", write(t, p, renditions[2:4]))
}

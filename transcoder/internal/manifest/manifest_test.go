package manifest_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"weir/transcoder/internal/golden"
	"weir/transcoder/internal/job"
	"weir/transcoder/internal/manifest"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
)

var accepted = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// record is that of a job that was playable after 2.5 s.
func record() job.Job {
	return job.Job{
		Spec:    job.Spec{VideoID: "intro", Key: "uploads/secret.mp4", WebhookURL: "https://example.com/hook"},
		Version: 1, CreatedAt: accepted, PlayableAt: accepted.Add(2500 * time.Millisecond),
	}
}

// video is an 8 s interlaced source in one rung with sound.
func video() (plan.Plan, []media.Rendition) {
	p := plan.Plan{
		Key: "uploads/secret.mp4", ETag: "e-tag", Size: 3_000_000, Frames: 200, GOP: 50,
		Source: media.Source{
			Demuxer: "mpegts",
			Video:   media.Video{Codec: "mpeg2video", Width: 768, Height: 576, Rate: media.Rate{Num: 25, Den: 1}, Interlaced: true, Start: 100, End: 108},
			Audio:   media.Tracks{{Index: 1, Codec: "mp2", Channels: 2, Language: "de"}},
		},
		Video: []plan.VideoRendition{{Name: "480p", Width: 640, Height: 480, Bitrate: 1_400_000, Audio: "audio_128k"}},
		Audio: []plan.AudioRendition{{Name: "audio_128k", Bitrate: 128_000}},
	}
	return p, []media.Rendition{
		{Name: "480p", Codecs: "avc1.64001e", Timescale: 1000, Init: "init_0a.mp4", InitBytes: 800, Segments: []media.Segment{
			{Name: "segment_0_0b.m4s", Ticks: 2000, Bytes: 200_000, KeyFrames: []media.KeyFrame{{Ticks: 2000, Bytes: 50_000}}},
			{Number: 1, Name: "segment_1_0c.m4s", Ticks: 6000, Bytes: 900_000, KeyFrames: []media.KeyFrame{{Ticks: 6000, Bytes: 50_000}}},
		}},
		{Name: "audio_128k", Codecs: "mp4a.40.2", Timescale: 48000, Init: "init_0d.mp4", InitBytes: 700, Segments: []media.Segment{
			{Name: "segment_0_0e.m4s", Ticks: 96256, Bytes: 32_000}, {Number: 1, Name: "segment_1_0f.m4s", Ticks: 287744, Bytes: 96_000},
		}},
	}
}

func write(t *testing.T, j job.Job, p plan.Plan, renditions []media.Rendition) []byte {
	t.Helper()
	paths := manifest.Paths{
		Playlists: manifest.Playlists{HLS: "hls/master.m3u8", DASH: "dash/manifest.mpd"},
		Playlist:  "playlist.m3u8", IFrames: "iframes.m3u8",
	}
	if p.Source.HasPicture() {
		paths.Pictures = manifest.Pictures{Poster: "poster.jpg", Storyboard: "storyboard/storyboard.vtt", Images: "storyboard/playlist.m3u8"}
	}
	encoders := []manifest.Encoder{{Codec: "h264", Name: "libx264", Preset: "veryfast", CRF: 23}, {Codec: "av1", Name: "libsvtav1", Preset: "9", CRF: 38}}
	text, err := manifest.Make(j, p, media.Output{Renditions: renditions}, paths, encoders[:len(p.Codecs())], accepted.Add(9*time.Second+123456789))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestManifest(t *testing.T) {
	p, renditions := video()
	golden.Check(t, "manifest.json", write(t, record(), p, renditions))
}

func TestManifestOfSoundAlone(t *testing.T) {
	p, renditions := video()
	p.Source = media.Source{Demuxer: "matroska", Audio: media.Tracks{
		{Codec: "flac", Channels: 6, Language: "en", Name: "English", Role: media.Main},
		{Codec: "opus", Channels: 2, Name: "Track 2", Role: media.Commentary},
	}}
	p.Video, p.Frames, p.GOP = nil, 375, 94
	p.Audio = []plan.AudioRendition{{Name: "audio_en_128k", Bitrate: 128_000}, {Name: "audio_und_128k", Bitrate: 128_000, Track: 1}}
	first, second := renditions[1], renditions[1]
	first.Name, second.Name = p.Audio[0].Name, p.Audio[1].Name
	golden.Check(t, "sound.json", write(t, record(), p, []media.Rendition{first, second}))
}

// Viewers can read it.
func TestItTellsNothingOfTheUploadsPlaceOrOfTheBackend(t *testing.T) {
	p, renditions := video()
	text := string(write(t, record(), p, renditions))
	for _, secret := range []string{"secret", "uploads", "example.com", "e-tag"} {
		if strings.Contains(text, secret) {
			t.Errorf("it has %q:\n%s", secret, text)
		}
	}
}

// What is not known is left out: nobody is to take a zero for a measurement.
func TestWhatIsNotKnownIsLeftOut(t *testing.T) {
	j := record()
	j.PlayableAt = time.Time{} // a version that took the place of another
	p, renditions := video()
	p.Source.Audio, p.Audio, p.Video[0].Audio = nil, nil, ""
	text := write(t, j, p, renditions[:1])
	var got struct {
		PlayableAt *string          `json:"playable_at"`
		Timings    map[string]any   `json:"timings"`
		Source     map[string]any   `json:"source"`
		Renditions []map[string]any `json:"renditions"`
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	_, playable := got.Timings["playable_s"]
	_, audio := got.Source["audio"]
	_, sampleRate := got.Renditions[0]["sample_rate"]
	if got.PlayableAt != nil || playable || audio || sampleRate || len(got.Renditions) != 1 {
		t.Errorf("got\n%s", text)
	}
}

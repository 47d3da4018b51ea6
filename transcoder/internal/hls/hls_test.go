package hls_test

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/Eyevinn/hls-m3u8/m3u8"

	"weir/transcoder/internal/golden"
	"weir/transcoder/internal/hls"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
)

// video is what a 15 s NTSC source in two rungs with sound turns into.
func video() (plan.Plan, []media.Rendition) {
	p := plan.Plan{
		Frames: 450, GOP: 60,
		Source: media.Source{Video: media.Video{Rate: media.Rate{Num: 30000, Den: 1001}}},
		Video: []plan.VideoRendition{
			{Name: "720p", Width: 1280, Height: 720, Bitrate: 2_800_000, Audio: "audio_128k"},
			{Name: "480p", Width: 854, Height: 480, Bitrate: 1_400_000, Audio: "audio_128k"}, // one audio rendition for two variants
			{Name: "360p", Width: 640, Height: 360, Bitrate: 800_000, Audio: "audio_96k"},
		},
		Audio: []plan.AudioRendition{{Name: "audio_128k", Bitrate: 128_000}, {Name: "audio_96k", Bitrate: 96_000}},
	}
	r := func(name, codecs string, scale uint32, ticks []uint64, sizes []int64) media.Rendition {
		r := media.Rendition{Name: name, Codecs: codecs, Timescale: scale, Init: "init_0a.mp4", InitBytes: 800}
		for i := range ticks {
			r.Segments = append(r.Segments, media.Segment{Number: i, Name: "segment_" + string(rune('0'+i)) + "_0b.m4s", Ticks: ticks[i], Bytes: sizes[i]})
		}
		return r
	}
	picture := []uint64{180180, 180180, 90090}         // 6.006 s, 6.006 s, 3.003 s
	keyed := func(r media.Rendition) media.Rendition { // one every 2.002 s
		for i, s := range r.Segments {
			for left, at := s.Ticks, int64(20); left > 0; at += s.Bytes / 4 {
				ticks := min(left, 60060)
				r.Segments[i].KeyFrames = append(r.Segments[i].KeyFrames, media.KeyFrame{Ticks: ticks, Offset: at, Bytes: s.Bytes / 20})
				left -= ticks
			}
		}
		return r
	}
	sound := []uint64{287744, 288768, 144384}
	return p, []media.Rendition{
		keyed(r("720p", "avc1.64001f", 30000, picture, []int64{1_500_000, 2_100_000, 400_000})),
		keyed(r("480p", "avc1.64001e", 30000, picture, []int64{700_000, 900_000, 200_000})),
		keyed(r("360p", "avc1.64001e", 30000, picture, []int64{400_000, 500_000, 100_000})),
		r("audio_128k", "mp4a.40.2", 48000, sound, []int64{96_000, 96_500, 48_000}),
		r("audio_96k", "mp4a.40.2", 48000, sound, []int64{72_000, 72_500, 36_000}),
	}
}

func TestPlaylists(t *testing.T) {
	p, renditions := video()
	for _, kind := range []struct {
		hls.Kind
		prefix string
	}{{hls.Event, "growing_"}, {hls.VOD, ""}} {
		master, err := hls.Master(p, media.Output{Renditions: renditions}, "playlist.m3u8", "iframes.m3u8", kind.Kind)
		if err != nil {
			t.Fatal(err)
		}
		check(t, kind.prefix+"master.m3u8", master)
		picture, err := hls.Media(renditions[0], p.TargetDuration(), kind.Kind)
		if err != nil {
			t.Fatal(err)
		}
		check(t, kind.prefix+"720p.m3u8", picture)
	}
	trick, ok, err := hls.IFrames(renditions[0])
	if err != nil || !ok {
		t.Fatalf("I-frames: %v, %v", ok, err)
	}
	check(t, "720p_iframes.m3u8", trick)
	for i := range p.Video {
		p.Video[i].Audio = ""
	}
	p.Audio = nil
	silent, err := hls.Master(p, media.Output{Renditions: renditions[:3]}, "playlist.m3u8", "iframes.m3u8", hls.VOD)
	if err != nil {
		t.Fatal(err)
	}
	check(t, "silent.m3u8", silent)
}

func check(t *testing.T, name string, got []byte) {
	t.Helper()
	if _, _, err := m3u8.DecodeFrom(bytes.NewReader(got), true); err != nil {
		t.Errorf("%s is no valid playlist: %v\n%s", name, err, got)
	}
	golden.Check(t, name, got)
}

// A player that has read a growing playlist finds all of it again in the next one, to the byte.
func TestAGrowingPlaylistIsOnlyAppendedTo(t *testing.T) {
	p, renditions := video()
	r := renditions[0]
	var before []byte
	for n := range r.Segments {
		grown := r
		grown.Segments = r.Segments[:n+1]
		list, err := hls.Media(grown, p.TargetDuration(), hls.Event)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(list, before) || len(list) <= len(before) {
			t.Errorf("after\n%s\ncomes\n%s", before, list)
		}
		before = list
	}
}

// An outcome that was recorded before key frames were has none, and half of them make no playlist.
func TestWithoutAllKeyFramesThereIsNoIFramePlaylist(t *testing.T) {
	p, renditions := video()
	for name, forget := range map[string]func(*media.Rendition){
		"none": func(r *media.Rendition) {
			for i := range r.Segments {
				r.Segments[i].KeyFrames = nil
			}
		},
		"not all": func(r *media.Rendition) { r.Segments[1].KeyFrames = nil },
	} {
		t.Run(name, func(t *testing.T) {
			_, renditions := video()
			forget(&renditions[0])
			if list, ok, err := hls.IFrames(renditions[0]); ok || err != nil {
				t.Errorf("%s: %v", list, err)
			}
			master, err := hls.Master(p, media.Output{Renditions: renditions}, "playlist.m3u8", "iframes.m3u8", hls.VOD)
			if err != nil || bytes.Contains(master, []byte("720p/iframes.m3u8")) || !bytes.Contains(master, []byte("480p/iframes.m3u8")) {
				t.Errorf("%v:\n%s", err, master)
			}
		})
	}
	if _, ok, err := hls.IFrames(renditions[3]); ok || err != nil {
		t.Errorf("sound has an I-frame playlist: %v", err)
	}
}

func TestTheSoundHasItsLanguage(t *testing.T) {
	p, renditions := video()
	p.Source.Audio = media.Tracks{{Language: "pt-BR"}}
	master, err := hls.Master(p, media.Output{Renditions: renditions}, "playlist.m3u8", "iframes.m3u8", hls.VOD)
	if err != nil || bytes.Count(master, []byte(`,LANGUAGE="pt-BR",`)) != 2 {
		t.Errorf("%v:\n%s", err, master)
	}
}

// Players begin with the variant that is listed first (rule 1.32).
func TestTheVariantNearestTo2000kIsFirst(t *testing.T) {
	p, renditions := video()
	for _, c := range []struct {
		name  string
		share int64 // of the bytes
		want  string
	}{
		{"the highest of an easy video", 1, "720p"},
		{"the middle", 2, "480p"},
		{"the lowest of a hard one", 4, "360p"},
	} {
		t.Run(c.name, func(t *testing.T) {
			scaled := make([]media.Rendition, len(renditions))
			for i, r := range renditions {
				scaled[i] = r
				scaled[i].Segments = nil
				for _, s := range r.Segments {
					s.Bytes *= c.share
					scaled[i].Segments = append(scaled[i].Segments, s)
				}
			}
			master, err := hls.Master(p, media.Output{Renditions: scaled}, "playlist.m3u8", "iframes.m3u8", hls.VOD)
			if err != nil {
				t.Fatal(err)
			}
			list, _, err := m3u8.DecodeFrom(bytes.NewReader(master), true)
			if err != nil {
				t.Fatal(err)
			}
			var order []string
			for _, v := range list.(*m3u8.MasterPlaylist).Variants {
				if !v.Iframe {
					order = append(order, filepath.Dir(v.URI))
				}
			}
			if len(order) != 3 || order[0] != c.want {
				t.Errorf("the order is %v, want %s first", order, c.want)
			}
		})
	}
}

func TestBandwidthIsMeasured(t *testing.T) {
	seconds := func(lengths []uint64, bytes []int64) media.Rendition {
		r := media.Rendition{Timescale: 1}
		for i := range lengths {
			r.Segments = append(r.Segments, media.Segment{Ticks: lengths[i], Bytes: bytes[i]})
		}
		return r
	}
	for _, c := range []struct {
		name          string
		r             media.Rendition
		peak, average int64
	}{
		{"the peak is the largest segment's", seconds([]uint64{6, 6, 6}, []int64{600, 1200, 600}), 1600, 1067},
		{"a short last segment counts with the one before it, not alone", seconds([]uint64{6, 6, 1}, []int64{600, 600, 900}), 1715, 1293},
		{"a video shorter than half a segment has its average", seconds([]uint64{2}, []int64{500}), 2000, 2000},
		{"nothing", media.Rendition{Timescale: 1}, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			peak, average := hls.Bandwidth(c.r, 6)
			if peak != c.peak || average != c.average {
				t.Errorf("peak %d and average %d, want %d and %d", peak, average, c.peak, c.average)
			}
		})
	}
}

func TestAMissingRenditionIsAnError(t *testing.T) {
	p, renditions := video()
	if _, err := hls.Master(p, media.Output{Renditions: renditions[1:]}, "playlist.m3u8", "iframes.m3u8", hls.VOD); err == nil {
		t.Error("a master playlist was written that names a rendition which is not there")
	}
}

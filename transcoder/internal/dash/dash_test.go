package dash_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Eyevinn/dash-mpd/mpd"

	"weir/transcoder/internal/dash"
	"weir/transcoder/internal/golden"
	"weir/transcoder/internal/hls"
	"weir/transcoder/internal/job"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
)

// video is what a 17 s NTSC source in two rungs, each with a bit rate of sound, turns into.
func video() (plan.Plan, []media.Rendition) {
	p := plan.Plan{
		Frames: 510, GOP: 60,
		Source: media.Source{Video: media.Video{Rate: media.Rate{Num: 30000, Den: 1001}}},
		Video: []plan.VideoRendition{
			{Name: "720p", Width: 1280, Height: 720, Bitrate: 2_800_000, Audio: "audio_128k"},
			{Name: "480p", Width: 854, Height: 480, Bitrate: 1_400_000, Audio: "audio_96k"},
		},
		Audio: []plan.AudioRendition{{Name: "audio_128k", Bitrate: 128_000}, {Name: "audio_96k", Bitrate: 96_000}},
	}
	r := func(name, codecs string, scale uint32, ticks []uint64, sizes []int64) media.Rendition {
		r := media.Rendition{Name: name, Codecs: codecs, Timescale: scale, Init: "init_0a.mp4", InitBytes: 800}
		for i := range ticks {
			name := fmt.Sprintf("segment_%d_0b.m4s", i)
			r.Segments = append(r.Segments, media.Segment{Number: i, Name: name, Ticks: ticks[i], Bytes: sizes[i]})
		}
		return r
	}
	picture := []uint64{60060, 180180, 180180, 90090} // 2.002 s, 6.006 s, 6.006 s, 3.003 s
	sound := []uint64{96256, 287744, 288768, 144384}
	return p, []media.Rendition{
		r("720p", "avc1.64001f", 30000, picture, []int64{500_000, 1_500_000, 2_100_000, 400_000}),
		r("480p", "avc1.64001e", 30000, picture, []int64{300_000, 700_000, 900_000, 200_000}),
		r("audio_128k", "mp4a.40.2", 48000, sound, []int64{32_000, 96_000, 96_500, 48_000}),
		r("audio_96k", "mp4a.40.2", 48000, sound, []int64{24_000, 72_000, 72_500, 36_000}),
	}
}

func TestMPDs(t *testing.T) {
	p, renditions := video()
	golden.Check(t, "manifest.mpd", write(t, p, renditions))
	for i := range p.Video {
		p.Video[i].Audio = ""
	}
	p.Audio, p.Source.Video.Rate = nil, media.Rate{Num: 30, Den: 1}
	golden.Check(t, "silent.mpd", write(t, p, renditions[:2]))
}

// Each codec is a set of its own, with the same timeline, and says to which others players may switch.
func TestEachCodecIsASetOfItsOwn(t *testing.T) {
	p, renditions := video()
	p = p.In(job.Codecs{job.AV1, job.H264})
	for i, name := range []string{"720p_av1", "480p_av1"} {
		r := renditions[i]
		r.Name, r.Codecs = name, "av01.0.05M.08"
		renditions = append(renditions, r)
	}
	golden.Check(t, "codecs.mpd", write(t, p, renditions))
}

func write(t *testing.T, p plan.Plan, renditions []media.Rendition) []byte {
	t.Helper()
	text, err := dash.MPD(p, media.Output{Renditions: renditions})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// A reader of MPDs finds the plan and the segments again, to the tick.
func TestAReaderFindsWhatWasPublished(t *testing.T) {
	p, renditions := video()
	read, err := mpd.MPDFromBytes(write(t, p, renditions))
	if err != nil {
		t.Fatal(err)
	}
	if read.GetType() != mpd.STATIC_TYPE || len(read.Periods) != 1 || len(read.Periods[0].AdaptationSets) != 2 {
		t.Fatalf("it is %s and has %d periods", read.GetType(), len(read.Periods))
	}
	longest := 0.0
	for i, set := range read.Periods[0].AdaptationSets {
		if !set.SegmentAlignment || set.StartWithSAP != 1 || *set.Id != uint32(i+1) || set.Roles[0].Value != "main" {
			t.Errorf("set %d is %+v", i, set)
		}
		for _, got := range set.Representations {
			n := slices.IndexFunc(renditions, func(r media.Rendition) bool { return r.Name == got.Id })
			want := renditions[n]
			renditions = slices.Delete(renditions, n, n+1)
			peak, _ := hls.Bandwidth(want, p.TargetDuration())
			if got.Codecs != want.Codecs || int64(got.Bandwidth) != peak || got.GetMimeType() != string(set.ContentType)+"/mp4" {
				t.Errorf("%s is %s at %d bit/s in %s", want.Name, got.Codecs, got.Bandwidth, got.GetMimeType())
			}
			base, init := string(got.BaseURLs[0].Value), string(got.SegmentList.Initialization.SourceURL)
			if base != "../hls/"+want.Name+"/" || init != want.Init {
				t.Errorf("%s is in %s and begins with %s", want.Name, base, init)
			}
			times, urls, scale := expand(set.SegmentList.SegmentTimeline), got.SegmentList.SegmentURL, set.SegmentList.GetTimescale()
			if len(times) != len(want.Segments) || len(urls) != len(want.Segments) || scale != want.Timescale {
				t.Fatalf("%s has %d segments, %d durations, scale %d", want.Name, len(urls), len(times), scale)
			}
			for i, s := range want.Segments {
				if name := string(urls[i].Media); times[i] != s.Ticks || name != s.Name {
					t.Errorf("%s: segment %d is %s of %d ticks, want %s of %d", want.Name, i, name, times[i], s.Name, s.Ticks)
				}
				longest = max(longest, want.Seconds(s.Ticks))
			}
			if spare := read.MediaPresentationDuration.Seconds() - want.Duration(); spare < -1e-9 {
				t.Errorf("the last %v s of %s are cut off", -spare, want.Name)
			}
		}
	}
	if len(renditions) != 0 {
		t.Errorf("it lacks %+v", renditions)
	}
	if got := read.MaxSegmentDuration.Seconds(); got < longest || got > longest+0.001 {
		t.Errorf("the longest segment has %v s, not %v", longest, got)
	}
}

// expand lists the durations of a timeline.
func expand(timeline *mpd.SegmentTimelineType) (ticks []uint64) {
	for _, s := range timeline.S {
		ticks = append(ticks, slices.Repeat([]uint64{s.D}, s.R+1)...)
	}
	return ticks
}

// The schema has its elements in sequences: another order is not valid.
func TestElementsAreInTheOrderOfTheSchema(t *testing.T) {
	order := map[string][]string{
		"MPD":            {"Period"},
		"Period":         {"AdaptationSet"},
		"AdaptationSet":  {"AudioChannelConfiguration", "Role", "SegmentList", "Representation"},
		"Representation": {"BaseURL", "SegmentList"},
		"SegmentList":    {"Initialization", "SegmentTimeline", "SegmentURL"},
	}
	p, renditions := video()
	var path, before []string // the open elements, and the last one in each
	for d := xml.NewDecoder(bytes.NewReader(write(t, p, renditions))); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			if len(path) > 0 {
				all := order[path[len(path)-1]]
				last := before[len(before)-1]
				if len(all) > 0 && slices.Index(all, e.Name.Local) < max(slices.Index(all, last), 0) {
					t.Errorf("in %s, %s comes after %q", strings.Join(path, "/"), e.Name.Local, last)
				}
				before[len(before)-1] = e.Name.Local
			}
			path, before = append(path, e.Name.Local), append(before, "")
		case xml.EndElement:
			path, before = path[:len(path)-1], before[:len(before)-1]
		}
	}
}

// Players cut off what comes after the end, and a frame of 33 ms must not be lost for a tenth of one.
func TestTheEndIsRoundedUp(t *testing.T) {
	for _, c := range []struct {
		ticks []uint64
		scale uint32
		want  time.Duration
	}{
		{[]uint64{180180, 180180, 60060}, 30000, 14014 * time.Millisecond}, // exactly
		{[]uint64{1001}, 30000, 34 * time.Millisecond},
		{[]uint64{1}, 90000, time.Millisecond},
		{[]uint64{10800000000001}, 30000000, 100*time.Hour + time.Millisecond},
	} {
		p := plan.Plan{Frames: 1, GOP: 1, Video: []plan.VideoRendition{{Name: "a"}}}
		p.Source.Video.Rate = media.Rate{Num: 30, Den: 1}
		r := media.Rendition{Name: "a", Timescale: c.scale}
		for _, n := range c.ticks {
			r.Segments = append(r.Segments, media.Segment{Ticks: n, Bytes: 1})
		}
		read, err := mpd.MPDFromBytes(write(t, p, []media.Rendition{r}))
		if err != nil {
			t.Fatal(err)
		}
		if got := time.Duration(*read.MediaPresentationDuration); got != c.want {
			t.Errorf("%d at %d: %v, want %v", c.ticks, c.scale, got, c.want)
		}
	}
}

func TestNoMPDIsWrittenThatWouldNotHold(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(r []media.Rendition) []media.Rendition
	}{
		{"a rung is missing", func(r []media.Rendition) []media.Rendition { return r[1:] }},
		{"a sound is missing", func(r []media.Rendition) []media.Rendition { return r[:3] }},
		{"a segment is longer than in the other rung", func(r []media.Rendition) []media.Rendition {
			r[1].Segments[1].Ticks++
			return r
		}},
		{"a segment is missing", func(r []media.Rendition) []media.Rendition {
			r[1].Segments = r[1].Segments[1:]
			return r
		}},
		{"other ticks", func(r []media.Rendition) []media.Rendition {
			r[3].Timescale = 44100
			return r
		}},
	} {
		p, renditions := video()
		if text, err := dash.MPD(p, media.Output{Renditions: c.spoil(renditions)}); err == nil {
			t.Errorf("%s: got\n%s", c.name, text)
		}
	}
}

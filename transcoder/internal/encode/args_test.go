package encode

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"weir/transcoder/internal/ffmpeg"
	"weir/transcoder/internal/golden"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
)

func sample(t *testing.T) plan.Plan {
	t.Helper()
	ladder, err := plan.ParseLadder("720:2800k:128k,360:800k:96k")
	if err != nil {
		t.Fatal(err)
	}
	return plan.Make("uploads/a.mp4", `"etag"`, 1000, media.Source{
		Demuxer: "mov",
		Video:   media.Video{Index: 0, Width: 1280, Height: 720, Rate: media.Rate{Num: 30000, Den: 1001}, Start: 0.25, End: 65.25, Color: media.Color{Matrix: "bt709"}},
		Audio:   media.Tracks{{Index: 2, Start: 0.2, End: 66.25}},
	}, ladder)
}

// The arguments are the contract with FFmpeg: a change shows here, whole.
func TestArguments(t *testing.T) {
	p := sample(t)
	e := Encoder{Preset: "veryfast"}
	var text strings.Builder
	write := func(title string, lists ...[]string) {
		fmt.Fprintf(&text, "# %s\n", title)
		for _, args := range lists {
			for _, a := range args {
				fmt.Fprintf(&text, "%s\n", a)
			}
		}
		text.WriteByte('\n')
	}
	late := p
	late.Origin, late.Source.Video.Interlaced = -3, true
	write("a picture that is interlaced and starts after the sound", []string{videoGraph(late, p.Chunks[0])})
	special := p
	special.Source.Video.Alpha = true
	special.Source.Video.Color = media.Color{Matrix: "bt2020", Transfer: "smpte2084", Primaries: "bt2020"}
	write("a picture with transparency and in HDR", []string{videoGraph(special, p.Chunks[0])})
	for _, c := range []plan.Chunk{p.Chunks[0], p.Chunks[len(p.Chunks)-1]} {
		for _, seek := range seeks(p, c) {
			in := ffmpeg.Input{URL: "http://127.0.0.1:1/UPLOAD", Demuxer: p.Source.Demuxer, Seek: seek}
			write(fmt.Sprintf("chunk %d", c.Number), videoInputArgs(p, in), []string{"-filter_complex", videoGraph(p, c)}, e.videoArgs(p, 0), e.videoArgs(p, 1))
		}
	}
	for _, sound := range []struct {
		title  string
		chunks []plan.Chunk
	}{{"sound of the first chunk", p.Chunks[:1]}, {"sound of the rest", p.Chunks[1:]}} {
		in := ffmpeg.Input{URL: "http://127.0.0.1:1/UPLOAD", Demuxer: "mov"}
		write(sound.title, inputArgs(p, in), audioGraphs(newPart(p, sound.chunks)), audioArgs(p, 0), audioArgs(p, 1))
	}

	golden.Check(t, "arguments.txt", []byte(text.String()))
}

func TestFormatsWithoutAnIndexAreReadFromFurtherBack(t *testing.T) {
	p := sample(t)
	c := plan.Chunk{First: 1080, End: 1260} // at 36.036 s
	for demuxer, want := range map[string]string{"mov": "35.286000", "matroska": "35.286000", "mpegts": "16.286000", "flv": "16.286000"} {
		p.Source.Demuxer = demuxer
		tries := seeks(p, c)
		if len(tries) != 2 || tries[1] != nil || float(*tries[0]) != want {
			t.Errorf("%s: %v at %s, want %s", demuxer, tries, float(*tries[0]), want)
		}
	}
}

// With an index, reading starts with the chunk's own key frame, where it has one, whatever FFmpeg takes off the time.
func TestWithAnIndexReadingStartsWithTheChunk(t *testing.T) {
	p := sample(t)
	c := plan.Chunk{First: 1080, End: 1260} // at 36.036 s, which is 36.286 s of the source
	for _, v := range []struct {
		demuxer, codec        string
		reordered, interlaced bool
		want                  []string
	}{
		{"mov", "h264", true, false, []string{"36.302683", "35.286000"}},
		{"mov", "h264", true, true, []string{"35.286000"}},
		{"mov", "mpeg4", true, false, []string{"35.286000"}},
		{"matroska", "vp9", false, false, []string{"36.302683", "35.286000"}},
		{"matroska", "hevc", true, false, []string{"36.433118", "35.286000"}},
		{"mpegts", "h264", true, false, []string{"16.286000"}},
	} {
		p.Source.Demuxer, p.Source.Video.Codec, p.Source.Video.Reordered, p.Source.Video.Interlaced = v.demuxer, v.codec, v.reordered, v.interlaced
		var got []string
		tries := seeks(p, c)
		for _, at := range tries[:len(tries)-1] {
			got = append(got, float(*at))
		}
		if tries[len(tries)-1] != nil || !slices.Equal(got, v.want) {
			t.Errorf("%+v: %v", v, got)
		}
	}
}

func TestPictureAndSoundAreCutTogether(t *testing.T) {
	p := sample(t)
	for _, chunks := range [][]plan.Chunk{p.Chunks, p.Chunks[:1], p.Chunks[2:4]} {
		sound := newPart(p, chunks)
		cut := audioCut(sound)
		for n := range cut.Segments {
			picture := p.Source.Video.Rate.Seconds(p.Start(sound.first + n + 1))
			end := float64(cut.Start)/sampleRate + float64(cut.Ends(n))*aacFrame/sampleRate
			if off := picture - end; off > 0.011 || off < -0.011 {
				t.Errorf("segment %d of the sound ends %.4f s away from the picture's", n, off)
			}
		}
	}
}

func TestSoundIsSoughtOnlyDeepInAVideo(t *testing.T) {
	p := sample(t)
	p.Frames = 30 * 600
	for _, c := range []struct {
		demuxer string
		segment int
		want    string
	}{{"mov", 0, ""}, {"mov", 5, ""}, {"mov", 50, "292.818000"}, {"matroska", 50, "292.818000"}, {"mpegts", 50, ""}} {
		p.Source.Demuxer = c.demuxer
		got := ""
		if at := soundSeek(part{p, c.segment, p.Segments()}); at != nil {
			got = float(*at)
		}
		if got != c.want {
			t.Errorf("%s, segment %d: %q, want %q", c.demuxer, c.segment, got, c.want)
		}
	}
}

package encode

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"weir/transcoder/internal/plan"
	"weir/transcoder/internal/probe"
)

// hear decodes a rendition to mono at the rate at which sounds are compared.
func hear(t *testing.T, s *shelf, rendition string) []float64 {
	t.Helper()
	return samples(run(t, s.tape(rendition).file(), "-v", "error", "-i", "pipe:0", "-f", "f32le", "-ar", fmt.Sprint(heard), "-ac", "1", "pipe:1"))
}

// Sound alone becomes sound alone, whatever it comes in: all of it, from its first sample on, in every bit rate.
func TestSoundAlone(t *testing.T) {
	cover := words("-f lavfi -i color=red:s=400x400:d=0.04:r=25")
	for _, in := range []input{
		{name: "MP3", file: "a.mp3", audio: mp3},
		{name: "MP3 without a header of its own", file: "a.mp3", audio: append(words("-write_xing 0 -id3v2_version 0"), mp3...), lag: 0.05},
		{name: "MP3 of varying bit rate", file: "a.mp3", audio: words("-c:a libmp3lame -q:a 5 -write_xing 0"), lag: 0.05},
		{name: "MP3 of 8 kHz, mono", file: "a.mp3", audio: words("-c:a libmp3lame -ar 8000 -ac 1 -b:a 32k")},
		{name: "MP3 with a cover", file: "a.mp3", audio: append(slices.Clone(cover), append(words("-map 0:a -map 1:v -c:v mjpeg -pix_fmt yuvj420p -disposition:v attached_pic"), mp3...)...)},
		{name: "MP2", file: "a.mp2", audio: words("-c:a mp2"), lag: 0.05},
		{name: "AAC in MP4", file: "a.m4a", audio: aac},
		{name: "AAC in MP4 with a cover", file: "a.m4a", audio: append(slices.Clone(cover), append(words("-map 0:a -map 1:v -c:v mjpeg -pix_fmt yuvj420p -disposition:v attached_pic"), aac...)...)},
		{name: "ALAC in MP4", file: "a.m4a", audio: words("-c:a alac")},
		{name: "AAC in fragments", file: "a.mp4", audio: append(words("-movflags frag_keyframe+empty_moov -frag_duration 500000"), aac...), lag: 0.05},
		{name: "AAC in ADTS", file: "a.aac", audio: aac, lag: 0.05},
		{name: "FLAC", file: "a.flac", audio: words("-c:a flac")},
		{name: "FLAC with a cover", file: "a.flac", audio: append(slices.Clone(cover), words("-map 0:a -map 1:v -c:v mjpeg -pix_fmt yuvj420p -disposition:v attached_pic -c:a flac")...)},
		{name: "PCM in WAV", file: "a.wav", audio: pcm},
		{name: "PCM of 24 bits at 96 kHz in RF64", file: "a.wav", audio: words("-c:a pcm_s24le -ar 96000 -rf64 always")},
		{name: "mu-law at 8 kHz in WAV", file: "a.wav", audio: words("-c:a pcm_mulaw -ar 8000 -ac 1")},
		{name: "PCM in AIFF", file: "a.aiff", audio: words("-c:a pcm_s16be")},
		{name: "Vorbis in Ogg", file: "a.ogg", audio: words("-c:a libvorbis")},
		{name: "Opus in Ogg", file: "a.opus", audio: words("-c:a libopus")},
		{name: "FLAC in Ogg", file: "a.oga", audio: words("-c:a flac")},
		{name: "Vorbis in Matroska", file: "a.mka", audio: words("-c:a libvorbis")},
		{name: "Opus in WebM", file: "a.webm", audio: words("-c:a libopus")},
		{name: "Windows Media Audio", file: "a.wma", audio: words("-c:a wmav2"), lag: 0.05},
		{name: "AC-3 in MPEG-TS", file: "a.ts", audio: words("-c:a ac3"), lag: 0.05},
		{name: "AAC in MPEG-TS", file: "a.ts", audio: aac, lag: 0.05},
		{name: "two recordings in one MPEG-TS", file: "a.ts", audio: words("-c:a mp2"), edit: twice, hear: again, lag: 0.05, like: 0.8},
		{name: "MP3 in AVI", file: "a.avi", audio: mp3, lag: 0.05},
		{name: "5.1 in AC-3 in Matroska", file: "a.mka", audio: words("-ac 6 -c:a ac3")},
	} {
		t.Run(in.name, func(t *testing.T) {
			t.Parallel()
			inputsAtOnce <- struct{}{}
			defer func() { <-inputsAtOnce }()
			in.seconds = 13
			set(&in.like, 0.95)
			set(&in.lag, 0.01) // more where the format does not say what an encoder has put before the sound
			in = in.withDefaults()
			p, s, err := transcode(t, in.make(t, t.TempDir()), in.seconds+2)
			if err != nil {
				t.Fatal(err)
			}
			if p.Source.HasPicture() || len(p.Video) > 0 || len(p.Audio) != 1 || p.Poster != nil {
				t.Fatalf("the plan has a picture: %+v", p)
			}
			_, tone := in.want(t, 160, 90)
			if in.hear != nil {
				tone = in.hear(tone)
			}
			sound := hear(t, s, p.Audio[0].Name)
			late, like := lag(sound, tone)
			if math.Abs(late) > in.lag || like < in.like {
				t.Errorf("the sound is %.3f s late and %.3f like the source", late, like)
			}
			// Formats of frames may end with a frame that is partly silence.
			if rest := float64(len(sound)-len(tone)) / heard; rest < -0.02 || rest > 0.15 {
				t.Errorf("it lasts %.3f s longer than the source", rest)
			}
			if n := len(s.tape(p.Audio[0].Name).segments); n != p.Segments() || n < 3 {
				t.Errorf("%d segments, planned %d", n, p.Segments())
			}
			t.Logf("%s: %.3f s late, %.3f like, %d samples of %d", p.Source.Demuxer, late, like, len(sound), len(tone))
		})
	}
}

// sweep is lavfi's description of a tone that rises from a frequency on, with a beep a second.
func sweep(from, seconds int) string {
	return fmt.Sprintf("aevalsrc='if(between(mod(t,1),0.5,0.6),0.4*sin(2*PI*1000*t),0.1*sin(2*PI*(%d+40*t)*t))':s=48000:d=%d", from, seconds)
}

// Each audio track becomes renditions of its own, in step with the picture, wherever it begins and ends.
func TestEachTrackIsARendition(t *testing.T) {
	const seconds = 8
	type track struct {
		from            int     // Hz
		start, end      float64 // of what is in the file
		language, title string
		codec           []string
		name            string // of its rendition
	}
	for _, c := range []struct {
		file    string
		picture bool
		tracks  []track
	}{
		{"a.mkv", true, []track{
			{300, 0, seconds, "eng", "", words("aac"), "audio_en_128k"},
			{700, 0, seconds, "ger", "", words("ac3 -ac:a:1 6"), "audio_de_128k"},
			{1500, 4, seconds, "eng", "Director", words("libopus"), "audio_en_2_128k"},
			{2300, 0, 5, "", "", words("pcm_s16le -ar:a:3 8000 -ac:a:3 1"), "audio_und_128k"},
		}},
		{"a.mp4", true, []track{
			{300, 0, seconds, "fra", "", words("aac -ar:a:0 8000"), "audio_fr_128k"},
			{700, 1, seconds, "por", "", words("aac -ac:a:1 1"), "audio_pt_128k"},
		}},
		{"a.ts", true, []track{
			{300, 0, seconds, "eng", "", words("mp2"), "audio_en_128k"},
			{700, 0, seconds, "spa", "", words("ac3"), "audio_es_128k"},
		}},
		{"a.mka", false, []track{
			{300, 0, seconds, "eng", "", words("flac"), "audio_en_128k"},
			{700, 0, 6, "jpn", "", words("libvorbis"), "audio_ja_128k"},
		}},
	} {
		t.Run(c.file, func(t *testing.T) {
			t.Parallel()
			inputsAtOnce <- struct{}{}
			defer func() { <-inputsAtOnce }()
			scene := input{seconds: seconds}.withDefaults()
			args, maps := words("-v error -nostdin -y -f lavfi -i"), []string{}
			args = append(args, scene.picture())
			if c.picture {
				maps = append(words("-map 0:v"), x264...)
			}
			for i, tr := range c.tracks {
				args = append(args, words(fmt.Sprintf("-itsoffset %.3f -f lavfi -i", tr.start))...)
				args = append(args, sweep(tr.from, seconds)+fmt.Sprintf(",atrim=%.3f:%.3f,asetpts=N", tr.start, tr.end))
				maps = append(maps, words(fmt.Sprintf("-map %d:a -metadata:s:a:%d language=%s -c:a:%d", i+1, i, tr.language, i))...)
				maps = append(maps, tr.codec...)
				if tr.title != "" {
					maps = append(maps, fmt.Sprintf("-metadata:s:a:%d", i), "title="+tr.title)
				}
			}
			file := filepath.Join(t.TempDir(), c.file)
			run(t, nil, slices.Concat(args, maps, words("-strict -2"), []string{file})...)
			p, s, err := transcode(t, file, seconds)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, tr := range c.tracks {
				names = append(names, tr.name)
			}
			if got := audioNames(p); !slices.Equal(got, names) {
				t.Fatalf("the renditions are %v, want %v", got, names)
			}
			var flashes []float64
			if c.picture {
				top := p.Video[0]
				shown := frames{top.Width, top.Height, run(t, s.tape(top.Name).file(), "-v", "error", "-i", "pipe:0", "-f", "rawvideo", "-pix_fmt", "rgb24", "-fps_mode", "passthrough", "pipe:1")}
				flashes = shown.flashes(p.Rate())
			}
			var sweeps [][]float64
			for _, tr := range c.tracks {
				tone := samples(run(t, nil, "-v", "error", "-f", "lavfi", "-i", sweep(tr.from, seconds), "-f", "f32le", "-ar", fmt.Sprint(heard), "-ac", "1", "pipe:1"))
				clear(tone[:int(tr.start*heard)])
				clear(tone[int(tr.end*heard):])
				sweeps = append(sweeps, tone)
			}
			for i, tr := range c.tracks {
				sound := hear(t, s, tr.name)
				if rest := float64(len(sound))/heard - p.Duration(); math.Abs(rest) > 0.05 {
					t.Errorf("%s lasts %.3f s longer than the plan", tr.name, rest)
				}
				var report []string
				for j, tone := range sweeps {
					late, like := lag(sound, tone)
					if i == j && (math.Abs(late) > 0.025 || like < 0.9) {
						t.Errorf("%s is %.3f s late and %.3f like its track", tr.name, late, like)
					}
					if i != j && like > 0.85 { // the beeps are in all of them
						t.Errorf("%s is %.3f like the track of %s", tr.name, like, names[j])
					}
					report = append(report, fmt.Sprintf("%.3f like %d, %.4f s late", like, j, late))
				}
				if c.picture {
					beeps := beeps(sound)
					if want := int(tr.end - tr.start); len(beeps) != want || len(flashes) != seconds {
						t.Fatalf("%s: beeps at %.3f, want %d; flashes at %.3f", tr.name, beeps, want, flashes)
					}
					for k, at := range beeps {
						if d := at - flashes[k+int(tr.start)]; math.Abs(d) > 0.04 {
							t.Errorf("%s: the beep at %.3f s is %.3f s behind its flash", tr.name, at, d)
						}
					}
				}
				t.Logf("%s: %s", tr.name, strings.Join(report, "; "))
			}
		})
	}
}

func audioNames(p plan.Plan) []string {
	var names []string
	for _, a := range p.Audio {
		names = append(names, a.Name)
	}
	return names
}

// Of nine tracks eight are published. One process makes all of them in four bit rates.
func TestEightTracksInFourBitRates(t *testing.T) {
	const seconds = 3
	args, maps := words("-v error -nostdin -y"), []string{}
	frequency := func(track int) float64 { return float64(300 + 200*track) }
	for i := range 9 {
		args = append(args, words("-f lavfi -i")...)
		args = append(args, fmt.Sprintf("sine=f=%.0f:d=%d", frequency(i), seconds))
		maps = append(maps, words(fmt.Sprintf("-map %d", i))...)
	}
	file := filepath.Join(t.TempDir(), "a.mka")
	run(t, nil, slices.Concat(args, maps, words("-c:a flac"), []string{file})...)
	url, tools, ladder := serve(t, file, plan.DefaultLadder)
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	ladder = append(ladder, plan.Rung{ShortSide: 240, Video: 400_000, Audio: 64_000})
	source, err := probe.Probe(t.Context(), tools, disk{f, info.Size(), url})
	if err != nil {
		t.Fatal(err)
	}
	p, s := plan.Make("k", "e", 1, source, ladder), &shelf{}
	if len(p.Audio) != 8*4 {
		t.Fatalf("there are %d renditions", len(p.Audio))
	}
	if err := (Encoder{Tools: tools}).Sound(t.Context(), p, p.Chunks, url, s, nil); err != nil {
		t.Fatal(err)
	}
	for i, a := range p.Audio {
		if n := len(s.tape(a.Name).segments); n != p.Segments() {
			t.Errorf("%s has %d segments, planned are %d", a.Name, n, p.Segments())
		}
		if i%4 != a.Track%4 { // one bit rate a track tells whether it is the right one
			continue
		}
		sound := hear(t, s, a.Name)
		for track := range 8 {
			// lavfi's sine has an amplitude of 1/8.
			if level := 8 * amplitude(sound[heard:2*heard], frequency(track)); (track == a.Track) != (level > 0.9) || track != a.Track && level > 0.05 {
				t.Errorf("%s has %.3f of track %d", a.Name, level, track)
			}
		}
	}
}

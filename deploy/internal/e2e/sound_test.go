package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"weir/deploy/internal/viewer"
)

// The tones of the languages, in Hz.
const english, german = 440, 1320

func tone(hertz, seconds int) string {
	return fmt.Sprintf("sine=frequency=%d:sample_rate=48000:duration=%d", hertz, seconds)
}

// hear tells how loud the tones are in what the player plays, in dB: those of the languages, in the order of their frequencies.
const hear = `
	const context = new AudioContext();
	const analyser = context.createAnalyser();
	analyser.fftSize = 8192;
	analyser.smoothingTimeConstant = 0;
	video.muted = false;
	context.createMediaElementSource(video).connect(analyser).connect(context.destination);
	await context.resume();
	window.hear = () => {
		const spectrum = new Float32Array(analyser.frequencyBinCount);
		analyser.getFloatFrequencyData(spectrum);
		return [%d, %d].map((hertz) => Math.max(...spectrum.slice(...[-2, 3].map((d) => Math.round(hertz * analyser.fftSize / context.sampleRate) + d))));
	};`

// listen waits until one of the tones is heard, and the other is not.
func listen(t *testing.T, p context.Context, loud int) {
	t.Helper()
	script(t, p, fmt.Sprintf(`
		const loud = %d;
		try {
			await until("tone " + loud, () => window.hear()[loud] > window.hear()[1 - loud] + 30);
		} catch (e) { throw new Error(e.message + " " + window.hear()); }`, loud))
}

// What has sound alone becomes a tree of sound alone, which players play, and which is described without a picture.
func TestSoundAloneIsPlayed(t *testing.T) {
	for _, c := range []struct {
		name, file string
		args       []string
		languages  int
	}{
		{"MP3 with a cover", "a.mp3", []string{"-f", "lavfi", "-i", "color=red:s=300x300:d=0.04:r=25", "-map", "0:a", "-map", "1:v",
			"-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-disposition:v", "attached_pic", "-c:a", "libmp3lame"}, 1},
		{"two languages in Matroska", "a.mka", []string{"-f", "lavfi", "-i", tone(german, 15), "-map", "0:a", "-map", "1:a",
			"-c:a", "libopus", "-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=deu"}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), c.file)
			ffmpeg(t, slices.Concat([]string{"-f", "lavfi", "-i", tone(english, 15)}, c.args, []string{file})...)
			id := fresh("sound")
			if news := theWorld.transcode(t, id, file); news.Event.Status != "processed" {
				t.Fatalf("webhook %s\n%s", news.Body, theWorld.log)
			}
			t.Parallel() // players play in real time: side by side, once all is encoded
			playback, err := theWorld.weir.Playback(t.Context(), id)
			if err != nil || playback.URLs.Poster != "" || playback.URLs.Storyboard != "" {
				t.Fatalf("playback %+v, %v", playback, err)
			}
			report, err := viewer.Watch(t.Context(), playback.URLs.HLS)
			if err != nil || report.Renditions != 3*c.languages || report.Frames != 0 || math.Abs(report.Duration-15) > edge {
				t.Errorf("a viewer sees %+v, %v", report, err)
			}
			// In DASH as well there is sound and nothing else.
			description := strings.Replace(playback.URLs.HLS, "hls/master.m3u8", "dash/manifest.mpd", 1)
			var found struct {
				Streams []struct {
					Type string `json:"codec_type"`
				}
			}
			if err := json.Unmarshal([]byte(ffprobe(t, description, "stream=codec_type")), &found); err != nil {
				t.Fatal(err)
			}
			for _, s := range found.Streams {
				if s.Type != "audio" || len(found.Streams) != 3*c.languages {
					t.Errorf("the MPD has the streams %v", found.Streams)
				}
			}
			ffmpeg(t, "-xerror", "-i", description, "-map", "0", "-f", "null", "-")
			wantManifestOfSound(t, strings.Replace(playback.URLs.HLS, "hls/master.m3u8", "manifest.json", 1), c.languages)

			p := open(t, theWorld.player.URL+"/"+id)
			script(t, p, fmt.Sprintf(hear, english, german)+`
				await video.play();
				await until("time to go on", () => video.currentTime > 0.5);`)
			listen(t, p, 0)
			if c.languages > 1 {
				changeLanguage(t, p)
			}
			script(t, p, `
				video.currentTime = 13;
				await video.play();
				await until("the end", () => video.ended);`)
			if at := eval[float64](t, p, `video.currentTime`); math.Abs(at-15) > edge {
				t.Errorf("playback ended at %.3f s", at)
			}
			if n := eval[int](t, p, `Object.keys(tracks).filter((name) => name !== "audio").length`); n > 0 {
				t.Errorf("there are %d buffers of something else than sound", n)
			}
			wantNoErrors(t, p)

			// The page for people plays it as well.
			base, _, _ := strings.Cut(playback.URLs.HLS, "/t/")
			p = open(t, base+"/t/"+playback.Token+"/watch/"+id)
			eval[json.RawMessage](t, p, `(async () => {
				const video = document.querySelector("hls-video");
				video.muted = true;
				for (const end = performance.now() + 20000; !(video.currentTime > 1);) {
					if (performance.now() > end) throw new Error("nothing is played: " + document.querySelector("[role=alert]").textContent);
					video.play().catch(() => {});
					await new Promise((resolve) => setTimeout(resolve, 50));
				}
				if (document.querySelector("media-poster-image")) throw new Error("it shows a poster that is not there");
				if (!document.querySelector("[role=alert]").hidden) throw new Error("it tells of a failure");
				return null;
			})()`)
		})
	}
}

// wantManifestOfSound looks for what the manifest says of sound alone, and for what it does not.
func wantManifestOfSound(t *testing.T, url string, languages int) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	var m struct {
		Source            struct{ Video, Audio any }
		Pictures, Encoder any
		Renditions        []struct{ Type string }
	}
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if m.Source.Video != nil || m.Source.Audio == nil || m.Pictures != nil || m.Encoder != nil || len(m.Renditions) != 3*languages {
		t.Errorf("the manifest is %s", text)
	}
}

// Who changes the language hears the other one, in the same bit rate and in another one.
func TestALanguageIsChosen(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.mkv")
	ffmpeg(t, "-f", "lavfi", "-i", "testsrc2=s=640x480:r=25:d=15", "-f", "lavfi", "-i", tone(english, 15), "-f", "lavfi", "-i", tone(german, 15),
		"-map", "0", "-map", "1", "-map", "2", "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac",
		"-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=deu", file)
	id := fresh("languages")
	if news := theWorld.transcode(t, id, file); news.Event.Status != "processed" {
		t.Fatalf("webhook %s\n%s", news.Body, theWorld.log)
	}
	p := open(t, theWorld.player.URL+"/"+id)
	script(t, p, fmt.Sprintf(hear, english, german)+`
		await video.play();
		await until("time to go on", () => video.currentTime > 0.5);`)
	listen(t, p, 0)
	changeLanguage(t, p)
	script(t, p, `
		const other = hls.levels.findIndex((level, i) => i !== hls.currentLevel);
		hls.currentLevel = other;
		await until("the other level", () => hls.currentLevel === other && !video.seeking && video.readyState >= 3);
		const from = video.currentTime;
		await until("time to go on", () => video.currentTime > from + 1);`)
	listen(t, p, 1)
	wantWhole(t, p, source{duration: 15, audio: true})
	wantNoErrors(t, p)
}

// changeLanguage has the player play the other language.
func changeLanguage(t *testing.T, p context.Context) {
	t.Helper()
	names := eval[[]string](t, p, `hls.audioTracks.map((track) => track.name + " " + track.lang)`)
	slices.Sort(names)
	if !slices.Equal(names, []string{"Deutsch de", "English en"}) {
		t.Errorf("there is %q to choose from", names)
	}
	if now := eval[string](t, p, `hls.audioTracks[hls.audioTrack].lang`); now != "en" {
		t.Errorf("%q is heard at first", now)
	}
	script(t, p, `
		hls.config.maxBufferLength = 600;
		hls.audioTrack = hls.audioTracks.findIndex((track) => track.lang === "de");
		await until("the language", () => hls.audioTracks[hls.audioTrack].lang === "de");`)
	listen(t, p, 1)
}

package players_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// subtitledID is a video of half a minute with English and German sound and subtitles: longer than what players load ahead, since Shaka shows
// subtitles that are chosen later only when it has loaded a segment of the picture after that.
const subtitledID = "subtitled"

// subtitled makes it, by way of a file.
var subtitled = sync.OnceValue(func() (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	dir, err := os.MkdirTemp("", "weir-players-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	texts := map[string][2]string{"en.srt": {"Tom & <b>Jerry</b>", "{\\an8}The end"}, "de.srt": {"Tom und Jerry", "Ende"}}
	for name, lines := range texts {
		text := "1\n00:00:01,000 --> 00:00:03,000\n" + lines[0] + "\n\n2\n00:00:05,000 --> 00:00:06,500\n" + lines[1] + "\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	file := filepath.Join(dir, "subtitled.mkv")
	args := []string{"-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=30", "-f", "lavfi", "-i", "sine=f=300:d=30", "-f", "lavfi", "-i", "sine=f=700:d=30",
		"-i", filepath.Join(dir, "en.srt"), "-i", filepath.Join(dir, "de.srt"),
		"-map", "0", "-map", "1", "-map", "2", "-map", "3", "-map", "4", "-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=ger",
		"-metadata:s:s:0", "language=eng", "-metadata:s:s:1", "language=ger",
		"-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", "-c:s", "copy", file}
	if out, err := exec.CommandContext(ctx, "ffmpeg", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	const key = "uploads/subtitled.mkv"
	if err := theWorld.weir.Upload(ctx, file, key); err != nil {
		return err
	}
	ctx, unguard := theWorld.weir.Guard(ctx)
	defer unguard()
	if _, err := theWorld.weir.Submit(ctx, subtitledID, key); err != nil {
		return err
	}
	return theWorld.weir.Processed(ctx, subtitledID)
})

// spoken looks at a player that shows subtitles: what it offers, and which cues are on the screen at some times, one of them on
// either side of the end of a segment.
const spoken = `(async (access, language) => {
	const until = async (what, test, ms = 20000) => {
		for (const end = performance.now() + ms; !test(); await new Promise((again) => setTimeout(again, 20))) {
			if (problems.length) throw new Error("the player reports " + problems);
			if (performance.now() > end) throw new Error("waited for " + what + " in vain: " + JSON.stringify([...video.textTracks].map((t) => [t.mode, t.language, t.cues?.length])));
		}
	};
	window.problems = [];
	await load(access);
	await until("pictures", () => video.readyState >= 2);
	const offered = subtitles();
	const unasked = [...video.textTracks].filter((t) => t.mode === "showing").length;
	await video.play();
	show(language);
	await until("cues", () => [...video.textTracks].some((t) => t.mode === "showing" && t.cues?.length > 0));
	video.pause();
	const cues = () => [...video.textTracks].filter((t) => t.mode === "showing").flatMap((t) => [...t.activeCues ?? []]);
	const seen = {};
	for (const at of [1.5, 2.5, 5.5, 4]) {
		video.currentTime = at;
		await until("a picture at " + at, () => !video.seeking && video.readyState >= 2);
		await until("the cues at " + at, () => (cues().length > 0) === (at !== 4));
		await new Promise((rest) => setTimeout(rest, 300)); // for those that come twice
		seen[at] = cues().map((c) => c.startTime.toFixed(3) + "-" + c.endTime.toFixed(3) + " " + c.getCueAsHTML().textContent.trim());
	}
	return {Offered: offered.sort(), Unasked: unasked, Seen: seen};
})`

func TestPlayersShowSubtitlesInTheirTime(t *testing.T) {
	if err := subtitled(); err != nil {
		t.Fatal(err)
	}
	for name, list := range map[string]string{"FFmpeg": master, "FFmpeg of DASH": mpd} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := theWorld.weir.Cloud.URL + "/t/" + mintFor(t, subtitledID, time.Hour) + "/videos/" + subtitledID + "/" + list
			out, err := run(t, "ffmpeg", "-v", "error", "-nostdin", "-i", url, "-map", "0:v:0", "-f", "framecrc", "-")
			if got := frames(out).Frames; err != nil || got != 30*25 {
				t.Errorf("beside subtitles it decodes %d pictures, %v", got, err)
			}
		})
	}
	for _, p := range []struct {
		name, page, list string
		// subtitles lists the languages that the player offers, show chooses one.
		subtitles, show string
	}{
		{
			"hls.js", "hlsjs", master, `player.subtitleTracks.map((t) => t.lang + " " + t.name)`,
			`player.subtitleDisplay = true; player.subtitleTrack = player.subtitleTracks.findIndex((t) => t.lang === language)`,
		},
		{
			"Shaka Player", "shaka", master, `player.getTextTracks().map((t) => t.language + " " + t.label)`,
			`player.selectTextTrack(player.getTextTracks().find((t) => t.language === language)); player.setTextTrackVisibility?.(true)`,
		},
		{
			"Shaka Player of DASH", "shaka", mpd, `player.getTextTracks().map((t) => t.language + " " + t.label)`,
			`player.selectTextTrack(player.getTextTracks().find((t) => t.language === language)); player.setTextTrackVisibility?.(true)`,
		},
		{
			"dash.js", "dashjs", mpd, `player.getTracksFor("text").map((t) => t.lang + " " + t.labels[0].text)`,
			`player.setTextTrack(player.getTracksFor("text").findIndex((t) => t.lang === language))`,
		},
	} {
		for _, w := range []way{inPath, inQuery} {
			for language, want := range map[string][2]string{"en": {"Tom & Jerry", "The end"}, "de": {"Tom und Jerry", "Ende"}} {
				t.Run(p.name+"/"+string(w)+"/"+language, func(t *testing.T) {
					t.Parallel()
					visit, cancel := context.WithTimeout(open(t), pageTimeout)
					defer cancel()
					token, path := mintFor(t, subtitledID, time.Hour), "/videos/"+subtitledID+"/"+p.list
					seen := watch(t)
					url := seen.URL + "/t/" + token + path
					if w == inQuery {
						url = seen.URL + path + "?token=" + token
					}
					given, err := json.Marshal(map[string]any{"url": url})
					if err != nil {
						t.Fatal(err)
					}
					define := fmt.Sprintf(`window.subtitles = () => %s; window.show = (language) => { %s }; true`, p.subtitles, p.show)
					var got struct {
						Offered []string
						Unasked int // tracks that were shown before one was chosen
						Seen    map[string][]string
					}
					err = chromedp.Run(visit, chromedp.Navigate(theWorld.site.URL+"/pages/"+p.page+".html"), chromedp.Evaluate(define, nil),
						chromedp.Evaluate(fmt.Sprintf("%s(%s, %q)", spoken, given, language), &got, func(p *runtime.EvaluateParams) *runtime.EvaluateParams {
							return p.WithAwaitPromise(true)
						}))
					if err != nil {
						t.Fatalf("%v\n%s", err, seen)
					}
					if !slices.Equal(got.Offered, []string{"de Deutsch", "en English"}) {
						t.Errorf("it offers %q", got.Offered)
					}
					if got.Unasked > 0 && p.name != "dash.js" { // which shows the first track unless it is told not to
						t.Errorf("it shows %d tracks that nobody chose", got.Unasked)
					}
					first, second := "1.000-3.000 "+want[0], "5.000-6.500 "+want[1]
					for at, cues := range map[string][]string{"1.5": {first}, "2.5": {first}, "5.5": {second}, "4": {}} {
						if !slices.Equal(got.Seen[at], cues) {
							t.Errorf("at %s s it shows %q, want %q", at, got.Seen[at], cues)
						}
					}
				})
			}
		}
	}
}

package players_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// inCodecs makes the clip a video in all codecs, and returns its path below a Worker.
func inCodecs(t *testing.T) string {
	t.Helper()
	const id, key = "codecs", "uploads/codecs.mp4"
	file := filepath.Join(t.TempDir(), "clip.mp4")
	if err := clip.Make(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	if err := theWorld.weir.Upload(t.Context(), file, key); err != nil {
		t.Fatal(err)
	}
	ctx, unguard := theWorld.weir.Guard(t.Context())
	defer unguard()
	if _, err := theWorld.weir.SubmitWith(ctx, id, key, map[string]any{"codecs": []string{"h264", "hevc", "av1"}}); err != nil {
		t.Fatal(err)
	}
	if err := theWorld.weir.Processed(ctx, id); err != nil {
		t.Fatal(err)
	}
	return "/t/" + mintFor(t, id, time.Hour) + "/videos/" + id + "/"
}

// asked counts the segments of renditions with this end that were asked for.
func (w *witness) asked(t *testing.T, suffix string) (segments int) {
	t.Helper()
	for _, e := range w.seen(t) {
		if strings.Contains(e.uri, suffix+"/segment_") {
			segments++
		}
	}
	return segments
}

// Every player plays a video in all codecs to its end: each passes over what it cannot decode, as Chromium does over HEVC, and
// those that are told to play AV1 do.
func TestPlayersPlayAVideoInAllCodecs(t *testing.T) {
	folder := inCodecs(t)
	for _, p := range players {
		if p.name == "Chromium's own" {
			continue // it takes variants for one ladder, whatever their codecs, and then cannot go from one to another
		}
		t.Run(p.name, func(t *testing.T) {
			seen := watch(t)
			p.chooses = false // of rungs of one height there are several
			var got viewing
			var err error
			if p.name == "FFmpeg of DASH" {
				var out string
				out, err = decode(t, access{url: seen.URL + folder + p.list}, "0:a")
				got = frames(out)
				sound := got.Sound
				for i := range 3 * len(heights) {
					if out, err = decode(t, access{url: seen.URL + folder + p.list}, fmt.Sprintf("0:v:%d", i)); err != nil {
						break
					}
					rung := frames(out)
					rung.Sound = sound
					got = got.and(rung)
				}
			} else {
				got, err = p.play(t, access{url: seen.URL + folder + p.list})
			}
			if err != nil {
				t.Fatalf("%v\n%s", err, seen)
			}
			p.wantAll(t, got)
			h264, hevc, av1 := seen.asked(t, "0p"), seen.asked(t, "_hevc"), seen.asked(t, "_av1")
			t.Logf("it asked for %d segments of H.264, %d of HEVC, %d of AV1", h264, hevc, av1)
			switch whole := strings.HasPrefix(p.name, "FFmpeg"); {
			case whole && (h264 == 0 || hevc != h264 || av1 != h264):
				t.Error("it did not play all codecs")
			case !whole && p.name != "mpv" && hevc > 0:
				t.Error("it asked for what Chromium cannot play")
			}
		})
	}
	for _, c := range []struct{ name, page, list, before, after string }{
		{"hls.js", "hlsjs", master, "", `player.currentLevel = player.levels.findIndex((level) => level.videoCodec.startsWith("av01"))`},
		{"Shaka Player", "shaka", master, `player.configure("preferredVideoCodecs", ["av01"])`, ""},
		{"Shaka Player of DASH", "shaka", mpd, `player.configure("preferredVideoCodecs", ["av01"])`, ""},
	} {
		t.Run("AV1 in "+c.name, func(t *testing.T) {
			seen := watch(t)
			visit, cancel := context.WithTimeout(open(t), pageTimeout)
			defer cancel()
			given, err := json.Marshal(map[string]string{"url": seen.URL + folder + c.list})
			if err != nil {
				t.Fatal(err)
			}
			var got viewing
			script := strings.NewReplacer("ACCESS", string(given), "BEFORE", c.before, "AFTER", c.after).Replace(choosing)
			err = chromedp.Run(visit, chromedp.Navigate(theWorld.site.URL+"/pages/"+c.page+".html"),
				chromedp.Evaluate(script, &got, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
			if err != nil {
				t.Fatalf("%v\n%s", err, seen)
			}
			player{adapts: true}.wantAll(t, got)
			// Some of H.264 may have been asked for before the choice. All of AV1 was in the end.
			if av1 := seen.asked(t, "_av1"); av1 < 2 || seen.asked(t, "_hevc") > 0 {
				t.Errorf("%d segments of AV1 were asked for\n%s", av1, seen)
			}
		})
	}
}

// choosing plays the clip from its start to its end in the codec that is chosen.
const choosing = `(async () => {
	const until = async (what, test, ms = 30000) => {
		for (const end = performance.now() + ms; !test(); await new Promise((again) => setTimeout(again, 20))) {
			if (problems.length) throw new Error("the player reports " + problems);
			if (performance.now() > end) throw new Error("waited for " + what + " in vain, at " + video.currentTime + " of " + video.duration);
		}
	};
	window.problems = [];
	BEFORE;
	await load(ACCESS);
	AFTER;
	video.addEventListener("error", () => problems.push(video.error.message));
	video.playbackRate = 2;
	video.play().catch((error) => problems.push(error.message));
	await until("the end", () => video.ended);
	return {Frames: video.getVideoPlaybackQuality().totalVideoFrames, Seconds: video.currentTime, Sound: video.webkitAudioDecodedByteCount > 0};
})()`

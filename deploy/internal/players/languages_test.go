package players_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// heard looks at a player that plays sounds in several languages: what it offers, and that time goes on when another one is chosen.
const heard = `(async (access, language) => {
	const until = async (what, test, ms = 20000) => {
		for (const end = performance.now() + ms; !test(); await new Promise((again) => setTimeout(again, 20))) {
			if (problems.length) throw new Error("the player reports " + problems);
			if (performance.now() > end) throw new Error("waited for " + what + " in vain, at " + video.currentTime);
		}
	};
	window.problems = [];
	await load(access);
	await until("pictures", () => video.readyState >= 2);
	const offered = sounds();
	await video.play();
	await until("time to go on", () => video.currentTime > 0.5);
	hear(language);
	await until("the language", () => hears() === language);
	const from = video.currentTime;
	await until("time to go on in it", () => video.currentTime > from + 4);
	return offered.sort();
})`

// Who changes the language in a player gets the segments of that one.
func TestPlayersChangeTheLanguage(t *testing.T) {
	if err := subtitled(); err != nil {
		t.Fatal(err)
	}
	for _, p := range []struct {
		name, page, list string
		// sounds lists the languages that the player offers, hear chooses one, hears is the one that is chosen.
		sounds, hear, hears string
	}{
		{
			"hls.js", "hlsjs", master, `player.audioTracks.map((t) => t.lang)`,
			`player.audioTrack = player.audioTracks.findIndex((t) => t.lang === language)`,
			`player.audioTracks[player.audioTrack].lang`,
		},
		{
			"Shaka Player", "shaka", master, `player.getAudioTracks().map((t) => t.language)`, `player.selectAudioTrack(player.getAudioTracks().find((t) => t.language === language))`,
			`player.getAudioTracks().find((t) => t.active).language`,
		},
		{
			"Shaka Player of DASH", "shaka", mpd, `player.getAudioTracks().map((t) => t.language)`, `player.selectAudioTrack(player.getAudioTracks().find((t) => t.language === language))`,
			`player.getAudioTracks().find((t) => t.active).language`,
		},
		{
			"dash.js", "dashjs", mpd, `player.getTracksFor("audio").map((t) => t.lang)`,
			`player.setCurrentTrack(player.getTracksFor("audio").find((t) => t.lang === language))`,
			`player.getCurrentTrackFor("audio").lang`,
		},
	} {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			visit, cancel := context.WithTimeout(open(t), pageTimeout)
			defer cancel()
			seen := watch(t)
			given, err := json.Marshal(map[string]string{"url": seen.URL + "/t/" + mintFor(t, subtitledID, time.Hour) + "/videos/" + subtitledID + "/" + p.list})
			if err != nil {
				t.Fatal(err)
			}
			define := fmt.Sprintf(`window.sounds = () => %s; window.hear = (language) => { %s }; window.hears = () => %s; true`, p.sounds, p.hear, p.hears)
			var offered []string
			err = chromedp.Run(visit, chromedp.Navigate(theWorld.site.URL+"/pages/"+p.page+".html"), chromedp.Evaluate(define, nil),
				chromedp.Evaluate(fmt.Sprintf("%s(%s, %q)", heard, given, "de"), &offered, func(p *runtime.EvaluateParams) *runtime.EvaluateParams {
					return p.WithAwaitPromise(true)
				}))
			if err != nil {
				t.Fatalf("%v\n%s", err, seen)
			}
			if !slices.Equal(slices.Compact(offered), []string{"de", "en"}) {
				t.Errorf("it offers %q", offered)
			}
			if english, german := seen.asked(t, "audio_en_96k"), seen.asked(t, "audio_de_96k"); english == 0 || german == 0 {
				t.Errorf("it asked for %d segments in English, and then for %d in German\n%s", english, german, seen)
			}
		})
	}
}

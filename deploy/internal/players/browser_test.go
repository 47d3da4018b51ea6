package players_test

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"weir/deploy/internal/chromium"
)

// pageTimeout is for one visit: a few seconds of clip, and a few of each rung, beside another player.
const pageTimeout = time.Minute

//go:embed pages/*.html
var pages embed.FS

// site serves the pages, and the players that npm has put into the folder modules.
func site(modules string) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /pages/", http.FileServerFS(pages))
	mux.Handle("GET /modules/", http.StripPrefix("/modules/", http.FileServer(http.Dir(modules))))
	return mux
}

// drive plays what a page was given, as a viewer would: to the end, then a little of every rung. A page has load, which fails with
// the player's own error; rungs and choose, which may take a while; and video. What goes wrong later is in problems.
const drive = `(async (access) => {
	const until = async (what, test, ms = 20000) => {
		for (const end = performance.now() + ms; !test(); await new Promise((again) => setTimeout(again, 20))) {
			if (problems.length) throw new Error("the player reports " + problems);
			if (performance.now() > end) throw new Error("waited for " + what + " in vain: " + JSON.stringify({
				at: video.currentTime, of: video.duration, paused: video.paused, ready: video.readyState, height: video.videoHeight}));
		}
	};
	window.problems = [];
	await load(access);
	video.addEventListener("error", () => problems.push(video.error.message));
	video.playbackRate = 2;
	const play = () => video.play().catch((error) => problems.push(error.message)); // waits for as long as nothing comes
	play();
	await until("the end", () => video.ended);
	const seen = {Frames: video.getVideoPlaybackQuality().totalVideoFrames, Seconds: video.currentTime,
		Sound: video.webkitAudioDecodedByteCount > 0, Heights: []};
	for (const height of rungs().sort((a, b) => a - b)) {
		// One after the other: hls.js, asked for both at once, may end the stream that it has just emptied; the browser is at its end then.
		video.pause();
		const seeked = new Promise((resolve) => video.addEventListener("seeked", resolve, {once: true}));
		video.currentTime = 0;
		await seeked;
		await choose(height);
		play();
		await until("a picture of " + height + " lines", () => video.videoHeight === height && video.currentTime > 0.5 && video.currentTime < 3);
		seen.Heights.push(height);
	}
	if (problems.length) throw new Error("the player reports " + problems);
	return seen;
})`

func open(t *testing.T) context.Context {
	t.Helper()
	return chromium.Window(t, theWorld.browser)
}

// page plays with the player of a page.
func page(name string) func(*testing.T, access) (viewing, error) {
	return func(t *testing.T, a access) (seen viewing, err error) {
		visit, cancel := context.WithTimeout(open(t), pageTimeout)
		defer cancel()
		given, err := json.Marshal(map[string]any{"url": a.url, "bearer": a.bearer, "cookie": a.cookie != ""})
		if err != nil {
			t.Fatal(err)
		}
		before := []chromedp.Action{network.Enable()}
		if a.cookie != "" {
			before = append(before, network.SetCookie("weir_token", a.cookie).WithURL(a.url))
		}
		chromedp.ListenTarget(visit, func(event any) {
			if e, ok := event.(*runtime.EventExceptionThrown); ok {
				t.Errorf("the page throws: %s", e.ExceptionDetails.Error())
			}
		})
		if err := chromedp.Run(visit, append(before, chromedp.Navigate(theWorld.site.URL+"/pages/"+name+".html"))...); err != nil {
			t.Fatal(err)
		}
		err = chromedp.Run(visit, chromedp.Evaluate(fmt.Sprintf("%s(%s)", drive, given), &seen, func(p *runtime.EvaluateParams) *runtime.EvaluateParams {
			return p.WithAwaitPromise(true)
		}))
		return seen, err
	}
}

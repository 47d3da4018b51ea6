package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"weir/deploy/internal/chromium"
	"weir/deploy/internal/sample"
)

// edge is how far the ends of what was buffered may be from the source's, in seconds: what no viewer notices.
const edge = 0.050

// bend is how far a level's shape may be from the source's: even dimensions make small levels differ by a pixel or two.
const bend = 0.015

func TestBrowserDecodesWhatWeirEncodes(t *testing.T) {
	p := open(t, "about:blank")
	if !eval[bool](t, p, `MediaSource.isTypeSupported('video/mp4; codecs="avc1.640028,mp4a.40.2"')`) {
		t.Fatal("this Chromium cannot decode H.264 with AAC; Debian's can")
	}
}

func TestPlay(t *testing.T) {
	for _, c := range []struct {
		name   string
		source func(*testing.T) source
		via    []string
	}{
		{"clip", func(t *testing.T) source {
			return clip(t, sample.Sample{Width: 1280, Height: 720, Duration: 20 * time.Second, Rate: 30})
		}, []string{"path", "query"}},
		{"film", film, []string{"path"}},
		{"phone", phone, []string{"path"}},
		{"odd", odd, []string{"path"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			src := c.source(t)
			id := fresh(c.name)
			news := theWorld.transcode(t, id, src.file)
			if news.Event.Status != "processed" {
				t.Fatalf("webhook %s\n%s", news.Body, theWorld.log)
			}
			t.Parallel() // players play in real time: side by side, once all is encoded
			for _, via := range c.via {
				t.Run("token in the "+via, func(t *testing.T) {
					t.Parallel()
					p := open(t, theWorld.player.URL+"/"+id+"?via="+via)
					playThrough(t, p, src)
					seek(t, p, src)
					everyLevel(t, p, src)
				})
			}
		})
	}
}

// playThrough plays from the start to the end and looks at what was buffered.
func playThrough(t *testing.T, p context.Context, src source) {
	t.Helper()
	// The whole video stays in the buffer, so that a gap anywhere is there to be seen.
	script(t, p, `
		await until("the manifest", () => hls.levels && hls.levels.length);
		hls.config.maxBufferLength = 600;
		await until("a picture", () => video.readyState >= 2);
		await video.play();
		await until("the end", () => video.ended, 60000);`)
	wantWhole(t, p, src)
	if at := eval[float64](t, p, `video.currentTime`); math.Abs(at-src.duration) > edge {
		t.Errorf("playback ended at %.3f s of %.3f s", at, src.duration)
	}
	wantNoErrors(t, p)
}

// seek jumps to and fro; after each jump a picture must come, and time must go on.
func seek(t *testing.T, p context.Context, src source) {
	t.Helper()
	for _, part := range []float64{0.5, 0.05, 0.9, 0.33, 0} {
		script(t, p, fmt.Sprintf(`
			video.currentTime = %f;
			await until("the seek", () => !video.seeking && video.readyState >= 2);
			const from = video.currentTime;
			await video.play();
			await until("time to go on", () => video.currentTime > from + 0.2);`, part*src.duration))
	}
	wantNoErrors(t, p)
}

// everyLevel plays each variant in turn: the whole of it must fit into the buffer without a gap.
func everyLevel(t *testing.T, p context.Context, src source) {
	t.Helper()
	type level struct{ Width, Height int }
	levels := eval[[]level](t, p, `hls.levels.map(l => ({Width: l.width, Height: l.height}))`)
	for i, l := range levels {
		if aspect := float64(l.Width) / float64(l.Height); math.Abs(aspect/src.aspect-1) > bend {
			t.Errorf("level %d is %d×%d, %.3f; the source is %.3f", i, l.Width, l.Height, aspect, src.aspect)
		}
		script(t, p, fmt.Sprintf(`
			const index = %d, width = %d, height = %d, end = %f;
			// One after the other: hls.js, asked for both at once, may end the stream that it has just emptied; the browser is at its end then.
			const seeked = new Promise((resolve) => video.addEventListener("seeked", resolve, {once: true}));
			video.currentTime = 0;
			await seeked;
			hls.currentLevel = index; // drops the buffer
			await video.play();
			await until("level " + index, () => hls.currentLevel === index && video.videoWidth === width && video.videoHeight === height);
			await until("all of it", () => hls.levels[index].details.fragments.every(f => f.stats.loaded > 0) &&
				video.buffered.length === 1 && video.buffered.end(0) > end);
			await until("time to go on", () => video.currentTime > 1);`, i, l.Width, l.Height, src.duration-edge))
		wantWhole(t, p, src)
	}
	wantNoErrors(t, p)
	t.Logf("played levels %v", levels)
}

// wantWhole looks at the source buffers: one range each, from the start to the source's end.
func wantWhole(t *testing.T, p context.Context, src source) {
	t.Helper()
	ranges := eval[map[string][][2]float64](t, p, `(() => {
		const all = {};
		for (const [name, track] of Object.entries(tracks)) {
			const b = track.buffer.buffered;
			all[name] = Array.from({length: b.length}, (_, i) => [b.start(i), b.end(i)]);
		}
		return all;
	})()`)
	want := []string{"video"}
	if src.audio {
		want = append(want, "audio")
	}
	if len(ranges) != len(want) {
		t.Errorf("source buffers %v, want %v", ranges, want)
	}
	for _, name := range want {
		got := ranges[name]
		if len(got) != 1 || math.Abs(got[0][0]) > edge || math.Abs(got[0][1]-src.duration) > edge {
			t.Errorf("%s is buffered %v, want one range from 0 to %.3f", name, got, src.duration)
		}
	}
}

func wantNoErrors(t *testing.T, p context.Context) {
	t.Helper()
	if errs := eval[[]string](t, p, `errors`); len(errs) > 0 {
		t.Errorf("the player reports errors: %q", errs)
	}
	if n := eval[int](t, p, `video.getVideoPlaybackQuality().corruptedVideoFrames || 0`); n != 0 {
		t.Errorf("%d frames are corrupt", n)
	}
}

// open visits a page in a window of its own. A script error on the page fails the test.
func open(t *testing.T, url string) context.Context {
	t.Helper()
	p, cancel := context.WithTimeout(chromium.Window(t, theWorld.browser), pageTimeout)
	t.Cleanup(cancel)
	chromedp.ListenTarget(p, func(event any) {
		if e, ok := event.(*runtime.EventExceptionThrown); ok {
			t.Errorf("the page throws: %s", e.ExceptionDetails.Error())
		}
	})
	if err := chromedp.Run(p, chromedp.Navigate(url)); err != nil {
		t.Fatal(err)
	}
	return p
}

// waiting is what scripts wait with: it ends with the state of the player when it has waited in vain.
const waiting = `
	const video = document.getElementById("video");
	const until = (what, test, ms = 20000) => new Promise((resolve, reject) => {
		const end = performance.now() + ms;
		const look = () => {
			if (test()) return resolve();
			if (performance.now() < end) return setTimeout(look, 20);
			const ranges = Array.from({length: video.buffered.length}, (_, i) => [video.buffered.start(i), video.buffered.end(i)]);
			reject(new Error("waited for " + what + " in vain: " + JSON.stringify({
				at: video.currentTime, duration: video.duration, ready: video.readyState, paused: video.paused, buffered: ranges,
				level: window.hls && hls.currentLevel, size: [video.videoWidth, video.videoHeight], errors: window.errors})));
		};
		look();
	});`

// script runs the body of an async function on the page.
func script(t *testing.T, p context.Context, body string) {
	t.Helper()
	eval[json.RawMessage](t, p, `(async () => {`+waiting+body+`; return null; })()`)
}

// eval returns the value of an expression on the page, or of the promise that it is.
func eval[T any](t *testing.T, p context.Context, expression string) T {
	t.Helper()
	var value T
	if err := chromedp.Run(p, chromedp.Evaluate(expression, &value,
		func(e *runtime.EvaluateParams) *runtime.EvaluateParams { return e.WithAwaitPromise(true) })); err != nil {
		t.Fatal(err)
	}
	return value
}

// Package watch_test plays the page for people in Chromium, from the real Worker.
package watch_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/golang-jwt/jwt/v5"

	"weir/deploy/local"
)

const (
	startTimeout = 3 * time.Minute
	pageTimeout  = 90 * time.Second
	duration     = 12 // seconds, of the video
)

var (
	cloud   *local.Cloud
	browser context.Context // chromedp's
	allowed *httptest.Server
	foreign *httptest.Server // a site that may not embed the page
)

func TestMain(m *testing.M) {
	code, err := testMain(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "watch:", err)
		code = 1
	}
	os.Exit(code)
}

func testMain(m *testing.M) (code int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	allowed, foreign = httptest.NewServer(http.HandlerFunc(embed)), httptest.NewServer(http.HandlerFunc(embed))
	defer allowed.Close()
	defer foreign.Close()
	if cloud, err = local.Start(ctx, local.Options{Settings: map[string]string{"ALLOWED_ORIGINS": allowed.URL}}); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, cloud.Stop()) }()
	dir, err := os.MkdirTemp("", "weir-watch-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	tree := filepath.Join(dir, "tree")
	if err := errors.Join(makeVideo(ctx, tree), upload(ctx, tree, "full"), upload(ctx, tree, "bare")); err != nil {
		return 1, err
	}
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		return 1, fmt.Errorf("%w: run `go tool task setup`", err)
	}
	allocator, closeAllocator := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium),
		chromedp.UserDataDir(filepath.Join(dir, "chromium")),
		chromedp.NoSandbox, // tests may run as root, where Chromium's own sandbox does not start
		chromedp.DisableGPU,
		chromedp.WindowSize(1280, 720),
		chromedp.Flag("blink-settings", "primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4"), // a mouse
	)...)
	defer closeAllocator()
	var closeBrowser context.CancelFunc
	browser, closeBrowser = chromedp.NewContext(allocator)
	defer closeBrowser()
	defer func() { err = errors.Join(err, chromedp.Cancel(browser)) }() // waits for Chromium's end
	if err := chromedp.Run(browser); err != nil {
		return 1, fmt.Errorf("start chromium: %w", err)
	}
	return m.Run(), nil
}

// embed is another site's page, with the page for people in a frame.
func embed(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	_, _ = fmt.Fprintf(w, `<!doctype html><title>Another site</title><link rel="icon" href="data:,">
		<iframe src="%s%s" width="640" height="360" allow="fullscreen; picture-in-picture" style="border:0"></iframe>`, cloud.URL, r.URL.Query().Get("page"))
}

// heights are those of the renditions, the first one first in the playlist.
var heights = []int{180, 240, 360}

// makeVideo makes a tree as a video has it: renditions, captions, a poster and a storyboard of four pictures a sprite.
func makeVideo(ctx context.Context, dir string) error {
	master := "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n" +
		`#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subs",NAME="English",LANGUAGE="en",DEFAULT=NO,AUTOSELECT=NO,URI="../subtitles/en/playlist.m3u8"` + "\n"
	args := []string{"-v", "error", "-y", "-f", "lavfi", "-i", fmt.Sprintf("testsrc2=s=640x360:r=25:d=%d", duration),
		"-f", "lavfi", "-i", fmt.Sprintf("sine=d=%d", duration)}
	var folders []string
	for i, h := range heights {
		name := fmt.Sprintf("%dp", h)
		folders = append(folders, filepath.Join(dir, "hls", name))
		args = append(args, "-map", "0:v", "-map", "1:a", "-vf", fmt.Sprintf("scale=-2:%d", h), "-c:v", "libx264", "-preset", "ultrafast", "-profile:v", "baseline",
			"-level", "3.0", "-pix_fmt", "yuv420p", "-g", "50", "-keyint_min", "50", "-c:a", "aac", "-f", "hls", "-hls_time", "4", "-hls_playlist_type", "vod",
			"-hls_segment_type", "fmp4", "-hls_fmp4_init_filename", "init_a.mp4", "-hls_segment_filename", filepath.Join(dir, "hls", name, "segment_%d_a.m4s"),
			filepath.Join(dir, "hls", name, "playlist.m3u8"))
		master += fmt.Sprintf("#EXT-X-STREAM-INF:BANDWIDTH=%d,RESOLUTION=%dx%d,CODECS=\"avc1.42c01e,mp4a.40.2\",FRAME-RATE=25,SUBTITLES=\"subs\"\n%s/playlist.m3u8\n",
			300_000*(i+1), (h*16/9+1)/2*2, h, name)
	}
	args = append(args, "-map", "0:v", "-frames:v", "1", filepath.Join(dir, "poster.jpg"),
		"-map", "0:v", "-vf", "fps=1/2,scale=160:90,tile=2x2", filepath.Join(dir, "storyboard", "sprite_%d.jpg"))

	board := "WEBVTT\n\n"
	for i := range duration / 2 {
		board += fmt.Sprintf("00:00:%02d.000 --> 00:00:%02d.000\nsprite_%d.jpg#xywh=%d,%d,160,90\n\n", 2*i, 2*i+2, 1+i/4, i%2*160, i/2%2*90)
	}
	captions := "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n\n00:00:00.000 --> 00:00:12.000\nWhat is said\n"
	list := fmt.Sprintf("#EXTM3U\n#EXT-X-TARGETDURATION:%[1]d\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXTINF:%[1]d,\nsegment_1_a.vtt\n#EXT-X-ENDLIST\n", duration)

	for _, f := range append(folders, filepath.Join(dir, "storyboard"), filepath.Join(dir, "subtitles", "en")) {
		if err := os.MkdirAll(f, 0o755); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{
		"hls/master.m3u8": master, "storyboard/storyboard.vtt": board,
		"subtitles/en/playlist.m3u8": list, "subtitles/en/segment_1_a.vtt": captions,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	if out, err := exec.CommandContext(ctx, "ffmpeg", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("make a video: %w\n%s", err, out)
	}
	return nil
}

// upload puts a tree into the bucket; the video "bare" has nothing that a video may lack.
func upload(ctx context.Context, dir, id string) error {
	client := cloud.S3()
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if id == "bare" && !strings.HasPrefix(name, "hls") {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if id == "bare" {
			data = []byte(strings.ReplaceAll(string(data), `,SUBTITLES="subs"`, ""))
			if i := strings.Index(string(data), "#EXT-X-MEDIA:"); i >= 0 {
				data = append(data[:i:i], data[i+strings.IndexByte(string(data[i:]), '\n')+1:]...)
			}
		}
		key := "videos/" + id + "/" + filepath.ToSlash(name)
		_, err = client.PutObject(ctx, &s3.PutObjectInput{Bucket: &cloud.Bucket, Key: &key, Body: strings.NewReader(string(data))})
		return err
	})
}

// mint signs a token for a video that lives so long.
func mint(t *testing.T, id string, life time.Duration, more jwt.MapClaims) string {
	t.Helper()
	var jwk struct{ Kid, K string }
	if err := json.Unmarshal([]byte(cloud.TokenKey), &jwk); err != nil {
		t.Fatal(err)
	}
	secret, err := base64.RawURLEncoding.DecodeString(jwk.K)
	if err != nil {
		t.Fatal(err)
	}
	claims := jwt.MapClaims{"sub": "videos/" + id, "exp": time.Now().Add(life).Unix()}
	for name, value := range more {
		claims[name] = value
	}
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, claims)
	token.Header["kid"] = jwk.Kid
	compact, err := token.SignedString(secret)
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

// visit is a tab of the browser with what happened in it.
type visit struct {
	context.Context
	t *testing.T

	mu       sync.Mutex
	errors   []string
	requests []string
	contexts map[string]runtime.ExecutionContextID // the last one of each origin
}

// open visits a page in a tab of its own.
func open(t *testing.T, address string, first ...chromedp.Action) *visit {
	t.Helper()
	tab, closeTab := chromedp.NewContext(browser)
	t.Cleanup(closeTab)
	page, cancel := context.WithTimeout(tab, pageTimeout)
	t.Cleanup(cancel)
	v := &visit{Context: page, t: t, contexts: map[string]runtime.ExecutionContextID{}}
	chromedp.ListenTarget(page, v.note)
	actions := append([]chromedp.Action{network.Enable(), log.Enable(), runtime.Enable()}, first...)
	if err := chromedp.Run(page, append(actions, chromedp.Navigate(address))...); err != nil {
		t.Fatal(err)
	}
	return v
}

func (v *visit) note(event any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		v.errors = append(v.errors, e.ExceptionDetails.Error())
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
			text, _ := json.Marshal(e.Args)
			v.errors = append(v.errors, string(text))
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.LevelError {
			v.errors = append(v.errors, e.Entry.Text+" "+e.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		v.requests = append(v.requests, e.Request.URL)
	case *runtime.EventExecutionContextCreated:
		v.contexts[e.Context.Origin] = e.Context.ID
	}
}

// wantClean fails the test if anything was logged as an error, or came from another host than the Worker.
func (v *visit) wantClean() {
	v.t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, e := range v.errors {
		v.t.Errorf("the page complains: %s", e)
	}
	if len(v.requests) == 0 {
		v.t.Error("no request was seen")
	}
	for _, r := range v.requests {
		if !strings.HasPrefix(r, cloud.URL+"/") && !strings.HasPrefix(r, "blob:"+cloud.URL) && !strings.HasPrefix(r, "data:") {
			v.t.Errorf("the page asks another host: %s", r)
		}
	}
}

// asked reports whether a URL with this end was asked for.
func (v *visit) asked(end string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, r := range v.requests {
		if strings.HasSuffix(r, end) {
			return true
		}
	}
	return false
}

func (v *visit) do(actions ...chromedp.Action) {
	v.t.Helper()
	if err := chromedp.Run(v, actions...); err != nil {
		v.t.Fatal(err)
	}
}

// words are what scripts say things with.
const words = `
	const player = document.querySelector("media-controller");
	const video = document.querySelector("hls-video");
	const $ = (selector) => document.querySelector(selector);
	const shown = (element) => element?.checkVisibility({opacityProperty: true, visibilityProperty: true}) && element.getBoundingClientRect().height > 0;
	const until = async (what, test, ms = 20000) => {
		for (const end = performance.now() + ms; !await test(); await new Promise((again) => setTimeout(again, 30))) {
			if (performance.now() > end) throw new Error("waited for " + what + " in vain: " + JSON.stringify({at: video?.currentTime, paused: video?.paused,
				ready: video?.readyState, height: video?.videoHeight, attributes: player?.getAttributeNames()}));
		}
	};`

// run runs the body of an async function on the page of an origin; of the visit's own page if origin is "".
func (v *visit) run(origin, body string) (value any) {
	v.t.Helper()
	expression := "(async () => {" + words + body + "})()"
	v.do(chromedp.Evaluate(expression, &value, func(p *runtime.EvaluateParams) *runtime.EvaluateParams {
		v.mu.Lock()
		defer v.mu.Unlock()
		if origin != "" {
			p = p.WithContextID(v.contexts[origin])
		}
		return p.WithAwaitPromise(true).WithUserGesture(true)
	}))
	return value
}

// addresses are those of a video's page, with a token in each way.
func addresses(t *testing.T, id string) map[string]struct {
	address string
	first   []chromedp.Action
} {
	token := mint(t, id, time.Hour, nil)
	type way = struct {
		address string
		first   []chromedp.Action
	}
	return map[string]way{
		"path":   {cloud.URL + "/t/" + token + "/watch/" + id, nil},
		"query":  {cloud.URL + "/watch/" + id + "?token=" + token, nil},
		"cookie": {cloud.URL + "/watch/" + id, []chromedp.Action{network.SetCookie("weir_token", token).WithURL(cloud.URL)}},
	}
}

func TestThePagePlaysToTheEnd(t *testing.T) {
	for via, a := range addresses(t, "full") {
		t.Run("token in the "+via, func(t *testing.T) {
			v := open(t, a.address, a.first...)
			t.Cleanup(func() { v.do(network.ClearBrowserCookies()) })
			v.run("", `await until("a picture", () => video.readyState >= 2); video.playbackRate = 2;`)
			v.do(chromedp.Click("media-controller .start", chromedp.ByQuery))
			v.run("", fmt.Sprintf(`
				await until("the end", () => video.ended, 40000);
				if (Math.abs(video.currentTime - %d) > 0.1) throw new Error("it ended at " + video.currentTime);`, duration))
			if title := v.run("", `return document.title`); title != "full" {
				t.Errorf("the page is called %q", title)
			}
			for _, name := range []string{"/poster.jpg", "/storyboard/storyboard.vtt"} {
				if !v.asked(name) {
					t.Errorf("%s was not asked for", name)
				}
			}
			v.wantClean()
		})
	}
}

func TestAVideoWithoutPosterStoryboardAndCaptionsPlays(t *testing.T) {
	v := open(t, addresses(t, "bare")["path"].address)
	v.run("", `await until("a picture", () => video.readyState >= 2);`)
	v.do(chromedp.KeyEvent(" "))
	if shown := v.run("", `await until("time to go on", () => video.currentTime > 1);
		return shown($("media-captions-button")) || shown($("[role=alert]"))`); shown != false {
		t.Errorf("captions or an error are shown: %v", shown)
	}
}

func TestTheQualityMenuChoosesTheRendition(t *testing.T) {
	v := open(t, addresses(t, "full")["path"].address)
	v.run("", `await until("a picture", () => video.readyState >= 2 && video.videoRenditions.length > 1);`)
	v.do(chromedp.Click("media-settings-menu-button", chromedp.ByQuery))
	v.run("", `
		const item = $("media-settings-menu-item");
		await until("the menu", () => shown(item));
		item.click();
		await until("its items", () => shown($("media-rendition-menu").shadowRoot.querySelector("media-chrome-menu-item")));`)
	labels := v.run("", `return [...$("media-rendition-menu").shadowRoot.querySelectorAll("media-chrome-menu-item")].map((i) => i.textContent.trim()).join(" ")`)
	if text := fmt.Sprint(labels); !strings.Contains(text, "Auto") || !strings.Contains(text, "180p") || !strings.Contains(text, "240p") || !strings.Contains(text, "360p") {
		t.Errorf("the menu lists %q", labels)
	}
	for _, height := range []int{180, 360} {
		v.run("", fmt.Sprintf(`
			[...$("media-rendition-menu").shadowRoot.querySelectorAll("media-chrome-menu-item")].find((i) => i.textContent.includes("%[1]dp")).click();
			video.play();
			await until("%[1]d lines", () => video.videoHeight === %[1]d);`, height))
	}
	v.wantClean()
}

func TestCaptionsAreShownWhenAskedFor(t *testing.T) {
	v := open(t, addresses(t, "full")["query"].address)
	if cues := v.run("", `await until("captions to choose", () => shown($("media-captions-button")));
		return [...video.textTracks].some((t) => t.kind !== "metadata" && t.mode === "showing")`); cues != false {
		t.Error("captions are shown before they are asked for")
	}
	v.do(chromedp.KeyEvent(" "), chromedp.Click("media-captions-button", chromedp.ByQuery))
	text := v.run("", `
		const showing = () => [...video.textTracks].find((t) => t.mode === "showing");
		await until("a caption", () => showing()?.activeCues?.length);
		return showing().activeCues[0].text + " in " + showing().language`)
	if text != "What is said in en" {
		t.Errorf("the caption is %q", text)
	}
	v.do(chromedp.KeyEvent("c"))
	v.run("", `await until("no caption", () => ![...video.textTracks].some((t) => t.mode === "showing"));`)
	v.wantClean()
}

func TestTheTimeLineShowsTheStoryboard(t *testing.T) {
	for via, a := range addresses(t, "full") {
		t.Run("token in the "+via, func(t *testing.T) {
			v := open(t, a.address, a.first...)
			t.Cleanup(func() { v.do(network.ClearBrowserCookies()) })
			v.run("", `await until("the storyboard", () => video.duration > 0 && [...video.textTracks].some((t) => t.label === "thumbnails" && t.cues?.length));`)
			hover(v, 0.9)
			box := v.run("", `
				const preview = $("media-preview-thumbnail");
				const image = preview.shadowRoot.querySelector("img");
				await until("a picture", () => shown(preview) && image.complete && image.naturalWidth > 0);
				return new URL(image.src).pathname.split("/").pop() + " " + preview.getAttribute("mediapreviewcoords")`)
			if box != "sprite_2.jpg 160 0 160 90" {
				t.Errorf("at nine tenths, the preview is %v", box)
			}
			v.wantClean()
		})
	}
}

// hover puts the mouse on the time line, part of its width from its start.
func hover(v *visit, part float64) {
	v.t.Helper()
	box := v.run("", `const b = $("media-time-range").getBoundingClientRect(); return [b.left, b.top, b.width, b.height]`).([]any)
	n := func(i int) float64 { return box[i].(float64) }
	x, y := n(0)+10+(n(2)-20)*part, n(1)+n(3)/2
	v.do(chromedp.MouseEvent("mouseMoved", x-3, y), chromedp.MouseEvent("mouseMoved", x, y))
}

func TestKeysWorkBeforeAnyClick(t *testing.T) {
	v := open(t, addresses(t, "full")["path"].address)
	v.run("", `await until("a picture", () => video.readyState >= 2);`)
	// The conditions that the next key depends on are the player's own: its state follows the video's.
	for _, c := range []struct{ key, then string }{
		{" ", `!player.hasAttribute("mediapaused")`},
		{"k", `player.hasAttribute("mediapaused")`},
		{"m", `player.hasAttribute("mediamuted")`},
		{"m", `!player.hasAttribute("mediamuted")`},
		{kb.ArrowRight, "video.currentTime >= 10"},                           // ArrowRight
		{kb.ArrowLeft, "video.currentTime < 5"},                              // ArrowLeft
		{kb.ArrowDown, "Math.abs(video.volume-.9) < .1 && video.volume < 1"}, // ArrowDown
		{">", "video.playbackRate === 1.25"},
		{"f", `document.fullscreenElement === player && player.hasAttribute("mediaisfullscreen")`},
		{"f", `!document.fullscreenElement && !player.hasAttribute("mediaisfullscreen")`},
	} {
		v.do(chromedp.KeyEvent(c.key))
		v.run("", fmt.Sprintf(`await until(%q, () => %s, 5000);`, c.key+" to do its work: "+c.then, c.then))
	}
	// Tab goes from button to button, each with a name and a ring.
	names := map[any]bool{}
	for range 12 {
		v.do(chromedp.KeyEvent(kb.Tab))
		name := v.run("", `
			let e = document.activeElement;
			if (e === document.body || e === player) return "";
			const inner = e.shadowRoot?.activeElement;
			return (inner?.getAttribute("aria-label") || e.getAttribute("aria-label") || "?") + ((inner ?? e).matches(":focus-visible") ? "" : " without a ring")`)
		names[name] = true
	}
	for name := range names {
		if text := fmt.Sprint(name); strings.Contains(text, "?") || strings.Contains(text, "without") {
			t.Errorf("Tab reaches %q", name)
		}
	}
	for _, want := range []string{"play", "mute", "seek", "settings"} {
		if !strings.Contains(strings.ToLower(fmt.Sprint(names)), want) {
			t.Errorf("Tab reaches %v, and no %s", names, want)
		}
	}
	v.wantClean()
}

func TestAnExpiredLinkSaysWhatToDo(t *testing.T) {
	for name, c := range map[string]struct{ address, want string }{
		"expired":          {"/t/" + mint(t, "full", -time.Hour, nil) + "/watch/full", "This link has expired. Ask for a new one where you got it."},
		"another video":    {"/watch/full?token=" + mint(t, "bare", time.Hour, nil), "This link does not open this video. Ask for a new one where you got it."},
		"no token":         {"/watch/full", "This link does not work. Use all of it, as you got it, or ask for a new one there."},
		"there is nothing": {"/watch/gone?token=" + mint(t, "gone", time.Hour, nil), "There is no video here, or not yet. Check the link, or try again in a few minutes."},
	} {
		t.Run(name, func(t *testing.T) {
			v := open(t, cloud.URL+c.address)
			if got := v.run("", `return document.body.innerText.trim()`); got != c.want {
				t.Errorf("the page says %q", got)
			}
		})
	}
}

// The token may expire while the page is open.
func TestALinkThatExpiresMeanwhileSaysSo(t *testing.T) {
	v := open(t, "about:blank")
	token := mint(t, "full", -27*time.Second, nil) // clocks may differ by 30 s
	v.do(chromedp.Navigate(cloud.URL + "/t/" + token + "/watch/full"))
	v.run("", `await until("a picture", () => video.readyState >= 2);
		await new Promise((later) => setTimeout(later, 5000));
		video.currentTime = 9;
		video.play().catch(() => {});
		await until("the sentence", () => shown($("[role=alert]")) && $("[role=alert]").textContent.startsWith("This link has expired."));`)
}

func TestAllowedSitesEmbedThePage(t *testing.T) {
	rules := jwt.MapClaims{"accessRules": []any{
		map[string]any{"type": "origin", "action": "allow", "origin": []string{allowed.URL, cloud.URL}},
		map[string]any{"type": "any", "action": "block"},
	}}
	for name, token := range map[string]string{
		"everybody's token": mint(t, "full", time.Hour, nil),
		"a token for pages of that site and the Worker's own": mint(t, "full", time.Hour, rules),
	} {
		t.Run(name, func(t *testing.T) {
			page := "?page=" + url.QueryEscape("/t/"+token+"/watch/full")
			v := open(t, allowed.URL+page)
			v.run("", `await until("the frame", () => document.querySelector("iframe"));`)
			v.run(cloud.URL, `await until("a picture", () => video.readyState >= 2);`)
			v.do(chromedp.MouseClickXY(320, 180))
			v.run(cloud.URL, `await until("time to go on", () => video.currentTime > 1);`)

			v = open(t, foreign.URL+page)
			time.Sleep(time.Second)
			v.mu.Lock()
			defer v.mu.Unlock()
			if _, there := v.contexts[cloud.URL]; there {
				t.Error("another site has the page in a frame")
			}
			if text := strings.Join(v.errors, " "); !strings.Contains(text, "frame-ancestors") && !strings.Contains(text, "403") {
				t.Errorf("the browser says %q", text)
			}
		})
	}
}

// Files of the player are served as they are; what is not there, and the paths of videos, are the Worker's.
func TestAssetsTakeNoPathOfTheWorker(t *testing.T) {
	for path, want := range map[string]struct {
		status int
		kind   string
	}{
		"/player/watch.js":       {200, "text/javascript"},
		"/player/watch.css":      {200, "text/css"},
		"/player/icon.svg":       {200, "image/svg+xml"},
		"/player/gone.js":        {404, "application/json"},
		"/player":                {404, "application/json"},
		"/":                      {404, "application/json"},
		"/videos/full/hls/x.m4s": {401, "application/json"},
		"/watch/full":            {401, "application/json"},
		"/watch/watch.js":        {404, "application/json"},
		"/t/x/player/watch.js":   {404, "application/json"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, cloud.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if kind := resp.Header.Get("Content-Type"); resp.StatusCode != want.status || !strings.HasPrefix(kind, want.kind) {
			t.Errorf("%s: %d %s", path, resp.StatusCode, kind)
		}
		if want.status == 200 && resp.Header.Get("ETag") == "" {
			t.Errorf("%s has no ETag", path)
		}
	}
}

package e2e_test

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"weir/deploy/internal/sample"
)

// The page for people shows the poster and, along the time line, the pictures that the transcoder has made of an upload.
func TestThePageShowsPicturesOfTheVideo(t *testing.T) {
	src := clip(t, sample.Sample{Width: 640, Height: 360, Duration: 8 * time.Second, Rate: 25})
	id := fresh("pictures")
	if news := theWorld.transcode(t, id, src.file); news.Event.Status != "processed" {
		t.Fatalf("webhook %s\n%s", news.Body, theWorld.log)
	}
	playback, err := theWorld.weir.Playback(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{playback.URLs.Poster, playback.URLs.Storyboard} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("%s answers %s", url, answer.Status)
		}
	}
	base, _, _ := strings.Cut(playback.URLs.HLS, "/t/")
	for via, address := range map[string]string{
		"path":  base + "/t/" + playback.Token + "/watch/" + id,
		"query": base + "/watch/" + id + "?token=" + playback.Token,
	} {
		t.Run("token in the "+via, func(t *testing.T) {
			p := open(t, address)
			const find = `
				const $ = (name) => document.querySelector(name);
				const video = $("hls-video");
				const until = async (what, test) => {
					for (const end = performance.now() + 20000; !test();) {
						if (performance.now() > end) throw new Error("waited for " + what + " in vain");
						await new Promise((resolve) => setTimeout(resolve, 20));
					}
				};`
			box := eval[[]float64](t, p, `(async () => {`+find+`
				const poster = $("media-poster-image").shadowRoot.querySelector("img");
				await until("the poster", () => poster.complete && poster.naturalWidth === 640);
				await until("the storyboard", () => video.duration > 0 && [...video.textTracks].some((t) => t.label === "thumbnails" && t.cues?.length === 8));
				const b = $("media-time-range").getBoundingClientRect();
				return [b.left, b.top, b.width, b.height];
			})()`)
			x, y := box[0]+10+(box[2]-20)*0.7, box[1]+box[3]/2
			if err := chromedp.Run(p, chromedp.MouseEvent("mouseMoved", x-3, y), chromedp.MouseEvent("mouseMoved", x, y)); err != nil {
				t.Fatal(err)
			}
			seen := eval[struct {
				Width, Height float64
				Coords        string
			}](t, p, `(async () => {`+find+`
				const preview = $("media-preview-thumbnail");
				const image = preview.shadowRoot.querySelector("img");
				await until("a picture", () => image.complete && image.naturalWidth > 0 && preview.getBoundingClientRect().width > 0);
				return {Width: image.naturalWidth, Height: image.naturalHeight, Coords: preview.getAttribute("mediapreviewcoords")};
			})()`)
			// At seven tenths of eight seconds, the sixth picture of one sheet of eight.
			var left, top, width, height float64
			if _, err := fmt.Sscanf(seen.Coords, "%f %f %f %f", &left, &top, &width, &height); err != nil {
				t.Fatal(err)
			}
			if seen.Width != 8*160 || seen.Height != 90 || math.Abs(left-5*160) > 160 || top != 0 || width != 160 || height != 90 {
				t.Errorf("the preview is %+v", seen)
			}
		})
	}
}

package players_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Shaka finds the storyboard in the master playlist, where the others pass over it; and can read it with its token in any way that
// playlists inherit.
func TestShakaShowsThePicturesAlongTheTimeLine(t *testing.T) {
	for _, w := range []way{inPath, inQuery} {
		t.Run(string(w), func(t *testing.T) {
			t.Parallel()
			visit, cancel := context.WithTimeout(open(t), pageTimeout)
			defer cancel()
			url, err := json.Marshal(player{list: master}.give(theWorld.weir.Cloud.URL, w, mint(t, time.Hour)).url)
			if err != nil {
				t.Fatal(err)
			}
			type thumbnail struct{ Start, Duration, X, Y, Width, Height, SheetWidth, SheetHeight float64 }
			var got []thumbnail
			look := fmt.Sprintf(`(async () => {
				window.problems = [];
				await load({url: %s});
				const [track] = player.getImageTracks();
				return Promise.all([0.5, 2.5, 4.9].map(async (at) => {
					const thumbnail = await player.getThumbnails(track.id, at);
					const sheet = await createImageBitmap(await (await fetch(thumbnail.uris[0])).blob());
					return {Start: thumbnail.startTime, Duration: thumbnail.duration, X: thumbnail.positionX, Y: thumbnail.positionY,
						Width: thumbnail.width, Height: thumbnail.height, SheetWidth: sheet.width, SheetHeight: sheet.height};
				}));
			})()`, url)
			err = chromedp.Run(visit, chromedp.Navigate(theWorld.site.URL+"/pages/shaka.html"),
				chromedp.Evaluate(look, &got, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
			if err != nil {
				t.Fatal(err)
			}
			for i := range got { // Shaka counts in floating seconds
				got[i].Start, got[i].Duration = math.Round(got[i].Start*1000)/1000, math.Round(got[i].Duration*1000)/1000
			}
			want := []thumbnail{{0, 1, 0, 0, 160, 90, 800, 90}, {2, 1, 320, 0, 160, 90, 800, 90}, {4, 1, 640, 0, 160, 90, 800, 90}}
			if !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

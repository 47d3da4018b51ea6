package e2e_test

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/deploy/internal/sample"
)

// A viewer who opens a video while it is still being encoded sees it from its beginning to its end. Where the machine is
// slower than the viewer, the player waits; it never jumps, and it never needs to be opened again.
func TestPlayWhileItIsEncoded(t *testing.T) {
	src := clip(t, sample.Sample{Width: 1280, Height: 720, Duration: 30 * time.Second, Rate: 30})
	id := fresh("growing")
	key := "uploads/" + id + filepath.Ext(src.file)
	if err := theWorld.weir.Upload(t.Context(), src.file, key); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), transcodeTimeout)
	defer cancel()
	if _, err := theWorld.weir.Submit(ctx, id, key); err != nil {
		t.Fatal(err)
	}
	news, err := theWorld.weir.Hooks.Playable(ctx, id)
	if err != nil {
		t.Fatalf("%v\nthe parts' last words:\n%s", err, theWorld.log)
	}
	if news.Event.Type != "video.playable" || news.Event.Status != "playable" {
		t.Errorf("webhook %s", news.Body)
	}

	p := open(t, theWorld.player.URL+"/"+id)
	script(t, p, `
		window.positions = [];
		video.addEventListener("timeupdate", () => positions.push(video.currentTime));
		await until("the manifest", () => hls.levels && hls.levels.length);
		hls.config.maxBufferLength = 600;
		await until("a picture", () => video.readyState >= 2);
		window.grewFrom = hls.levels[hls.currentLevel >= 0 ? hls.currentLevel : 0].details?.totalduration;
		await video.play();
		await until("the end", () => video.ended, 85000);`)
	if from := eval[float64](t, p, `grewFrom || 0`); from >= src.duration-edge {
		t.Errorf("the playlist had all %.1f s at first: the test saw nothing grow", from)
	}
	positions := eval[[]float64](t, p, `positions`)
	if len(positions) == 0 || positions[0] > 1 {
		t.Fatalf("playback began at %.1f s", positions[0])
	}
	if !slices.IsSorted(positions) {
		t.Errorf("playback jumped back: %.1f", positions)
	}
	for i, at := range positions[1:] {
		if at-positions[i] > 1.5 {
			t.Errorf("playback jumped from %.1f s to %.1f s", positions[i], at)
		}
	}
	wantWhole(t, p, src)
	// Waiting for what is not encoded yet is what the player calls a stall, and gets over.
	for _, e := range eval[[]string](t, p, `errors`) {
		if !strings.HasPrefix(e, "bufferStalledError") {
			t.Errorf("the player reports %s", e)
		}
	}
	if err := theWorld.weir.Processed(ctx, id); err != nil {
		t.Error(err)
	}
}

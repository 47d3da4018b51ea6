package e2e_test

import (
	"context"
	"testing"
	"time"

	"weir/deploy/internal/sample"
	"weir/deploy/internal/viewer"
)

// A video in all codecs keeps Apple's rules, and every rendition of it has the source's frames.
func TestAVideoInAllCodecsKeepsTheRules(t *testing.T) {
	src := clip(t, sample.Sample{Width: 640, Height: 360, Duration: 9 * time.Second, Rate: 30})
	id := fresh("codecs")
	key := "uploads/" + id + ".mp4"
	if err := theWorld.weir.Upload(t.Context(), src.file, key); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*transcodeTimeout) // further codecs are as nice as can be
	defer cancel()
	if _, err := theWorld.weir.SubmitWith(ctx, id, key, map[string]any{"codecs": []string{"h264", "hevc", "av1"}}); err != nil {
		t.Fatal(err)
	}
	if err := theWorld.weir.Processed(ctx, id); err != nil {
		t.Fatalf("%v\nthe parts' last words:\n%s", err, theWorld.log)
	}
	p, err := theWorld.weir.Playback(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	got, err := viewer.Watch(ctx, p.URLs.HLS)
	if err != nil {
		t.Fatal(err)
	}
	if got.Renditions != 4 || got.Frames != 270 || got.Duration != 9 { // one rung in three codecs, and its sound
		t.Errorf("watched %+v", got)
	}
}

package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"net/http"
	"testing"
	"time"

	"weir/deploy/internal/check"
	"weir/deploy/internal/sample"
)

// Whatever its segments are written in, a video keeps Apple's rules and those of its format, over the joins of its chunks as well.
func TestEveryPackagingKeepsTheRules(t *testing.T) {
	src := clip(t, sample.Sample{Width: 640, Height: 480, Duration: 13 * time.Second, Rate: 30})
	key := "uploads/" + fresh("packaging") + ".mp4"
	if err := theWorld.weir.Upload(t.Context(), src.file, key); err != nil {
		t.Fatal(err)
	}
	for name, wants := range map[string]map[string]any{
		"stream":           {"segment_format": "ts"},
		"encrypted":        {"encrypt": true},
		"encrypted-stream": {"segment_format": "ts", "encrypt": true},
	} {
		t.Run(name, func(t *testing.T) {
			id := fresh(name)
			wants["video_id"], wants["key"], wants["webhook_url"] = id, key, theWorld.weir.Hooks.URL
			theWorld.post(t, wants)
			ctx, unguard := theWorld.weir.Guard(t.Context())
			defer unguard()
			if err := theWorld.weir.Processed(ctx, id); err != nil {
				t.Fatalf("%v\n%s", err, theWorld.log)
			}
			p, err := theWorld.weir.Playback(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			report, err := check.Run(t.Context(), p.URLs.HLSQuery, check.Options{}) // with the token in the path, it was
			if err != nil {
				t.Fatal(err)
			}
			if err := report.Err(); err != nil || report.Segments < 12 {
				t.Errorf("%+v: %v", report, err)
			}
			early := 0.0
			if wants["segment_format"] == "ts" {
				early = 2.0 / 30 // hls.js begins to count where the first picture is decoded
			}
			playTogether(t, open(t, theWorld.player.URL+"/"+id), src, early)
		})
	}
}

// playTogether plays to the end and looks at what was buffered: picture and sound are whole, and side by side. All of it may be
// somewhat late, in seconds; silence is before that.
func playTogether(t *testing.T, p context.Context, src source, late float64) {
	t.Helper()
	script(t, p, `
		await until("the manifest", () => hls.levels && hls.levels.length);
		hls.config.maxBufferLength = 600;
		await until("a picture", () => video.readyState >= 2);
		video.playbackRate = 2;
		await video.play();
		await until("the end", () => video.ended, 60000);`)
	ranges := eval[map[string][][2]float64](t, p, `Object.fromEntries(Object.entries(tracks).map(([name, {buffer: {buffered: b}}]) =>
		[name, Array.from({length: b.length}, (_, i) => [b.start(i), b.end(i)])]))`)
	if len(ranges["video"]) != 1 || len(ranges["audio"]) != 1 {
		t.Fatalf("the buffers are %v", ranges)
	}
	picture, sound := ranges["video"][0], ranges["audio"][0]
	for i, want := range []float64{late, src.duration + late} {
		if apart := math.Abs(picture[i] - sound[i]); apart > edge && (i > 0 || apart > edge+late) || math.Abs(picture[i]-want) > edge {
			t.Errorf("picture is buffered %v and sound %v, want both from 0 to %.3f", picture, sound, src.duration)
		}
	}
	// The first sound of a stream waits for the picture's clock; then hls.js says that it filled no buffer, although it did.
	script(t, p, `errors = errors.filter((text) => !text.startsWith("bufferAppendNoProgress"))`)
	wantNoErrors(t, p)
}

// post sends a request of the caller's own.
func (w world) post(t *testing.T, spec map[string]any) {
	t.Helper()
	body, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.weir.API+"/transcode", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+w.weir.APIKey)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusAccepted {
		t.Fatalf("POST /transcode answered %s", response.Status)
	}
}

package players_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// packagings are the ways of writing segments beside the usual one, by the ID of the video that has them.
var packagings = map[string]map[string]any{
	"stream":           {"segment_format": "ts"},
	"encrypted":        {"encrypt": true},
	"encrypted-stream": {"segment_format": "ts", "encrypt": true},
}

// repackage has the clip made again in each packaging.
var repackage = sync.OnceValue(func() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for id, wants := range packagings {
		spec := map[string]any{"video_id": id, "key": "uploads/clip.mp4", "webhook_url": theWorld.weir.Hooks.URL}
		for name, value := range wants {
			spec[name] = value
		}
		body, err := json.Marshal(spec)
		if err != nil {
			return err
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, theWorld.weir.API+"/transcode", bytes.NewReader(body))
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", "Bearer "+theWorld.weir.APIKey)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		response.Body.Close()
		if err := theWorld.weir.Processed(ctx, id); err != nil {
			return err
		}
	}
	return nil
})

func TestEveryPlayerPlaysEveryPackaging(t *testing.T) {
	if err := repackage(); err != nil {
		t.Fatal(err)
	}
	for _, p := range players {
		if p.list != master {
			continue
		}
		for id := range packagings {
			for _, w := range []way{inPath, inQuery} {
				t.Run(p.name+"/"+id+"/"+string(w), func(t *testing.T) {
					t.Parallel()
					playback, err := theWorld.weir.Playback(t.Context(), id)
					if err != nil {
						t.Fatal(err)
					}
					seen := watch(t)
					url := map[way]string{inPath: playback.URLs.HLS, inQuery: playback.URLs.HLSQuery}[w]
					got, err := p.play(t, access{url: strings.Replace(url, theWorld.weir.Cloud.URL, seen.URL, 1)})
					if p.name == "Chromium's own" && id == "encrypted" {
						if err == nil {
							t.Error("it plays encrypted MP4 behind a clear init segment, which it could not: the README says so")
						}
						return
					}
					if err != nil {
						t.Fatalf("%v\n%s", err, seen)
					}
					// Who makes MP4 of a stream begins to count where its first picture is decoded, two pictures before it is shown.
					if early := 2 / float64(clip.Rate); strings.Contains(id, "stream") && got.Seconds > clip.Duration.Seconds()+late {
						got.Seconds -= early
					}
					p.wantAll(t, got)
					seen.wantPackaging(t, id, w, playback.Token)
				})
			}
		}
	}
}

// wantPackaging holds every request to the token and every answer to success, and wants segments of the video's format, and its key.
func (w *witness) wantPackaging(t *testing.T, id string, by way, token string) {
	t.Helper()
	files := map[string]int{}
	for _, e := range w.seen(t) {
		if e.status != http.StatusOK && e.status != http.StatusPartialContent || !slices.Equal(e.carries(token), []way{by}) {
			t.Errorf("not admitted: %v", e)
		}
		file, _, _ := strings.Cut(e.uri, "?")
		if files[path.Ext(file)]++; strings.HasSuffix(file, "/keys/"+id) {
			files["key"]++
		}
	}
	stream, encrypted := strings.Contains(id, "stream"), strings.Contains(id, "encrypted")
	if (files[".ts"] > 1) != stream || (files[".m4s"] > 1) == stream || (files["key"] > 0) != encrypted {
		t.Errorf("it asked for %v", files)
	}
}

// The key of a video is for those alone who have a token for it.
func TestTheKeyTakesAToken(t *testing.T) {
	if err := repackage(); err != nil {
		t.Fatal(err)
	}
	mine, err := theWorld.weir.Playback(t.Context(), "encrypted")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		token string
		want  int
	}{
		"a token for the video":    {mine.Token, http.StatusOK},
		"no token":                 {"", http.StatusUnauthorized},
		"a token that has expired": {mint(t, -time.Hour), http.StatusUnauthorized},
		"one for another video":    {mint(t, time.Hour), http.StatusForbidden},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, theWorld.weir.Cloud.URL+"/keys/encrypted?token="+c.token, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != c.want || c.want == http.StatusOK && response.ContentLength != 16 {
			t.Errorf("%s: %s with %d bytes, want %d", name, response.Status, response.ContentLength, c.want)
		}
	}
}

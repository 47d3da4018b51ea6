package player_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"weir/deploy/internal/player"
	"weir/deploy/local"
)

func TestPage(t *testing.T) {
	root, err := local.Root()
	if err != nil {
		t.Fatal(err)
	}
	s, err := player.Serve(t.Context(), root, func(_ context.Context, id, via string) (player.Video, error) {
		if id == "none" {
			return player.Video{}, errors.New("there is no </script> video")
		}
		return player.Video{ID: id, URL: "http://worker/" + via + "/master.m3u8", Webhook: `{"text": "<b>"}`}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	for _, c := range []struct {
		name, path string
		want       []string
		never      string
	}{
		{"plays what was found, the way that was asked for", "/abc?via=query",
			[]string{`<code>abc</code>`, `http://worker/query/master.m3u8`, `&lt;b&gt;`}, `<b>`},
		{"says why there is nothing to play", "/none", []string{`there is no \u003c/script\u003e video`}, "no </script> video"},
		{"serves hls.js", "/hls.js", []string{"Hls"}, "<html"},
	} {
		t.Run(c.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+c.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			// html/template writes a slash in a script as \/.
			text := strings.ReplaceAll(string(body), `\/`, `/`)
			for _, w := range c.want {
				if !strings.Contains(text, w) {
					t.Errorf("%s lacks %q", c.path, w)
				}
			}
			if strings.Contains(text, c.never) {
				t.Errorf("%s has %q", c.path, c.never)
			}
		})
	}
}

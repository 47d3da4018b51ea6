package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/deploy/internal/sample"
	"weir/deploy/local"
)

// An upload and R2's notification of it are all that it takes. The local R2 sends none, so the test puts it into the queue.
func TestAnUploadBecomesAVideoByItself(t *testing.T) {
	src := clip(t, sample.Sample{Width: 640, Height: 360, Duration: 5 * time.Second, Rate: 30})
	id := fresh("upload")
	key := "uploads/somebody/" + id + ".mp4"
	if err := theWorld.weir.Upload(t.Context(), src.file, key); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), transcodeTimeout)
	defer cancel()
	ctx, unguard := theWorld.weir.Guard(ctx)
	defer unguard()

	root, err := local.Root()
	if err != nil {
		t.Fatal(err)
	}
	edge := filepath.Join(root, "edge-auth")
	// Through the Worker that is the platform's door, so that both ways into the transcoder are walked at once.
	cmd := exec.CommandContext(ctx, filepath.Join(edge, "node_modules", "node", "bin", "node"), "--no-warnings", filepath.Join(edge, "testdata", "queue.mjs"))
	cmd.Env = append(os.Environ(), "TRANSCODER_URL="+theWorld.weir.Cloud.URL, "WEBHOOK_URL="+theWorld.weir.Hooks.URL, "API_KEY="+theWorld.weir.APIKey, "TOKEN_KEYS=")
	cmd.Stdout, cmd.Stderr = theWorld.log, theWorld.log
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if _, err := fmt.Fprintf(in, `{"account":"a","action":"PutObject","bucket":"weir","object":{"key":%q,"size":1,"eTag":"e"},"eventTime":%q}`+"\n",
		key, begin.UTC().Format(time.RFC3339Nano)); err != nil {
		t.Fatal(err)
	}
	if err := theWorld.weir.Processed(ctx, id); err != nil {
		t.Fatalf("%v\nthe parts' last words:\n%s", err, theWorld.log)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	p := open(t, theWorld.player.URL+"/"+id+"?via=path")
	playThrough(t, p, src)
}

// A backend needs to know the Worker alone: it is the API, and its answers lead to videos on the same host.
func TestTheWorkerIsTheAPI(t *testing.T) {
	base := theWorld.weir.Cloud.URL
	ask := func(method, path, body string, authorized bool) (int, map[string]any) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if authorized {
			req.Header.Set("Authorization", "Bearer "+theWorld.weir.APIKey)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var answer map[string]any
		if resp.ContentLength != 0 {
			if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
				t.Fatal(err)
			}
		}
		return resp.StatusCode, answer
	}
	for _, c := range []struct {
		method, path string
		authorized   bool
		status       int
	}{
		{"POST", "/transcode", false, 401},
		{"POST", "/transcode", true, 400},
		{"GET", "/videos/never-was", true, 404},
		{"DELETE", "/videos/never-was", true, 404},
		{"GET", "/videos/never-was/playback", true, 404},
		{"GET", "/videos/never-was/events", true, 404},
		{"POST", "/videos/never-was/revoke", true, 404},
		{"GET", "/webhooks/dead", true, 200},
		{"POST", "/webhooks/evt_never-was_x_failed/replay", true, 404},
		{"PUT", "/transcode", true, 405},
		{"OPTIONS", "/transcode", false, 204},
		{"GET", "/readyz", true, 404},
		{"GET", "/metrics", true, 404},
	} {
		if status, answer := ask(c.method, c.path, "", c.authorized); status != c.status {
			t.Errorf("%s %s: got %d %v, want %d", c.method, c.path, status, answer, c.status)
		}
	}
}

package local_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"weir/deploy/local"
)

func TestTwoCloudsShareNothing(t *testing.T) {
	a, b := start(t, local.Options{}), start(t, local.Options{})
	if a.URL == b.URL || a.TokenKey == b.TokenKey {
		t.Errorf("two Clouds have the same URL or key: %s", a.URL)
	}
	put(t, a, "uploads/x", "of a")
	if _, err := get(t, b, "uploads/x"); err == nil {
		t.Error("an object put into one bucket is in the other")
	}
}

func TestWorkerAnswers(t *testing.T) {
	c := start(t, local.Options{})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.URL+"/videos/none/hls/master.m3u8", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	// Not 500 `misconfigured`: the Worker has read its keys.
	if resp.StatusCode != http.StatusUnauthorized {
		body, _ := io.ReadAll(resp.Body)
		t.Errorf("a request without a token: %s %s, want 401", resp.Status, body)
	}
}

func TestTokenKeyIsOneJWK(t *testing.T) {
	c := start(t, local.Options{})
	var key struct{ Kty, Alg, Kid, K string }
	if err := json.Unmarshal([]byte(c.TokenKey), &key); err != nil {
		t.Fatal(err)
	}
	if key.Kty != "oct" || key.Alg != "HS256" || key.Kid == "" || len(key.K) < 43 {
		t.Errorf("key type %q, algorithm %q, id %q, %d characters", key.Kty, key.Alg, key.Kid, len(key.K))
	}
}

func TestStopLeavesNothing(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	var log bytes.Buffer
	c, err := local.Start(t.Context(), local.Options{Log: &log})
	if err != nil {
		t.Fatal(err)
	}
	put(t, c, "uploads/x", "y")
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(temp)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 0 {
		t.Errorf("left in the temporary directory: %v", left)
	}
	if _, err := http.Get(c.URL); err == nil {
		t.Error("the port still answers")
	}
	if pids := mentioning(t, temp); len(pids) != 0 {
		t.Errorf("processes still run: %v", pids)
	}
	if err := c.Stop(); err != nil {
		t.Errorf("second Stop: %v", err)
	}
}

func TestDirKeepsTheBucket(t *testing.T) {
	dir := t.TempDir()
	c := start(t, local.Options{Dir: dir})
	put(t, c, "uploads/x", "kept")
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	got, err := get(t, start(t, local.Options{Dir: dir}), "uploads/x")
	if err != nil || got != "kept" {
		t.Errorf("after a restart: %q, %v", got, err)
	}
}

func TestStartTellsWhatIsMissing(t *testing.T) {
	for name, c := range map[string]struct {
		files []string
		want  string
	}{
		"no checkout":     {nil, "find the checkout"},
		"no node modules": {[]string{"go.mod", "wrangler.toml"}, "go tool task setup"},
		"no module": {[]string{"go.mod", "wrangler.toml", "edge-auth/node_modules/node/bin/node",
			"edge-auth/node_modules/wrangler/wrangler-dist/cli.js"}, "edge.wasm is missing: run `go tool task wasm`"},
		"no player": {[]string{"go.mod", "wrangler.toml", "edge-auth/node_modules/node/bin/node",
			"edge-auth/node_modules/wrangler/wrangler-dist/cli.js", "edge-auth/edge.wasm"}, "player/watch.js is missing: run `go tool task wasm`"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(checkout(t, c.files...))
			if _, err := local.Start(t.Context(), local.Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestStartReportsWhyWranglerEnded(t *testing.T) {
	root, err := local.Root()
	if err != nil {
		t.Fatal(err)
	}
	dir := checkout(t, "go.mod", "edge-auth/edge.wasm", "edge-auth/public/player/watch.js")
	if err := os.Symlink(filepath.Join(root, "edge-auth", "node_modules"), filepath.Join(dir, "edge-auth", "node_modules")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "wrangler.toml"), []byte("main = nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	_, err = local.Start(t.Context(), local.Options{})
	if err == nil || !strings.Contains(err.Error(), "wrangler.toml") {
		t.Errorf("error %v, want wrangler's own words about wrangler.toml", err)
	}
	if left, _ := os.ReadDir(temp); len(left) != 0 {
		t.Errorf("a failed start left %v", left)
	}
}

func TestStartObeysItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := local.Start(ctx, local.Options{}); err == nil {
		t.Error("no error")
	}
}

func TestDoneWhenWranglerDies(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	c := start(t, local.Options{})
	for _, pid := range mentioning(t, temp) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	select {
	case <-c.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("Done stays open")
	}
	if err := c.Err(); err == nil {
		t.Error("no error")
	}
}

func start(t *testing.T, opts local.Options) *local.Cloud {
	t.Helper()
	c, err := local.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func put(t *testing.T, c *local.Cloud, key, body string) {
	t.Helper()
	if _, err := c.S3().PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String(c.Bucket), Key: aws.String(key), Body: strings.NewReader(body),
	}); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, c *local.Cloud, key string) (string, error) {
	t.Helper()
	out, err := c.S3().GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(c.Bucket), Key: aws.String(key)})
	if err != nil {
		return "", err
	}
	defer out.Body.Close()
	body, err := io.ReadAll(out.Body)
	return string(body), err
}

// checkout makes a folder with these empty files.
func checkout(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range files {
		path := filepath.Join(dir, f)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// mentioning finds the processes that have the text in their command line.
func mentioning(t *testing.T, text string) []int {
	t.Helper()
	procs, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, p := range procs {
		line, err := os.ReadFile(p)
		if err != nil || !bytes.Contains(line, []byte(text)) {
			continue
		}
		var pid int
		if err := json.Unmarshal([]byte(filepath.Base(filepath.Dir(p))), &pid); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

package wrangler_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weir/deploy/internal/wrangler"
)

// Wrangler goes the way to Cloudflare that the API's client goes, and gets nothing else that it does not need. The token is in no argument.
func TestWhatWranglerGets(t *testing.T) {
	root := t.TempDir()
	for name, content := range map[string]string{
		"edge-auth/node_modules/node/bin/node":                 "#!/bin/sh\nenv > seen\necho \"$@\" >> seen\n",
		"edge-auth/node_modules/wrangler/wrangler-dist/cli.js": "",
		"edge-auth/edge.wasm":                                  "",
		"edge-auth/public/player/watch.js":                     "",
	} {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("HTTPS_PROXY", "http://proxy.example.com:3128")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "of somebody else")
	r := wrangler.Release{Root: root, Account: "account", Token: "token-of-the-test"}
	if err := r.Push(t.Context(), "/usr/bin/docker", "weir:1"); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "seen"))
	if err != nil {
		t.Fatal(err)
	}
	seen := string(text)
	if !strings.Contains(seen, "HTTPS_PROXY=http://proxy.example.com:3128\n") || strings.Contains(seen, "AWS_SECRET_ACCESS_KEY") {
		t.Errorf("the environment is\n%s", seen)
	}
	if strings.Count(seen, r.Token) != 1 || !strings.Contains(seen, "CLOUDFLARE_API_TOKEN="+r.Token+"\n") {
		t.Errorf("the token is elsewhere than in the environment:\n%s", seen)
	}
}

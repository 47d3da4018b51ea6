package main_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// The class of the containers, on the base class of the package, in a platform that is made up.
func TestContainer(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "node_modules/node/bin/node", "--no-warnings", "testdata/container.test.mjs")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// Wrangler takes what is to be deployed, without an account and without Docker.
func TestWranglerTakesTheEnvironments(t *testing.T) {
	for _, environment := range []string{"staging", "production"} {
		t.Run(environment, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), "edge-auth/node_modules/node/bin/node", "edge-auth/node_modules/wrangler/wrangler-dist/cli.js",
				"deploy", "--dry-run", "--env", environment, "--outdir", t.TempDir())
			cmd.Dir = ".."
			cmd.Env = []string{
				"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "CI=1", "NO_COLOR=1", "WRANGLER_SEND_METRICS=false", "WRANGLER_HIDE_BANNER=true",
			}
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for _, want := range []string{"env.CONTAINERS (Transcoder)", "weir-" + environment + "-transcoder", "registry.cloudflare.com/weir:"} {
				if !strings.Contains(string(out), want) {
					t.Errorf("the deployment has no %q:\n%s", want, out)
				}
			}
		})
	}
}

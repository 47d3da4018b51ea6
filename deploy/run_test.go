package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weir/deploy/internal/cf/cftest"
)

// What is wrong with a command line is said before anything starts: in milliseconds, and with status 2.
func TestRunRefusesWhatCannotBeMeant(t *testing.T) {
	dir := t.TempDir()
	video := filepath.Join(dir, "a video.mp4")
	if err := os.WriteFile(video, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"no command", nil, "no command"},
		{"an unknown command", []string{"deliver"}, `no command "deliver"`},
		{"a flag of another command", []string{"dev", "--exit"}, "-exit"},
		{"a video that is not there", []string{"demo", filepath.Join(dir, "none.mp4")}, "none.mp4: no such file"},
		{"a folder", []string{"demo", "--exit", dir}, "is not a file"},
		{"two videos", []string{"demo", video, video}, "flags come before operands"},
		{"a flag behind the video", []string{"demo", video, "--exit"}, "flags come before operands"},
		{"nothing to check", []string{"check", "--json"}, "check which URL?"},
		{"a header that is none", []string{"check", "--header", "Bearer", "http://127.0.0.1:1/"}, "'Name: value'"},
		{"an environment that is not there", []string{"plan", "--offline", "--env", "moon"}, "choose from production, staging"},
		{"a location that is not there", []string{"plan", "--offline", "--location", "moon"}, "choose from apac"},
		{"a page instead of an origin", []string{"plan", "--origin", "https://app.example.com/upload"}, "without a path"},
		{"an operand where there is none", []string{"setup", "everything"}, `what is "everything"?`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if got := run(t.Context(), c.args, &stdout, &stderr); got != 2 {
				t.Errorf("status %d, want 2", got)
			}
			if !strings.Contains(stderr.String(), c.want) || stdout.Len() > 0 {
				t.Errorf("stderr %q, stdout %q, want %q on stderr", stderr.String(), stdout.String(), c.want)
			}
		})
	}
}

func TestHelpIsNoError(t *testing.T) {
	for _, args := range [][]string{{"help"}, {"--help"}, {"demo", "--help"}} {
		var stdout, stderr bytes.Buffer
		if got := run(t.Context(), args, &stdout, &stderr); got != 0 || !strings.HasPrefix(stdout.String(), "usage:") {
			t.Errorf("%q: status %d, stdout %q, stderr %q", args, got, stdout.String(), stderr.String())
		}
	}
}

// Whoever wants to verify a deployment without saying which is told all that is missing.
func TestVerifyNamesEverySettingThatIsMissing(t *testing.T) {
	settings := []string{"PUBLIC_URL", "R2_ENDPOINT", "R2_BUCKET", "R2_ACCESS_KEY_ID", "R2_SECRET_ACCESS_KEY", "TOKEN_KEY"}
	for _, name := range settings {
		t.Setenv(name, "")
	}
	var stdout, stderr bytes.Buffer
	if got := run(t.Context(), []string{"verify"}, &stdout, &stderr); got != 2 || stdout.Len() > 0 {
		t.Errorf("status %d, want 2; stdout %q", got, stdout.String())
	}
	for _, name := range settings {
		if !strings.Contains(stderr.String(), name+" is missing: ") {
			t.Errorf("stderr %q does not name %s", stderr.String(), name)
		}
	}
}

// A plan without an account is told from wrangler.toml alone; with one, it names what is missing to ask it.
func TestPlan(t *testing.T) {
	for _, name := range []string{"CLOUDFLARE_ACCOUNT_ID", "CLOUDFLARE_API_TOKEN"} {
		t.Setenv(name, "")
	}
	var stdout, stderr bytes.Buffer
	if got := run(t.Context(), []string{"plan", "--offline", "--env", "staging", "--origin", "https://app.example.com"}, &stdout, &stderr); got != 0 {
		t.Fatalf("status %d: %s", got, stderr.String())
	}
	for _, want := range []string{
		"R2 bucket weir-staging\n  + in the jurisdiction default\n", "https://app.example.com may send PUT", `deletes "work/…" after 168h0m0s`,
		"+ weir-staging-uploads-dead", "is told of CompleteMultipartUpload, CopyObject, PutObject at uploads/…", "to add: 7, to remove: 0",
	} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("the plan does not say %q:\n%s", want, stdout.String())
		}
	}
	stdout.Reset()
	if got := run(t.Context(), []string{"plan"}, &stdout, &stderr); got != 2 || stdout.Len() > 0 {
		t.Errorf("without an account: status %d, want 2; stdout %q", got, stdout.String())
	}
	for _, want := range []string{"CLOUDFLARE_ACCOUNT_ID must", "CLOUDFLARE_API_TOKEN is missing", "--offline"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("stderr does not say %q: %s", want, stderr.String())
		}
	}
}

func TestAPlanOfAnAccount(t *testing.T) {
	c := cftest.New(t)
	c.Put("", "weir-production", &cftest.Bucket{Public: true})
	t.Setenv("CLOUDFLARE_ACCOUNT_ID", cftest.Account)
	t.Setenv("CLOUDFLARE_API_TOKEN", cftest.Token)
	t.Setenv("CLOUDFLARE_BASE_URL", c.URL)
	var stdout, stderr bytes.Buffer
	if got := run(t.Context(), []string{"plan"}, &stdout, &stderr); got != 0 {
		t.Fatalf("status %d: %s", got, stderr.String())
	}
	for _, want := range []string{"  = in the jurisdiction default\n", "  - the bucket is public at pub-b.r2.dev\n", "  + weir-production-uploads\n", "to remove: 1\n"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("the plan does not say %q:\n%s", want, stdout.String())
		}
	}
	if strings.Contains(stdout.String()+stderr.String(), cftest.Token) {
		t.Error("the token is printed")
	}
	if got := c.Changes(); got != nil {
		t.Errorf("it changed %v", got)
	}
}

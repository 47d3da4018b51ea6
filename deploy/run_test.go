package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"weir/deploy/internal/cf/cftest"
	"weir/deploy/internal/settings"
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
		{"a domain that is none", []string{"plan", "--offline", "--domain", "video"}, "write it as video.example.com"},
		{"a page instead of an origin", []string{"plan", "--origin", "https://app.example.com/upload"}, "without a path"},
		{"an operand where there is none", []string{"setup", "everything"}, `what is "everything"?`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if got := run(t.Context(), c.args, nil, &stdout, &stderr); got != 2 {
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
		if got := run(t.Context(), args, nil, &stdout, &stderr); got != 0 || !strings.HasPrefix(stdout.String(), "usage:") {
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
	if got := run(t.Context(), []string{"verify"}, nil, &stdout, &stderr); got != 2 || stdout.Len() > 0 {
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
	if got := run(t.Context(), []string{"plan", "--offline", "--env", "staging", "--settings", filepath.Join(t.TempDir(), "none.env"), "--origin", "https://app.example.com"}, nil, &stdout, &stderr); got != 0 {
		t.Fatalf("status %d: %s", got, stderr.String())
	}
	for _, want := range []string{
		"R2 bucket weir-staging\n  + in the jurisdiction default\n", "https://app.example.com may send PUT", `deletes "work/…" after 168h0m0s`,
		"+ weir-staging-uploads-dead", "is told of CompleteMultipartUpload, CopyObject, PutObject at uploads/…", "to add: 10, to remove: 0",
	} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("the plan does not say %q:\n%s", want, stdout.String())
		}
	}
	stdout.Reset()
	if got := run(t.Context(), []string{"plan", "--settings", filepath.Join(t.TempDir(), "none.env")}, nil, &stdout, &stderr); got != 2 || stdout.Len() > 0 {
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
	if got := run(t.Context(), []string{"plan", "--settings", filepath.Join(t.TempDir(), "none.env")}, nil, &stdout, &stderr); got != 0 {
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

// From nothing to a Worker that is deployed by the real Wrangler, and back, as an operator does it.
func TestADeploymentFromNothingAndBack(t *testing.T) {
	c := cftest.New(t)
	t.Setenv("CLOUDFLARE_ACCOUNT_ID", cftest.Account)
	t.Setenv("CLOUDFLARE_API_TOKEN", cftest.Token)
	t.Setenv("CLOUDFLARE_BASE_URL", c.URL)
	file := filepath.Join(t.TempDir(), "settings", "production.env")
	said := ""
	deploy := func(want int, stdin string, args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		args = append(args[:1:1], append([]string{"--settings", file}, args[1:]...)...)
		if got := run(t.Context(), args, strings.NewReader(stdin), &stdout, &stderr); got != want {
			t.Fatalf("%q: status %d, want %d\n%s%s", args, got, want, stdout.String(), stderr.String())
		}
		said += stdout.String() + stderr.String()
		return stdout.String() + stderr.String()
	}

	docker := standIn(t)
	docker.refuse(t, true)
	wanted := []string{"apply", "--domain", "video.example.com", "--location", "weur", "--origin", "https://app.example.com"}
	if out := deploy(1, "", wanted...); !strings.Contains(out, "container image: ") || !strings.Contains(out, "run it again") || c.Script("weir-production") != nil {
		t.Errorf("while the registry refuses the image, it says\n%s", out)
	}
	docker.refuse(t, false)
	docker.asked(t)
	deploy(0, "", wanted...)
	asked, name := docker.asked(t), "registry.cloudflare.com/"+cftest.Account+"/weir:1"
	for _, want := range []string{"--tag registry.cloudflare.com/weir:1 ", "login --password-stdin --username v1 registry.cloudflare.com <" + cftest.RegistryPassword, "tag registry.cloudflare.com/weir:1 " + name, "push " + name} {
		if !strings.Contains(asked, want) {
			t.Errorf("Docker was not asked %q but\n%s", want, asked)
		}
	}
	f, err := settings.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	worker := c.Script("weir-production")
	if worker == nil || !maps.Equal(worker.Secrets, f.Worker(true)) || worker.Resources["BUCKET"] != "weir-production" {
		t.Fatalf("the Worker is %+v", worker)
	}
	wasm := slices.ContainsFunc(slices.Collect(maps.Keys(worker.Modules)), func(name string) bool { return strings.HasSuffix(name, ".wasm") })
	if !wasm {
		t.Errorf("the Worker has the modules %v", worker.Modules)
	}
	if got := c.Consumers("weir-production-uploads"); !reflect.DeepEqual(got, []cftest.Consumer{{Script: "weir-production", Dead: "weir-production-uploads-dead"}}) {
		t.Errorf("uploads go to %v", got)
	}
	if got := c.Containers(); len(got) != 1 {
		t.Errorf("the containers are %v", got)
	}
	if got := c.Hosts()["video.example.com"]; got != "weir-production" {
		t.Errorf("the domain leads to %q", got)
	}
	for name, want := range map[string]string{
		"PUBLIC_URL": "https://video.example.com", "R2_ENDPOINT": "https://" + cftest.Account + ".r2.cloudflarestorage.com", "R2_BUCKET": "weir-production",
		"R2_ACCESS_KEY_ID": c.Tokens()[0].ID,
	} {
		if got := f.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}

	c.Changes()
	if out := deploy(0, "", "apply"); !strings.Contains(out, "\nchanged: 0 of 10 parts") || len(c.Changes()) > 0 {
		t.Errorf("the second time, it says\n%s", out)
	}
	if out := deploy(0, "", "plan"); !strings.Contains(out, "all is as wanted") {
		t.Errorf("after it, the plan is\n%s", out)
	}
	if err := f.Set(settings.Value{Name: "ALLOWED_ORIGINS", Text: "https://app.example.com"}); err != nil {
		t.Fatal(err)
	}
	if out := deploy(0, "", "apply"); !strings.Contains(out, "\nchanged: 1 of 10 parts") || c.Script("weir-production").Secrets["ALLOWED_ORIGINS"] == "" {
		t.Errorf("with another setting, it says\n%s", out)
	}

	// A transcoder elsewhere: the Worker forgets what it does not need any more.
	if err := f.Set(settings.Value{Name: "ALLOWED_ORIGINS"}); err != nil {
		t.Fatal(err)
	}
	deploy(0, "", "apply", "--transcoder", "https://transcoder.example.com")
	if f, err = settings.Open(file); err != nil {
		t.Fatal(err)
	}
	if deploy(0, "", "apply"); !maps.Equal(c.Script("weir-production").Secrets, f.Worker(false)) {
		t.Errorf("without that setting, the Worker has %v", slices.Collect(maps.Keys(c.Script("weir-production").Secrets)))
	}

	deploy(2, "weir\n", "destroy")
	deploy(2, "", "destroy", "--data")
	if c.Script("weir-production") == nil || len(c.Tokens()) != 1 {
		t.Fatal("something else was typed, and it is taken down")
	}
	if out := deploy(0, "weir-production\n", "destroy"); !strings.Contains(out, "it is taken down") {
		t.Errorf("it says\n%s", out)
	}
	if c.Script("weir-production") != nil || len(c.Tokens())+len(c.Queues())+len(c.Hosts())+len(c.Containers()) > 0 || c.Bucket("", "weir-production") == nil {
		t.Error("it is not taken down, or the bucket is gone")
	}
	if out := deploy(0, "", "destroy"); !strings.Contains(out, "nothing to take down") {
		t.Errorf("the second time, it says\n%s", out)
	}
	t.Setenv("CLOUDFLARE_ACCOUNT_ID", strings.Repeat("f", 32))
	if out := deploy(2, "", "apply"); !strings.Contains(out, "of another account") {
		t.Errorf("in another account, it says\n%s", out)
	}
	t.Setenv("CLOUDFLARE_ACCOUNT_ID", cftest.Account)
	if out := deploy(0, "", "apply"); !strings.Contains(out, "People watch at https://video.example.com") {
		t.Errorf("and up again, it says\n%s", out)
	}

	for _, name := range []string{"API_KEY", "TOKEN_KEY", "TOKEN_KEYS", "ENCRYPTION_KEY", "WEBHOOK_SECRET", "R2_SECRET_ACCESS_KEY"} {
		if secret := f.Get(name); secret != "" && strings.Contains(said, secret) {
			t.Errorf("%s is printed", name)
		}
	}
	if strings.Contains(said, cftest.Token) || strings.Contains(said, cftest.RegistryPassword) {
		t.Error("the API token or the registry's password is printed")
	}
}

package wrangler_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"weir/deploy/internal/wrangler"
)

const good = `
name = "weir"
[assets]
run_worker_first = ["/videos/*", "/t/*"]
[cache]
enabled = false
[[r2_buckets]]
binding = "BUCKET"
bucket_name = "local"
[env.live]
[[env.live.r2_buckets]]
binding = "OTHER"
bucket_name = "other"
[[env.live.r2_buckets]]
binding = "BUCKET"
bucket_name = "videos"
jurisdiction = "eu"
[[env.live.queues.consumers]]
queue = "uploads"
dead_letter_queue = "dead"
`

func read(t *testing.T, text, environment string) (wrangler.Config, error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "wrangler.toml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return wrangler.Read(name, environment)
}

func TestAnEnvironmentIsRead(t *testing.T) {
	got, err := read(t, good, "live")
	if err != nil {
		t.Fatal(err)
	}
	want := wrangler.Config{
		Environment: "live", Worker: "weir-live", Bucket: wrangler.Bucket{Name: "videos", Jurisdiction: "eu"},
		Uploads: "uploads", Dead: "dead",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, want %+v", got, want)
	}
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	for name, c := range map[string]struct {
		old, new, environment string
		want                  []string
	}{
		"no TOML":                        {old: "[cache]", new: "[cache", want: []string{"toml"}},
		"no such environment":            {environment: "test", want: []string{"no [env.test]", "live"}},
		"bindings are not inherited":     {old: "[[env.live.r2_buckets]]\nbinding = \"BUCKET\"", new: "[[env.live.r2_buckets]]\nbinding = \"B\"", want: []string{"binding BUCKET"}},
		"an unknown jurisdiction":        {old: `"eu"`, new: `"mars"`, want: []string{"mars", "eu", "fedramp"}},
		"no queue":                       {old: "[[env.live.queues.consumers]]", new: "[[env.live.queues.others]]", want: []string{"queues.consumers"}},
		"dead letters go round":          {old: `"dead"`, new: `"uploads"`, want: []string{"dead_letter_queue"}},
		"a cache before the tokens":      {old: "enabled = false", new: "enabled = true", want: []string{"[exports.default.cache] enabled = false"}},
		"a cache, said of the default":   {old: "[env.live]", new: "[env.live.exports.default.cache]\nenabled = true\n[env.live]", want: []string{"[exports.default.cache] enabled = false"}},
		"files before the tokens":        {old: `"/videos/*", `, new: "", want: []string{"/videos/*", "run_worker_first"}},
		"files before everything":        {old: `["/videos/*", "/t/*"]`, new: "false", want: []string{"/videos/*", "/t/*"}},
		"somebody else's image":          {old: "[env.live]", new: "[[env.live.containers]]\nimage = \"docker.io/weir:1\"\n[env.live]", want: []string{"registry.cloudflare.com/weir:1"}},
		"an image without a version":     {old: "[env.live]", new: "[[env.live.containers]]\nimage = \"registry.cloudflare.com/weir\"\n[env.live]", want: []string{"registry.cloudflare.com/weir:1"}},
		"every problem is named at once": {old: "enabled = false", new: "enabled = true\n[env.empty]", environment: "empty", want: []string{"BUCKET", "queues.consumers", "cache"}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.environment == "" {
				c.environment = "live"
			}
			if !strings.Contains(good, c.old) {
				t.Fatalf("the configuration has no %q", c.old)
			}
			_, err := read(t, strings.Replace(good, c.old, c.new, 1), c.environment)
			if err == nil {
				t.Fatal("it is accepted")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q: %v", want, err)
				}
			}
		})
	}
}

func TestADefaultThatIsNotCachedMayBeInACachedWorker(t *testing.T) {
	text := strings.Replace(good, "[cache]\nenabled = false", "[cache]\nenabled = true\n[exports.default.cache]\nenabled = false", 1)
	if _, err := read(t, text, "live"); err != nil {
		t.Error(err)
	}
}

// The file of this repository has what a deployment needs.
func TestTheProjectsOwn(t *testing.T) {
	for _, environment := range []string{"staging", "production"} {
		c, err := wrangler.Read(filepath.Join("..", "..", "..", "wrangler.toml"), environment)
		if err != nil {
			t.Fatal(err)
		}
		if c.Worker != "weir-"+environment || c.Bucket.Name != "weir-"+environment || c.Uploads != "weir-"+environment+"-uploads" || c.Dead != c.Uploads+"-dead" {
			t.Errorf("%s: %+v", environment, c)
		}
	}
}

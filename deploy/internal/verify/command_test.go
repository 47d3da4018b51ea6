package verify_test

import (
	"maps"
	"strings"
	"testing"

	"weir/deploy/internal/verify"
)

func TestLoadNamesEveryProblem(t *testing.T) {
	full := map[string]string{
		"PUBLIC_URL": "https://video.example.com/", "R2_ENDPOINT": "https://abc.r2.cloudflarestorage.com", "R2_BUCKET": "weir",
		"R2_ACCESS_KEY_ID": "id", "R2_SECRET_ACCESS_KEY": "secret",
		"TOKEN_KEY": `{"kty":"oct","alg":"HS256","kid":"k","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}`,
	}
	for name, c := range map[string]struct {
		set  map[string]string // over the full environment; nil is an empty one
		url  string
		want []string
	}{
		"all is well": {map[string]string{}, "", nil},
		"nothing is set": {nil, "", []string{"PUBLIC_URL is missing", "R2_ENDPOINT is missing", "R2_BUCKET is missing",
			"R2_ACCESS_KEY_ID is missing", "R2_SECRET_ACCESS_KEY is missing", "TOKEN_KEY is missing"}},
		"the flag stands in for PUBLIC_URL": {map[string]string{"PUBLIC_URL": ""}, "http://127.0.0.1:8787", nil},
		"the flag comes before PUBLIC_URL":  {map[string]string{"PUBLIC_URL": "nonsense"}, "http://127.0.0.1:8787", nil},
		"a URL with a path":                 {nil, "https://example.com/videos", []string{"without a path", "R2_ENDPOINT is missing"}},
		"a URL without a scheme":            {map[string]string{"PUBLIC_URL": "example.com"}, "", []string{`not "example.com"`}},
		"an endpoint that is none":          {map[string]string{"R2_ENDPOINT": "abc"}, "", []string{"R2_ENDPOINT must be an absolute http(s) URL"}},
		"a key that only verifies":          {map[string]string{"TOKEN_KEY": `{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"k","x":"eA"}`}, "", []string{"TOKEN_KEY: must be"}},
		"a key that is too short for HS256": {map[string]string{"TOKEN_KEY": `{"kty":"oct","alg":"HS256","kid":"k","k":"c2VjcmV0"}`}, "", []string{"TOKEN_KEY: must be"}},
		"a set of keys instead of one":      {map[string]string{"TOKEN_KEY": `{"keys":[]}`}, "", []string{"TOKEN_KEY: must be"}},
	} {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{}
			if c.set != nil {
				env = maps.Clone(full)
				maps.Copy(env, c.set)
			}
			_, err := verify.Load(func(name string) string { return env[name] }, c.url)
			if (err == nil) != (c.want == nil) {
				t.Fatalf("error %v", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want one with %q", err, want)
				}
			}
		})
	}
}

func TestKeyDoesNotShowItself(t *testing.T) {
	to, _ := target(t, "")
	if got := to.Key.String() + to.Key.GoString(); got != "******" {
		t.Error(got)
	}
}

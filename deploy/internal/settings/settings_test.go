package settings_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/deploy/internal/settings"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func open(t *testing.T, name string) *settings.File {
	t.Helper()
	f, err := settings.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	must(t, err)
	return string(text)
}

func TestSecretsAreMadeOnce(t *testing.T) {
	name := filepath.Join(t.TempDir(), "new", "production.env")
	f := open(t, name)
	must(t, f.Complete(noon))
	first := read(t, name)
	for _, want := range []string{"API_KEY=", "WEBHOOK_SECRET=whsec_", "ENCRYPTION_KEY=", "TOKEN_KEYS={", "TOKEN_KEY={"} {
		if !strings.Contains(first, want) {
			t.Errorf("there is no %s in\n%s", want, first)
		}
	}
	if info, _ := os.Stat(name); info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v", info.Mode())
	}
	f = open(t, name)
	must(t, f.Complete(noon.Add(time.Hour)))
	if got := read(t, name); got != first {
		t.Errorf("the second time, it is\n%s", got)
	}
	other := open(t, filepath.Join(t.TempDir(), "a.env"))
	must(t, other.Complete(noon))
	for _, name := range []string{"API_KEY", "WEBHOOK_SECRET", "ENCRYPTION_KEY", "TOKEN_KEY"} {
		if f.Get(name) == other.Get(name) {
			t.Errorf("two deployments have the same %s", name)
		}
	}
	// The Worker gets no key that it does not need.
	if got := slices.Sorted(maps.Keys(f.Worker(false))); !slices.Equal(got, []string{"API_KEY", "ENCRYPTION_KEY", "TOKEN_KEYS"}) {
		t.Errorf("the Worker gets %v", got)
	}
}

// A transcoder beside the Worker gets what the Worker's program hands on, and the Worker alone no more than its own settings.
func TestTheContainerGetsItsSettings(t *testing.T) {
	program, err := os.ReadFile(filepath.Join("..", "..", "..", "edge-auth", "container.mjs"))
	must(t, err)
	_, list, _ := strings.Cut(string(program), "const settings = [")
	list, _, _ = strings.Cut(list, "]")
	names := strings.FieldsFunc(list, func(r rune) bool { return !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", r) })
	if len(names) < 10 {
		t.Fatalf("container.mjs has the settings %v", names)
	}
	f := open(t, filepath.Join(t.TempDir(), "a.env"))
	for _, name := range names {
		must(t, f.Set(settings.Value{Name: name, Text: "set"}))
	}
	for _, name := range names {
		if f.Worker(true)[name] == "" {
			t.Errorf("the container does not get %s", name)
		}
	}
	for _, name := range []string{"TOKEN_KEY", "R2_SECRET_ACCESS_KEY", "WEBHOOK_SECRET"} {
		if f.Worker(false)[name] != "" {
			t.Errorf("the Worker has %s, and no use for it", name)
		}
	}
}

func TestWhatTheOperatorWroteStays(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.env")
	const own = "# two encoders\nTASKS=2\n\nLADDER=720:2800k:128k\n"
	must(t, os.WriteFile(name, []byte(own), 0o600))
	f := open(t, name)
	must(t, f.Set(settings.Value{Name: "PUBLIC_URL", Text: "https://a.example.com"}, settings.Value{Name: "TASKS", Text: "4"}))
	if got, want := read(t, name), strings.Replace(own, "2", "4", 1)+"PUBLIC_URL=https://a.example.com\n"; got != want {
		t.Errorf("it is\n%s", got)
	}
	must(t, f.Suppose(settings.Value{Name: "LOG_SAMPLE", Text: "1"}))
	if f.Get("LOG_SAMPLE") != "1" || strings.Contains(read(t, name), "LOG_SAMPLE") {
		t.Error("what is supposed is not there, or is on the disk")
	}
	must(t, f.Set(settings.Value{Name: "PUBLIC_URL"}))
	if got := open(t, name).Get("LOG_SAMPLE"); got != "1" {
		t.Errorf("with the next change, it is %q", got)
	}
	if got := open(t, name).Get("PUBLIC_URL"); got != "" {
		t.Errorf("PUBLIC_URL is still %q", got)
	}
	if err := f.Set(settings.Value{Name: "A", Text: "b"}, settings.Value{Name: "C", Text: "d\nAPI_KEY=mine"}); err == nil || f.Get("A") != "" {
		t.Errorf("a value of two lines is taken, or half of what was to be set: %v", err)
	}
}

func TestWhatOpensTheDoorIsRefused(t *testing.T) {
	dir := t.TempDir()
	whole := open(t, filepath.Join(dir, "whole.env"))
	must(t, whole.Complete(noon))
	good := read(t, whole.Name())
	with := func(name, value string) string {
		f := open(t, filepath.Join(t.TempDir(), "a.env"))
		must(t, os.WriteFile(f.Name(), []byte(good), 0o600))
		f = open(t, f.Name())
		must(t, f.Set(settings.Value{Name: name, Text: value}))
		return read(t, f.Name())
	}
	key := whole.Get("TOKEN_KEY")
	for name, c := range map[string]struct {
		text string
		mode os.FileMode
		want string
	}{
		"others may read it":           {good, 0o644, "chmod 600"},
		"an empty key":                 {"API_KEY=\n", 0o600, "API_KEY is empty"},
		"a line without a value":       {"API_KEY\n", 0o600, "line 1"},
		"a value twice":                {"TASKS=1\nTASKS=2\n", 0o600, "line 2: TASKS is there twice"},
		"a key that can be guessed":    {with("API_KEY", "secret"), 0o600, "API_KEY is so short"},
		"a master that can be":         {with("ENCRYPTION_KEY", "c2VjcmV0"), 0o600, "ENCRYPTION_KEY is so short"},
		"no set of keys":               {with("TOKEN_KEYS", "{}"), 0o600, "TOKEN_KEYS must be"},
		"a short key in it":            {with("TOKEN_KEYS", `{"keys":[{"kty":"oct","alg":"HS256","kid":"a","k":"c2VjcmV0"}]}`), 0o600, "TOKEN_KEYS, key 1"},
		"an empty one":                 {with("TOKEN_KEYS", `{"keys":[{"kty":"oct","alg":"HS256","kid":"a","k":""}]}`), 0o600, "TOKEN_KEYS, key 1"},
		"two of one name":              {with("TOKEN_KEYS", `{"keys":[`+key+","+key+"]}"), 0o600, `"kid" is that of another`},
		"a key that no one takes":      {with("TOKEN_KEY", strings.Replace(key, `"kid":"`, `"kid":"b`, 1)), 0o600, "does not sign what TOKEN_KEYS takes"},
		"keys, and none that signs":    {with("TOKEN_KEY", ""), 0o600, "TOKEN_KEY: "},
		"a key that signs, and no set": {with("TOKEN_KEYS", ""), 0o600, "TOKEN_KEYS must be"},
		"another secret of that name":  {with("TOKEN_KEY", `{"kty":"oct","alg":"HS256","kid":"2026-01-02T12:00:00Z","k":"`+strings.Repeat("A", 43)+`"}`), 0o600, "does not sign"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "a.env")
			must(t, os.WriteFile(file, []byte(c.text), 0o600))
			must(t, os.Chmod(file, c.mode))
			f, err := settings.Open(file)
			if err == nil {
				err = f.Complete(noon)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("want an error with %q: %v", c.want, err)
			}
			for _, line := range strings.Split(c.text, "\n") {
				if _, secret, _ := strings.Cut(line, "="); err != nil && len(secret) > 6 && strings.Contains(err.Error(), secret) {
					t.Errorf("it says a secret: %v", err)
				}
			}
			if got := read(t, file); got != c.text {
				t.Errorf("it was changed:\n%s", got)
			}
		})
	}
}

// A rotation may break off after any step; the settings say how it goes on.
func TestKeysAreChangedInThreeSteps(t *testing.T) {
	for _, alg := range []string{"HS256", "Ed25519"} {
		t.Run(alg, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "a.env")
			if alg == "Ed25519" { // the key of RFC 8037, appendix A
				const public, seed = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
				const pair = `{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"old","x":"` + public + `"`
				must(t, os.WriteFile(name, []byte("TOKEN_KEYS={\"keys\":["+pair+"}]}\nTOKEN_KEY="+pair+`,"d":"`+seed+"\"}\n"), 0o600))
			}
			f := open(t, name)
			must(t, f.Complete(noon))
			state := func() settings.Keys {
				t.Helper()
				k, err := open(t, name).Keys()
				must(t, err)
				return k
			}
			old := state().Signs
			must(t, f.AddKey(noon.Add(time.Hour)))
			if k := state(); len(k.IDs) != 2 || k.Signs != old || k.Newest() == old {
				t.Fatalf("with a new key, they are %+v", k)
			}
			must(t, f.SignWithNewest(noon.Add(2*time.Hour)))
			k := state()
			if len(k.IDs) != 2 || k.Signs != k.Newest() || k.Signs == old || !k.Since.Equal(noon.Add(2*time.Hour)) {
				t.Fatalf("when it signs, they are %+v", k)
			}
			must(t, f.RetireOlder())
			if k := state(); len(k.IDs) != 1 || k.Signs == old {
				t.Fatalf("at the end, they are %+v", k)
			}
			if strings.Contains(f.Get("TOKEN_KEYS"), `"d"`) {
				t.Error("the Worker has a private key")
			}
			if strings.Contains(f.Get("TOKEN_KEY"), `"OKP"`) != (alg == "Ed25519") {
				t.Error("the new key is of another kind")
			}
			if err := f.SignWithNewest(noon); err == nil {
				t.Error("it signs with a key that nobody made")
			}
		})
	}
}

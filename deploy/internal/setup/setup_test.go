package setup

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// complete is a machine where nothing is missing; a case takes something away.
func complete(change func(*machine)) machine {
	m := machine{apt: true, root: true, font: true, chromium: true, mpv: true, prometheus: true, gcc: true, npm: true, tinygo: true, wasmOpt: true, packages: true}
	if change != nil {
		change(&m)
	}
	return m
}

func TestPlan(t *testing.T) {
	for _, c := range []struct {
		name    string
		m       machine
		scope   Scope
		steps   []string // the first words of each
		install []string
	}{
		{"nothing is missing, nothing is done", complete(nil), Tests, nil, nil},
		{
			"a fresh machine gets everything, in the order of need",
			machine{
				apt: true, root: true, ffmpeg: []string{"the ffmpeg program"},
				llvm: []string{"llvm-19-dev", "clang-19", "lld-19", "libclang-19-dev", "g++"},
			}, Tests,
			[]string{"install ffmpeg", "install chromium", "install mpv", "install gcc", "unpack prometheus", "install npm", "build TinyGo", "install binaryen", "fetch wrangler"},
			[]string{"ffmpeg", "chromium", "mpv", "gcc", "libc6-dev", "npm", "llvm-19-dev", "clang-19", "lld-19", "libclang-19-dev", "g++", "binaryen"},
		},
		{
			"the demo needs no player but the viewer's, no gcc and no Prometheus",
			complete(func(m *machine) { m.chromium, m.mpv, m.gcc, m.prometheus = false, false, false, false }), Demo, nil, nil,
		},
		{
			"the page needs what is npm's alone",
			machine{apt: true, root: true, ffmpeg: []string{"the ffmpeg program"}, llvm: []string{"llvm-19-dev"}}, Page,
			[]string{"install npm", "fetch wrangler"},
			[]string{"npm"},
		},
		{
			"an ffmpeg without a filter is replaced, and the filter is named",
			complete(func(m *machine) { m.ffmpeg = []string{"the flite filter"} }), Demo,
			[]string{"install ffmpeg (missing: the flite filter)"},
			[]string{"ffmpeg"},
		},
		{
			"a font comes only if drawtext finds none",
			complete(func(m *machine) { m.font = false }), Demo,
			[]string{"install a font"},
			[]string{"fonts-dejavu-core"},
		},
		{
			"TinyGo is built without apt where LLVM is there",
			complete(func(m *machine) { m.tinygo, m.apt, m.root = false, false, false }), Demo,
			[]string{"build TinyGo"},
			nil,
		},
		{
			"node packages need no root",
			complete(func(m *machine) { m.packages, m.root = false, false }), Demo,
			[]string{"fetch wrangler"},
			nil,
		},
		{
			"sudo is as good as root",
			complete(func(m *machine) { m.npm, m.root, m.sudo = false, false, true }), Demo,
			[]string{"install npm"},
			[]string{"npm"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := plan(c.m, c.scope)
			if err != nil {
				t.Fatal(err)
			}
			var install []string
			for i, s := range got {
				if i >= len(c.steps) || !strings.HasPrefix(s.name, c.steps[i]) {
					t.Errorf("step %d is %q, want %q", i, s.name, c.steps)
				}
				install = append(install, s.install...)
			}
			if len(got) != len(c.steps) || !slices.Equal(install, c.install) {
				t.Errorf("%d steps installing %q, want %q installing %q", len(got), install, c.steps, c.install)
			}
		})
	}
}

func TestPlanSaysWhatAPersonMustDo(t *testing.T) {
	for _, c := range []struct {
		name string
		m    machine
		want string
	}{
		{
			"neither root nor sudo",
			complete(func(m *machine) { m.npm, m.chromium, m.root = false, false, false }),
			"run as root: apt-get update && apt-get install --yes chromium npm",
		},
		{
			"nobody who may ask which packages there are",
			complete(func(m *machine) { m.prometheus, m.root = false, false }),
			"run as root: apt-get update && apt-get install --yes prometheus",
		},
		{
			"no apt-get",
			complete(func(m *machine) { m.ffmpeg, m.apt = []string{"the libx264 encoder"}, false }),
			"install by hand what Debian calls ffmpeg (of ffmpeg this is missing: the libx264 encoder)",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			steps, err := plan(c.m, Tests)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("steps %v, error %v, want %q", steps, err, c.want)
			}
		})
	}
}

func TestFitTinyGo(t *testing.T) {
	for answer, want := range map[string]bool{
		"tinygo version 0.41.0 linux/amd64 (using go version go1.26.8 and LLVM version 19.1.7)":     true,
		"tinygo version 0.41.0-dev-abc linux/amd64 (using go version go1.26 and LLVM version 19.1)": true,
		"tinygo version 0.40.1 linux/amd64 (using go version go1.25.0 and LLVM version 19.1.2)":     false,
		"tinygo version 0.100.0 linux/amd64":                                                        true,
		"tinygo version 1.0.0 linux/amd64":                                                          true,
		"":                                                                                          false,
		"tinygo version x":                                                                          false,
	} {
		if got := fitTinyGo(answer); got != want {
			t.Errorf("%q: %v, want %v", answer, got, want)
		}
	}
}

func TestListedReadsTheNameColumn(t *testing.T) {
	const out = " ------\n V....D libx264              libx264 H.264 / AVC (codec h264)\n V....D libx264rgb           aac in the text\n"
	for name, want := range map[string]bool{"libx264": true, "libx26": false, "aac": false} {
		if got := listed(out, name); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}

func TestPackagesMatch(t *testing.T) {
	const lock = `{"packages":{"":{"version":"1"},"node_modules/a":{"version":"1.0.0"},"node_modules/for-mac":{"version":"2.0.0","optional":true}}}`
	const node = "node_modules/node/bin/node"
	for name, c := range map[string]struct {
		files map[string]string
		want  bool
	}{
		"as the lock file says; an optional package may be absent": {
			map[string]string{"node_modules/.package-lock.json": `{"packages":{"node_modules/a":{"version":"1.0.0"}}}`, node: ""}, true},
		"no node_modules": {nil, false},
		"another version": {
			map[string]string{"node_modules/.package-lock.json": `{"packages":{"node_modules/a":{"version":"0.9.0"}}}`, node: ""}, false},
		"a package is missing": {
			map[string]string{"node_modules/.package-lock.json": `{"packages":{}}`, node: ""}, false},
		"another version of an optional package": {
			map[string]string{"node_modules/.package-lock.json": `{"packages":{"node_modules/a":{"version":"1.0.0"},"node_modules/for-mac":{"version":"1.0.0"}}}`, node: ""}, false},
		"Node's install script did not run": {
			map[string]string{"node_modules/.package-lock.json": `{"packages":{"node_modules/a":{"version":"1.0.0"}}}`}, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "package-lock.json"), lock)
			for f, text := range c.files {
				write(t, filepath.Join(dir, f), text)
			}
			if got, err := packagesMatch(dir); err != nil || got != c.want {
				t.Errorf("%v, %v, want %v", got, err, c.want)
			}
		})
	}
}

func TestModuleIsBuiltAgainWhenItsSourcesAreNewer(t *testing.T) {
	made := time.Now().Add(-time.Hour)
	before, after := made.Add(-time.Minute), made.Add(time.Minute)
	for name, c := range map[string]struct {
		touched string
		want    bool // is the module still fresh?
	}{
		"nothing changed":                    {"", true},
		"a source":                           {"edge/internal/token/token.go", false},
		"the target":                         {"edge/target.json", false},
		"go.mod":                             {"go.mod", false},
		"a folder, because a file was moved": {"edge/internal/token", false},
		"a test":                             {"edge/internal/token/token_test.go", true},
		"a node module":                      {"edge/node_modules/x/x.go", true},
		"the shim, which is no part of it":   {"edge/worker.mjs", true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, f := range []string{"go.mod", "edge/main.go", "edge/worker.mjs", "edge/target.json", "edge/edge.wasm",
				"edge/internal/token/token.go", "edge/internal/token/token_test.go", "edge/node_modules/x/x.go"} {
				write(t, filepath.Join(dir, f), "")
			}
			if err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
				if err != nil {
					return err
				}
				return os.Chtimes(path, before, before)
			}); err != nil {
				t.Fatal(err)
			}
			module := filepath.Join(dir, "edge", "edge.wasm")
			if err := os.Chtimes(module, made, made); err != nil {
				t.Fatal(err)
			}
			if c.touched != "" {
				if err := os.Chtimes(filepath.Join(dir, c.touched), after, after); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := newerThanSources(module, filepath.Join(dir, "edge"), filepath.Join(dir, "go.mod")); err != nil || got != c.want {
				t.Errorf("fresh: %v, %v, want %v", got, err, c.want)
			}
		})
	}
}

func TestPlayerIsFresh(t *testing.T) {
	made := time.Now().Add(-time.Hour)
	before, after := made.Add(-time.Minute), made.Add(time.Minute)
	for name, c := range map[string]struct {
		touched string
		want    bool
	}{
		"nothing changed":                  {"", true},
		"a source":                         {"watch/player.html", false},
		"a source that went":               {"watch", false},
		"a package":                        {"package-lock.json", false},
		"the shim, which is no part of it": {"worker.mjs", true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, f := range []string{"watch/player.html", "package-lock.json", "worker.mjs", "public/player/watch.js"} {
				write(t, filepath.Join(dir, f), "")
			}
			for _, f := range []string{"watch/player.html", "watch", "package-lock.json", "worker.mjs"} {
				if err := os.Chtimes(filepath.Join(dir, f), before, before); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chtimes(filepath.Join(dir, "public/player/watch.js"), made, made); err != nil {
				t.Fatal(err)
			}
			if c.touched != "" {
				if err := os.Chtimes(filepath.Join(dir, c.touched), after, after); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := playerIsFresh(dir); err != nil || got != c.want {
				t.Errorf("fresh: %v, %v, want %v", got, err, c.want)
			}
		})
	}
	if got, err := playerIsFresh(t.TempDir()); err != nil || got {
		t.Errorf("a player that was never built: fresh: %v, %v", got, err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

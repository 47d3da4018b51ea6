package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The files are held to what the dynamic linker says, and the bill to what dpkg and Go say.
func TestAProgramGetsAllThatItNeeds(t *testing.T) {
	const program = "/usr/bin/apt-get"
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(t.TempDir(), "root")
	const licences = "../../../../edge-auth/watch/licences.txt"
	if err := run([]string{"--root", root, "--version", "1", "--source", "thing@2", "--scripts", licences, program, self, self}); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "ldd", program).Output()
	if err != nil {
		t.Fatal(err)
	}
	paths := regexp.MustCompile(`(?m)(/\S+) \(0x`).FindAllStringSubmatch(string(out), -1)
	if len(paths) < 10 {
		t.Fatalf("ldd says %s", out)
	}
	for _, p := range paths {
		real, err := filepath.EvalSymlinks(filepath.Dir(p[1]))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(root, real, filepath.Base(p[1]))); err != nil {
			t.Errorf("%s is not there: %v", p[1], err)
		}
	}

	var sbom struct {
		Format     string `json:"bomFormat"`
		Components []struct{ Name, Version, PURL string }
	}
	text, err := os.ReadFile(filepath.Join(root, bill))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &sbom); err != nil || sbom.Format != "CycloneDX" {
		t.Fatal(sbom.Format, err)
	}
	var purls []string
	for _, c := range sbom.Components {
		if slices.Contains(purls, c.PURL) {
			t.Errorf("the bill has %s twice", c.PURL)
		}
		purls = append(purls, c.PURL)
		if !strings.HasPrefix(c.PURL, "pkg:deb/") {
			continue
		}
		said, err := exec.CommandContext(t.Context(), "dpkg-query", "-W", "-f", "${Version}\n", c.Name).Output()
		if err != nil || !slices.Contains(strings.Fields(string(said)), c.Version) {
			t.Errorf("the bill has %s %s, and dpkg %s %v", c.Name, c.Version, said, err)
		}
		for _, file := range []string{"var/lib/dpkg/status.d/" + c.Name, "usr/share/doc/" + c.Name + "/copyright"} {
			if info, err := os.Stat(filepath.Join(root, file)); err != nil || info.Size() == 0 {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
	for _, want := range []string{"pkg:deb/debian/libc6@", "pkg:deb/debian/apt@", "pkg:deb/debian/ca-certificates@", "pkg:generic/thing@2", "pkg:golang/stdlib@1.", "pkg:npm/hls.js@1."} {
		if !slices.ContainsFunc(purls, func(p string) bool { return strings.HasPrefix(p, want) }) {
			t.Errorf("the bill has no %s: %v", want, purls)
		}
	}
}

func TestWhatCannotBeLaidOutIsSaid(t *testing.T) {
	for _, args := range [][]string{{}, {"--root", t.TempDir()}, {"--root", t.TempDir() + "/x", "/nowhere"}, {"--root", t.TempDir() + "/y", "--scripts", "main.go", "/usr/bin/apt-get"}} {
		if err := run(args); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
}

package setup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// inspectTimeout bounds one question to a program, such as its version. A cold disk answers within seconds.
const inspectTimeout = 30 * time.Second

// inspect looks at the machine and at the checkout at root.
func inspect(ctx context.Context, root string) (machine, error) {
	packages, err := packagesMatch(filepath.Join(root, "edge-auth"))
	if err != nil {
		return machine{}, err
	}
	tinygo, err := findTinyGo(ctx)
	if err != nil {
		return machine{}, err
	}
	prometheus, err := findPrometheus()
	if err != nil {
		return machine{}, err
	}
	m := machine{
		apt:        has("apt-get"),
		root:       os.Geteuid() == 0,
		sudo:       has("sudo"),
		ffmpeg:     ffmpegLacks(ctx),
		chromium:   has("chromium") || has("chromium-browser") || has("google-chrome"),
		mpv:        has("mpv"),
		prometheus: prometheus != nil,
		gcc:        has("gcc"),
		npm:        has("npm"),
		tinygo:     tinygo.path != "",
		wasmOpt:    tinygo.findsWasmOpt(ctx),
		packages:   packages,
	}
	if len(m.ffmpeg) == 0 {
		_, err := ask(ctx, "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "color=s=64x64:d=0.04,drawtext=text=0", "-f", "null", "-")
		m.font = err == nil
	}
	if !m.tinygo {
		m.llvm = llvmLacks()
	}
	return m, nil
}

// ffmpegLacks lists what the demo, the tests and the transcoder need of ffmpeg and do not find.
func ffmpegLacks(ctx context.Context) []string {
	if !has("ffmpeg") {
		return []string{"the ffmpeg program"}
	}
	var lacks []string
	if !has("ffprobe") {
		lacks = append(lacks, "the ffprobe program")
	}
	for _, list := range []struct {
		flag, kind string
		names      []string
	}{
		{"-encoders", "encoder", []string{"libx264", "libx265", "libsvtav1", "aac"}},
		{"-filters", "filter", []string{"drawtext", "flite"}}, // the sample's clock and its speech
	} {
		out, err := ask(ctx, "ffmpeg", "-v", "error", "-hide_banner", list.flag)
		for _, name := range list.names {
			if err != nil || !listed(out, name) {
				lacks = append(lacks, "the "+name+" "+list.kind)
			}
		}
	}
	return lacks
}

// listed finds the name in the second column of one of ffmpeg's lists: " V....D libx264   H.264 …".
func listed(out, name string) bool {
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) > 1 && f[1] == name {
			return true
		}
	}
	return false
}

// llvmLacks lists the Debian packages that building TinyGo needs and that are not installed.
func llvmLacks() []string {
	var lacks []string
	for _, p := range []struct{ file, name string }{
		{"/usr/lib/llvm-19/include/llvm-c/Core.h", "llvm-19-dev"},
		{"/usr/lib/llvm-19/bin/clang", "clang-19"},
		{"/usr/lib/llvm-19/bin/lld", "lld-19"},
		{"/usr/lib/llvm-19/include/clang-c/Index.h", "libclang-19-dev"},
	} {
		if _, err := os.Stat(p.file); err != nil {
			lacks = append(lacks, p.name)
		}
	}
	if !has("g++") {
		lacks = append(lacks, "g++") // cgo's C++ compiler
	}
	return lacks
}

// packagesMatch compares the lock file with the one that npm leaves in node_modules. Packages for other systems are
// optional, and npm leaves them out.
func packagesMatch(dir string) (bool, error) {
	type lock struct {
		Packages map[string]struct {
			Version  string
			Optional bool
		}
	}
	read := func(path string) (l lock, err error) {
		data, err := os.ReadFile(path)
		if err != nil {
			return l, fmt.Errorf("read %s: %w", path, err)
		}
		if err := json.Unmarshal(data, &l); err != nil {
			return l, fmt.Errorf("read %s: %w", path, err)
		}
		return l, nil
	}
	want, err := read(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		return false, err
	}
	have, err := read(filepath.Join(dir, "node_modules", ".package-lock.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for path, p := range want.Packages {
		got, ok := have.Packages[path]
		if path != "" && got.Version != p.Version && (ok || !p.Optional) {
			return false, nil
		}
	}
	// Node itself is put there by an install script, after the packages.
	_, err = os.Stat(filepath.Join(dir, "node_modules", "node", "bin", "node"))
	return err == nil, nil
}

// npmCI makes node_modules what the lock file says.
func npmCI(ctx context.Context, root string) error {
	env := []string{"npm_config_update_notifier=false", "npm_config_audit=false", "npm_config_fund=false"}
	return quietly(ctx, filepath.Join(root, "edge-auth"), env, "npm", "ci")
}

func has(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

// ask runs a program for its answer.
func ask(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).Output()
	return string(out), err
}

// Package setup brings a fresh Debian machine to where Weir can be built, shown and tested.
//
// It looks at what is there (inspect.go), decides what is missing (plan.go, pure), names each step as it does it, and
// looks again: a step that did not help is an error, not a surprise later. Where everything is there it takes about a
// second and changes nothing. It also knows where the Wasm toolchain lives, so it builds the Worker's module.
//
// It never changes what a step did not name: no upgrade, no configuration of the system, no global npm package.
package setup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Run brings the machine to where the checkout at root can do what scope says.
func Run(ctx context.Context, root string, scope Scope, out io.Writer) error {
	m, err := inspect(ctx, root)
	if err != nil {
		return err
	}
	steps, err := plan(m, scope)
	if err != nil {
		return err
	}
	if len(steps) == 0 {
		return nil
	}
	updated := false
	for _, s := range steps {
		begin := time.Now()
		_, _ = fmt.Fprintf(out, "set-up: %s\n", s.name)
		if (len(s.install) > 0 || s.unpack != "") && !updated {
			if err := apt(ctx, m, "update"); err != nil {
				return err
			}
			updated = true
		}
		if err := s.do(ctx, m, root); err != nil {
			return fmt.Errorf("set-up: %s: %w", s.name, err)
		}
		_, _ = fmt.Fprintf(out, "set-up: … done in %v\n", time.Since(begin).Round(100*time.Millisecond))
	}
	if m, err = inspect(ctx, root); err != nil {
		return err
	}
	if steps, err = plan(m, scope); err != nil {
		return err
	}
	if len(steps) > 0 {
		return fmt.Errorf("set-up did its steps, but this is still missing: %s: %s", steps[0].name, hint(m))
	}
	return nil
}

// do does the step. Each action is safe to repeat after a crash.
func (s step) do(ctx context.Context, m machine, root string) error {
	if len(s.install) > 0 {
		if err := apt(ctx, m, append([]string{"install", "--yes", "--no-install-recommends"}, s.install...)...); err != nil {
			return err
		}
	}
	switch s.action {
	case buildTinyGo:
		return tinyGoFromModule(ctx)
	case installNode:
		return npmCI(ctx, root)
	case unpackPrometheus:
		return prometheusFromPackage(ctx, s.unpack)
	}
	return nil
}

// apt runs apt-get as root.
func apt(ctx context.Context, m machine, args ...string) error {
	cmd := []string{"apt-get", "-qq", "-o", "Dpkg::Use-Pty=0"}
	if !m.root {
		cmd = append([]string{"sudo", "DEBIAN_FRONTEND=noninteractive"}, cmd...)
	}
	cmd = append(cmd, args...)
	return quietly(ctx, "", []string{"DEBIAN_FRONTEND=noninteractive"}, cmd...)
}

// quietly runs a command in dir; its output matters only if it fails.
func quietly(ctx context.Context, dir string, env []string, args ...string) error {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	cmd.Stdin = os.Stdin // sudo may want a password
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, lastLines(out.String()))
	}
	return nil
}

func lastLines(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}

// Cache is the folder for what set-up builds itself.
func Cache() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a cache folder: %w: set HOME or XDG_CACHE_HOME", err)
	}
	return filepath.Join(dir, "weir"), nil
}

// intoCache has a folder made for the cache. It appears there at once or not at all, so that what was interrupted is done again.
func intoCache(dir string, fill func(temp string) error) (err error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("make the cache folder: %w", err)
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), filepath.Base(dir)+"-")
	if err != nil {
		return fmt.Errorf("make a folder for the cache: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	if err := fill(temp); err != nil {
		return err
	}
	if err := os.Rename(temp, dir); err != nil {
		return fmt.Errorf("put it into the cache: %w", err)
	}
	return nil
}

// Package image builds the container image of deploy/Dockerfile, and tries it.
//
// [Build] makes it, with Docker or with Podman; [Verify] runs the edge and the transcoder inside it as an operator should, as nobody and on a
// root that is read-only, and has the transcoder do what the demo does. What the image is made of is deploy/Dockerfile's business; rootfs, a program beside this
// package, lays out its files.
package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"weir/deploy/internal/setup"
	"weir/deploy/local"
)

// Name is the image's if the operator says no other.
const Name = "weir"

// stopGrace is for a builder, or a transcoder, that is told to end.
const stopGrace = 20 * time.Second

// Build builds the image under a name, which may have a tag.
func Build(ctx context.Context, name string, out io.Writer) error {
	root, err := local.Root()
	if err != nil {
		return err
	}
	e, err := find(ctx)
	if err != nil {
		return err
	}
	// Not in the Dockerfile: it is made of the packages that the tests have tried.
	if err := setup.Run(ctx, root, setup.Page, out); err != nil {
		return err
	}
	if _, err := setup.Player(ctx, root); err != nil {
		return err
	}
	base, err := e.base(ctx, out)
	if err != nil {
		return fmt.Errorf("the Debian that the image is built on: %w", err)
	}
	revision, version := commit(ctx, root)
	file := filepath.Join(root, "deploy", "Dockerfile")
	args := []string{
		"build", "--platform", "linux/amd64", "--file", file, "--tag", name,
		"--build-arg", "BASE=" + base,
		"--build-arg", "VERSION=" + version, "--build-arg", "REVISION=" + revision,
	}
	if m := os.Getenv("DEBIAN_MIRROR"); m != "" {
		args = append(args, "--build-arg", "DEBIAN_MIRROR="+m)
	}
	if trusted := os.Getenv("SSL_CERT_FILE"); trusted != "" {
		args = append(args, "--secret", "id=certificates,src="+trusted)
	}
	if e.podman {
		// OCI's format has no health checks. A chroot is enough for what is built, and works in containers as well.
		args = append(args, "--format", "docker", "--isolation", "chroot", "--layers", "--ignorefile", file+".dockerignore")
	}
	if err := e.run(ctx, out, append(args, root)...); err != nil {
		return fmt.Errorf("build the image: %w", err)
	}
	size, err := e.size(ctx, name)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "built %s: %.1f MB\n", name, size)
	return nil
}

// commit says what is built: the checkout's commit, and its name among the tags.
func commit(ctx context.Context, root string) (revision, version string) {
	git := func(args ...string) string {
		out, err := exec.CommandContext(ctx, "git", append([]string{"-C", root}, args...)...).Output()
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(out))
	}
	version = git("describe", "--tags", "--always", "--dirty")
	if version == "" {
		version = "devel" // an export of the sources
	}
	return git("rev-parse", "HEAD"), version
}

// size is that of the image's files, in MB.
func (e engine) size(ctx context.Context, name string) (float64, error) {
	text, err := e.ask(ctx, "image", "inspect", "--format", "{{.Size}}", name)
	if err != nil {
		return 0, errors.Join(fmt.Errorf("there is no image %s: `go tool task image` builds it", name), err)
	}
	bytes, err := strconv.ParseInt(text, 10, 64)
	return float64(bytes) / 1e6, err
}

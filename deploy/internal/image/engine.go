package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
)

// engine is Docker or Podman: their command lines are the same but for what is said here.
type engine struct {
	path   string
	global []string // flags that come before the command
	podman bool
}

// find finds a Docker that answers, or else Podman, which needs no daemon.
func find(ctx context.Context) (engine, error) {
	if path, err := exec.LookPath("docker"); err == nil {
		e := engine{path: path}
		if _, err := e.ask(ctx, "info"); err == nil {
			return e, nil
		}
	}
	path, err := exec.LookPath("podman")
	if err != nil {
		return engine{}, errors.New("neither a Docker daemon nor Podman is here: install Docker, or, on Debian: apt-get install podman mmdebstrap runc")
	}
	e := engine{path: path, podman: true, global: []string{"--cgroup-manager=cgroupfs"}} // not every machine has systemd
	if runc, err := exec.LookPath("runc"); err == nil {
		e.global = append(e.global, "--runtime="+runc) // crun takes fewer kinds of cgroups
	}
	return e, nil
}

// Docker finds the program that builds images and runs them: Docker, or Podman.
func Docker(ctx context.Context) (path string, err error) {
	e, err := find(ctx)
	return e.path, err
}

// command is the engine's, with nothing connected.
func (e engine) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, e.path, slices.Concat(e.global, args)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopGrace
	return cmd
}

// run runs a command and shows what it says.
func (e engine) run(ctx context.Context, out io.Writer, args ...string) error {
	cmd := e.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", e.path, args[0], err)
	}
	return nil
}

// ask runs a command for what it prints.
func (e engine) ask(ctx context.Context, args ...string) (string, error) {
	cmd := e.command(ctx, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", e.path, strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// base gives the name of the Debian to build on: the registry's, or one that is made of Debian's packages where no registry is reached.
func (e engine) base(ctx context.Context, out io.Writer) (string, error) {
	const official, own = "docker.io/library/debian:" + suite + "-slim", "localhost/weir-debian:" + suite
	for _, name := range []string{official, own} {
		if _, err := e.ask(ctx, "image", "inspect", name); err == nil {
			return name, nil
		}
	}
	_, err := e.ask(ctx, "pull", "--quiet", official)
	if err == nil {
		return official, nil
	}
	if _, none := exec.LookPath("mmdebstrap"); none != nil {
		return "", fmt.Errorf("%w\nWhere no registry is reached, mmdebstrap makes the base of the image: apt-get install mmdebstrap", err)
	}
	_, _ = fmt.Fprintf(out, "%s cannot be had: the same is made of Debian's packages\n", official)
	mirror := mirror()
	var sources []string
	for _, s := range []string{mirror + " " + suite, mirror + " " + suite + "-updates", mirror + "-security " + suite + "-security"} {
		sources = append(sources, "deb "+s+" main")
	}
	made := exec.CommandContext(ctx, "mmdebstrap", append([]string{"--quiet", "--variant=minbase", suite, "-"}, sources...)...)
	made.Stderr = out
	imported := e.command(ctx, "import", "-", own)
	imported.Stdout, imported.Stderr = out, out
	packed, err := made.StdoutPipe()
	if err != nil {
		return "", err
	}
	imported.Stdin = packed
	if err := made.Start(); err != nil {
		return "", err
	}
	err = imported.Run()
	_ = packed.Close() // if nobody takes the rest, it must not be waited for
	return own, errors.Join(err, made.Wait())
}

// suite is the Debian of deploy/Dockerfile.
const suite = "trixie"

// mirror is where Debian's packages come from, as the Dockerfile has it.
func mirror() string {
	if m := os.Getenv("DEBIAN_MIRROR"); m != "" {
		return m
	}
	return "http://deb.debian.org/debian"
}

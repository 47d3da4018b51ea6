//go:build !race

// Prisoners are this test's own binary. With the race detector in it, each takes a second to start, and its shadow is larger than
// any bound of memory: go test without -race tests this package.

package box_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"weir/transcoder/internal/box"
)

// TestMain also is the prisoner: the program that tries to get out of the box.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == prisoner {
		escape(os.Args[1])
	}
	os.Exit(m.Run())
}

// prisoner is the name under which the test's own binary tries to get out.
const prisoner = "prisoner"

// cell is what a prisoner is told: what there is to reach outside.
type cell struct {
	Parent, Thread int     // the test's process, and one of its threads
	Folder         string  // one that can be written to, with a file in it
	File           string  // with a secret in it
	Allowed        int     // the port that may be connected to
	Other          int     // and another one, on which somebody listens as well
	Unix           string  // a socket in the file system
	Address        uintptr // of something in the test's memory
	Pipe           int     // a pipe of the test
	Leaked         int     // a descriptor of a folder that somebody forgot to close
}

var secret = []byte("a secret in memory")

// world makes all that prisoners may reach for.
func world(t *testing.T) cell {
	t.Helper()
	listen := func(network, address string) net.Listener {
		l, err := new(net.ListenConfig).Listen(t.Context(), network, address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return l
	}
	port := func() int { return listen("tcp", "127.0.0.1:0").Addr().(*net.TCPAddr).Port }
	c := cell{Parent: os.Getpid(), Thread: os.Getpid(), Address: uintptr(unsafe.Pointer(&secret[0])), Folder: t.TempDir(), Allowed: port(), Other: port()}
	c.File = filepath.Join(c.Folder, "secret")
	if err := os.WriteFile(c.File, []byte("secret"), 0o666); err != nil {
		t.Fatal(err)
	}
	c.Unix = filepath.Join(t.TempDir(), "socket")
	listen("unix", c.Unix)
	var err error
	if c.Leaked, err = unix.Open(c.Folder, unix.O_RDONLY|unix.O_DIRECTORY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(c.Leaked) })
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	c.Pipe = ends[0]
	t.Cleanup(func() { _, _ = unix.Close(ends[0]), unix.Close(ends[1]) })
	return c
}

// program is a copy of the test's binary under the prisoner's name, so that it is told by its name and by nothing that the
// box would have to hand on.
func program(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), prisoner)
	if err := os.Link(self, name); err == nil {
		return name
	}
	data, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

// memory is enough for a Go program.
const memory = 4 << 30

// run runs a program in a box, or free, and returns what it printed.
func run(t *testing.T, b *box.Box, program string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	said, report, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = said.Close() }()
	defer func() { _ = report.Close() }()
	cmd := exec.CommandContext(ctx, program, args...)
	if b != nil {
		cmd = exec.CommandContext(ctx, box.Self)
		b.Report = 3
		cmd.Args = b.Args(program, args)
	}
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Env, cmd.ExtraFiles = &out, &stderr, []string{}, []*os.File{report}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = report.Close()
	text, err := io.ReadAll(said)
	if err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	if b != nil {
		err = errors.Join(box.Refused(text), err)
	}
	if err != nil {
		err = fmt.Errorf("%w: %s", err, stderr.String())
	}
	return strings.TrimSpace(out.String()), err
}

// Each prisoner tries one thing, in the box and outside. In the box it must get the error that is expected; outside it must
// succeed, or the attempt would prove nothing.
func TestNothingGetsOutOfTheBox(t *testing.T) {
	name, c := program(t), world(t)
	setting, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	root := os.Geteuid() == 0
	for _, e := range escapes {
		t.Run(e.name, func(t *testing.T) {
			in, err := run(t, &box.Box{Memory: memory, Port: c.Allowed}, name, e.name, string(setting))
			if err != nil || in != e.want.Error() {
				t.Errorf("in the box: %q, %v; want %q", in, err, e.want)
			}
			out, err := run(t, nil, name, e.name, string(setting))
			if (err != nil || out != success) && (root || !e.privileged) {
				t.Errorf("outside it fails as well, so this proves nothing: %q, %v", out, err)
			}
		})
	}
	t.Logf("%d ways out were tried", len(escapes))
}

func TestWhatTheBoxIsForWorks(t *testing.T) {
	name, c := program(t), world(t)
	setting, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range uses {
		if out, err := run(t, &box.Box{Memory: memory, Port: c.Allowed}, name, e.name, string(setting)); err != nil || out != success {
			t.Errorf("%s: %q, %v", e.name, out, err)
		}
	}
	without := func(name string) string {
		return uses[slices.IndexFunc(uses, func(e attempt) bool { return e.name == name })].name
	}
	out, err := run(t, &box.Box{Memory: memory}, name, without("connect to the port"), string(setting))
	if err != nil || out != unix.ENOSYS.Error() {
		t.Errorf("without a port there are no sockets, but: %q, %v", out, err)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	name := program(t)
	for limit, want := range map[int64]string{1 << 31: unix.ENOMEM.Error(), 8 << 30: success} {
		if out, err := run(t, &box.Box{Memory: limit}, name, "four gigabytes of memory", "{}"); err != nil || out != want {
			t.Errorf("%d GiB: %q, %v; want %q", limit>>30, out, err, want)
		}
	}
}

// Whoever ends the transcoder ends what it started, also what is in a box.
func TestTheBoxEndsWithItsParent(t *testing.T) {
	name := program(t)
	cmd := exec.CommandContext(t.Context(), name, "parent", name)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var child int
	if _, err := fmt.Fscan(out, &child); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(child, 0); err != nil {
		t.Fatalf("the child %d is not there: %v", child, err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		// A zombie that nobody has waited for yet has ended, too.
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child))
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		if time.Now().After(end) {
			_ = unix.Kill(child, unix.SIGKILL)
			t.Fatalf("the child goes on: %s", stat)
		}
	}
}

func TestABoxThatCannotBecomeItsProgramSaysWhy(t *testing.T) {
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for program, want := range map[string]string{
		"/none/such": "no such file or directory", script: "is a script", t.TempDir(): "box: ", "/etc/hostname": "is a script",
	} {
		out, err := run(t, &box.Box{Memory: 1 << 30}, program)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v", program, out, err)
		}
	}
}

func TestAnOpenBoxHasLimitsAlone(t *testing.T) {
	name, c := program(t), world(t)
	setting, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for escape, want := range map[string]string{
		"read a file": success, "connect to another port": success, "raise a limit": syscall.EPERM.Error(), "use a descriptor that was left open": unix.EBADF.Error(),
	} {
		if out, err := run(t, &box.Box{Memory: memory, Open: true}, name, escape, string(setting)); err != nil || out != want {
			t.Errorf("%s: %q, %v; want %q", escape, out, err, want)
		}
	}
}

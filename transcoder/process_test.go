package main

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// program is the transcoder as a process of its own.
type program struct {
	cmd    *exec.Cmd
	stderr *bytes.Buffer
	ended  chan error
}

func launch(t *testing.T, env map[string]string) *program {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{cmd: exec.Command(self), stderr: &bytes.Buffer{}, ended: make(chan error, 1)}
	p.cmd.Env = []string{asProgram + "=1", "PATH=" + os.Getenv("PATH")}
	for name, value := range env {
		p.cmd.Env = append(p.cmd.Env, name+"="+value)
	}
	p.cmd.Stderr = p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
		p.ended <- nil
	})
	return p
}

// wait returns the exit status; a process that a signal ended has -1.
func (p *program) wait(t *testing.T) int {
	t.Helper()
	select {
	case err := <-p.ended:
		p.ended <- err
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(30 * time.Second):
		t.Fatal("the process did not end")
		panic("unreachable")
	}
}

// up waits until the API answers at an address and returns a node to talk to.
func (p *program) up(t *testing.T, address string) *node {
	t.Helper()
	n := &node{t: t, url: "http://" + address, stop: func() {}}
	waitFor(t, "the API", func() bool {
		connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err != nil {
			return false
		}
		return connection.Close() == nil
	})
	return n
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}

func TestWithoutConfigurationTheProcessExitsWith2(t *testing.T) {
	p := launch(t, nil)
	if status := p.wait(t); status != 2 {
		t.Errorf("status %d", status)
	}
	if got := p.stderr.String(); strings.Count(got, "is missing") != len(valid()) || strings.Contains(got, "goroutine") {
		t.Errorf("it says: %s", got)
	}
}

func TestASignalEndsTheProcessInOrder(t *testing.T) {
	env := environment(t.TempDir())
	env["LISTEN"] = freeAddress(t)
	p := launch(t, env)
	p.up(t, env["LISTEN"])
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if status := p.wait(t); status != 0 || !strings.Contains(p.stderr.String(), "the transcoder was ended") {
		t.Errorf("status %d: %s", status, p.stderr)
	}
}

// A process that is killed leaves no encoder behind, and the next one on its directory finishes the job.
func TestAKilledProcessLosesNothing(t *testing.T) {
	dir, hook := t.TempDir(), receive(t)
	env := environment(dir)
	env["LISTEN"], env["TASKS"] = freeAddress(t), "1"
	key := upload(t, clip(t, "clip.mp4", "-f", "lavfi", "-i", "testsrc2=d=48:s=854x480:r=30", "-c:v", "libx264", "-preset", "ultrafast"))
	p := launch(t, env)
	p.up(t, env["LISTEN"]).post(id(t), key, hook.URL)
	waitFor(t, "a finished chunk", func() bool { return len(finished(t)) > 0 })
	var children []string
	waitFor(t, "the next encoder", func() bool {
		children = encoders(t, p.cmd.Process.Pid)
		return len(children) > 0
	})
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if status := p.wait(t); status != -1 {
		t.Fatalf("status %d: %s", status, p.stderr)
	}
	before := finished(t)
	waitFor(t, "the encoders to end", func() bool { return len(alive(children)) == 0 })

	began := time.Now()
	start(t, dir, nil)
	if e := hook.next(t, patience); e.Status != "processed" {
		t.Fatalf("told %+v", e)
	}
	t.Logf("finished %.1f s after the restart", time.Since(began).Seconds())
	for key, etag := range finished(t) {
		if old, ok := before[key]; ok && old != etag {
			t.Errorf("%s was done twice", key)
		}
	}
	for _, r := range readTree(t, id(t)).renditions {
		r.check(t, 1440, 60, 48)
	}
}

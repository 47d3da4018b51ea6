package fleet

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is for processes of a busy machine.
const patience = 10 * time.Second

// family starts a shell with a child, and one of that child's.
func family(t *testing.T) (pid int, end func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `sh -c 'sleep 300 & wait' & wait`)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end = func() { _ = cmd.Wait() }
	t.Cleanup(func() { _ = cmd.Process.Kill(); end() })
	eventually(t, "a child and a grandchild", func() bool { return len(descendants(cmd.Process.Pid)) == 2 })
	return cmd.Process.Pid, end
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s", what)
		}
	}
}

func TestFrozenFamiliesStandStillUntilTheyAreThawed(t *testing.T) {
	pid, _ := family(t)
	frozen, err := freeze(pid)
	if err != nil {
		t.Fatal(err)
	}
	states := func() (all []byte) {
		for _, p := range frozen {
			if p, ok := readProcess(p); ok {
				all = append(all, p.state)
			}
		}
		return all
	}
	if got := states(); !bytes.Equal(got, []byte("TTT")) {
		t.Errorf("states after freezing: %s", got)
	}
	if err := thaw(frozen); err != nil {
		t.Fatal(err)
	}
	eventually(t, "sleeping family", func() bool { return bytes.Equal(states(), []byte("SSS")) })
	for _, pid := range frozen[1:] {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

func TestOrphansAreBuriedAndSurvivorsNamed(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	pid, wait := family(t)
	frozen, err := freeze(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	wait()
	dies, stays := frozen[1], frozen[2]
	if err := syscall.Kill(dies, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if got := bury(frozen[1:]); !slices.Equal(got, []int{stays}) {
		t.Errorf("survivors %v, want %v", got, []int{stays})
	}
	if _, there := readProcess(dies); there {
		t.Error("the one that died is not buried")
	}
	eventually(t, "end of the survivor", func() bool { return len(bury([]int{stays})) == 0 })
}

func TestMemoryIsOurs(t *testing.T) {
	now, peak, err := memory(os.Getpid())
	if err != nil || now < 1<<20 || peak < now/2 {
		t.Errorf("%d now, %d at its peak, %v", now, peak, err)
	}
	if _, _, err := memory(0); err == nil {
		t.Error("no error for no process")
	}
}

func TestNamesMayHoldAnything(t *testing.T) {
	name := "a (b) c"
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/comm", os.Getpid()), []byte(name), 0o600); err != nil {
		t.Fatal(err)
	}
	p, ok := readProcess(os.Getpid())
	if !ok || p.name != name || p.parent != os.Getppid() {
		t.Errorf("read %+v", p)
	}
}

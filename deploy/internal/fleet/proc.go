package fleet

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// What the kernel says of processes (proc(5)).

// process is one line of the table.
type process struct {
	pid, parent int
	name        string
	state       byte
}

// readProcess reads /proc/PID/stat: "PID (NAME) STATE PPID …", where NAME may hold anything.
func readProcess(pid int) (process, bool) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, false
	}
	open, end := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')')
	if open < 0 || end < open {
		return process{}, false
	}
	fields := strings.Fields(string(data[end+1:]))
	if len(fields) < 2 {
		return process{}, false
	}
	parent, err := strconv.Atoi(fields[1])
	return process{pid: pid, parent: parent, name: string(data[open+1 : end]), state: fields[0][0]}, err == nil
}

// descendants are the processes that a process started, and those that they started; also ended ones, as long as nobody
// has asked after them.
func descendants(of int) []process {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil // the pattern is right
	}
	children := map[int][]process{}
	for _, file := range stats {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			continue
		}
		if p, ok := readProcess(pid); ok {
			children[p.parent] = append(children[p.parent], p)
		}
	}
	var all []process
	for next := []int{of}; len(next) > 0; next = next[1:] {
		for _, p := range children[next[0]] {
			all = append(all, p)
			next = append(next, p.pid)
		}
	}
	return all
}

// commandLine is how a process was called.
func commandLine(pid int) string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return ""
	}
	return string(bytes.ReplaceAll(data, []byte{0}, []byte{' '}))
}

// freeze stops a process and all that it started; none of them can start another one meanwhile.
func freeze(pid int) ([]int, error) {
	frozen := []int{pid}
	if err := halt(pid); err != nil {
		return nil, err
	}
	for {
		fresh := 0
		for _, p := range descendants(pid) {
			if !slices.Contains(frozen, p.pid) {
				_ = halt(p.pid) // it may have ended
				frozen = append(frozen, p.pid)
				fresh++
			}
		}
		if fresh == 0 {
			return frozen, nil
		}
	}
}

// haltTimeout is for a process that is in the kernel when it is told to stop.
const haltTimeout = 5 * time.Second

func halt(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return fmt.Errorf("stop process %d: %w", pid, err)
	}
	for end := time.Now().Add(haltTimeout); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if p, ok := readProcess(pid); !ok || p.state == 'T' || p.state == 'Z' {
			return nil
		}
	}
	return fmt.Errorf("stop process %d: it goes on", pid)
}

func thaw(pids []int) error {
	var errs []error
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil && !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, fmt.Errorf("continue process %d: %w", pid, err))
		}
	}
	return errors.Join(errs...)
}

// orphanGrace is what the kernel needs to end the children of a killed process, and they to be gone.
const orphanGrace = 5 * time.Second

// bury waits for processes whose parent is gone; they are ours now (see package child). Those that do not end are killed
// and returned.
func bury(pids []int) (survivors []int) {
	end := time.Now().Add(orphanGrace)
	for _, pid := range pids {
		for {
			_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
			if _, there := readProcess(pid); !there {
				break
			}
			if time.Now().After(end) {
				survivors = append(survivors, pid)
				_ = syscall.Kill(pid, syscall.SIGKILL)
				break
			}
			time.Sleep(2 * time.Millisecond)
		}
	}
	return survivors
}

// clockTicks is Linux's USER_HZ, the same on all of Go's architectures.
const clockTicks = 100

// cpu returns the processor time of a process and of its children that were waited for (proc(5), utime to cstime).
func cpu(pid int) (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read the processor time of process %d: %w", pid, err)
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 15 {
		return 0, fmt.Errorf("read the processor time of process %d: it is not in %q", pid, data)
	}
	ticks := int64(0)
	for _, field := range fields[11:15] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read the processor time of process %d: %w", pid, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / clockTicks), nil
}

// memory returns a process's resident memory now and at its peak, in bytes.
func memory(pid int) (now, peak int64, err error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	for line := range strings.Lines(string(data)) {
		name, value, _ := strings.Cut(line, ":")
		var to *int64
		switch name {
		case "VmRSS":
			to = &now
		case "VmHWM":
			to = &peak
		default:
			continue
		}
		kB, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("read the memory of process %d: %w", pid, err)
		}
		*to = kB << 10
	}
	return now, peak, nil
}

package box

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxFiles is for the standard streams, a pipe an output and a connection or two; libraries are opened one by one.
const maxFiles = 64

// environment is all that a program learns of where it runs.
var environment = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "HOME=/nonexistent"}

// enter makes the calling process, which has just been started, the program. It returns only if it fails.
func (b Box) enter(program string, argv []string, report io.Writer) error {
	// What the transcoder itself inherited would be the program's otherwise. Old kernels cannot do it for all at once.
	err := unix.CloseRange(uint(b.Report), math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	if err != nil && b.Open {
		unix.CloseOnExec(b.Report)
		err = nil
	}
	if err != nil {
		return fmt.Errorf("close the descriptors that are not the program's: %w", err)
	}
	if b.Nice != 0 {
		// It is denied where the transcoder itself is nicer already, and then there is nothing to do.
		if err := unix.Setpriority(unix.PRIO_PROCESS, 0, b.Nice); err != nil && !errors.Is(err, unix.EACCES) {
			return fmt.Errorf("be nice: %w", err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("give up new privileges: %w", err)
	}
	start, err := prepare(program, argv)
	if err != nil {
		return err
	}
	if !b.Open {
		if err := restrictFiles(program, b.Port); err != nil {
			return err
		}
	}
	// Where it runs as root, it is a root that may do nothing; without new privileges, the program cannot regain them.
	none := [2]unix.CapUserData{}
	if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0]); err != nil {
		return fmt.Errorf("drop the capabilities: %w", err)
	}
	if !b.Open {
		if err := restrictCalls(b.Port != 0, start.path); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(report, entered); err != nil {
		return err
	}
	// Last, because they bind this process as well.
	for _, l := range []struct {
		resource int
		max      uint64
	}{
		// All output goes through pipes, which the size of files does not concern.
		{unix.RLIMIT_FSIZE, 0},
		{unix.RLIMIT_CORE, 0},
		{unix.RLIMIT_NOFILE, maxFiles},
		{unix.RLIMIT_AS, uint64(b.Memory)},
	} {
		if err := limit(l.resource, l.max); err != nil {
			return err
		}
	}
	return start.exec()
}

func limit(resource int, most uint64) error {
	var now unix.Rlimit
	if err := unix.Prlimit(0, resource, nil, &now); err != nil {
		return fmt.Errorf("read limit %d: %w", resource, err)
	}
	// Where the container allows less, that stands: only the privileged may raise it.
	most = min(most, now.Max)
	if err := unix.Prlimit(0, resource, &unix.Rlimit{Cur: most, Max: most}, nil); err != nil {
		return fmt.Errorf("set limit %d: %w", resource, err)
	}
	return nil
}

// start is an execve(2) with all its arguments in place.
type start struct {
	path       *byte
	argv, envp []*byte
}

// prepare puts the path where nobody can guess: seccomp lets execve pass with this one pointer alone, so that the program,
// whose memory is all new, cannot call it again (seccomp.go).
func prepare(program string, argv []string) (start, error) {
	path, err := syscall.ByteSliceFromString(program)
	if err != nil {
		return start{}, fmt.Errorf("the program's path: %w", err)
	}
	// The kernel chooses a page at random, and we a place in it.
	page := (len(path)/unix.Getpagesize() + 2) * unix.Getpagesize()
	memory, err := unix.Mmap(-1, 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return start{}, fmt.Errorf("get a page: %w", err)
	}
	at, err := rand.Int(rand.Reader, big.NewInt(int64(page-len(path))))
	if err != nil {
		return start{}, err
	}
	copy(memory[at.Int64():], path)
	s := start{path: &memory[at.Int64()]}
	if s.argv, err = syscall.SlicePtrFromStrings(argv); err != nil {
		return start{}, fmt.Errorf("the program's arguments: %w", err)
	}
	s.envp, err = syscall.SlicePtrFromStrings(environment)
	return s, err
}

// exec is syscall.Exec with the pointers that it is given. A thread that the runtime is just starting makes it fail for a
// moment.
func (s start) exec() error {
	var errno syscall.Errno
	for range 100 {
		_, _, errno = syscall.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(s.path)), //nolint:gosec // a system call
			uintptr(unsafe.Pointer(&s.argv[0])), uintptr(unsafe.Pointer(&s.envp[0]))) //nolint:gosec // a system call
		if errno != syscall.EAGAIN {
			break
		}
		time.Sleep(time.Millisecond)
	}
	return fmt.Errorf("execute the program: %w", errno)
}

//go:build !race

package box_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"weir/transcoder/internal/box"
)

// success is what a prisoner says who got what it tried.
const success = "it worked"

// attempt is something that a prisoner tries.
type attempt struct {
	name string
	want syscall.Errno // in the box
	// privileged attempts work outside the box for root alone.
	privileged bool
	try        func(c cell) error
}

// escape makes one attempt and says how it went.
func escape(name string) {
	var c cell
	if len(os.Args) > 2 {
		_ = json.Unmarshal([]byte(os.Args[2]), &c) // the test's own
	}
	for _, a := range append(append(escapes, uses...), others...) {
		if a.name != name {
			continue
		}
		err, errno := a.try(c), syscall.Errno(0)
		switch {
		case err == nil:
			fmt.Println(success)
		case errors.As(err, &errno):
			fmt.Println(errno)
		default:
			fmt.Println(err)
		}
		os.Exit(0)
	}
	fmt.Println("no such attempt")
	os.Exit(1)
}

// open opens a file and closes it again.
func open(path string, flags int) error {
	fd, err := unix.Open(path, flags, 0o600)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// socket makes one and closes it again.
func socket(family, kind, protocol int) error {
	fd, err := unix.Socket(family, kind, protocol)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

func loopback(port int) *unix.SockaddrInet4 {
	return &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}
}

// with makes a TCP socket and does something with it.
func with(do func(fd int) error) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return errors.Join(do(fd), unix.Close(fd))
}

// call makes a system call that may not be there.
func call(number uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	if _, _, errno := syscall.RawSyscall6(number, a[0], a[1], a[2], a[3], a[4], a[5]); errno != 0 {
		return errno
	}
	return nil
}

// fork makes a process, which ends at once.
func fork(flags uintptr) error {
	pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, flags|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	if pid == 0 {
		_, _, _ = syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
	_, err := unix.Wait4(int(pid), nil, 0, nil)
	return err
}

func text(s string) uintptr {
	b, err := syscall.BytePtrFromString(s)
	if err != nil {
		panic(err)
	}
	keep = append(keep, b)
	return uintptr(unsafe.Pointer(b))
}

var keep []*byte

// escapes are the ways out.
var escapes = []attempt{
	// Files: Landlock.
	{"read a file", unix.EACCES, false, func(c cell) error { _, err := os.ReadFile(c.File); return err }},
	{"read /etc/passwd", unix.EACCES, false, func(cell) error { return open("/etc/passwd", unix.O_RDONLY) }},
	{"read /etc/passwd by way of the libraries", unix.EACCES, false, func(cell) error { return open("/usr/lib/../../etc/passwd", unix.O_RDONLY) }},
	{"read the transcoder's environment, with the bucket's keys", unix.EACCES, false, func(c cell) error {
		return open(fmt.Sprintf("/proc/%d/environ", c.Parent), unix.O_RDONLY)
	}},
	{"read the transcoder's command line", unix.EACCES, false, func(c cell) error {
		return open(fmt.Sprintf("/proc/%d/cmdline", c.Parent), unix.O_RDONLY)
	}},
	{"open the transcoder's memory", unix.EACCES, true, func(c cell) error {
		return open(fmt.Sprintf("/proc/%d/mem", c.Parent), unix.O_RDWR)
	}},
	{"open the transcoder's descriptors", unix.EACCES, true, func(c cell) error {
		return open(fmt.Sprintf("/proc/%d/fd/0", c.Parent), unix.O_RDONLY)
	}},
	{"list a folder", unix.EACCES, false, func(c cell) error { _, err := os.ReadDir(c.Folder); return err }},
	{"list the folder of libraries", unix.EACCES, false, func(cell) error { _, err := os.ReadDir("/usr/lib"); return err }},
	{"write a new file", unix.EACCES, false, func(c cell) error { return open(filepath.Join(c.Folder, "new"), unix.O_WRONLY|unix.O_CREAT) }},
	{"overwrite a file", unix.EACCES, false, func(c cell) error { return open(c.File, unix.O_WRONLY) }},
	{"append to a file", unix.EACCES, false, func(c cell) error { return open(c.File, unix.O_WRONLY|unix.O_APPEND) }},
	{"write a file without a name", unix.EACCES, false, func(c cell) error { return open(c.Folder, unix.O_WRONLY|unix.O_TMPFILE) }},
	{"open a pipe of the transcoder, such as another task's", unix.EACCES, false, func(c cell) error {
		return open(fmt.Sprintf("/proc/%d/fd/%d", c.Parent, c.Pipe), unix.O_RDONLY|unix.O_NONBLOCK)
	}},
	{"use a descriptor that was left open", unix.EBADF, false, func(c cell) error {
		fd, err := unix.Openat(c.Leaked, "secret", unix.O_RDONLY, 0)
		if err != nil {
			return err
		}
		return unix.Close(fd)
	}},
	// What changes files without opening them: Landlock does not see to all of it, seccomp does.
	{"make a symbolic link", unix.ENOSYS, false, func(c cell) error {
		return unix.Symlinkat("/etc/passwd", unix.AT_FDCWD, filepath.Join(c.Folder, "symbolic"))
	}},
	{"make a hard link", unix.ENOSYS, false, func(c cell) error {
		return unix.Linkat(unix.AT_FDCWD, c.File, unix.AT_FDCWD, filepath.Join(c.Folder, "hard"), 0)
	}},
	{"rename a file", unix.ENOSYS, false, func(c cell) error {
		return unix.Renameat(unix.AT_FDCWD, c.File, unix.AT_FDCWD, c.File) // the same name, for those who come later
	}},
	{"make a folder", unix.ENOSYS, false, func(c cell) error { return unix.Mkdirat(unix.AT_FDCWD, filepath.Join(c.Folder, "folder"), 0o700) }},
	{"remove a folder", unix.ENOSYS, false, func(c cell) error {
		return unix.Unlinkat(unix.AT_FDCWD, filepath.Join(c.Folder, "folder"), unix.AT_REMOVEDIR)
	}},
	{"make a named pipe", unix.ENOSYS, false, func(c cell) error {
		return unix.Mknodat(unix.AT_FDCWD, filepath.Join(c.Folder, "pipe"), unix.S_IFIFO|0o600, 0)
	}},
	{"change a file's mode", unix.ENOSYS, false, func(c cell) error { return unix.Fchmodat(unix.AT_FDCWD, c.File, 0o666, 0) }},
	{"change a file's owner", unix.ENOSYS, false, func(c cell) error { return unix.Fchownat(unix.AT_FDCWD, c.File, -1, -1, 0) }},
	{"change a file's times", unix.ENOSYS, false, func(c cell) error { return unix.UtimesNanoAt(unix.AT_FDCWD, c.File, nil, 0) }},
	{"truncate a file", unix.ENOSYS, false, func(c cell) error { return unix.Truncate(c.File, 6) }},
	{"change the working folder", unix.ENOSYS, false, func(cell) error { return unix.Chdir("/") }},
	// The network: Landlock for TCP, seccomp for all else.
	{"connect to another port", unix.EACCES, false, func(c cell) error {
		return with(func(fd int) error { return unix.Connect(fd, loopback(c.Other)) })
	}},
	{"connect to another port by TCP Fast Open", unix.ENOSYS, false, func(c cell) error {
		return with(func(fd int) error { return unix.Sendto(fd, []byte("x"), unix.MSG_FASTOPEN, loopback(c.Other)) })
	}},
	{"send a message with control data", unix.ENOSYS, false, func(c cell) error {
		return with(func(fd int) error {
			if err := unix.Connect(fd, loopback(c.Allowed)); err != nil {
				return err
			}
			return unix.Sendmsg(fd, []byte("x"), nil, nil, 0)
		})
	}},
	{"listen", unix.ENOSYS, false, func(cell) error { return with(func(fd int) error { return unix.Bind(fd, loopback(0)) }) }},
	{"listen without an address", unix.ENOSYS, false, func(cell) error { return with(func(fd int) error { return unix.Listen(fd, 1) }) }},
	{"UDP", unix.ENOSYS, false, func(cell) error { return socket(unix.AF_INET, unix.SOCK_DGRAM, 0) }},
	{"UDP of IPv6", unix.ENOSYS, false, func(cell) error { return socket(unix.AF_INET6, unix.SOCK_DGRAM, 0) }},
	{"a raw socket", unix.ENOSYS, true, func(cell) error { return socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP) }},
	{"a packet socket", unix.ENOSYS, true, func(cell) error { return socket(unix.AF_PACKET, unix.SOCK_RAW, 0) }},
	{"netlink", unix.ENOSYS, false, func(cell) error { return socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE) }},
	{"a Unix socket", unix.ENOSYS, false, func(c cell) error {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		return errors.Join(unix.Connect(fd, &unix.SockaddrUnix{Name: c.Unix}), unix.Close(fd))
	}},
	{"a pair of Unix sockets", unix.ENOSYS, false, func(cell) error {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		return errors.Join(unix.Close(pair[0]), unix.Close(pair[1]))
	}},
	// Other processes.
	{"signal the transcoder", unix.ENOSYS, false, func(c cell) error { return unix.Kill(c.Parent, 0) }},
	{"signal everybody", unix.ENOSYS, false, func(cell) error { return unix.Kill(-1, 0) }},
	{"signal a thread of the transcoder", unix.ENOSYS, false, func(c cell) error { return unix.Tgkill(c.Parent, c.Thread, 0) }},
	{"get a descriptor of the transcoder", unix.ENOSYS, false, func(c cell) error {
		fd, err := unix.PidfdOpen(c.Parent, 0)
		if err != nil {
			return err
		}
		return unix.Close(fd)
	}},
	{"have the signals of a pipe sent to the transcoder", unix.ENOSYS, false, func(c cell) error {
		_, err := unix.FcntlInt(1, unix.F_SETOWN, c.Parent)
		return err
	}},
	{"trace the transcoder", unix.ENOSYS, true, func(c cell) error {
		runtime.LockOSThread()
		return call(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(c.Thread), 0, 0)
	}},
	{"read the transcoder's memory", unix.ENOSYS, true, func(c cell) error {
		local := make([]byte, 8)
		_, err := unix.ProcessVMReadv(c.Parent, []unix.Iovec{{Base: &local[0], Len: 8}}, []unix.RemoteIovec{{Base: c.Address, Len: 8}}, 0)
		return err
	}},
	{"limit the transcoder", unix.ENOSYS, false, func(c cell) error {
		return unix.Prlimit(c.Parent, unix.RLIMIT_NOFILE, nil, &unix.Rlimit{})
	}},
	{"move the transcoder to one processor", unix.ENOSYS, false, func(c cell) error {
		set := unix.CPUSet{}
		for i := range 64 {
			set.Set(i)
		}
		return unix.SchedSetaffinity(c.Thread, &set)
	}},
	{"stay when the transcoder ends", unix.ENOSYS, false, func(cell) error { return unix.Prctl(unix.PR_SET_PDEATHSIG, 0, 0, 0, 0) }},
	{"leave the session", unix.ENOSYS, false, func(cell) error { _, err := unix.Setsid(); return err }},
	{"leave the process group", unix.ENOSYS, false, func(cell) error { return unix.Setpgid(0, 0) }},
	// New processes.
	{"execute another program", unix.ENOSYS, false, func(cell) error {
		return syscall.Exec("/bin/echo", []string{"echo", success}, nil)
	}},
	{"execute itself once more", unix.ENOSYS, false, func(cell) error {
		return syscall.Exec("/proc/self/exe", []string{prisoner, "nothing"}, nil)
	}},
	{"execute by descriptor", unix.ENOSYS, false, func(cell) error {
		argv, err := syscall.SlicePtrFromStrings([]string{"echo", success})
		if err != nil {
			return err
		}
		here := unix.AT_FDCWD
		return call(unix.SYS_EXECVEAT, uintptr(here), text("/bin/echo"), uintptr(unsafe.Pointer(&argv[0])), 0, 0)
	}},
	{"start a process", unix.ENOSYS, false, func(cell) error { return fork(0) }},
	{"start a process by clone3", unix.ENOSYS, false, func(cell) error {
		args := [8]uint64{4: uint64(unix.SIGCHLD)}
		pid, _, errno := syscall.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args), 0)
		if errno != 0 {
			return errno
		}
		if pid == 0 {
			_, _, _ = syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
		_, err := unix.Wait4(int(pid), nil, 0, nil)
		return err
	}},
	{"start a process in namespaces of its own", unix.ENOSYS, true, func(cell) error { return fork(unix.CLONE_NEWUSER | unix.CLONE_NEWNET) }},
	{"a program that lies in memory", unix.ENOSYS, false, func(cell) error {
		fd, err := unix.MemfdCreate("program", 0)
		if err != nil {
			return err
		}
		return unix.Close(fd)
	}},
	// The system.
	{"raise a limit", unix.EPERM, false, func(cell) error {
		return unix.Prlimit(0, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 1 << 16, Max: 1 << 16}, nil)
	}},
	{"become another user", unix.ENOSYS, false, func(cell) error { return call(unix.SYS_SETUID, uintptr(os.Getuid())) }},
	{"set capabilities", unix.ENOSYS, false, func(cell) error {
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var data [2]unix.CapUserData
		if err := unix.Capget(&header, &data[0]); err != nil {
			return err
		}
		return unix.Capset(&header, &data[0])
	}},
	{"mount", unix.ENOSYS, true, func(c cell) error {
		if err := unix.Mount("none", c.Folder, "tmpfs", 0, ""); err != nil {
			return err
		}
		return unix.Unmount(c.Folder, unix.MNT_DETACH)
	}},
	{"another root", unix.ENOSYS, true, func(c cell) error { return unix.Chroot(c.Folder) }},
	{"namespaces of its own", unix.ENOSYS, true, func(cell) error { return unix.Unshare(unix.CLONE_NEWNS) }},
	{"a higher priority", unix.ENOSYS, true, func(cell) error { return unix.Setpriority(unix.PRIO_PROCESS, 0, -1) }},
	{"io_uring", unix.ENOSYS, false, func(cell) error {
		return call(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&[120]byte{})))
	}},
	{"a BPF map", unix.ENOSYS, true, func(cell) error {
		attributes := [32]uint32{2, 4, 4, 1} // an array of one
		return call(unix.SYS_BPF, unix.BPF_MAP_CREATE, uintptr(unsafe.Pointer(&attributes)), unsafe.Sizeof(attributes))
	}},
	{"page faults of its own", unix.ENOSYS, true, func(cell) error { return call(unix.SYS_USERFAULTFD, 0) }},
	{"keys of the kernel", unix.ENOSYS, false, func(cell) error {
		_, err := unix.AddKey("user", "weir", []byte("x"), unix.KEY_SPEC_PROCESS_KEYRING)
		return err
	}},
	{"shared memory", unix.ENOSYS, false, func(cell) error {
		id, err := unix.SysvShmGet(unix.IPC_PRIVATE, 4096, unix.IPC_CREAT|0o600)
		if err != nil {
			return err
		}
		_, err = unix.SysvShmCtl(id, unix.IPC_RMID, nil)
		return err
	}},
	{"watch files", unix.ENOSYS, false, func(cell) error {
		fd, err := unix.InotifyInit1(0)
		if err != nil {
			return err
		}
		return unix.Close(fd)
	}},
	{"the log of the kernel", unix.ENOSYS, true, func(cell) error { _, err := unix.Klogctl(unix.SYSLOG_ACTION_SIZE_BUFFER, nil); return err }},
	{"another machine's name", unix.ENOSYS, true, func(cell) error {
		name, err := os.Hostname()
		if err != nil {
			return err
		}
		return unix.Sethostname([]byte(name))
	}},
	{"a call that is not known yet", unix.ENOSYS, false, func(cell) error { return call(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, 1) }},
}

// uses are what a program needs.
var uses = []attempt{
	{name: "read a library", try: func(cell) error { _, err := os.ReadFile("/etc/ld.so.cache"); return err }},
	{name: "read its own file", try: func(cell) error { return open("/proc/self/exe", unix.O_RDONLY) }},
	{name: "chance", try: func(cell) error { return open("/dev/urandom", unix.O_RDONLY) }},
	{name: "nothing to read", try: func(cell) error { return open("/dev/null", unix.O_RDONLY) }},
	{name: "connect to the port", try: func(c cell) error {
		return with(func(fd int) error {
			if err := unix.Connect(fd, loopback(c.Allowed)); err != nil {
				return err
			}
			return call(unix.SYS_SENDTO, uintptr(fd), text("GET"), 3, unix.MSG_NOSIGNAL, 0, 0)
		})
	}},
	{name: "threads", try: func(cell) error {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() { runtime.LockOSThread(); time.Sleep(10 * time.Millisecond) })
		}
		all.Wait()
		return nil
	}},
	{name: "pipes", try: func(cell) error {
		var ends [2]int
		if err := unix.Pipe2(ends[:], 0); err != nil {
			return err
		}
		if _, err := unix.Write(ends[1], []byte("x")); err != nil {
			return err
		}
		_, err := unix.Read(ends[0], make([]byte, 1))
		return err
	}},
	{name: "its own limits", try: func(cell) error { return unix.Prlimit(0, unix.RLIMIT_STACK, nil, &unix.Rlimit{}) }},
	{name: "an environment without secrets", try: func(cell) error {
		if e := strings.Join(os.Environ(), " "); e != "PATH=/usr/bin:/bin LC_ALL=C HOME=/nonexistent" {
			return errors.New(e)
		}
		return nil
	}},
}

// others are the parts of single tests.
var others = []attempt{
	{name: "nothing", try: func(cell) error { return nil }},
	{name: "four gigabytes of memory", try: func(cell) error {
		_, err := unix.Mmap(-1, 0, 4<<30, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
		return err
	}},
	{name: "sleep", try: func(cell) error { time.Sleep(time.Minute); return nil }},
	{name: "parent", try: func(cell) error {
		runtime.LockOSThread()
		said, report, err := os.Pipe()
		if err != nil {
			return err
		}
		cmd := exec.Command(box.Self)
		cmd.Args = box.Box{Memory: memory, Report: 3}.Args(os.Args[2], []string{"sleep"})
		cmd.ExtraFiles = []*os.File{report}
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			return err
		}
		_ = report.Close()
		if _, err := said.Read(make([]byte, 1)); err != nil { // it is entered
			return err
		}
		fmt.Println(cmd.Process.Pid)
		time.Sleep(time.Minute)
		return nil
	}},
}

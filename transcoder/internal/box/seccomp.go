package box

import (
	"fmt"
	"os"
	"slices"
	"syscall"
	"unsafe"

	"github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// calls are the system calls that a program may make, whatever their arguments: memory, threads, time, reading files, and
// using the descriptors that it has. It is a list of what is allowed, because whatever a kernel learns tomorrow is refused
// today, and so is what a processor offers by other doors (the calls of 32 bits). It was made from what ffmpeg, ffprobe, and
// the libraries of Debian's do, in all formats and codecs that the tests have, with what glibc and musl have as alternatives.
var calls = []string{
	// memory
	"brk", "mmap", "munmap", "mremap", "mprotect", "madvise", "mincore", "membarrier", "get_mempolicy", "mlock", "munlock",
	// threads; clone has conditions
	"futex", "futex_time64", "set_tid_address", "set_robust_list", "rseq", "arch_prctl", "exit", "exit_group", "restart_syscall",
	"sched_yield", "sched_getaffinity", "sched_getparam", "sched_getscheduler", "getcpu",
	// its own signals; to send one has conditions
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait", "sigaltstack",
	// time and chance
	"clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "times", "getrandom",
	// who and where it is
	"getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid", "uname", "sysinfo", "getrusage", "getrlimit", "getcwd",
	// reading files, as far as Landlock lets it
	"open", "openat", "close", "read", "readv", "pread64", "preadv", "lseek", "fstat", "stat", "lstat", "newfstatat", "statx",
	"access", "faccessat", "faccessat2", "readlink", "readlinkat", "fadvise64",
	// writing to pipes, and waiting for them
	"write", "writev", "pipe", "pipe2", "eventfd2", "dup", "dup2", "dup3", "poll", "ppoll", "select", "pselect6",
	"epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait",
}

// socketCalls are those on a TCP connection; Landlock has an eye on connect. To make a socket, and to send, have conditions.
var socketCalls = []string{
	"connect", "recvfrom", "shutdown", "getsockopt", "setsockopt", "getsockname", "getpeername",
}

const (
	// namespaces are the flags of clone that make any.
	namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER |
		unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWTIME
	// setVMA is the prctl by which libc and Go name their memory.
	setVMA = 0x53564d41
	// fionbio is the ioctl that makes a descriptor wait for nothing.
	fionbio = 0x5421
)

// conditional are the calls that depend on their arguments, none of which is a pointer to what could change meanwhile. In the
// first, path is the one pointer with which execve passes.
func conditional(path *byte, sockets bool) []seccomp.NameWithConditions {
	type conditions = seccomp.ArgumentConditions
	is := func(argument uint32, value uint64) seccomp.Condition {
		return seccomp.Condition{Argument: argument, Operation: seccomp.Equal, Value: value}
	}
	none := func(argument uint32, bits uint64) seccomp.Condition {
		return seccomp.Condition{Argument: argument, Operation: seccomp.BitsNotSet, Value: bits}
	}
	secret := uint64(uintptr(unsafe.Pointer(path))) //nolint:gosec // an address that is compared, never followed
	list := []seccomp.NameWithConditions{
		{Name: "execve", Conditions: conditions{is(0, secret)}},
		// A thread, not a process; clone3, whose flags are out of sight, is left out, and libc goes back to this one.
		{Name: "clone", Conditions: conditions{
			{Argument: 0, Operation: seccomp.BitsSet, Value: unix.CLONE_THREAD}, none(0, namespaces),
		}},
		// A signal to itself, as abort sends one: this process's number stays when it becomes the program.
		{Name: "tgkill", Conditions: conditions{is(0, uint64(os.Getpid()))}},
		// Its own limits: the kernel lets nobody here raise them.
		{Name: "prlimit64", Conditions: conditions{is(0, 0)}},
	}
	either := func(name string, argument uint32, values ...uint64) {
		for _, v := range values {
			list = append(list, seccomp.NameWithConditions{Name: name, Conditions: conditions{is(argument, v)}})
		}
	}
	either("prctl", 0, unix.PR_SET_NAME, unix.PR_GET_NAME, setVMA)
	either("fcntl", 1, unix.F_DUPFD, unix.F_DUPFD_CLOEXEC, unix.F_GETFD, unix.F_SETFD, unix.F_GETFL, unix.F_SETFL)
	either("ioctl", 1, unix.TCGETS, unix.TIOCGWINSZ, fionbio)
	if !sockets {
		return list
	}
	// TCP: no other family, and no MPTCP or SCTP, which Landlock knows nothing of.
	for _, family := range []uint64{unix.AF_INET, unix.AF_INET6} {
		for _, protocol := range []uint64{0, unix.IPPROTO_TCP} {
			for _, flags := range []uint64{0, unix.SOCK_CLOEXEC, unix.SOCK_NONBLOCK, unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK} {
				list = append(list, seccomp.NameWithConditions{Name: "socket", Conditions: conditions{
					is(0, family), is(1, unix.SOCK_STREAM|flags), is(2, protocol),
				}})
			}
		}
	}
	// To who is connected: sendto with an address connects by itself (TCP Fast Open), behind Landlock's back.
	return append(list, seccomp.NameWithConditions{Name: "sendto", Conditions: conditions{none(3, unix.MSG_FASTOPEN), is(4, 0)}})
}

// restrictCalls leaves the calling thread, and the program that it becomes, the system calls of the lists above. The
// others are not there (ENOSYS): for that, libraries have another way or an error.
func restrictCalls(sockets bool, path *byte) error {
	machine, err := arch.GetInfo("")
	if err != nil {
		return fmt.Errorf("seccomp: %w", err)
	}
	known := func(name string) bool { _, ok := machine.SyscallNames[name]; return ok }
	names := slices.Clone(calls)
	if sockets {
		names = append(names, socketCalls...)
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !known(name) })
	conditions := slices.DeleteFunc(conditional(path, sockets), func(c seccomp.NameWithConditions) bool { return !known(c.Name) })
	policy := seccomp.Policy{DefaultAction: seccomp.ActionErrno, Syscalls: []seccomp.SyscallGroup{
		{Action: seccomp.ActionAllow, Names: names, NamesWithCondtions: conditions},
	}}
	program, err := policy.Assemble()
	if err != nil {
		return fmt.Errorf("assemble the seccomp filter: %w", err)
	}
	for i, instruction := range program {
		// The library refuses with EPERM, which libc takes as the last word where it would try another call.
		if r, ok := instruction.(bpf.RetConstant); ok && r.Val != uint32(seccomp.ActionAllow) {
			program[i] = bpf.RetConstant{Val: uint32(seccomp.ActionErrno) | uint32(unix.ENOSYS)}
		}
	}
	raw, err := bpf.Assemble(program)
	if err != nil {
		return fmt.Errorf("assemble the seccomp filter: %w", err)
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filter[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	// For this thread alone: the others end with execve. The call's two other arguments mean nothing to it.
	load := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, errno := syscall.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER,
		uintptr(unsafe.Pointer(&load))) //nolint:gosec // a system call
	if errno != 0 {
		return fmt.Errorf("load the seccomp filter: %w", errno)
	}
	return nil
}

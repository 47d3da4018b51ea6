package box

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"strings"

	landlock "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// Which version of Landlock brought what (landlock(7)). Below the first, a program could connect anywhere.
const (
	abiNetwork = 4
	abiDevices = 5
	abiScopes  = 6
	abiSockets = 9
	abiUDP     = 10
	// signalsFixed is the erratum that makes the scope of signals usable.
	signalsFixed = 1 << 1
)

// libraries are the folders that a dynamic linker looks in. Nothing in them is a secret.
var libraries = []string{
	"/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib",
	"/etc/ld.so.cache", "/etc/ld-musl-x86_64.path", "/etc/ld-musl-aarch64.path",
}

// devices are what libraries open that want nothing, or chance.
var devices = []string{"/dev/null", "/dev/urandom"}

// restrictFiles leaves the calling thread, and with it the program that it becomes, the right to read the program and its
// libraries, to execute the program and its dynamic linker, and to connect to one TCP port. Landlock sees to nothing that was
// opened before. The library's own calls restrict all threads of a process, by means that leave marks in the rules; here
// the others end with execve.
func restrictFiles(program string, port int) error {
	abi, err := landlock.LandlockGetABIVersion()
	if err != nil {
		return fmt.Errorf("ask the kernel for Landlock: %w", err)
	}
	if errata, err := landlock.LandlockGetErrata(); err != nil || errata&signalsFixed == 0 {
		abi = min(abi, abiScopes-1) // it would keep a program's own threads from each other
	}
	fd, err := landlock.LandlockCreateRuleset(ruleset(abi), 0)
	if err != nil {
		return fmt.Errorf("make a Landlock ruleset: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	loader, err := loader(program)
	if err != nil {
		return err
	}
	const read, execute = landlock.AccessFSReadFile, landlock.AccessFSReadFile | landlock.AccessFSExecute
	if err := allow(fd, execute, program, true); err != nil {
		return err
	}
	if loader != "" {
		if err := allow(fd, execute, loader, true); err != nil {
			return err
		}
	}
	for _, path := range append(libraries, devices...) {
		if err := allow(fd, read, path, false); err != nil {
			return err
		}
	}
	if port != 0 {
		rule := landlock.NetPortAttr{AllowedAccess: landlock.AccessNetConnectTCP, Port: uint64(port)}
		if err := landlock.LandlockAddNetPortRule(fd, &rule, 0); err != nil {
			return fmt.Errorf("allow port %d: %w", port, err)
		}
	}
	if err := landlock.LandlockRestrictSelf(fd, 0); err != nil {
		return fmt.Errorf("enforce the Landlock ruleset: %w", err)
	}
	return nil
}

// ruleset is everything that a version of Landlock can refuse.
func ruleset(abi int) *landlock.RulesetAttr {
	r := &landlock.RulesetAttr{
		HandledAccessFS:  landlock.AccessFSIoctlDev - 1, // all below it
		HandledAccessNet: landlock.AccessNetBindTCP | landlock.AccessNetConnectTCP,
	}
	if abi >= abiDevices {
		r.HandledAccessFS |= landlock.AccessFSIoctlDev
	}
	if abi >= abiScopes {
		r.Scoped = landlock.ScopeAbstractUnixSocket | landlock.ScopeSignal
	}
	if abi >= abiSockets {
		r.HandledAccessFS |= landlock.AccessFSResolveUnix
	}
	if abi >= abiUDP {
		r.HandledAccessNet |= landlock.AccessNetBindUDP | landlock.AccessNetConnectSendUDP
	}
	return r
}

// allow adds a rule for a file, or for all that is in a folder.
func allow(ruleset int, access uint64, path string, required bool) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		if !required {
			return nil // nobody can read it then
		}
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer func() { _ = unix.Close(fd) }()
	rule := landlock.PathBeneathAttr{AllowedAccess: access, ParentFd: fd}
	if err := landlock.LandlockAddPathBeneathRule(ruleset, &rule, 0); err != nil {
		return fmt.Errorf("allow %s: %w", path, err)
	}
	return nil
}

// loader is the dynamic linker that a program asks for; none if it is linked statically.
func loader(program string) (string, error) {
	file, err := elf.Open(program)
	if err != nil {
		if notELF := (*elf.FormatError)(nil); errors.As(err, &notELF) || errors.Is(err, io.EOF) {
			return "", fmt.Errorf("%s is a script or another machine's program: name the program itself", program)
		}
		return "", err
	}
	defer func() { _ = file.Close() }()
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			path, err := io.ReadAll(p.Open())
			return strings.TrimRight(string(path), "\x00"), err
		}
	}
	return "", nil
}

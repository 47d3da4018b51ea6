package box

import (
	"errors"
	"fmt"

	landlock "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// Check tells whether this kernel, and the container around the process, can make boxes. The error says what to do.
func Check() error {
	abi, err := landlock.LandlockGetABIVersion()
	return errors.Join(checkLandlock(abi, err), checkSeccomp())
}

// itsCalls are what a container must let pass.
const itsCalls = "landlock_create_ruleset, landlock_add_rule and landlock_restrict_self"

func checkLandlock(abi int, err error) error {
	switch {
	case errors.Is(err, unix.EOPNOTSUPP):
		return errors.New("Landlock is in this kernel but not switched on: add landlock to its boot parameter lsm=")
	case errors.Is(err, unix.ENOSYS):
		return errors.New("this kernel has no Landlock, or the container's seccomp profile hides it: " +
			"it needs Linux 6.7 or later, and Docker 23 or later, or a profile that allows " + itsCalls)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return errors.New("the container's seccomp profile forbids Landlock: " +
			"update Docker to 23 or later, or use a profile that allows " + itsCalls)
	case err != nil:
		return fmt.Errorf("ask the kernel for Landlock: %w", err)
	case abi < abiNetwork:
		return fmt.Errorf("Landlock of this kernel is version %d, which cannot keep a program from the network: "+
			"version %d comes with Linux 6.7", abi, abiNetwork)
	}
	return nil
}

// checkSeccomp asks for a filter that is nowhere: a kernel that knows filters stumbles over the address.
func checkSeccomp() error {
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, 0, 0, 0); !errors.Is(err, unix.EFAULT) {
		return fmt.Errorf("this kernel, or the container around the process, has no seccomp filters (%w): "+
			"it needs CONFIG_SECCOMP_FILTER", err)
	}
	return nil
}

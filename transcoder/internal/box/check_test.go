package box

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Whoever reads the error must know what to change: the kernel, its boot parameters, or the container.
func TestTheCheckSaysWhatToDo(t *testing.T) {
	for _, c := range []struct {
		name string
		abi  int
		err  error
		says string // "": it is all right
	}{
		{"a kernel of today", 7, nil, ""},
		{"the first kernel that knows ports", 4, nil, ""},
		{"a kernel that knows files alone", 3, nil, "Linux 6.7"},
		{"a kernel without Landlock", -1, unix.ENOSYS, "Linux 6.7"},
		{"Landlock that is switched off", -1, unix.EOPNOTSUPP, "lsm="},
		{"a container that forbids it", -1, unix.EPERM, "Docker"},
		{"something else", -1, unix.EIO, "input/output error"},
	} {
		err := checkLandlock(c.abi, c.err)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q in it", c.name, err, c.says)
		}
	}
	if err := Check(); err != nil {
		t.Errorf("here: %v", err)
	}
}

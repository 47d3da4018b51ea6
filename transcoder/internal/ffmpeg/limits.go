package ffmpeg

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// DefaultMemory is address space for any upload on any machine. A 4K upload takes 5 GB of it and an 8K one nearly 8 where
// 64 cores have their threads; most is reserved and never used.
const DefaultMemory int64 = 8 << 30

// maxFiles is for the standard streams, a pipe an output and a connection or two; libraries are opened one by one.
const maxFiles = 64

// limit bounds what a process that was just started can take from the machine. It has read nothing from outside yet: the
// dynamic linker alone is busy for longer than this takes.
func limit(pid, nice int, memory int64) error {
	for _, l := range []struct {
		name     string
		resource int
		max      uint64
	}{
		{"address space", unix.RLIMIT_AS, uint64(memory)},
		// All output goes through pipes, which this does not concern.
		{"size of files", unix.RLIMIT_FSIZE, 0},
		{"open files", unix.RLIMIT_NOFILE, maxFiles},
		{"core dump", unix.RLIMIT_CORE, 0},
	} {
		var now unix.Rlimit
		if err := unix.Prlimit(pid, l.resource, nil, &now); err != nil {
			return fmt.Errorf("read the limit of its %s: %w", l.name, err)
		}
		// Where the container allows less, that stands: only the privileged may raise it.
		most := min(l.max, now.Max)
		if err := unix.Prlimit(pid, l.resource, &unix.Rlimit{Cur: most, Max: most}, nil); err != nil {
			return fmt.Errorf("limit its %s: %w", l.name, err)
		}
	}
	if nice == 0 {
		return nil
	}
	// The group, because for Linux a process is one thread here; threads that come later inherit it. It is denied where the
	// transcoder itself is nicer already, and then there is nothing to do.
	if err := unix.Setpriority(unix.PRIO_PGRP, pid, nice); err != nil && !errors.Is(err, unix.EACCES) {
		return fmt.Errorf("make it nice: %w", err)
	}
	return nil
}

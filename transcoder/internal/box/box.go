// Package box confines a program that reads what strangers have sent.
//
// A boxed program reads its own file and the system's libraries and no other file, writes to nothing but the pipes that it
// was given, connects to one TCP port and listens on none, starts no process and signals nobody, and keeps within limits of
// memory and descriptors. All of that holds from its first instruction on: Weir's own binary is started again under
// another name, gives up what the program is not to have, and becomes the program. Landlock takes the files and the ports
// away (landlock.go), seccomp the system calls (seccomp.go), the kernel's resource limits the rest (enter.go).
//
// Start at [Box.Args]. A process that imports this package can be a box: nothing else has to be called. The package starts
// no processes itself.
package box

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Self is where a process finds its own binary, even if the file was replaced since it was started.
const Self = "/proc/self/exe"

// name is what argument 0 of a process is that shall become a box.
const name = "weir-box"

// Box is what a program gets.
type Box struct {
	// Memory is its address space in bytes.
	Memory int64 `json:"memory"`
	// Nice is its niceness, from 0, as the one who starts it, to 19.
	Nice int `json:"nice,omitempty"`
	// Port is the one TCP port that it may connect to; with 0 it has no sockets at all. Landlock knows no addresses, so it
	// is this port of any host.
	Port int `json:"port,omitempty"`
	// Report is the descriptor of a pipe on which the box says how its start went; see [Refused]. The descriptors from 3
	// up to it are the program's; those from it on are closed.
	Report int `json:"report"`
	// Open leaves out Landlock and seccomp: limits alone, where the kernel can do no more.
	Open bool `json:"open,omitempty"`
}

// Args is the argument vector with which [Self] becomes a program in a box: a file, and its arguments without the first.
func (b Box) Args(program string, args []string) []string {
	setting, err := json.Marshal(b)
	if err != nil {
		panic(err) // numbers and a flag
	}
	return append([]string{name, string(setting), program}, args...)
}

// init makes the process a box if it was started as one. It is no function to call, because a program that forgot to call
// it would start itself again and again; and it runs before main, while there is one thread that counts and nothing to
// tidy up.
func init() {
	if len(os.Args) == 0 || os.Args[0] != name {
		return
	}
	var b Box
	if len(os.Args) < 3 || json.Unmarshal([]byte(os.Args[1]), &b) != nil {
		fmt.Fprintln(os.Stderr, "box: this name is for processes that the transcoder starts")
		os.Exit(exitRefused)
	}
	report := os.NewFile(uintptr(b.Report), "report")
	err := b.enter(os.Args[2], append([]string{filepath.Base(os.Args[2])}, os.Args[3:]...), report)
	_, _ = fmt.Fprintln(report, err) // there is nobody else to tell
	os.Exit(exitRefused)
}

// exitRefused is the status of a process that could not become its program: that of shells for a program that cannot be
// executed.
const exitRefused = 126

// entered is what a box reports when all that is left is to become the program.
const entered = "."

// Refused is why a box did not become its program, from all that it wrote to its report; nil if it did.
func Refused(report []byte) error {
	text, ok := strings.CutPrefix(string(report), entered)
	if text = strings.TrimSpace(text); ok && text == "" {
		return nil
	}
	if text == "" {
		text = "it ended before it was ready"
	}
	return errors.New("box: " + text)
}

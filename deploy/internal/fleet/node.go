package fleet

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"weir/deploy/internal/child"
	"weir/deploy/internal/port"
)

const (
	// readyTimeout is for a transcoder on a busy machine, with a queue to be read from the disk.
	readyTimeout = 60 * time.Second
	readyPause   = 20 * time.Millisecond
	// startTimeout is for a shell to say its process id.
	startTimeout = 10 * time.Second
	// stopGrace: the transcoder gives up its tasks at once, but closes the queue's files in order.
	stopGrace = 20 * time.Second
	// killGrace is how long a killed process may take to be gone.
	killGrace = 10 * time.Second
)

// Role is what a transcoder does.
type Role string

// The roles. API and Work need a cluster.
const (
	All  Role = "all"
	API  Role = "api"
	Work Role = "worker"
)

// Spec says what a node is.
type Spec struct {
	Name string
	Role Role              // "" is All
	Core string            // the cores that it may use, as taskset writes them; "" is all
	Env  map[string]string // beside what every node has
}

// Node is a place where a transcoder runs, one process after the other.
type Node struct {
	Spec
	URL string // of its API

	fleet *Fleet
	dir   string

	mu     sync.Mutex
	lives  int
	proc   *child.Child
	pid    int
	frozen []int
}

// Node makes a node; it does not start it.
func (f *Fleet) Node(ctx context.Context, spec Spec) (*Node, error) {
	if spec.Role == "" {
		spec.Role = All
	}
	listen, err := port.Free(ctx)
	if err != nil {
		return nil, err
	}
	n := &Node{Spec: spec, URL: "http://127.0.0.1:" + strconv.Itoa(listen), fleet: f, dir: filepath.Join(f.temp, spec.Name)}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nodes = append(f.nodes, n)
	return n, nil
}

// Start starts the node's next process. It does not wait until that is ready.
func (n *Node) Start() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := os.MkdirAll(filepath.Join(n.dir, "tmp"), 0o700); err != nil {
		return fmt.Errorf("start %s: %w", n.Name, err)
	}
	n.lives++
	known := make(chan int, 1)
	log := &logReader{
		life: Life{n.Name, n.lives}, journal: &n.fleet.Journal, out: n.fleet.log,
		pid: func(pid int) { known <- pid },
	}
	// The shell says who it is and becomes the transcoder.
	args := []string{"-c", `echo "{\"pid\":$$}"; exec "$@"`, "weir"}
	if n.Core != "" {
		args = append(args, "taskset", "-c", n.Core)
	}
	proc, err := child.Start(child.Program{
		Name: n.Name, Path: "sh", Args: append(args, n.fleet.binary), Dir: n.dir, Env: n.environment(),
	}, log)
	if err != nil {
		return err
	}
	n.proc = proc
	select {
	case n.pid = <-known:
		return nil
	case <-proc.Done():
		return fmt.Errorf("start %s: %w", n.Name, proc.Err())
	case <-time.After(startTimeout):
		return errors.Join(fmt.Errorf("start %s: its shell says nothing", n.Name), proc.Stop(0))
	}
}

// Ready waits until the API answers that it can work.
func (n *Node) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, fmt.Errorf("not ready within %v", readyTimeout))
	defer cancel()
	n.mu.Lock()
	proc := n.proc
	n.mu.Unlock()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.URL+"/readyz", nil)
		if err != nil {
			return fmt.Errorf("start %s: %w", n.Name, err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.New("/readyz: " + resp.Status)
		}
		select {
		case <-proc.Done():
			return fmt.Errorf("start %s: %w", n.Name, proc.Err())
		case <-ctx.Done():
			return fmt.Errorf("start %s: %w: %w\n%s", n.Name, context.Cause(ctx), err, proc.Tail())
		case <-time.After(readyPause):
		}
	}
}

// Life is the process that runs, or ran last.
func (n *Node) Life() Life {
	n.mu.Lock()
	defer n.mu.Unlock()
	return Life{n.Name, n.lives}
}

// Running are the tasks that the node's process works on, by its own log.
func (n *Node) Running() map[TaskID]time.Time {
	return Running(n.fleet.Journal.Entries(), n.Life())
}

// Kill ends the process as a crash does: SIGKILL to it alone. It returns when all that it started is gone too; what had
// to be killed for that is an error, and so is a process that had ended before.
func (n *Node) Kill() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	select {
	case <-n.proc.Done():
		return fmt.Errorf("%s ended by itself: %w", n.Name, n.proc.Err())
	default:
	}
	// It stands still for a moment, so that nothing that it starts is overlooked.
	pids, err := freeze(n.pid)
	if err != nil {
		return err
	}
	if err := syscall.Kill(n.pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill %s: %w", n.Name, err)
	}
	select {
	case <-n.proc.Done():
	case <-time.After(killGrace):
		return fmt.Errorf("kill %s: it is still there after SIGKILL", n.Name)
	}
	// Children that stand still die of the parent-death signal all the same.
	if survivors := bury(pids[1:]); len(survivors) > 0 {
		return fmt.Errorf("%w: %d of %s", ErrOrphans, len(survivors), n.Name)
	}
	return nil
}

// ErrOrphans says that processes outlived the transcoder that had started them.
var ErrOrphans = errors.New("processes outlived their transcoder")

// Freeze lets the process and all that it started stand still.
func (n *Node) Freeze() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	var err error
	n.frozen, err = freeze(n.pid)
	return err
}

// Thaw lets them go on.
func (n *Node) Thaw() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.thaw()
}

func (n *Node) thaw() error {
	frozen := n.frozen
	n.frozen = nil
	slices.Reverse(frozen) // the encoders first: their reader has something to read
	return thaw(frozen)
}

// Wipe removes the node's disk. The process must have ended.
func (n *Node) Wipe() error {
	if err := os.RemoveAll(filepath.Join(n.dir, "data")); err != nil {
		return fmt.Errorf("wipe %s: %w", n.Name, err)
	}
	return nil
}

// Encoders are the command lines of the ffmpeg processes that work for the node.
func (n *Node) Encoders() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var lines []string
	for _, p := range descendants(n.pid) {
		if p.name == "ffmpeg" {
			if line := commandLine(p.pid); line != "" {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// Memory returns the process's resident memory now and at its peak, in bytes.
func (n *Node) Memory() (now, peak int64, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return memory(n.pid)
}

// CPU is the processor time that the process has used, and those of its children that have ended.
func (n *Node) CPU() (time.Duration, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return cpu(n.pid)
}

// Stop ends the process in order. It may be called at any time.
func (n *Node) Stop() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.proc == nil {
		return nil
	}
	return errors.Join(n.thaw(), n.proc.Stop(stopGrace))
}

// Died says how the process ended if it has, by itself or not.
func (n *Node) Died() error {
	n.mu.Lock()
	proc := n.proc
	n.mu.Unlock()
	if proc == nil {
		return nil
	}
	select {
	case <-proc.Done():
		return fmt.Errorf("%s ended by itself: %w", n.Name, proc.Err())
	default:
		return nil
	}
}

// environment is all that a process gets to see.
func (n *Node) environment() []string {
	f := n.fleet
	env := map[string]string{
		"PATH": os.Getenv("PATH"), "HOME": n.dir, "TMPDIR": filepath.Join(n.dir, "tmp"), "LANG": "C.UTF-8",
		"LISTEN":                strings.TrimPrefix(n.URL, "http://"),
		"API_KEY":               f.apiKey,
		"R2_ENDPOINT":           f.Cloud.Endpoint,
		"R2_BUCKET":             f.Cloud.Bucket,
		"R2_ACCESS_KEY_ID":      f.Cloud.AccessKeyID,
		"R2_SECRET_ACCESS_KEY":  f.Cloud.SecretAccessKey,
		"PUBLIC_URL":            f.Cloud.URL,
		"TOKEN_KEY":             f.Cloud.TokenKey,
		"ENCRYPTION_KEY":        f.Cloud.EncryptionKey,
		"WEBHOOK_SECRET":        f.webhookSecret,
		"WEBHOOK_ALLOW_PRIVATE": "true", // the ledger is on this machine
		"DATA_DIR":              filepath.Join(n.dir, "data"),
		"FFMPEG_SANDBOX":        os.Getenv("FFMPEG_SANDBOX"), // for kernels that cannot confine it; nothing is the default
	}
	if f.cluster != nil {
		env["NATS_URL"] = f.cluster.url
		env["ROLE"] = string(n.Role)
	}
	for name, value := range n.Env {
		env[name] = value
	}
	var all []string
	for name, value := range env {
		all = append(all, name+"="+value)
	}
	slices.Sort(all)
	return all
}

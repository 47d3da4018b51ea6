package image

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"weir/deploy/internal/child"
	"weir/deploy/internal/demo"
	"weir/deploy/internal/port"
)

// user is who the image runs as, and nobody else anywhere.
const user = "65532:65532"

// edgeTimeout is for an edge to listen, in a container that has to be made first.
const edgeTimeout = time.Minute

// enough are the files and the threads that a transcoder may have on a large machine.
const enough = 1 << 14

// Result is the last line of [Verify].
type Result struct {
	Image   string  `json:"image"`
	Size    float64 `json:"size_mb"`
	FFmpeg  string  `json:"ffmpeg"`  // its version
	Seconds float64 `json:"seconds"` // all of it
	demo.Result
}

// Verify has the transcoder in the image do the demo's job: as nobody, without capabilities, under the engine's own seccomp profile, on a root
// that is read-only. Before that, it sees that `weir edge` answers there as well. video is a file; "" is the sample.
func Verify(ctx context.Context, name, video string, out io.Writer) error {
	began := time.Now()
	e, err := find(ctx)
	if err != nil {
		return err
	}
	r := Result{Image: name}
	if r.Size, err = e.size(ctx, name); err != nil {
		return err
	}
	said, err := e.ask(ctx, slices.Concat([]string{"run", "--rm"}, confined(), []string{name, "ffmpeg", "-version"})...)
	if err != nil {
		return err
	}
	if _, err := fmt.Sscanf(said, "ffmpeg version %s", &r.FFmpeg); err != nil {
		return fmt.Errorf("the image's ffmpeg says %q: %w", said, err)
	}
	box := "weir-verify-" + strings.ToLower(rand.Text()[:8])
	if err := e.edge(ctx, box+"-edge", name); err != nil {
		return fmt.Errorf("weir edge in the image: %w", err)
	}
	defer e.remove(ctx, box)
	r.Result, err = demo.Show(ctx, demo.Options{
		Video: video, Exit: true,
		Program: func(settings []string) child.Program { return e.program(box, name, settings) },
		Started: func(ctx context.Context) error { return e.examine(ctx, box) },
	}, out)
	if err != nil {
		return err
	}
	r.Seconds = time.Since(began).Round(time.Second / 10).Seconds()
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "RESULT %s\n", line)
	return err
}

// confined are the flags of a container that has as little as it can.
func confined() []string {
	flags := []string{
		"--no-healthcheck", // Podman has systemd make them, which is not everywhere
		"--user", user, "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", "host",
	}
	// Engines raise these, which a machine that is a container itself may not let them do.
	for name, resource := range map[string]int{"nofile": unix.RLIMIT_NOFILE, "nproc": unix.RLIMIT_NPROC} {
		var limit unix.Rlimit
		if unix.Getrlimit(resource, &limit) == nil {
			most := min(limit.Cur, enough)
			flags = append(flags, "--ulimit", fmt.Sprintf("%s=%d:%d", name, most, most))
		}
	}
	return flags
}

// remove removes a container, which is gone already, unless something went wrong.
func (e engine) remove(ctx context.Context, box string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer cancel()
	_, _ = e.ask(ctx, "rm", "--force", box)
}

// program runs a command in a container, or the transcoder without one. Its settings are not on a command line that everybody can read.
func (e engine) program(box, name string, settings []string, command ...string) child.Program {
	args := append([]string{"run", "--rm", "--name", box}, confined()...)
	for _, s := range settings {
		variable, _, _ := strings.Cut(s, "=")
		args = append(args, "--env", variable)
	}
	return child.Program{Name: "the image's container", Path: e.path, Args: slices.Concat(e.global, args, []string{name}, command), Env: append(os.Environ(), settings...)}
}

// edge runs `weir edge` until it is alive, confined, and has the player.
func (e engine) edge(ctx context.Context, box, name string) (err error) {
	listen, err := port.Free(ctx)
	if err != nil {
		return err
	}
	address := "127.0.0.1:" + strconv.Itoa(listen)
	key := base64.RawURLEncoding.EncodeToString([]byte(rand.Text() + rand.Text()))
	edge, err := child.Start(e.program(box, name, []string{
		"LISTEN=" + address,
		`TOKEN_KEYS={"keys":[{"kty":"oct","alg":"HS256","kid":"verify","k":"` + key + `"}]}`,
		"R2_ENDPOINT=http://127.0.0.1:9", "R2_BUCKET=none", "R2_ACCESS_KEY_ID=none", "R2_SECRET_ACCESS_KEY=none", // it asks for nothing
	}, "weir", "edge"), nil)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, edge.Stop(stopGrace))
		e.remove(ctx, box)
	}()
	ctx, cancel := context.WithTimeout(ctx, edgeTimeout)
	defer cancel()
	for {
		err := e.examine(ctx, box)
		if err == nil {
			break
		}
		select {
		case <-edge.Done():
			return edge.Err()
		case <-ctx.Done():
			return fmt.Errorf("%w: %w\n%s", ctx.Err(), err, edge.Tail())
		case <-time.After(time.Second):
		}
	}
	for _, path := range []string{"/healthz", "/player/watch.js"} {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("%s is answered %s", path, answer.Status)
		}
	}
	return nil
}

// examine holds the container that runs to what it was to be, and asks it what the platform will ask.
func (e engine) examine(ctx context.Context, box string) error {
	if _, err := e.ask(ctx, "exec", box, "transcoder", "healthcheck"); err != nil {
		return err
	}
	pid, err := e.ask(ctx, "inspect", "--format", "{{.State.Pid}}", box)
	if err != nil {
		return err
	}
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return err
	}
	mounts, err := os.ReadFile("/proc/" + pid + "/mountinfo")
	if err != nil {
		return err
	}
	return confinement(string(status), string(mounts))
}

// confinement says what is wrong with a process by its files status and mountinfo (proc(5)).
func confinement(status, mounts string) error {
	var problems []error
	fields := map[string]string{}
	for line := range strings.Lines(status) {
		name, value, _ := strings.Cut(line, ":")
		fields[name] = strings.Join(strings.Fields(value), " ")
	}
	for name, want := range map[string]string{
		"Uid": "65532 65532 65532 65532", "Gid": "65532 65532 65532 65532", "CapEff": "0000000000000000", "CapBnd": "0000000000000000",
		"NoNewPrivs": "1", "Seccomp": "2",
	} {
		if fields[name] != want {
			problems = append(problems, fmt.Errorf("%s is %q, want %q", name, fields[name], want))
		}
	}
	root := ""
	for line := range strings.Lines(mounts) { // ID PARENT DEVICE ROOT PLACE OPTIONS …
		if f := strings.Fields(line); len(f) > 5 && f[4] == "/" {
			root = f[5]
		}
	}
	if !strings.HasPrefix(root+",", "ro,") {
		problems = append(problems, fmt.Errorf("the root is mounted %q: it is to be read-only", root))
	}
	if len(problems) > 0 {
		return fmt.Errorf("the container is not confined: %w", errors.Join(problems...))
	}
	return nil
}

package wrangler

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"weir/deploy/internal/child"
)

// CommandLine is what runs wrangler of a checkout: Node, and its first arguments. It is the command line itself: bin/wrangler.js would be
// one more process, between us and the one to stop.
func CommandLine(root string) (node string, args []string, err error) {
	modules := filepath.Join(root, "edge-auth", "node_modules")
	node, cli := filepath.Join(modules, "node", "bin", "node"), filepath.Join(modules, "wrangler", "wrangler-dist", "cli.js")
	for _, need := range []struct{ file, mend string }{
		{node, "run `go tool task setup`"},
		{cli, "run `go tool task setup`"},
		{filepath.Join(root, "edge-auth", "edge.wasm"), "run `go tool task wasm`"},
		{filepath.Join(root, "edge-auth", "public", "player", "watch.js"), "run `go tool task wasm`"},
	} {
		if _, err := os.Stat(need.file); err != nil {
			return "", nil, fmt.Errorf("%s is missing: %s", need.file, need.mend)
		}
	}
	return node, []string{"--no-warnings", cli}, nil
}

const (
	// deployTimeout is for a Worker of some hundred kilobytes; pushing the container's image takes minutes.
	deployTimeout = 30 * time.Minute
	stopGrace     = 10 * time.Second
)

// Release is the Worker of a checkout, with the settings of one environment.
type Release struct {
	Root   string
	Config Config
	// Secrets are the Worker's settings that are not in wrangler.toml. Wrangler gets them in a file that nobody else may read.
	Secrets func() map[string]string
	Account string
	Token   string    // of the API
	API     string    // its base URL; "" is Cloudflare's
	Log     io.Writer // what wrangler says; it has no secrets. nil is nowhere
}

// sources are what a Worker is made of. Its container's image is named in wrangler.toml.
var sources = []string{"wrangler.toml", "edge-auth"}

// Tag is the SHA-256 of the Worker's files and settings: the settings are keys, which no hash tells.
func (r Release) Tag() (string, error) {
	sum := sha256.New()
	for _, name := range sources {
		if err := filepath.WalkDir(filepath.Join(r.Root, name), func(path string, d fs.DirEntry, err error) error {
			switch base := filepath.Base(path); {
			case err != nil:
				return err
			case d.IsDir() && (base == "node_modules" || base == "testdata" || base == "bench" || strings.HasPrefix(base, ".")):
				return fs.SkipDir
			case d.IsDir() || strings.HasSuffix(base, ".go"):
				return nil // edge.wasm is what becomes of Go
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			inside, err := filepath.Rel(r.Root, path)
			_, _ = fmt.Fprintf(sum, "%s %x\n", inside, sha256.Sum256(data))
			return err
		}); err != nil {
			return "", fmt.Errorf("read what the Worker is made of: %w", err)
		}
	}
	if err := json.NewEncoder(sum).Encode([]any{r.Config.Environment, r.Secrets()}); err != nil {
		return "", err
	}
	return "weir-" + hex.EncodeToString(sum.Sum(nil)[:16]), nil
}

// Deploy runs `wrangler deploy`.
func (r Release) Deploy(ctx context.Context, tag string) error {
	return r.run(ctx, func(temp string) ([]string, error) {
		secrets, err := json.Marshal(r.Secrets())
		if err != nil {
			return nil, err
		}
		file := filepath.Join(temp, "secrets.json")
		if err := os.WriteFile(file, secrets, 0o600); err != nil {
			return nil, err
		}
		args := []string{"deploy", "--config", filepath.Join(r.Root, "wrangler.toml"), "--env", r.Config.Environment,
			"--tag", tag, "--message", "deployed by `deploy apply`", "--secrets-file", file}
		if r.Secrets()["TRANSCODER_URL"] != "" {
			args = append(args, "--containers-rollout", "none") // the transcoder is elsewhere
		}
		return args, nil
	})
}

// Push runs `wrangler containers push` for an image of this machine, under the name that it has here: with the registry in front, because
// Wrangler takes the weir:1 of a bare name for a host and its port. docker is the Docker, or Podman, that has it.
func (r Release) Push(ctx context.Context, docker, image string) error {
	return r.run(ctx, func(string) ([]string, error) {
		return []string{"containers", "push", image, "--path-to-docker", docker}, nil
	})
}

// passed are what wrangler has of this process's environment: where Docker is, for the container's image, and which way leads to Cloudflare,
// which is the API's as well.
var passed = []string{
	"PATH", "HOME", "DOCKER_HOST", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "NODE_EXTRA_CA_CERTS",
}

// run runs wrangler. Its arguments may name files in a folder that only this process's user sees, and that is gone when it is done.
func (r Release) run(ctx context.Context, arguments func(temp string) ([]string, error)) (err error) {
	node, args, err := CommandLine(r.Root)
	if err != nil {
		return fmt.Errorf("run wrangler: %w", err)
	}
	temp, err := os.MkdirTemp("", "weir-deploy-") // 0700
	if err != nil {
		return fmt.Errorf("run wrangler: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	more, err := arguments(temp)
	if err != nil {
		return fmt.Errorf("run wrangler: %w", err)
	}
	env := []string{
		"TMPDIR=" + temp, "XDG_CONFIG_HOME=" + filepath.Join(temp, "config"), "WRANGLER_LOG_PATH=" + filepath.Join(temp, "logs"),
		"CI=1", "NO_COLOR=1", "WRANGLER_SEND_METRICS=false", "WRANGLER_SEND_ERROR_REPORTS=false", "WRANGLER_HIDE_BANNER=true",
		"CLOUDFLARE_ACCOUNT_ID=" + r.Account, "CLOUDFLARE_API_TOKEN=" + r.Token,
	}
	for _, name := range passed {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	if r.API != "" {
		env = append(env, "CLOUDFLARE_API_BASE_URL="+strings.TrimSuffix(r.API, "/"))
	}
	ctx, cancel := context.WithTimeoutCause(ctx, deployTimeout, fmt.Errorf("it was not done within %v", deployTimeout))
	defer cancel()
	return child.Run(ctx, child.Program{Name: "wrangler " + more[0], Path: node, Dir: r.Root, Env: env, Args: append(args, more...)}, r.Log, stopGrace)
}

// Package local runs Cloudflare on this machine: wrangler dev, with the Worker in workerd and the R2 bucket behind it.
//
// It is what the demo, `dev` and the tests of every part stand on: one bucket, seen through its S3 endpoint (as the
// transcoder sees it) and through the Worker's binding (as a player does), with a signing key made for this run. Start
// returns when both answer; Stop ends every process and removes what was temporary. Nothing is shared between two
// Clouds, so tests of several packages may have one each at the same time, and nothing outside this machine is asked.
package local

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"weir/deploy/internal/bucket"
	"weir/deploy/internal/child"
	"weir/deploy/internal/port"
	"weir/deploy/internal/wrangler"
)

const (
	// readyTimeout: workerd needs about a second; a busy machine with a cold disk has taken ten.
	readyTimeout = 90 * time.Second
	// probeTimeout is for one question to a server that may not be listening yet.
	probeTimeout = 5 * time.Second
	// probePause is short, because the tests of every package wait here.
	probePause = 50 * time.Millisecond
	// stopGrace: wrangler ends workerd and closes its databases in well under a second.
	stopGrace = 10 * time.Second
)

// What wrangler.toml says; the first probe of the bucket fails when the two differ.
const (
	bucketName      = "weir"
	accessKeyID     = "weir-local"
	secretAccessKey = "weir-local-secret" //nolint:gosec // opens nothing but a bucket on this machine
)

// Cloud is what a started Cloudflare offers.
type Cloud struct {
	URL             string // base URL of the Worker, http://127.0.0.1:PORT
	Endpoint        string // S3 endpoint of the bucket
	Bucket          string
	AccessKeyID     string
	SecretAccessKey string
	TokenKey        string // the JWK that signs tokens the Worker accepts (JSON); TOKEN_KEYS of the Worker holds it
	EncryptionKey   string // ENCRYPTION_KEY of the Worker, and of the transcoder

	wrangler *child.Child
	temp     string
}

// Options are what a caller may choose.
type Options struct {
	Dir string    // where the bucket lives on; "" is a temporary place that Stop removes
	Log io.Writer // what wrangler says; nil is nowhere
	// TokenKeys are JWKs (JSON) that the Worker takes beside that of TokenKey.
	TokenKeys []string
	// Settings are variables and secrets of the Worker, in place of those in wrangler.toml. No value has a ' or a line break.
	Settings map[string]string
}

// Start starts a Cloudflare for the checkout around the working directory and waits until the Worker and the bucket
// answer. ctx bounds the start; from then on the Cloud runs until Stop.
func Start(ctx context.Context, opts Options) (_ *Cloud, err error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	node, args, err := wrangler.CommandLine(root)
	if err != nil {
		return nil, fmt.Errorf("start the local Cloudflare: %w", err)
	}
	temp, err := os.MkdirTemp("", "weir-cloud-")
	if err != nil {
		return nil, fmt.Errorf("start the local Cloudflare: %w", err)
	}
	c := &Cloud{Bucket: bucketName, AccessKeyID: accessKeyID, SecretAccessKey: secretAccessKey, temp: temp}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Stop())
		}
	}()

	if c.TokenKey, err = newKey(); err != nil {
		return nil, err
	}
	keySet := `{"keys":[` + strings.Join(append([]string{c.TokenKey}, opts.TokenKeys...), ",") + `]}`
	secrets := filepath.Join(temp, "secrets.env")
	master := make([]byte, 32)
	_, _ = rand.Read(master) // never fails
	settings := map[string]string{"TOKEN_KEYS": keySet, "ENCRYPTION_KEY": base64.RawURLEncoding.EncodeToString(master)}
	maps.Copy(settings, opts.Settings)
	c.EncryptionKey = settings["ENCRYPTION_KEY"]
	var lines strings.Builder
	for name, value := range settings {
		fmt.Fprintf(&lines, "%s='%s'\n", name, value)
	}
	if err := os.WriteFile(secrets, []byte(lines.String()), 0o600); err != nil {
		return nil, fmt.Errorf("start the local Cloudflare: %w", err)
	}
	state := opts.Dir
	if state == "" {
		state = filepath.Join(temp, "state")
	} else if state, err = filepath.Abs(state); err != nil {
		return nil, fmt.Errorf("start the local Cloudflare: %w", err)
	}
	listen, err := port.Free(ctx)
	if err != nil {
		return nil, err
	}
	c.URL = "http://127.0.0.1:" + strconv.Itoa(listen)
	c.Endpoint = c.URL + "/cdn-cgi/local/r2/s3"

	args = append(args, "dev",
		"--config", filepath.Join(root, "wrangler.toml"),
		"--local", // no binding may reach for an account
		"--ip", "127.0.0.1", "--port", strconv.Itoa(listen),
		"--inspector-port", "0", // two Clouds would fight over the usual one
		"--persist-to", state,
		"--env-file", secrets, // instead of .dev.vars and .env, and not on a command line that everyone can read
		"--show-interactive-dev-session=false",
		"--log-level", "log",
	)
	program := child.Program{Name: "wrangler dev", Path: node, Args: args, Dir: root, Env: environment(temp)}
	if c.wrangler, err = child.Start(program, opts.Log); err != nil {
		return nil, err
	}
	if err := c.ready(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// Stop ends the Cloud and removes its temporary files. It may be called twice.
func (c *Cloud) Stop() error {
	var err error
	if c.wrangler != nil {
		err = c.wrangler.Stop(stopGrace)
	}
	return errors.Join(err, os.RemoveAll(c.temp))
}

// Done is closed when the Cloud has ended, by Stop or on its own; then Err says how.
func (c *Cloud) Done() <-chan struct{} { return c.wrangler.Done() }

// Err says how the Cloud ended and what wrangler said last. It must be called after Done.
func (c *Cloud) Err() error { return c.wrangler.Err() }

// S3 is a client of the bucket, with the settings that the endpoint needs.
func (c *Cloud) S3() *s3.Client {
	return bucket.Client(c.Endpoint, c.AccessKeyID, c.SecretAccessKey)
}

// ready waits until the Worker and the bucket have answered.
func (c *Cloud) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, fmt.Errorf("no answer within %v", readyTimeout))
	defer cancel()
	for {
		err := c.probe(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-c.wrangler.Done():
			return fmt.Errorf("start the local Cloudflare: %w", c.wrangler.Err())
		case <-ctx.Done():
			return fmt.Errorf("start the local Cloudflare: %w: %w\n%s", context.Cause(ctx), err, c.wrangler.Tail())
		case <-time.After(probePause):
		}
	}
}

func (c *Cloud) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodOptions, c.URL+"/", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask the Worker: %w", err)
	}
	resp.Body.Close()
	client := c.S3()
	if _, err := client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String(c.Bucket), MaxKeys: aws.Int32(1)},
		func(o *s3.Options) { o.RetryMaxAttempts = 1 }); err != nil {
		return fmt.Errorf("ask the bucket: %w", err)
	}
	return nil
}

// Root finds the top of the checkout around the working directory: the folder with go.mod and wrangler.toml.
func Root() (string, error) {
	wd, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the checkout: %w", err)
	}
	for dir := wd; ; dir = filepath.Dir(dir) {
		_, noMod := os.Stat(filepath.Join(dir, "go.mod"))
		_, noToml := os.Stat(filepath.Join(dir, "wrangler.toml"))
		if noMod == nil && noToml == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("find the checkout: no go.mod with a wrangler.toml beside it in %s or above", wd)
		}
	}
}

// environment is all that wrangler gets to see: no account, no proxy, a home that is thrown away, nobody to call.
func environment(temp string) []string {
	return []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + temp, "XDG_CONFIG_HOME=" + filepath.Join(temp, "config"), "TMPDIR=" + temp,
		"CI=1", "NO_COLOR=1",
		"WRANGLER_SEND_METRICS=false", "WRANGLER_SEND_ERROR_REPORTS=false",
		"WRANGLER_HIDE_BANNER=true",                             // the banner looks for updates
		"WRANGLER_CI_DISABLE_CONFIG_WATCHING=true",              // the checkout may change while tests run
		"WRANGLER_DISABLE_EXPERIMENTAL_WARNING=true",            // the S3 endpoint is experimental: known
		"CLOUDFLARE_CF_FETCH_ENABLED=false",                     // a placeholder request.cf is enough
		"X_LOCAL_OBSERVABILITY=false", "X_LOCAL_EXPLORER=false", // a trace store of every request, and its page
	}
}

// newKey makes a signing key: as one JWK, and as the JWK Set that the Worker wants (RFC 7517).
func newKey() (jwk string, err error) {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	key, err := json.Marshal(struct {
		Kty string `json:"kty"`
		Alg string `json:"alg"`
		Kid string `json:"kid"`
		K   string `json:"k"`
	}{"oct", "HS256", "local", base64.RawURLEncoding.EncodeToString(secret)})
	if err != nil {
		return "", fmt.Errorf("make a token key: %w", err)
	}
	return string(key), nil
}

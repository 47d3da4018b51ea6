package main

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/transcoder/internal/api"
	"weir/transcoder/internal/encrypt"
	"weir/transcoder/internal/job"
	"weir/transcoder/internal/plan"
	"weir/transcoder/internal/queue"
	"weir/transcoder/internal/r2"
	"weir/transcoder/internal/source"
	"weir/transcoder/internal/webhook"
)

// Config is everything that can be set. It comes from the environment alone; README.md has the table.
type Config struct {
	Listen              string
	APIKey              Secret // or several, separated by spaces
	R2                  r2.Config
	PublicURL           string
	TokenKey            api.Key
	TokenTTL            time.Duration
	WebhookSecrets      []webhook.Secret
	WebhookAllowPrivate bool
	Role                Role
	Queue               queue.Config
	Scratch             source.Scratch
	Ladder              plan.Ladder
	Storyboard          job.Storyboard
	Codecs              job.Codecs
	Preset              string
	Tasks               int
	TaskMemory          int64
	Sandbox             Sandbox
	EncryptionKey       encrypt.Master
}

// Role is what a node does.
type Role string

// The roles.
const (
	All    Role = "all"
	API    Role = "api"    // takes requests
	Worker Role = "worker" // does the work
)

// Sandbox tells whether ffmpeg must be confined.
type Sandbox string

// The settings of the sandbox.
const (
	Required Sandbox = "required" // or the transcoder does not start
	Off      Sandbox = "off"      // where the kernel cannot do it, and something else keeps the transcoder apart
)

// Secret is a text that does not show itself.
type Secret string

func (Secret) String() string   { return "***" }
func (Secret) GoString() string { return "***" }

// presets are x264's, fastest first. The slower half is left out: it costs far more than it gains.
var presets = []string{"ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow"}

// defaultListen is the address of the API.
const defaultListen = ":8080"

// maxTasks is far more than one machine encodes side by side.
const maxTasks = 256

// maxTokenTTL is a day: tokens are short-lived.
const maxTokenTTL = 24 * time.Hour

// loadConfig reads the configuration and reports every problem at once.
func loadConfig(getenv func(string) string) (Config, error) {
	v := variables{getenv: getenv}
	c := Config{
		Listen: v.text("LISTEN", defaultListen),
		APIKey: Secret(v.required("API_KEY")),
		R2: r2.Config{
			Endpoint:        v.url("R2_ENDPOINT"),
			Bucket:          v.required("R2_BUCKET"),
			AccessKeyID:     v.required("R2_ACCESS_KEY_ID"),
			SecretAccessKey: v.required("R2_SECRET_ACCESS_KEY"),
		},
		PublicURL:           v.url("PUBLIC_URL"),
		TokenKey:            parse(&v, "TOKEN_KEY", v.required("TOKEN_KEY"), api.ParseKey),
		TokenTTL:            parse(&v, "TOKEN_TTL", v.text("TOKEN_TTL", "1h"), parseTTL),
		WebhookSecrets:      parse(&v, "WEBHOOK_SECRET", v.required("WEBHOOK_SECRET"), webhook.ParseSecrets),
		WebhookAllowPrivate: parse(&v, "WEBHOOK_ALLOW_PRIVATE", v.text("WEBHOOK_ALLOW_PRIVATE", "false"), parseBool),
		Role:                parse(&v, "ROLE", v.text("ROLE", string(All)), parseRole),
		Queue: queue.Config{
			Dir:      v.text("DATA_DIR", "data"),
			URL:      v.text("NATS_URL", ""),
			Replicas: parse(&v, "NATS_REPLICAS", v.text("NATS_REPLICAS", "3"), parseReplicas),
		},
		Scratch: source.Scratch{
			Dir:   v.text("SCRATCH_DIR", ""),
			Bytes: parse(&v, "SCRATCH_BYTES", v.text("SCRATCH_BYTES", "2G"), parseBytes),
		},
		Ladder:        parse(&v, "LADDER", v.text("LADDER", plan.DefaultLadder), plan.ParseLadder),
		Storyboard:    parse(&v, "STORYBOARD", v.text("STORYBOARD", plan.DefaultStoryboard), plan.ParseStoryboard),
		Codecs:        parse(&v, "CODECS", v.text("CODECS", string(job.H264)), job.ParseCodecs),
		Preset:        parse(&v, "X264_PRESET", v.text("X264_PRESET", "veryfast"), parsePreset),
		Tasks:         parse(&v, "TASKS", v.text("TASKS", strconv.Itoa(runtime.NumCPU())), parseTasks),
		TaskMemory:    parse(&v, "TASK_MEMORY", v.text("TASK_MEMORY", "8G"), parseBytes),
		Sandbox:       parse(&v, "FFMPEG_SANDBOX", v.text("FFMPEG_SANDBOX", string(Required)), parseSandbox),
		EncryptionKey: parse(&v, "ENCRYPTION_KEY", v.text("ENCRYPTION_KEY", ""), encrypt.ParseMaster),
	}
	if c.Role != All && c.Queue.URL == "" {
		v.problems = append(v.problems, fmt.Errorf("ROLE=%s needs NATS_URL: a queue that nodes share", c.Role))
	}
	return c, errors.Join(v.problems...)
}

// variables reads from the environment and collects what is wrong.
type variables struct {
	getenv   func(string) string
	problems []error
}

func (v *variables) text(name, fallback string) string {
	if s := v.getenv(name); s != "" {
		return s
	}
	return fallback
}

func (v *variables) required(name string) string {
	s := v.getenv(name)
	if strings.TrimSpace(s) == "" {
		v.problems = append(v.problems, fmt.Errorf("%s is missing", name))
	}
	return s
}

func (v *variables) url(name string) string {
	return parse(v, name, v.required(name), func(s string) (string, error) {
		if u, err := url.Parse(s); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return "", errors.New("must be an absolute http(s) URL")
		}
		return s, nil
	})
}

// parse reads a value; a missing one is a problem already.
func parse[T any](v *variables, name, text string, read func(string) (T, error)) T {
	var none T
	if text == "" {
		return none
	}
	value, err := read(text)
	if err != nil {
		v.problems = append(v.problems, fmt.Errorf("%s: %w", name, err))
		return none
	}
	return value
}

func parseTTL(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < time.Minute || d > maxTokenTTL {
		return 0, fmt.Errorf("must be a duration from 1m to %v, such as 1h", maxTokenTTL)
	}
	return d, nil
}

func parseBool(s string) (bool, error) {
	b, err := strconv.ParseBool(s)
	if err != nil {
		return false, errors.New("must be true or false")
	}
	return b, nil
}

func parsePreset(s string) (string, error) {
	if !slices.Contains(presets, s) {
		return "", fmt.Errorf("must be one of %v", presets)
	}
	return s, nil
}

func parseRole(s string) (Role, error) {
	if r := Role(s); r == All || r == API || r == Worker {
		return r, nil
	}
	return "", fmt.Errorf("must be %s, %s or %s", All, API, Worker)
}

func parseSandbox(s string) (Sandbox, error) {
	if b := Sandbox(s); b == Required || b == Off {
		return b, nil
	}
	return "", fmt.Errorf("must be %s or %s", Required, Off)
}

func parseReplicas(s string) (int, error) {
	switch s {
	case "1", "3", "5":
		return strconv.Atoi(s)
	}
	return 0, errors.New("must be 3, or 5, or 1 where losing the queue's server may stop all work until it is back")
}

// parseBytes reads a number of bytes, with K, M, G or T for powers of 1024.
func parseBytes(s string) (int64, error) {
	digits, unit := s, int64(1)
	if at := strings.IndexByte("KMGT", s[len(s)-1]); at >= 0 {
		digits, unit = s[:len(s)-1], int64(1)<<(10*(at+1))
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 1 || n > math.MaxInt64/unit || n*unit < minBytes {
		return 0, errors.New("must be a number of bytes such as 512M or 2G, at least 64M")
	}
	return n * unit, nil
}

// minBytes is the least scratch and the least memory with which anything works.
const minBytes = 64 << 20

func parseTasks(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > maxTasks {
		return 0, fmt.Errorf("must be a number from 1 to %d", maxTasks)
	}
	return n, nil
}

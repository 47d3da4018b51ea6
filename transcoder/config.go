package main

import (
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"time"

	"weir/transcoder/internal/api"
	"weir/transcoder/internal/plan"
	"weir/transcoder/internal/r2"
	"weir/transcoder/internal/webhook"
)

// Config is everything that can be set. It comes from the environment alone; README.md has the table.
type Config struct {
	Listen              string
	APIKey              Secret
	R2                  r2.Config
	PublicURL           string
	TokenKey            api.Key
	TokenTTL            time.Duration
	WebhookSecret       webhook.Secret
	WebhookAllowPrivate bool
	DataDir             string
	Ladder              plan.Ladder
	Preset              string
	Tasks               int
}

// Secret is a text that does not show itself.
type Secret string

func (Secret) String() string   { return "***" }
func (Secret) GoString() string { return "***" }

// presets are x264's, fastest first. The slower half is left out: it costs far more than it gains.
var presets = []string{"ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow"}

// maxTasks is far more than one machine encodes side by side.
const maxTasks = 256

// maxTokenTTL is a day: tokens are short-lived.
const maxTokenTTL = 24 * time.Hour

// loadConfig reads the configuration and reports every problem at once.
func loadConfig(getenv func(string) string) (Config, error) {
	v := variables{getenv: getenv}
	c := Config{
		Listen: v.text("LISTEN", ":8080"),
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
		WebhookSecret:       parse(&v, "WEBHOOK_SECRET", v.required("WEBHOOK_SECRET"), webhook.ParseSecret),
		WebhookAllowPrivate: parse(&v, "WEBHOOK_ALLOW_PRIVATE", v.text("WEBHOOK_ALLOW_PRIVATE", "false"), parseBool),
		DataDir:             v.text("DATA_DIR", "data"),
		Ladder:              parse(&v, "LADDER", v.text("LADDER", plan.DefaultLadder), plan.ParseLadder),
		Preset:              parse(&v, "X264_PRESET", v.text("X264_PRESET", "veryfast"), parsePreset),
		Tasks:               parse(&v, "TASKS", v.text("TASKS", strconv.Itoa(runtime.NumCPU())), parseTasks),
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
	if s == "" {
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

func parseTasks(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > maxTasks {
		return 0, fmt.Errorf("must be a number from 1 to %d", maxTasks)
	}
	return n, nil
}

package main

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"

	"weir/edge-auth/internal/gate"
	"weir/edge-auth/weir/internal/bucket"
	"weir/edge-auth/weir/internal/edge"
)

// loadConfig reads the configuration from the environment and reports every problem at once. Settings have the names that they have
// for the Worker and for the transcoder.
func loadConfig(getenv func(string) string) (listen string, c edge.Config, err error) {
	v := variables{getenv: getenv}
	listen = v.text("LISTEN", ":8081")
	c = edge.Config{
		Gate: gate.New(gate.Config{
			TokenKeys:      getenv("TOKEN_KEYS"),
			AllowedOrigins: getenv("ALLOWED_ORIGINS"),
			EncryptionKey:  getenv("ENCRYPTION_KEY"),
			LogSample:      getenv("LOG_SAMPLE"),
			TranscoderURL:  getenv("TRANSCODER_URL"),
		}),
		Bucket: bucket.Open(bucket.Config{
			Endpoint:        v.url("R2_ENDPOINT"),
			Name:            v.required("R2_BUCKET"),
			Region:          v.text("R2_REGION", "auto"),
			AccessKeyID:     v.required("R2_ACCESS_KEY_ID"),
			SecretAccessKey: v.required("R2_SECRET_ACCESS_KEY"),
		}),
		IPHeader:      v.header("CLIENT_IP_HEADER"),
		CountryHeader: v.header("COUNTRY_HEADER"),
	}
	for _, problem := range c.Gate.Problems() {
		v.problems = append(v.problems, errors.New(problem))
	}
	c.LogSample, _ = strconv.ParseUint(getenv("LOG_SAMPLE"), 10, 64) // what is no number is among the gate's problems
	if cache := getenv("CACHE"); cache != "" && cache != "none" {
		v.problems = append(v.problems, errors.New("CACHE is for Cloudflare's caches: leave it out"))
	}
	if dir := getenv("PUBLIC_DIR"); dir != "" {
		if c.Player, err = edge.ReadPlayer(dir); err != nil {
			v.problems = append(v.problems, fmt.Errorf("PUBLIC_DIR: %w", err))
		}
	}
	return listen, c, errors.Join(v.problems...)
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

func (v *variables) url(name string) *url.URL {
	s := v.required(name)
	u, err := url.Parse(s)
	if s != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		v.problems = append(v.problems, fmt.Errorf("%s must be an absolute http(s) URL", name))
	}
	if err != nil {
		return &url.URL{}
	}
	return u
}

// headerName is that of a header field (RFC 9110 section 5.1), as far as anybody names one.
var headerName = regexp.MustCompile(`^[A-Za-z0-9-]*$`)

func (v *variables) header(name string) string {
	s := v.getenv(name)
	if !headerName.MatchString(s) {
		v.problems = append(v.problems, fmt.Errorf("%s must be the name of a header, such as X-Forwarded-For", name))
	}
	return s
}

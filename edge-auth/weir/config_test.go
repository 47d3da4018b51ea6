package main

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"strings"
	"testing"
)

// settings are good ones.
var settings = map[string]string{
	"R2_ENDPOINT": "https://account.r2.cloudflarestorage.com", "R2_BUCKET": "weir", "R2_ACCESS_KEY_ID": "the-id", "R2_SECRET_ACCESS_KEY": "the-bucket-secret",
	"TOKEN_KEYS": `{"keys":[{"kty":"oct","alg":"HS256","kid":"k1","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}]}`,
}

func load(more map[string]string) error {
	all := maps.Clone(settings)
	maps.Copy(all, more)
	_, _, err := loadConfig(func(name string) string { return all[name] })
	return err
}

func TestSettingsThatAreGood(t *testing.T) {
	if err := load(map[string]string{
		"CACHE": "none", "LOG_SAMPLE": "100", "ALLOWED_ORIGINS": "https://example.com", "TRANSCODER_URL": "http://localhost:8080", "PUBLIC_DIR": "../public",
		"CLIENT_IP_HEADER": "X-Forwarded-For", "COUNTRY_HEADER": "X-Country", "ENCRYPTION_KEY": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY",
	}); err != nil {
		t.Error(err)
	}
}

// Each setting that cannot be used is told, and no secret.
func TestEveryProblemIsToldAtOnce(t *testing.T) {
	bad := map[string]string{
		"R2_ENDPOINT": "account.r2.cloudflarestorage.com", "R2_BUCKET": "", "R2_ACCESS_KEY_ID": "", "TOKEN_KEYS": `{"keys":[{"k":"the-token-secret"}]}`,
		"ENCRYPTION_KEY": "dGhlLW1hc3Rlci1zZWNyZXQ", "CACHE": "cache-api", "LOG_SAMPLE": "1 %", "ALLOWED_ORIGINS": "example.com", "TRANSCODER_URL": "localhost",
		"CLIENT_IP_HEADER": "X Forwarded", "COUNTRY_HEADER": "Country:", "PUBLIC_DIR": "/nowhere",
	}
	err := load(bad)
	if err == nil {
		t.Fatal("the settings are taken")
	}
	for name := range bad {
		if strings.Count(err.Error(), name) == 0 {
			t.Errorf("%s is not named:\n%v", name, err)
		}
	}
	for _, secret := range []string{"the-bucket-secret", "the-token-secret", "dGhlLW1hc3Rlci1zZWNyZXQ"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%s is told:\n%v", secret, err)
		}
	}
}

func TestCommands(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), nil, nil, &out, io.Discard); err != nil || out.String() != usage {
		t.Errorf("without a command: %q %v", out.String(), err)
	}
	for _, args := range [][]string{{"egde"}, {"edge", "now"}, {"--help"}, {""}} {
		if err := run(t.Context(), args, nil, io.Discard, io.Discard); !errors.Is(err, errUsage) || !strings.Contains(err.Error(), usage) {
			t.Errorf("%q: %v", args, err)
		}
	}
	nothing := func(string) string { return "" }
	if err := run(t.Context(), []string{"edge"}, nothing, io.Discard, io.Discard); !errors.Is(err, errUsage) || !strings.Contains(err.Error(), "TOKEN_KEYS") {
		t.Errorf("without settings: %v", err)
	}
	taken := maps.Clone(settings)
	taken["LISTEN"] = strings.TrimPrefix(native, "http://")
	if err := run(t.Context(), []string{"edge"}, func(name string) string { return taken[name] }, io.Discard, io.Discard); err == nil || errors.Is(err, errUsage) {
		t.Errorf("where somebody listens already: %v", err)
	}
}

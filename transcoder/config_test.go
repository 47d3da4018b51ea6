package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"weir/transcoder/internal/job"
)

func valid() map[string]string {
	return map[string]string{
		"API_KEY": "key", "R2_ENDPOINT": "https://account.r2.cloudflarestorage.com", "R2_BUCKET": "weir",
		"R2_ACCESS_KEY_ID": "id", "R2_SECRET_ACCESS_KEY": "topsecret", "PUBLIC_URL": "https://video.example.com",
		"TOKEN_KEY":      `{"kty":"oct","alg":"HS256","kid":"k1","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U"}`,
		"WEBHOOK_SECRET": webhookSecret,
	}
}

func load(env map[string]string) (Config, error) {
	return loadConfig(func(name string) string { return env[name] })
}

func TestAllMissingVariablesAreNamed(t *testing.T) {
	var stderr bytes.Buffer
	err := run(t.Context(), func(string) string { return " " }, &stderr)
	if !errors.Is(err, errUsage) {
		t.Fatalf("got %v", err)
	}
	for name := range valid() {
		if !strings.Contains(err.Error(), name+" is missing") {
			t.Errorf("%s is not named in: %v", name, err)
		}
	}
}

func TestAllWrongValuesAreNamed(t *testing.T) {
	env := valid()
	for name, value := range map[string]string{
		"R2_ENDPOINT": "account", "PUBLIC_URL": "ftp://x", "TOKEN_KEY": `{"kty":"RSA"}`, "TOKEN_TTL": "forever",
		"WEBHOOK_SECRET": "secret", "WEBHOOK_ALLOW_PRIVATE": "maybe", "LADDER": "big", "STORYBOARD": "many", "CODECS": "av1", "X264_PRESET": "best", "TASKS": "0",
		"ROLE": "boss", "NATS_REPLICAS": "2", "SCRATCH_BYTES": "1K", "TASK_MEMORY": "lots", "FFMPEG_SANDBOX": "maybe", "ENCRYPTION_KEY": "short",
	} {
		env[name] = value
	}
	_, err := load(env)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, name := range []string{"R2_ENDPOINT", "PUBLIC_URL", "TOKEN_KEY", "TOKEN_TTL", "WEBHOOK_SECRET", "WEBHOOK_ALLOW_PRIVATE", "LADDER", "STORYBOARD", "CODECS", "X264_PRESET", "TASKS", "ROLE", "NATS_REPLICAS", "SCRATCH_BYTES", "TASK_MEMORY", "FFMPEG_SANDBOX", "ENCRYPTION_KEY"} {
		if !strings.Contains(err.Error(), name+":") {
			t.Errorf("%s is not named in: %v", name, err)
		}
	}
}

func TestDefaults(t *testing.T) {
	c, err := load(valid())
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != ":8080" || len(c.Ladder) != 4 || c.Ladder[0].Video != 5_000_000 || c.Ladder[3].Audio != 96_000 || c.Tasks < 1 || c.TokenTTL.Hours() != 1 ||
		c.Role != All || c.Queue.Replicas != 3 || c.Scratch.Bytes != 2<<30 || c.TaskMemory != 8<<30 || c.Sandbox != Required || c.EncryptionKey.Known() ||
		c.Storyboard != (job.Storyboard{Interval: 1, Columns: 10, Rows: 10, Width: 160}) || c.Codecs.String() != "h264" {
		t.Errorf("defaults: %+v", c)
	}
}

func TestSecretsDoNotShow(t *testing.T) {
	env := valid()
	env["ENCRYPTION_KEY"] = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U"
	c, err := load(env)
	if err != nil {
		t.Fatal(err)
	}
	c.APIKey = "canary"
	for _, shown := range []string{fmt.Sprint(c.APIKey, c.TokenKey, c.WebhookSecrets, c.EncryptionKey), fmt.Sprintf("%v %+v %#v %v %#v", c.APIKey, c.TokenKey, c.WebhookSecrets, c.EncryptionKey, c.EncryptionKey)} {
		if strings.Contains(shown, "canary") || strings.Contains(shown, "secret") || strings.Contains(shown, "115 101") {
			t.Errorf("shown: %s", shown)
		}
	}
}

func TestNodesThatShareTheWorkShareAQueue(t *testing.T) {
	env := valid()
	for _, role := range []string{"api", "worker"} {
		env["ROLE"] = role
		if _, err := load(env); err == nil || !strings.Contains(err.Error(), "NATS_URL") {
			t.Errorf("ROLE=%s without NATS_URL: %v", role, err)
		}
	}
	env["NATS_URL"] = "nats://127.0.0.1:4222"
	if c, err := load(env); err != nil || c.Role != Worker {
		t.Errorf("with it: %v, %v", c.Role, err)
	}
}

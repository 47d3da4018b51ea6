package settings

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"slices"
	"time"
)

// secretBytes is what a secret has of chance: as much as HMAC with SHA-256 can use (RFC 7518 section 3.2).
const secretBytes = 32

// Complete makes the secrets that are not there yet: of the API, of webhooks, of encrypted videos, and the key that signs tokens. Those that
// are there stay; one that opens the door is an error.
func (f *File) Complete(now time.Time) error {
	var made []Value
	for _, secret := range []struct {
		name string
		make func() string
	}{
		{"API_KEY", random},
		{"WEBHOOK_SECRET", func() string { return "whsec_" + base64.StdEncoding.EncodeToString(chance()) }},
		{"ENCRYPTION_KEY", random},
	} {
		value := f.Get(secret.name)
		switch {
		case value == "":
			made = append(made, Value{secret.name, secret.make()})
		case len(value) < secretBytes:
			return fmt.Errorf("%s: %s is so short that it can be guessed: remove the line to have one made, and tell those who use it", f.name, secret.name)
		}
	}
	if f.Get("TOKEN_KEYS") == "" && f.Get("TOKEN_KEY") == "" {
		key := newKey(hs256, now)
		made = append(made, Value{"TOKEN_KEYS", keySet{key}.public()}, Value{"TOKEN_KEY", key.String()})
	}
	if err := f.Set(made...); err != nil {
		return err
	}
	_, err := f.Keys()
	return err
}

// forWorker are the Worker's settings. It must not have what it does not need.
var forWorker = []string{"TOKEN_KEYS", "ENCRYPTION_KEY", "API_KEY", "TRANSCODER_URL", "WEBHOOK_URL", "ALLOWED_ORIGINS", "CACHE", "LOG_SAMPLE"}

// forContainer are those of a transcoder in a container beside the Worker, which hands them on (edge-auth/container.mjs).
var forContainer = []string{
	"API_KEY", "R2_ENDPOINT", "R2_BUCKET", "R2_ACCESS_KEY_ID", "R2_SECRET_ACCESS_KEY", "PUBLIC_URL", "TOKEN_KEY", "TOKEN_TTL",
	"WEBHOOK_SECRET", "ENCRYPTION_KEY", "NATS_URL", "NATS_REPLICAS", "LADDER", "STORYBOARD", "CODECS", "X264_PRESET", "TASKS", "TASK_MEMORY",
	"SCRATCH_BYTES", "FFMPEG_SANDBOX", "TRANSCODERS",
}

// Worker returns what the Worker is given, as secrets: those of its settings that are set, and with a container those of its transcoder.
func (f *File) Worker(container bool) map[string]string {
	values, names := map[string]string{}, forWorker
	if container {
		names = slices.Concat(forWorker, forContainer)
	}
	for _, name := range names {
		if v := f.Get(name); v != "" {
			values[name] = v
		}
	}
	return values
}

func chance() []byte {
	b := make([]byte, secretBytes)
	_, _ = rand.Read(b) // never fails
	return b
}

func random() string { return encode(chance()) }

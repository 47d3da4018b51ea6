package settings

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
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

// Worker returns what the Worker is given, as secrets: those of its settings that are set.
func (f *File) Worker() map[string]string {
	values := map[string]string{}
	for _, name := range forWorker {
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

package webhook_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"weir/transcoder/internal/webhook"
)

var (
	oldSecret = "whsec_" + base64.StdEncoding.EncodeToString([]byte("a secret of thirty-two bytes ...."))
	newSecret = "whsec_" + base64.StdEncoding.EncodeToString([]byte("the secret that comes after it ..."))
)

func sender(t *testing.T, secrets string, allowPrivate bool) *webhook.Sender {
	t.Helper()
	keys, err := webhook.ParseSecrets(secrets)
	if err != nil {
		t.Fatal(err)
	}
	s, err := webhook.New(keys, allowPrivate)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func serve(t *testing.T, handle http.HandlerFunc) (url string) {
	t.Helper()
	s := httptest.NewServer(handle)
	t.Cleanup(s.Close)
	return s.URL
}

func failure(t *testing.T, err error) *webhook.Failure {
	t.Helper()
	var f *webhook.Failure
	if !errors.As(err, &f) {
		t.Fatalf("got %v, want a failure", err)
	}
	return f
}

// The verifier is the specification's own.
func TestAReceiverThatKnowsAnyOfTheSecretsAccepts(t *testing.T) {
	for _, c := range []struct {
		name, secrets, receiver string
		accepted                bool
	}{
		{"the only one", oldSecret, oldSecret, true},
		{"the new one, during a rotation", newSecret + " " + oldSecret, newSecret, true},
		{"the old one, during a rotation", newSecret + "\n\t" + oldSecret + "\n", oldSecret, true},
		{"the old one, after the rotation", newSecret, oldSecret, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			verifier, err := standardwebhooks.NewWebhook(c.receiver)
			if err != nil {
				t.Fatal(err)
			}
			url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil || string(body) != `{"a":1}` || r.Header.Get("webhook-id") != "evt_1" || r.Header.Get("Content-Type") != "application/json" {
					t.Errorf("got %q with %v: %v", body, r.Header, err)
				}
				if err := verifier.Verify(body, r.Header); (err == nil) != c.accepted {
					t.Errorf("verified: %v", err)
				}
				body[0] = '['
				if verifier.Verify(body, r.Header) == nil {
					t.Error("a changed body is accepted as well")
				}
				body[0] = '{'
				r.Header.Set("webhook-id", "evt_2")
				if verifier.Verify(body, r.Header) == nil {
					t.Error("another id is accepted as well")
				}
			})
			if err := sender(t, c.secrets, true).Send(t.Context(), url, "evt_1", time.Now(), []byte(`{"a":1}`)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestARepeatedCaptureIsRefused(t *testing.T) {
	verifier, err := standardwebhooks.NewWebhook(oldSecret)
	if err != nil {
		t.Fatal(err)
	}
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		if err := verifier.Verify(nil, r.Header); !errors.Is(err, standardwebhooks.ErrMessageTooOld) {
			t.Errorf("of six minutes ago: %v", err)
		}
	})
	if err := sender(t, oldSecret, true).Send(t.Context(), url, "evt_1", time.Now().Add(-6*time.Minute), nil); err != nil {
		t.Error(err)
	}
}

func TestOnly2xxIsSuccess(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, status := range []int{200, 201, 202, 204, 299} {
		url := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		if err := sender(t, oldSecret, true).Send(t.Context(), url, "evt_1", now, nil); err != nil {
			t.Errorf("%d: %v", status, err)
		}
	}
	for _, c := range []struct {
		status int
		header string
		after  time.Duration
		gone   bool
	}{
		{300, "", 0, false}, {304, "", 0, false}, {400, "", 0, false}, {404, "", 0, false}, {410, "", 0, true},
		{429, "120", 2 * time.Minute, false}, {502, "1", time.Second, false},
		{503, "Fri, 02 Jan 2026 03:14:05 GMT", 10 * time.Minute, false}, {503, "Fri, 02 Jan 2026 03:04:00 GMT", 0, false},
		{503, "-5", 0, false}, {503, "soon", 0, false}, {503, "999999999999", 24 * time.Hour, false},
		{503, "Sat, 02 Jan 2027 03:14:05 GMT", 24 * time.Hour, false}, {500, "", 0, false}, {504, "", 0, false},
	} {
		url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", c.header)
			w.WriteHeader(c.status)
		})
		f := failure(t, sender(t, oldSecret, true).Send(t.Context(), url, "evt_1", now, nil))
		if f.RetryAfter != c.after || f.Gone != c.gone || !strings.Contains(f.Reason, fmt.Sprint(c.status)) {
			t.Errorf("%d with Retry-After %q: %+v", c.status, c.header, f)
		}
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	var followed atomic.Bool
	internal := serve(t, func(http.ResponseWriter, *http.Request) { followed.Store(true) })
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, location := range []string{internal, internal + "/latest/meta-data/", strings.TrimPrefix(internal, "http:"), "/elsewhere"} {
			url := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/elsewhere" {
					followed.Store(true)
				}
				w.Header().Set("Location", location)
				w.WriteHeader(status)
			})
			f := failure(t, sender(t, oldSecret, true).Send(t.Context(), url, "evt_1", time.Now(), nil))
			if followed.Swap(false) || !strings.Contains(f.Reason, fmt.Sprint(status)) {
				t.Errorf("%d to %s: followed, or %v", status, location, f)
			}
		}
	}
}

func TestAnAnswerWithoutEndDoesNotHoldTheSender(t *testing.T) {
	for _, c := range []struct {
		name           string
		timeout, limit time.Duration
		write          func(http.ResponseWriter, *http.Request)
	}{
		{"a flood is left at once", 20 * time.Second, 5 * time.Second, func(w http.ResponseWriter, _ *http.Request) {
			for block := make([]byte, 64<<10); ; {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		}},
		{"a drip is left when the time is up", 500 * time.Millisecond, 5 * time.Second, func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, "x")
				_ = http.NewResponseController(w).Flush()
				time.Sleep(10 * time.Millisecond)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			left := make(chan struct{})
			url := serve(t, func(w http.ResponseWriter, r *http.Request) {
				defer close(left)
				c.write(w, r)
			})
			ctx, cancel := context.WithTimeout(t.Context(), c.timeout)
			defer cancel()
			start := time.Now()
			err := sender(t, oldSecret, true).Send(ctx, url, "evt_1", start, nil)
			if took := time.Since(start); err != nil || took > c.limit {
				t.Errorf("after %v: %v; the receiver said 200", took, err)
			}
			select {
			case <-left:
			case <-time.After(c.limit):
				t.Error("the connection stays open")
			}
		})
	}
}

func TestHeadersWithoutEndAreAFailure(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 128<<10)) })
	if err := sender(t, oldSecret, true).Send(t.Context(), url, "evt_1", time.Now(), nil); err == nil {
		t.Error("taken for a success")
	}
}

func TestTenAttemptsInThreeDays(t *testing.T) {
	const all = 75*time.Hour + 35*time.Minute + 5*time.Second
	var totals []time.Duration
	for range 1000 { // there is jitter in it
		var total time.Duration
		attempts := 0
		for {
			after, more := webhook.Schedule(attempts)
			if !more {
				break
			}
			attempts++
			total += after
		}
		if attempts != 10 || total < all || total > all*11/10 {
			t.Fatalf("%d attempts in %v, want 10 in %v and at most a tenth more", attempts, total, all)
		}
		totals = append(totals, total)
	}
	if totals[0] == totals[1] && totals[1] == totals[2] {
		t.Errorf("no jitter: what fails together comes again together, after %v", totals[0])
	}
	if first, _ := webhook.Schedule(0); first != 0 {
		t.Errorf("the first attempt waits for %v", first)
	}
}

func TestSecretsThatAreNone(t *testing.T) {
	for _, bad := range []string{
		"", " \n", "secret", "whsec_", "whsec_c2hvcnQ=", "whsec_!!", strings.TrimPrefix(oldSecret, "whsec_"),
		"whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 65)), oldSecret + "," + newSecret, oldSecret + " canary", "canary " + oldSecret,
	} {
		_, err := webhook.ParseSecrets(bad)
		if err == nil || !strings.Contains(err.Error(), "openssl rand") || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := webhook.New(nil, false); err == nil {
		t.Error("a sender without a secret")
	}
}

func TestSecretsAreInTheirOrderAndDoNotShow(t *testing.T) {
	keys, err := webhook.ParseSecrets(newSecret + "  " + oldSecret)
	if err != nil || len(keys) != 2 || !strings.HasPrefix(string(keys[0]), "the secret that comes after") {
		t.Fatalf("%d secrets: %v", len(keys), err)
	}
	if shown := fmt.Sprintf("%v %+v %#v %s %x", keys, keys, keys, keys, keys); strings.Contains(shown, "secret that") || strings.Contains(shown, "746865") {
		t.Errorf("shown as %s", shown)
	}
}

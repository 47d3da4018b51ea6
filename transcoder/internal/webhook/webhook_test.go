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

var secret = "whsec_" + base64.StdEncoding.EncodeToString([]byte("a secret of thirty-two bytes ...."))

func sender(t *testing.T, allowPrivate bool) *webhook.Sender {
	t.Helper()
	key, err := webhook.ParseSecret(secret)
	if err != nil {
		t.Fatal(err)
	}
	s, err := webhook.New(key, allowPrivate)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func failure(t *testing.T, err error) *webhook.Failure {
	t.Helper()
	var f *webhook.Failure
	if !errors.As(err, &f) {
		t.Fatalf("got %v, want a failure", err)
	}
	return f
}

func TestTheReferenceVerifierAccepts(t *testing.T) {
	verifier, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = verifier.Verify(body, r.Header)
		}
		if err != nil || string(body) != `{"a":1}` || r.Header.Get("webhook-id") != "evt_1" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("got %q with %v: %v", body, r.Header, err)
		}
		body[0] = '['
		if verifier.Verify(body, r.Header) == nil {
			t.Error("a changed body is accepted as well")
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer s.Close()
	if err := sender(t, true).Send(t.Context(), s.URL, "evt_1", time.Now(), []byte(`{"a":1}`)); err != nil {
		t.Error(err)
	}
}

func TestOnly2xxIsSuccess(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		status int
		header string
		after  time.Duration
		gone   bool
	}{
		{301, "", 0, false}, {302, "", 0, false}, {400, "", 0, false}, {404, "", 0, false}, {410, "", 0, true},
		{429, "120", 2 * time.Minute, false}, {503, "Fri, 02 Jan 2026 03:14:05 GMT", 10 * time.Minute, false},
		{503, "-5", 0, false}, {503, "soon", 0, false}, {503, "999999999999", 24 * time.Hour, false}, {500, "", 0, false},
	} {
		var followed atomic.Bool
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/elsewhere" {
				followed.Store(true)
				return
			}
			w.Header().Set("Location", "/elsewhere")
			w.Header().Set("Retry-After", c.header)
			w.WriteHeader(c.status)
			_, _ = fmt.Fprint(w, strings.Repeat("x", 1<<20)) // a body that nobody wants
		}))
		f := failure(t, sender(t, true).Send(t.Context(), s.URL, "evt_1", now, nil))
		s.Close()
		if f.RetryAfter != c.after || f.Gone != c.gone || !strings.Contains(f.Reason, fmt.Sprint(c.status)) {
			t.Errorf("%d with Retry-After %q: %+v", c.status, c.header, f)
		}
		if followed.Load() {
			t.Errorf("%d: the redirect was followed", c.status)
		}
	}
}

func TestPrivateAddressesAreNotReached(t *testing.T) {
	var reached atomic.Bool
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Store(true) }))
	defer s.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(s.URL, "http://"), ":")
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "0.0.0.0", "[::ffff:127.0.0.1]", "127.1", "2130706433", "0x7f000001", "[64:ff9b::7f00:1]", "169.254.169.254"} {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		f := failure(t, sender(t, false).Send(ctx, "http://"+host+":"+port+"/", "evt_1", time.Now(), nil))
		cancel()
		if strings.Contains(f.Reason, "connection refused") {
			t.Errorf("%s: %v", host, f)
		}
	}
	if reached.Load() {
		t.Error("a private address was reached")
	}
	if err := sender(t, true).Send(t.Context(), s.URL, "evt_1", time.Now(), nil); err != nil || !reached.Load() {
		t.Errorf("allowed, it is not reached: %v", err)
	}
}

func TestTenAttemptsInThreeDays(t *testing.T) {
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
	if attempts != 10 || total < 75*time.Hour || total > 84*time.Hour {
		t.Errorf("%d attempts in %v", attempts, total)
	}
}

func TestSecretsThatAreNone(t *testing.T) {
	for _, bad := range []string{"", "secret", "whsec_", "whsec_c2hvcnQ=", "whsec_!!", strings.TrimPrefix(secret, "whsec_")} {
		if _, err := webhook.ParseSecret(bad); err == nil || !strings.Contains(err.Error(), "openssl rand") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

package hook_test

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"weir/deploy/internal/hook"
)

const (
	secret  = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	another = "whsec_MTEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	event   = `{"type":"video.failed","video_id":"v1","status":"failed","data":{"error":{"code":"source_not_found","message":"gone"}}}`
)

func TestWait(t *testing.T) {
	t.Run("gets a delivery that came before", func(t *testing.T) {
		r := listen(t)
		if got := send(t, r, secret, event); got != http.StatusNoContent {
			t.Fatalf("answer %d", got)
		}
		wantFailure(t, r)
	})
	t.Run("gets a delivery that comes later, once, whatever is delivered again", func(t *testing.T) {
		r := listen(t)
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			send(t, r, secret, event)
			send(t, r, secret, strings.Replace(event, "gone", "changed", 1))
		}()
		wantFailure(t, r)
		<-sent
		wantFailure(t, r)
	})
	t.Run("does not get what another secret signed, and says so", func(t *testing.T) {
		r := listen(t)
		if got := send(t, r, another, event); got != http.StatusUnauthorized {
			t.Errorf("answer %d, want 401", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := r.End(ctx, "v1"); err == nil || !strings.Contains(err.Error(), "not believed") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("does not get another video's", func(t *testing.T) {
		r := listen(t)
		send(t, r, secret, event)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if d, err := r.End(ctx, "v2"); err == nil {
			t.Errorf("got %s", d.Body)
		}
	})
}

func listen(t *testing.T) *hook.Receiver {
	t.Helper()
	r, err := hook.Listen(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Stop(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// send delivers as the transcoder does and returns the status of the answer.
func send(t *testing.T, r *hook.Receiver, secret, body string) int {
	t.Helper()
	wh, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Error(err)
		return 0
	}
	now := time.Now()
	signature, err := wh.Sign("msg_1", now, []byte(body))
	if err != nil {
		t.Error(err)
		return 0
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0
	}
	req.Header.Set("webhook-id", "msg_1")
	req.Header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
	req.Header.Set("webhook-signature", signature)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

func wantFailure(t *testing.T, r *hook.Receiver) {
	t.Helper()
	d, err := r.End(t.Context(), "v1")
	if err != nil {
		t.Fatal(err)
	}
	if code, message := d.Event.Failure(); code != "source_not_found" || message != "gone" {
		t.Errorf("failure %q %q", code, message)
	}
	if d.Header.Get("webhook-id") != "msg_1" {
		t.Errorf("headers %v", d.Header)
	}
}

package fleet

import (
	"bytes"
	"fmt"
	"net/http"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const secret = "whsec_dGhlIHNlY3JldCBvZiB0aGUgdGVzdHMsIDMyIGJ5dGVzIQ=="

func TestLedgerCountsEventsAndDeliveries(t *testing.T) {
	l, err := keepLedger(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
	signer, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	send := func(id, kind, signedAs string) int {
		body := fmt.Appendf(nil, `{"type":%q,"video_id":"v"}`, kind)
		now := time.Now()
		signature, err := signer.Sign(signedAs, now, body)
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, l.URL, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(standardwebhooks.HeaderWebhookID, id)
		r.Header.Set(standardwebhooks.HeaderWebhookTimestamp, fmt.Sprint(now.Unix()))
		r.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	for _, c := range []struct {
		id, kind, signedAs string
		want               int
	}{
		{"1", "video.playable", "1", http.StatusNoContent},
		{"1", "video.playable", "1", http.StatusNoContent},
		{"2", "video.processed", "2", http.StatusNoContent},
		{"3", "video.processed", "3", http.StatusNoContent},
		{"4", "video.failed", "another", http.StatusUnauthorized},
	} {
		if got := send(c.id, c.kind, c.signedAs); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
	events := l.Events("v")
	if len(events) != 3 || events[0].Deliveries != 2 || events[1].ID != "2" || events[2].ID != "3" {
		t.Errorf("events %+v", events)
	}
	if len(l.Rejected()) != 1 {
		t.Errorf("rejected %v", l.Rejected())
	}
	if e, err := l.Hear(t.Context(), "v", "video.processed"); err != nil || e.ID != "2" {
		t.Errorf("heard %+v, %v", e, err)
	}
}

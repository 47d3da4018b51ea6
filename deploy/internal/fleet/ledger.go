package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const (
	// maxBody is far above any event; the transcoder's are about a kilobyte.
	maxBody = 1 << 20
	// headerTimeout is for a sender on this machine.
	headerTimeout = 5 * time.Second
	// ledgerStop lets deliveries that are being read end.
	ledgerStop = 2 * time.Second
	// hearPause is how often whoever waits for an event looks.
	hearPause = 10 * time.Millisecond
)

// Ledger is a backend that keeps account of every webhook: each event by its id, and how often it came. It believes only
// what is signed (Standard Webhooks, with the specification's own library).
type Ledger struct {
	URL string // what to give as webhook_url

	verifier *standardwebhooks.Webhook
	server   *http.Server
	served   chan error

	mu       sync.Mutex
	events   map[string][]Event // by video
	rejected []error
}

// Event is one event, however often it was delivered.
type Event struct {
	ID, Type   string
	At         time.Time // of the first delivery
	Deliveries int
}

func keepLedger(ctx context.Context, secret string) (*Ledger, error) {
	verifier, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return nil, fmt.Errorf("receive webhooks: %w", err)
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("receive webhooks: %w", err)
	}
	l := &Ledger{
		URL: "http://" + listener.Addr().String() + "/webhook", verifier: verifier,
		served: make(chan error, 1), events: map[string][]Event{},
	}
	l.server = &http.Server{Handler: l, ReadHeaderTimeout: headerTimeout}
	go func() { l.served <- l.server.Serve(listener) }()
	return l, nil
}

func (l *Ledger) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), ledgerStop)
	defer cancel()
	err := l.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, l.server.Close())
	}
	if served := <-l.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// Events are those of a video, in the order in which they came first.
func (l *Ledger) Events(videoID string) []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.events[videoID])
}

// Hear waits for a video's event of a type.
func (l *Ledger) Hear(ctx context.Context, videoID, kind string) (Event, error) {
	for {
		for _, e := range l.Events(videoID) {
			if e.Type == kind {
				return e, nil
			}
		}
		select {
		case <-ctx.Done():
			return Event{}, fmt.Errorf("wait for %s of %s: %w", kind, videoID, context.Cause(ctx))
		case <-time.After(hearPause):
		}
	}
}

// Rejected are the reasons why deliveries were not believed.
func (l *Ledger) Rejected() []error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.rejected)
}

// ServeHTTP takes one delivery.
func (l *Ledger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err == nil {
		err = l.verifier.Verify(body, r.Header)
	}
	var e struct {
		Type    string `json:"type"`
		VideoID string `json:"video_id"`
	}
	if err == nil {
		err = json.Unmarshal(body, &e)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		// A sender that was killed leaves half a body; it is tried again.
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			l.rejected = append(l.rejected, fmt.Errorf("a webhook was not believed: %w", err))
		}
		http.Error(w, "not a webhook signed with the secret", http.StatusUnauthorized)
		return
	}
	id := r.Header.Get(standardwebhooks.HeaderWebhookID)
	all := l.events[e.VideoID]
	at := slices.IndexFunc(all, func(known Event) bool { return known.ID == id && known.Type == e.Type })
	if at < 0 {
		all, at = append(all, Event{ID: id, Type: e.Type, At: time.Now()}), len(all)
	}
	all[at].Deliveries++
	l.events[e.VideoID] = all
	w.WriteHeader(http.StatusNoContent)
}

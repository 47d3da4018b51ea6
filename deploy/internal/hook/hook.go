// Package hook receives webhooks on this machine, as a backend would.
//
// It believes only what is signed (Standard Webhooks, with the specification's own library) and keeps, for each video, the
// first delivery that says that it can be played and the first that says how it ended; whoever waits for one gets it,
// before or after it came.
package hook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const (
	// maxBody is far above any event; the transcoder's are about a kilobyte.
	maxBody = 1 << 20
	// headerTimeout is for a sender on this machine.
	headerTimeout = 5 * time.Second
	// stopTimeout lets a delivery that is being read end.
	stopTimeout = 2 * time.Second
)

// Delivery is a webhook that was received and whose signature is right.
type Delivery struct {
	Header http.Header
	Body   []byte // as it came
	Event  Event
}

// Event is what every one of Weir's webhooks says.
type Event struct {
	Type      string          `json:"type"` // video.playable, video.processed or video.failed
	Timestamp string          `json:"timestamp"`
	VideoID   string          `json:"video_id"`
	Status    string          `json:"status"` // playable, processed or failed
	Data      json.RawMessage `json:"data"`
}

// Failure is the reason that a video.failed event gives in its data.
func (e Event) Failure() (code, message string) {
	var data struct {
		Error struct{ Code, Message string }
	}
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return "", ""
	}
	return data.Error.Code, data.Error.Message
}

// Receiver is a webhook endpoint on a loopback port.
type Receiver struct {
	URL string // what to give as webhook_url

	verifier *standardwebhooks.Webhook
	server   *http.Server
	served   chan error

	mu       sync.Mutex
	slots    map[slotKey]*slot
	rejected error // why the last delivery that was not believed was not
}

// slotKey is one thing to be told of a video: that it can be played, or how it ended.
type slotKey struct {
	videoID string
	ended   bool
}

// slot holds a delivery; came is closed when it is there.
type slot struct {
	came     chan struct{}
	delivery Delivery
}

// Listen starts a Receiver that believes what the secret (whsec_…) signs. The caller owes it a Stop.
func Listen(ctx context.Context, secret string) (*Receiver, error) {
	verifier, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return nil, fmt.Errorf("receive webhooks: %w", err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("receive webhooks: %w", err)
	}
	r := &Receiver{
		URL:      "http://" + l.Addr().String() + "/webhook",
		verifier: verifier,
		served:   make(chan error, 1),
		slots:    map[slotKey]*slot{},
	}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: headerTimeout}
	go func() { r.served <- r.server.Serve(l) }()
	return r, nil
}

// Stop ends the Receiver. Whoever waits gets no delivery any more.
func (r *Receiver) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	err := r.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, r.server.Close())
	}
	if served := <-r.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// Playable returns the first delivery that says that a video can be played, as soon as it is there.
func (r *Receiver) Playable(ctx context.Context, videoID string) (Delivery, error) {
	return r.wait(ctx, slotKey{videoID, false})
}

// End returns the first delivery that says how a video ended, as soon as it is there.
func (r *Receiver) End(ctx context.Context, videoID string) (Delivery, error) {
	return r.wait(ctx, slotKey{videoID, true})
}

func (r *Receiver) wait(ctx context.Context, key slotKey) (Delivery, error) {
	r.mu.Lock()
	s := r.slot(key)
	r.mu.Unlock()
	select {
	case <-s.came:
		return s.delivery, nil
	case <-ctx.Done():
		r.mu.Lock()
		defer r.mu.Unlock()
		return Delivery{}, errors.Join(fmt.Errorf("wait for the webhook of %s: %w", key.videoID, context.Cause(ctx)), r.rejected)
	}
}

// ServeHTTP takes one delivery.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	d, err := r.read(req)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.rejected = fmt.Errorf("a webhook was not believed: %w", err)
		http.Error(w, "not a webhook signed with the secret", http.StatusUnauthorized)
		return
	}
	s := r.slot(slotKey{d.Event.VideoID, d.Event.Status != "playable"})
	select {
	case <-s.came: // delivered again: at-least-once
	default:
		s.delivery = d
		close(s.came)
	}
	w.WriteHeader(http.StatusNoContent)
}

func (r *Receiver) read(req *http.Request) (Delivery, error) {
	body, err := io.ReadAll(io.LimitReader(req.Body, maxBody))
	if err != nil {
		return Delivery{}, err
	}
	if err := r.verifier.Verify(body, req.Header); err != nil {
		return Delivery{}, err
	}
	d := Delivery{Header: req.Header, Body: body}
	if err := json.Unmarshal(body, &d.Event); err != nil {
		return Delivery{}, err
	}
	if d.Event.VideoID == "" {
		return Delivery{}, errors.New("it names no video_id")
	}
	return d, nil
}

// slot is called with mu held.
func (r *Receiver) slot(key slotKey) *slot {
	s := r.slots[key]
	if s == nil {
		s = &slot{came: make(chan struct{})}
		r.slots[key] = s
	}
	return s
}

package api_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/transcoder/internal/api"
	"weir/transcoder/internal/job"
)

const tokenKey = `{"kty":"oct","alg":"HS256","kid":"k1","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U"}`

const good = `{"video_id":"intro","key":"uploads/intro.mp4","webhook_url":"https://example.com/hook"}`

// now is a fixed time: a token's expiry follows from it.
var now = time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC)

var errInjected = errors.New("an injected detail")

// fixture is a server over fakes. It is the catalog and the dispatcher itself, and holds the server to their contracts:
// nothing but what is valid is recorded, and nothing but what is recorded and due is dispatched.
type fixture struct {
	t      *testing.T
	server *api.Server
	board
	ready error

	mu         sync.Mutex
	records    map[string]job.Job
	letters    []job.DeadLetter
	dispatched []string      // tickets
	lost       bool          // whatever is recorded from now on is not confirmed
	down       error         // nothing can be read or recorded
	away       error         // nothing can be dispatched
	delay      time.Duration // of a read
	reads      int
}

func setup(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t, records: map[string]job.Job{}, board: board{t: t}}
	key, err := api.ParseKey(tokenKey)
	if err != nil {
		t.Fatal(err)
	}
	f.server = api.New(api.Config{
		Log: slog.New(slog.DiscardHandler), Keys: []string{"right", "older"}, Catalog: f, Dispatcher: f, Signals: &f.board,
		Further: job.Codecs{job.HEVC},
		Minter:  api.Minter{Key: key, TTL: time.Hour, PublicURL: "https://video.example.com/", Now: func() time.Time { return now }},
		Health:  f.health(), Encrypts: true,
	})
	return f
}

func (f *fixture) health() api.Health {
	return api.Health{
		Ready:   func(context.Context) error { return f.ready },
		Outlook: func() job.Outlook { return job.Outlook{DueAt: now} },
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "weir_open_jobs 1\n") }),
	}
}

func (f *fixture) Accept(_ context.Context, spec job.Spec, replace bool) (job.Job, error) {
	if err := spec.Validate(); err != nil {
		f.t.Errorf("asked to record what is not valid: %v", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	old, found := f.records[spec.VideoID]
	switch {
	case f.down != nil:
		return job.Job{}, f.down
	case found && !(old.State.Ended() && (replace || old.State != job.Processed)):
		if old.Spec.Same(spec) && old.Priority == spec.Priority {
			return old, f.confirm()
		}
		return job.Job{}, fmt.Errorf("accept: %w", map[bool]error{true: job.ErrBusy, false: job.ErrConflict}[replace])
	}
	j := job.Job{Spec: spec, Run: fmt.Sprintf("run%d", old.Version+1), Version: old.Version + 1, Published: old.Published, State: job.Queued, CreatedAt: now}
	f.records[spec.VideoID] = j
	return j, f.confirm()
}

func (f *fixture) confirm() error {
	if f.lost {
		return errInjected
	}
	return nil
}

func (f *fixture) Get(ctx context.Context, videoID string) (job.Job, error) {
	if err := job.ValidateVideoID(videoID); err != nil {
		f.t.Errorf("asked for the video %q: %v", videoID, err)
	}
	time.Sleep(f.delay)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads++
	j, found := f.records[videoID]
	if err := cmp.Or(f.down, ctx.Err()); err != nil {
		return job.Job{}, err
	}
	if !found {
		return job.Job{}, fmt.Errorf("read: %w", job.ErrNotFound)
	}
	return j, nil
}

func (f *fixture) Delete(ctx context.Context, videoID string) (job.Job, error) {
	return f.change(ctx, videoID, func(j *job.Job) { j.Delete(now) })
}

func (f *fixture) Revoke(ctx context.Context, videoID string) (time.Time, error) {
	_, err := f.Get(ctx, videoID)
	return now.Truncate(time.Second).Add(time.Second), err
}

func (f *fixture) DeadLetters(context.Context) iter.Seq2[job.DeadLetter, error] {
	return func(yield func(job.DeadLetter, error) bool) {
		for _, l := range f.letters {
			if !yield(l, nil) {
				return
			}
		}
		if f.down != nil {
			yield(job.DeadLetter{}, f.down)
		}
	}
}

func (f *fixture) Replay(ctx context.Context, eventID string) (job.Job, error) {
	found := false
	j, err := f.change(ctx, cmp.Or(job.EventVideo(eventID), "nobodys"), func(j *job.Job) { found = j.Replay(eventID) })
	if err == nil && !found {
		err = job.ErrNotFound
	}
	return j, err
}

func (f *fixture) change(ctx context.Context, videoID string, change func(*job.Job)) (job.Job, error) {
	j, err := f.Get(ctx, videoID)
	if err != nil {
		return job.Job{}, err
	}
	change(&j)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.records[videoID] = j
	return j, f.confirm()
}

// outage makes the bucket fail; nil ends that.
func (f *fixture) outage(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = err
}

// set changes the record of the video intro as a worker would.
func (f *fixture) set(change func(*job.Job)) {
	f.t.Helper()
	if _, err := f.change(context.Background(), "intro", change); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) Dispatch(_ context.Context, j job.Job) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !reflect.DeepEqual(f.records[j.VideoID], j) {
		f.t.Errorf("dispatched %+v, recorded %+v", j, f.records[j.VideoID])
	}
	if j.Closed() {
		f.t.Errorf("dispatched %s, with which nothing is left to do", j.Ticket())
	}
	f.dispatched = append(f.dispatched, j.Ticket().String())
	return f.away
}

func (f *fixture) do(method, path, body string, header ...string) *httptest.ResponseRecorder {
	f.t.Helper()
	r := httptest.NewRequestWithContext(f.t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer right")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	f.server.ServeHTTP(w, r)
	return w
}

// show returns a video's view as its fields.
func (f *fixture) show(w *httptest.ResponseRecorder) map[string]any {
	f.t.Helper()
	var v map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		f.t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	return v
}

// problem checks that an answer is an error in the one form, and returns its code and message.
func problem(t *testing.T, w *httptest.ResponseRecorder) (code, message string) {
	t.Helper()
	var p map[string]map[string]string
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || len(p) != 1 || len(p["error"]) != 2 {
		t.Fatalf("%d is no error in the one form: %s", w.Code, w.Body)
	}
	if got := w.Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("an error has Cache-Control %q", got)
	}
	if len(p["error"]["message"]) < 20 || strings.Contains(p["error"]["message"], "injected") {
		t.Errorf("the message says little, or too much: %q", p["error"]["message"])
	}
	return p["error"]["code"], p["error"]["message"]
}

// refused checks that an answer is an error with a status and a code.
func refused(t *testing.T, what string, w *httptest.ResponseRecorder, status int, code string) {
	t.Helper()
	if got, _ := problem(t, w); w.Code != status || got != code {
		t.Errorf("%s: %d %s, want %d %s", what, w.Code, got, status, code)
	}
}

var result = job.Result{Duration: 7200, Segments: 35, Bytes: 9_000_000, Renditions: []job.Rendition{{Name: "720p", Codecs: "avc1.64001f"}}}

func TestHealth(t *testing.T) {
	f := setup(t)
	health := api.NewHealth(slog.New(slog.DiscardHandler), f.health())
	for name, server := range map[string]*api.Server{"the API": f.server, "a worker": health} {
		f.server, f.ready = server, nil
		for _, path := range []string{"/healthz", "/readyz"} {
			if w := f.do("GET", path, "", "Authorization", ""); w.Code != http.StatusOK {
				t.Errorf("%s of %s: %d", path, name, w.Code)
			}
		}
		want := fmt.Sprintf(`{"busy":false,"due_at":%q}`, now.Format(time.RFC3339Nano))
		if w := f.do("GET", "/work", "", "Authorization", ""); w.Code != http.StatusOK || strings.TrimSpace(w.Body.String()) != want {
			t.Errorf("/work of %s: %d %s", name, w.Code, w.Body)
		}
		if w := f.do("GET", "/metrics", "", "Authorization", ""); w.Code != http.StatusOK || w.Body.String() != "weir_open_jobs 1\n" {
			t.Errorf("/metrics of %s: %d %s", name, w.Code, w.Body)
		}
		f.ready = errInjected
		refused(t, "/readyz of "+name, f.do("GET", "/readyz", "", "Authorization", ""), http.StatusServiceUnavailable, "not_ready")
	}
	f.server = health
	for _, request := range []string{"POST /transcode", "GET /videos/intro", "GET /videos/intro/events", "GET /webhooks/dead", "GET /"} {
		method, path, _ := strings.Cut(request, " ")
		w := f.do(method, path, good)
		if _, message := problem(t, w); w.Code != http.StatusNotFound || !strings.Contains(message, "ROLE") {
			t.Errorf("%s of a worker: %d %s", request, w.Code, message)
		}
	}
}

package rotate_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/deploy/internal/rotate"
	"weir/deploy/internal/settings"
	"weir/deploy/internal/verify"
	"weir/deploy/local"
)

// scene is the real Worker, which is deployed by starting it anew with the settings as they are, and a transcoder that signs with the key
// that it was started with.
type scene struct {
	t        *testing.T
	settings *settings.File
	now      time.Time
	fails    []error // of the next deployments
	told     string  // TOKEN_KEY as it was deployed last

	mu     sync.Mutex
	cloud  *local.Cloud
	signs  verify.Key
	tokens []string // all that were given out, and live
	server *httptest.Server
}

func newScene(t *testing.T) *scene {
	t.Helper()
	f, err := settings.Open(filepath.Join(t.TempDir(), "a.env"))
	if err != nil {
		t.Fatal(err)
	}
	s := &scene{t: t, settings: f, now: time.Now()}
	s.server = httptest.NewServer(http.HandlerFunc(s.playback))
	t.Cleanup(s.server.Close)
	if err := f.Complete(s.now); err != nil {
		t.Fatal(err)
	}
	if err := f.Set(settings.Value{Name: "TRANSCODER_URL", Text: s.server.URL}); err != nil {
		t.Fatal(err)
	}
	if err := s.deploy(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.restart()
	t.Cleanup(func() { _ = s.cloud.Stop() })
	return s
}

func (s *scene) deploy(ctx context.Context) error {
	if len(s.fails) > 0 {
		fail := s.fails[0]
		if s.fails = s.fails[1:]; fail != nil {
			return fail
		}
	}
	next, err := local.Start(ctx, local.Options{Settings: s.settings.Worker(false)})
	if err != nil {
		return err
	}
	s.mu.Lock()
	last := s.cloud
	s.cloud, s.told = next, s.settings.Get("TOKEN_KEY")
	s.mu.Unlock()
	if last != nil {
		_ = last.Stop()
	}
	return s.settings.Set(settings.Value{Name: "PUBLIC_URL", Text: next.URL})
}

// restart starts the transcoder again, with the settings as they are.
func (s *scene) restart() {
	key, err := verify.ParseKey(s.settings.Get("TOKEN_KEY"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signs = key
}

func (s *scene) playback(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+s.settings.Get("API_KEY") {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if r.URL.Path != "/videos/intro/playback" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	_, _ = fmt.Fprintf(w, `{"token":%q}`, s.give())
}

// give gives a token to a viewer.
func (s *scene) give() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	token, err := s.signs.Token("videos/intro", time.Now(), time.Hour)
	if err != nil {
		s.t.Error(err)
	}
	s.tokens = append(s.tokens, token)
	return token
}

// refused tells how many of the tokens that were given out the Worker refuses. The video is not there, so a good one gets 404.
func (s *scene) refused() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, token := range s.tokens {
		req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.cloud.URL+"/videos/intro/hls/master.m3u8?token="+token, nil)
		if err != nil {
			s.t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			s.t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusNotFound {
			n++
		}
	}
	return n
}

func (s *scene) rotate() (string, error) {
	var out strings.Builder
	err := rotate.Run(s.t.Context(), rotate.Rotation{
		Settings: s.settings,
		Deploy: func(ctx context.Context) error {
			s.give()
			if err := s.deploy(ctx); err != nil {
				return err
			}
			s.give()
			if n := s.refused(); n > 0 {
				s.t.Errorf("after a deployment, %d viewers are refused", n)
			}
			return nil
		},
		Videos: func(context.Context) ([]string, error) {
			return append(slices.Repeat([]string{"gone"}, 20), "intro"), nil
		},
		Now: func() time.Time { return s.now },
	}, &out)
	return out.String(), err
}

func (s *scene) keys() settings.Keys {
	k, err := s.settings.Keys()
	if err != nil {
		s.t.Fatal(err)
	}
	return k
}

// No viewer is refused before, while and after a key is changed, and when it is retired, its tokens are.
func TestNoViewerIsRefused(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.now = s.now.Add(time.Minute)
	before := s.keys().Signs
	out, err := s.rotate()
	if err != nil {
		t.Fatal(err)
	}
	k := s.keys()
	if len(k.IDs) != 2 || k.Signs == before || k.Signs != k.Newest() {
		t.Fatalf("the keys are %+v; it said\n%s", k, out)
	}
	s.give() // the transcoder was not started again yet
	s.now = s.now.Add(time.Hour)
	if _, err := s.rotate(); !errors.Is(err, rotate.ErrNotYet) || !strings.Contains(err.Error(), "another 47h15m0s") {
		t.Errorf("after an hour, it said %v", err)
	}
	s.now = s.now.Add(48 * time.Hour)
	if _, err := s.rotate(); !errors.Is(err, rotate.ErrNotYet) || !strings.Contains(err.Error(), "signs with "+before+" still") {
		t.Errorf("while a transcoder signs with the old key, it said %v", err)
	}
	if n := s.refused(); n > 0 {
		t.Errorf("%d viewers are refused", n)
	}
	s.restart()
	if _, err := s.rotate(); !errors.Is(err, rotate.ErrNotYet) || !strings.Contains(err.Error(), "another 48h15m0s") {
		t.Errorf("while what a transcoder has just signed with the old key lives, it said %v", err)
	}
	s.now = s.now.Add(49 * time.Hour)
	s.mu.Lock()
	old := len(s.tokens)
	s.tokens = nil // they have expired
	s.mu.Unlock()
	s.give()
	kept := s.tokens
	if _, err := s.rotate(); err != nil {
		t.Fatal(err)
	}
	if k := s.keys(); len(k.IDs) != 1 || k.Signs == before {
		t.Errorf("at the end, the keys are %+v", k)
	}
	if old < 4 || len(kept) == 0 {
		t.Errorf("%d viewers came before, and %d after", old, len(kept))
	}
	s.now = time.Now()    // the Worker's clock
	out, err = s.rotate() // and the next one
	if k := s.keys(); err != nil || len(k.IDs) != 2 {
		t.Errorf("the next rotation: %+v, %v, %s", k, err, out)
	}
}

// What breaks off is taken up again, and breaks nothing meanwhile.
func TestARotationThatBreaksOffGoesOn(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.give()
	before := s.keys().Signs
	s.now = s.now.Add(time.Minute)
	away := errors.New("Cloudflare is away")
	s.fails = []error{away}
	if _, err := s.rotate(); !errors.Is(err, away) {
		t.Errorf("it said %v", err)
	}
	if k := s.keys(); len(k.IDs) != 2 || k.Signs != before {
		t.Errorf("the keys are %+v: nobody may sign with one that the Worker does not know", k)
	}
	if n := s.refused(); n > 0 {
		t.Errorf("%d viewers are refused", n)
	}
	s.now = s.now.Add(time.Minute)
	s.fails = []error{nil, away}
	if _, err := s.rotate(); !errors.Is(err, away) {
		t.Errorf("it said %v", err)
	}
	if _, err := s.rotate(); !errors.Is(err, rotate.ErrNotYet) {
		t.Errorf("it said %v", err)
	}
	if k := s.keys(); len(k.IDs) != 2 || k.Signs == before {
		t.Errorf("the keys are %+v", k)
	}
	if s.told != s.settings.Get("TOKEN_KEY") {
		t.Error("the Worker was not told which key signs")
	}
	if n := s.refused(); n > 0 {
		t.Errorf("%d viewers are refused", n)
	}
}

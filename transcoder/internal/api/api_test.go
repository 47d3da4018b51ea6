package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"weir/transcoder/internal/api"
	"weir/transcoder/internal/catalog"
	"weir/transcoder/internal/job"
	"weir/transcoder/internal/r2/r2test"
)

const tokenKey = `{"kty":"oct","alg":"HS256","kid":"k1","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U"}`

// now is a fixed time: a token's expiry follows from it.
var now = time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC)

type fixture struct {
	t          *testing.T
	server     *api.Server
	bucket     *r2test.Bucket
	catalog    *catalog.Catalog
	dispatched []job.Ticket
	ready      error
}

func (f *fixture) Dispatch(_ context.Context, t job.Ticket) error {
	f.dispatched = append(f.dispatched, t)
	return nil
}

func setup(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t, bucket: &r2test.Bucket{}}
	f.catalog = catalog.New(f.bucket, func() time.Time { return now })
	key, err := api.ParseKey(tokenKey)
	if err != nil {
		t.Fatal(err)
	}
	f.server = api.New(api.Config{
		Log: slog.New(slog.DiscardHandler), Key: "right", Catalog: f.catalog, Dispatcher: f,
		Minter: api.Minter{Key: key, TTL: time.Hour, PublicURL: "https://video.example.com/", Now: func() time.Time { return now }},
		Ready:  func(context.Context) error { return f.ready },
	})
	return f
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
	if len(p["error"]["message"]) < 20 {
		t.Errorf("the message says little: %q", p["error"]["message"])
	}
	return p["error"]["code"], p["error"]["message"]
}

const good = `{"video_id":"intro","key":"uploads/intro.mp4","webhook_url":"https://example.com/hook"}`

func TestAJobIsRecordedBeforeItIsAccepted(t *testing.T) {
	f := setup(t)
	w := f.do("POST", "/transcode", good)
	if w.Code != http.StatusAccepted || w.Header().Get("Location") != "/videos/intro" {
		t.Fatalf("answered %d, Location %q: %s", w.Code, w.Header().Get("Location"), w.Body)
	}
	if keys := f.bucket.Keys(""); strings.Join(keys, " ") != "jobs/intro.json open/intro" {
		t.Errorf("the bucket holds %v", keys)
	}
	if len(f.dispatched) != 1 || f.dispatched[0].VideoID != "intro" {
		t.Errorf("dispatched %v", f.dispatched)
	}
	var v struct {
		VideoID  string   `json:"video_id"`
		State    string   `json:"state"`
		Progress *float64 `json:"progress"`
	}
	if err := json.Unmarshal(f.do("GET", "/videos/intro", "").Body.Bytes(), &v); err != nil || v.VideoID != "intro" || v.State != "queued" || v.Progress == nil {
		t.Errorf("the video is %+v, %v", v, err)
	}
}

func TestNothingIsAcceptedThatIsNotRecorded(t *testing.T) {
	for _, lost := range []string{"jobs/intro.json", "open/intro"} {
		f := setup(t)
		f.bucket.Inject = func(operation, key string) r2test.Fault {
			if key == lost && operation != "read" {
				return r2test.Lost
			}
			return r2test.None
		}
		w := f.do("POST", "/transcode", good)
		if code, message := problem(t, w); w.Code != http.StatusInternalServerError || code != "internal" || strings.Contains(message, "injected") {
			t.Errorf("%s lost: answered %d %s", lost, w.Code, w.Body)
		}
		if len(f.dispatched) != 0 {
			t.Errorf("%s lost: dispatched %v", lost, f.dispatched)
		}
		f.bucket.Inject = nil
		if w := f.do("POST", "/transcode", good); w.Code != http.StatusAccepted || len(f.dispatched) != 1 {
			t.Errorf("%s lost: again: %d, dispatched %v", lost, w.Code, f.dispatched)
		}
	}
}

func TestEveryProblemOfARequestIsNamed(t *testing.T) {
	long := strings.Repeat("x", 1025)
	quote := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	for _, c := range []struct {
		name, body string
		want       []string
	}{
		{"empty", ``, []string{"it is empty"}},
		{"no JSON", `video`, []string{"no JSON"}},
		{"cut off", `{"video_id":"a"`, []string{"ends in the middle"}},
		{"an array", `[]`, []string{"JSON array"}},
		{"a number for a string", `{"video_id":7}`, []string{"video_id must be a string"}},
		{"an unknown field", `{"video_id":"a","key":"k","webhook_url":"https://e.com","webhok":1}`, []string{`unknown field "webhok"`}},
		{"two objects", good + good, []string{"something follows"}},
		{"all fields missing", `{}`, []string{"video_id is missing", "key is missing", "webhook_url is missing"}},
		{"all fields malformed", `{"video_id":"a b","key":"a//b","webhook_url":"ftp://e.com/"}`, []string{"video_id must be", "key must not", "webhook_url must start with http"}},
		{"a long id", `{"video_id":` + quote(strings.Repeat("a", 129)) + `,"key":"k","webhook_url":"https://e.com"}`, []string{"1 to 128"}},
		{"an id with a slash", `{"video_id":"a/b","key":"k","webhook_url":"https://e.com"}`, []string{"video_id must be"}},
		{"an id with a newline at its end", `{"video_id":"a\n","key":"k","webhook_url":"https://e.com"}`, []string{"video_id must be"}},
		{"a key that climbs", `{"video_id":"a","key":"uploads/../jobs/b","webhook_url":"https://e.com"}`, []string{"key must not"}},
		{"a key that is ..", `{"video_id":"a","key":"..","webhook_url":"https://e.com"}`, []string{"key must not"}},
		{"a key that starts with a slash", `{"video_id":"a","key":"/k","webhook_url":"https://e.com"}`, []string{"key must not"}},
		{"a key with NUL", `{"video_id":"a","key":"a\u0000b","webhook_url":"https://e.com"}`, []string{"NUL"}},
		{"a long key", `{"video_id":"a","key":"` + long + `","webhook_url":"https://e.com"}`, []string{"1025 bytes"}},
		{"a relative webhook", `{"video_id":"a","key":"k","webhook_url":"/hook"}`, []string{"absolute URL"}},
		{"a webhook without a host", `{"video_id":"a","key":"k","webhook_url":"https://:443/hook"}`, []string{"absolute URL"}},
		{"a webhook with a password", `{"video_id":"a","key":"k","webhook_url":"https://u:p@e.com"}`, []string{"password"}},
		{"a file as webhook", `{"video_id":"a","key":"k","webhook_url":"file://host/etc/passwd"}`, []string{"http"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := setup(t)
			w := f.do("POST", "/transcode", c.body)
			code, message := problem(t, w)
			if w.Code != http.StatusBadRequest || code != "invalid_request" {
				t.Errorf("answered %d %s", w.Code, code)
			}
			for _, want := range c.want {
				if !strings.Contains(message, want) {
					t.Errorf("%q does not say %q", message, want)
				}
			}
			if keys := f.bucket.Keys(""); len(keys) != 0 {
				t.Errorf("something was recorded: %v", keys)
			}
		})
	}
}

func TestKeysThatAreOdd(t *testing.T) {
	for _, key := range []string{"a", "uploads/a..b.mp4", "Ünïcödé/видео.mp4", "a b&c?d#e.mp4", strings.Repeat("x", 1024)} {
		body, _ := json.Marshal(map[string]string{"video_id": "a", "key": key, "webhook_url": "http://127.0.0.1:1/hook"})
		if w := setup(t).do("POST", "/transcode", string(body)); w.Code != http.StatusAccepted {
			t.Errorf("%q: answered %d: %s", key, w.Code, w.Body)
		}
	}
}

func TestABodyThatIsTooLargeIsRefused(t *testing.T) {
	w := setup(t).do("POST", "/transcode", `{"video_id":"`+strings.Repeat("a", 70_000)+`"}`)
	if code, _ := problem(t, w); w.Code != http.StatusRequestEntityTooLarge || code != "too_large" {
		t.Errorf("answered %d %s", w.Code, code)
	}
}

func TestOnlyBackendsWithTheKeyComeIn(t *testing.T) {
	for _, path := range []string{"POST /transcode", "GET /videos/a", "GET /videos/a/playback"} {
		for _, authorization := range []string{"", "Bearer", "Bearer ", "Bearer wrong", "Bearer right ", "right", "Basic right", "Bearer righ", "Bearer rightt"} {
			method, path, _ := strings.Cut(path, " ")
			w := setup(t).do(method, path, good, "Authorization", authorization)
			if code, _ := problem(t, w); w.Code != http.StatusUnauthorized || code != "unauthorized" || w.Header().Get("WWW-Authenticate") == "" {
				t.Errorf("%s %s with %q: %d %s", method, path, authorization, w.Code, code)
			}
		}
	}
	if w := setup(t).do("GET", "/videos/a", "", "Authorization", "bearer right"); w.Code != http.StatusNotFound {
		t.Errorf("the scheme's case matters: %d", w.Code)
	}
}

func TestWhatIsNotThere(t *testing.T) {
	f := setup(t)
	for _, c := range []struct {
		method, path string
		status       int
		code         string
	}{
		{"GET", "/videos/none", 404, "video_not_found"},
		{"GET", "/videos/none/playback", 404, "video_not_found"},
		{"GET", "/videos/a.b", 400, "invalid_request"},
		{"GET", "/nowhere", 404, "not_found"},
		{"GET", "/transcode", 405, "method_not_allowed"},
		{"DELETE", "/videos/none", 405, "method_not_allowed"},
	} {
		w := f.do(c.method, c.path, "")
		if code, _ := problem(t, w); w.Code != c.status || code != c.code {
			t.Errorf("%s %s: %d %s, want %d %s", c.method, c.path, w.Code, code, c.status, c.code)
		}
	}
}

func TestAVideoIDHasOneRequest(t *testing.T) {
	f := setup(t)
	f.do("POST", "/transcode", good)
	if w := f.do("POST", "/transcode", good); w.Code != http.StatusAccepted {
		t.Errorf("the same request again: %d %s", w.Code, w.Body)
	}
	w := f.do("POST", "/transcode", strings.Replace(good, "intro.mp4", "other.mp4", 1))
	if code, _ := problem(t, w); w.Code != http.StatusConflict || code != "video_id_taken" {
		t.Errorf("another request: %d %s", w.Code, code)
	}
	if f.dispatched[0] != f.dispatched[len(f.dispatched)-1] {
		t.Errorf("dispatched %v", f.dispatched)
	}
}

func TestPlayback(t *testing.T) {
	f := setup(t)
	f.do("POST", "/transcode", good)
	w := f.do("GET", "/videos/intro/playback", "")
	if code, _ := problem(t, w); w.Code != http.StatusConflict || code != "not_playable" {
		t.Errorf("before it is playable: %d %s", w.Code, code)
	}
	_, err := f.catalog.Update(t.Context(), f.dispatched[0], func(j *job.Job) { j.Finish(job.Result{Duration: 7200}) })
	if err != nil {
		t.Fatal(err)
	}
	w = f.do("GET", "/videos/intro/playback", "")
	var p api.Playback
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != http.StatusOK {
		t.Fatalf("answered %d: %s", w.Code, w.Body)
	}
	claims := jwt.RegisteredClaims{}
	token, err := jwt.ParseWithClaims(p.Token, &claims, func(*jwt.Token) (any, error) { return []byte("secretsecretsecretsecretsecretse"), nil },
		jwt.WithTimeFunc(func() time.Time { return now }))
	if err != nil || claims.Subject != "videos/intro" || token.Header["kid"] != "k1" {
		t.Errorf("the token is for %q, kid %v: %v", claims.Subject, token.Header["kid"], err)
	}
	if want := now.Truncate(time.Second).Add(2*time.Hour + 15*time.Minute); !p.ExpiresAt.Equal(want) || !claims.ExpiresAt.Equal(want) {
		t.Errorf("the token of a two-hour video expires at %v and %v, want %v", p.ExpiresAt, claims.ExpiresAt, want)
	}
	if want := "https://video.example.com/t/" + p.Token + "/videos/intro/hls/master.m3u8"; p.URLs.HLS != want {
		t.Errorf("URL %s, want %s", p.URLs.HLS, want)
	}
	if want := "https://video.example.com/videos/intro/hls/master.m3u8?token=" + p.Token; p.URLs.HLSQuery != want {
		t.Errorf("URL %s, want %s", p.URLs.HLSQuery, want)
	}
	if want := "https://video.example.com/videos/intro/hls/master.m3u8"; p.URLs.HLSBearer != want {
		t.Errorf("URL %s, want %s", p.URLs.HLSBearer, want)
	}
}

func TestHealth(t *testing.T) {
	f := setup(t)
	if w := f.do("GET", "/healthz", "", "Authorization", ""); w.Code != http.StatusOK {
		t.Errorf("healthz: %d", w.Code)
	}
	if w := f.do("GET", "/readyz", "", "Authorization", ""); w.Code != http.StatusOK {
		t.Errorf("readyz: %d", w.Code)
	}
	f.ready = errors.New("secret detail")
	w := f.do("GET", "/readyz", "", "Authorization", "")
	if code, message := problem(t, w); w.Code != http.StatusServiceUnavailable || code != "not_ready" || strings.Contains(message, "secret") {
		t.Errorf("readyz without a bucket: %d %s", w.Code, w.Body)
	}
}

func TestTokenKeys(t *testing.T) {
	for _, bad := range []string{
		``, `{}`, `secret`, `{"kty":"RSA","alg":"HS256","kid":"a","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U"}`,
		`{"kty":"oct","alg":"HS512","kid":"a","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U"}`,
		`{"kty":"oct","alg":"HS256","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U"}`,
		`{"kty":"oct","alg":"HS256","kid":"a","k":"c2hvcnQ"}`, `{"kty":"oct","alg":"HS256","kid":"a","k":"!!"}`,
	} {
		if _, err := api.ParseKey(bad); err == nil {
			t.Errorf("accepted %s", bad)
		}
	}
}

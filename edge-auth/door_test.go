package main_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/deploy/local"
)

// transcoder is what the Worker takes for one: each test says by the path's last part how it answers.
var transcoder = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(r.URL.Path, "/")
	handle, ok := handlers.Load(parts[len(parts)-1])
	if !ok { // or of the video
		handle, ok = handlers.Load(parts[len(parts)-2])
	}
	if !ok {
		dumped, _ := httputil.DumpRequest(r, true)
		w.Header().Set("Served-By", "transcoder")
		_, _ = w.Write(dumped)
		return
	}
	handle.(http.HandlerFunc)(w, r)
}))

var handlers sync.Map

// door sends a request to the Worker, and the caller reads the answer.
func door(t *testing.T, ctx context.Context, base, method, path string, body io.Reader, header headers) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, base+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := (&http.Transport{DisableCompression: true, DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func TestTheAPIGetsRequestsAsTheyWereSent(t *testing.T) {
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		for _, path := range []string{
			"/transcode", "/videos", "/videos?state=failed&x=%2F%20a+b&&", "/videos/abc", "/videos/abc?", "/videos/abc/events",
			"/videos/abc/playback?ttl=1", "/videos/abc/revoke", "/webhooks/dead", "/webhooks/evt_abc_x_processed/replay",
		} {
			t.Run(method+" "+path, func(t *testing.T) {
				var body io.Reader
				if method != "GET" && method != "HEAD" && method != "OPTIONS" {
					body = strings.NewReader(`{"a":"b"}`)
				}
				resp := door(t, t.Context(), cloud.URL, method, path, body, headers{
					"Authorization": "Bearer key", "Cookie": "weir_token=x", "Content-Type": "application/json", "X-Own": "1",
					"Origin": "https://example.com", "Keep-Alive": "1", "TE": "trailers", "Proxy-Connection": "x"})
				if resp.StatusCode != 200 || resp.Header.Get("Served-By") != "transcoder" {
					t.Fatalf("got %d %v", resp.StatusCode, resp.Header)
				}
				for name := range resp.Header {
					if strings.HasPrefix(name, "Access-Control-") || name == "Cross-Origin-Resource-Policy" {
						t.Errorf("the Worker added %s", name)
					}
				}
				if method == "HEAD" {
					return
				}
				got, err := http.ReadRequest(bufio.NewReader(resp.Body))
				if err != nil {
					t.Fatal(err)
				}
				content, err := io.ReadAll(got.Body)
				if err != nil {
					t.Fatal(err)
				}
				if got.Method != method || strings.TrimSuffix(got.RequestURI, "?") != strings.TrimSuffix(path, "?") || body != nil && string(content) != `{"a":"b"}` {
					t.Errorf("got %s %s %q", got.Method, got.RequestURI, content)
				}
				want := headers{"Authorization": "Bearer key", "Content-Type": "application/json", "X-Own": "1", "Origin": "https://example.com",
					"Cookie": "", "Keep-Alive": "", "Te": "", "Proxy-Connection": ""}
				for name, want := range want {
					if have := got.Header.Get(name); have != want {
						t.Errorf("%s: got %q, want %q", name, have, want)
					}
				}
			})
		}
	}
}

// Whatever the answer is, redirects included, is the client's.
func TestTheAPIsAnswersArePassedOn(t *testing.T) {
	handlers.Store("answer", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var status int
		_, _ = fmt.Sscan(r.URL.Query().Get("status"), &status)
		w.Header().Set("Location", "/videos/elsewhere")
		w.Header().Set("Www-Authenticate", "Bearer")
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(status)
		if status != 204 && status != 304 {
			_, _ = io.WriteString(w, `{"is":"mine"}`)
		}
	}))
	for _, status := range []int{200, 202, 204, 301, 302, 304, 307, 400, 401, 404, 409, 429, 500, 503} {
		resp := door(t, t.Context(), cloud.URL, "GET", fmt.Sprintf("/videos/answer?status=%d", status), nil, nil)
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != status || status != 204 && status != 304 && string(body) != `{"is":"mine"}` {
			t.Errorf("%d: got %d %q", status, resp.StatusCode, body)
		}
		checkHeaders(t, resp, headers{"Location": "/videos/elsewhere", "Www-Authenticate": "Bearer", "Retry-After": "7"})
	}
}

// A body of any size flows through in both directions, before it has ended.
func TestBodiesAreStreamed(t *testing.T) {
	handlers.Store("echo", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	sent := make([]byte, 8<<20)
	_, _ = rand.Read(sent)
	resp := door(t, t.Context(), cloud.URL, "PUT", "/videos/echo", bytes.NewReader(sent), nil)
	if got, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d of %d bytes: %v", len(got), len(sent), err)
	}

	first := make(chan string, 1)
	handlers.Store("upload", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		line, _ := bufio.NewReader(r.Body).ReadString('\n')
		first <- line
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	body, write := io.Pipe()
	go func() {
		_, _ = io.WriteString(write, "half\n")
		select {
		case line := <-first:
			_, _ = io.WriteString(write, line)
			_ = write.Close()
		case <-time.After(10 * time.Second):
			_ = write.CloseWithError(errors.New("the first half of the body did not arrive before the second"))
		}
	}()
	if resp := door(t, t.Context(), cloud.URL, "POST", "/videos/upload", body, nil); resp.StatusCode != 200 {
		t.Errorf("got %d", resp.StatusCode)
	}
}

// Events arrive when they are sent. A stream ends with its client: at the next event or heartbeat at the latest.
func TestEventsFlowUntilTheClientGoes(t *testing.T) {
	more, gone := make(chan string), make(chan struct{})
	handlers.Store("sse", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			select {
			case event := <-more:
				_, _ = fmt.Fprintf(w, "data: %s\n\n", event)
				_ = http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				return
			}
		}
	}))
	ctx, cancel := context.WithCancel(t.Context())
	go func() { more <- "0" }()
	resp := door(t, ctx, cloud.URL, "GET", "/videos/sse/events", nil, nil)
	lines := bufio.NewReader(resp.Body)
	var delays []time.Duration
	for i := range 20 {
		begin := time.Now()
		if i > 0 {
			more <- fmt.Sprint(i)
		}
		for _, want := range []string{fmt.Sprintf("data: %d\n", i), "\n"} {
			if line, err := lines.ReadString('\n'); line != want {
				t.Fatalf("got %q, want %q: %v", line, want, err)
			}
		}
		delays = append(delays, time.Since(begin))
	}
	slices.Sort(delays)
	t.Logf("an event takes %v, at most %v", delays[len(delays)/2], delays[len(delays)-1])
	cancel()
	for sent := 0; ; sent++ {
		select {
		case more <- "to nobody":
			time.Sleep(100 * time.Millisecond)
		case <-gone:
			t.Logf("the stream ended after %d more events", sent)
			return
		}
		if sent == 50 {
			t.Fatal("the stream goes on without its client")
		}
	}
}

// wantUnanswered looks at what the Worker says in the transcoder's place.
func wantUnanswered(t *testing.T, resp *http.Response, code, retryAfter string) {
	t.Helper()
	var problem struct {
		Error struct{ Code, Message string }
	}
	if err := json.NewDecoder(resp.Body).Decode(&problem); err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 503 || problem.Error.Code != code || !strings.HasSuffix(problem.Error.Message, ".") {
		t.Errorf("got %d %+v", resp.StatusCode, problem)
	}
	checkHeaders(t, resp, headers{"Retry-After": retryAfter, "Cache-Control": "no-store", "Content-Type": "application/json", "Access-Control-Allow-Origin": ""})
}

// Only a stream may take as long as it wants.
func TestASlowTranscoderIsGivenUp(t *testing.T) {
	t.Parallel()
	const limit = 25 * time.Second
	gone := make(chan struct{})
	handlers.Store("slow", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/events") {
			time.Sleep(limit + 3*time.Second)
			_, _ = io.WriteString(w, "late")
			return
		}
		<-r.Context().Done()
		close(gone)
	}))
	t.Run("a request", func(t *testing.T) {
		t.Parallel()
		begin := time.Now()
		resp := door(t, t.Context(), cloud.URL, "GET", "/videos/slow", nil, nil)
		if took := time.Since(begin); took < limit-time.Second || took > limit+5*time.Second {
			t.Errorf("it took %v", took)
		}
		wantUnanswered(t, resp, "transcoder_unavailable", "5")
		select {
		case <-gone:
		case <-time.After(5 * time.Second):
			t.Error("the transcoder's request goes on")
		}
	})
	t.Run("a stream", func(t *testing.T) {
		t.Parallel()
		resp := door(t, t.Context(), cloud.URL, "GET", "/videos/slow/events", nil, nil)
		if body, err := io.ReadAll(resp.Body); resp.StatusCode != 200 || string(body) != "late" {
			t.Errorf("got %d %q: %v", resp.StatusCode, body, err)
		}
	})
}

func TestATranscoderThatIsDown(t *testing.T) {
	t.Parallel()
	down := httptest.NewServer(http.NotFoundHandler())
	down.Close()
	own, err := local.Start(t.Context(), local.Options{Settings: map[string]string{"TRANSCODER_URL": down.URL}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := own.Stop(); err != nil {
			t.Error(err)
		}
	})
	for _, path := range []string{"/transcode", "/videos/abc/events"} {
		resp := door(t, t.Context(), own.URL, "POST", path, strings.NewReader("{}"), nil)
		wantUnanswered(t, resp, "transcoder_unavailable", "5")
	}
	if resp := door(t, t.Context(), own.URL, "GET", "/videos/abc/manifest.json", nil, nil); resp.StatusCode != 401 {
		t.Errorf("an object without a token: got %d", resp.StatusCode)
	}
}

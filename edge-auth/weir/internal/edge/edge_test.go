package edge_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"weir/edge-auth/internal/gate"
	"weir/edge-auth/weir/internal/bucket"
	"weir/edge-auth/weir/internal/edge"
)

// What is answered to which request is said in deploy/internal/verify/edge.http, and compared with the Worker in edge-auth/weir. Here
// is what happens when the parts around the edge fail, or are slow.

const (
	secret    = "0123456789abcdef0123456789abcdef"
	tokenKeys = `{"keys":[{"kty":"oct","alg":"HS256","kid":"k1","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}]}`
	segment   = "videos/abc/hls/720p/segment_1_a.m4s"
	playlist  = "videos/abc/hls/720p/playlist.m3u8"
)

var large = strings.Repeat("0123456789abcdef", 1<<18) // 4 MiB

// store is an S3 that does as a test says.
type store struct {
	fault atomic.Pointer[func(w http.ResponseWriter, r *http.Request) (done bool)]
	calls atomic.Int64
}

func (s *store) fail(fault func(w http.ResponseWriter, r *http.Request) bool) { s.fault.Store(&fault) }

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.calls.Add(1)
	if fault := s.fault.Load(); fault != nil && (*fault)(w, r) {
		return
	}
	body, ok := map[string]string{"/bucket/" + segment: large, "/bucket/" + playlist: "#EXTM3U\nsegment_1_a.m4s\n"}[r.URL.Path]
	if !ok {
		w.WriteHeader(404)
		_, _ = io.WriteString(w, `<Error><Code>NoSuchKey</Code></Error>`)
		return
	}
	w.Header().Set("ETag", `"e"`)
	http.ServeContent(w, r, "", time.Unix(1700000000, 0), strings.NewReader(body))
}

// rim is an edge, and what is around it.
type rim struct {
	url, token string
	store      *store
	log        *lines
	end        context.CancelFunc
	ended      chan error
}

// lines is a log.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// settle waits until the log has a text.
func (l *lines) settle(t *testing.T, text string) {
	t.Helper()
	for range 500 {
		if strings.Contains(l.String(), text) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("the log does not say %q: %s", text, l)
}

func start(t testing.TB, change func(*edge.Config), transcoder string) *rim {
	t.Helper()
	r := &rim{store: &store{}, log: &lines{}, ended: make(chan error, 1), token: mint(t, nil)}
	s3 := httptest.NewServer(r.store)
	t.Cleanup(s3.Close)
	config := edge.Config{
		Log: slog.New(slog.NewJSONHandler(r.log, nil)), Now: time.Now,
		Gate:   gate.New(gate.Config{TokenKeys: tokenKeys, TranscoderURL: transcoder}),
		Bucket: open(t, s3.URL),
	}
	if change != nil {
		change(&config)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.url = "http://" + l.Addr().String()
	ctx, end := context.WithCancel(context.Background())
	r.end = end
	server := edge.New(config)
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.ended <- server.Serve(ctx, l)
	}()
	t.Cleanup(func() {
		end()
		<-done
		if said := r.log.String(); strings.Contains(said, "eyJ") || strings.Contains(said, "secret") {
			t.Errorf("the log has a secret: %s", said)
		}
	})
	return r
}

func mint(t testing.TB, more jwt.MapClaims) string {
	t.Helper()
	claims := jwt.MapClaims{"sub": "videos/abc", "exp": time.Now().Add(time.Hour).Unix()}
	for name, value := range more {
		claims[name] = value
	}
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, claims)
	token.Header["kid"] = "k1"
	compact, err := token.SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func open(t testing.TB, endpoint string) *bucket.Bucket {
	t.Helper()
	u, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	return bucket.Open(bucket.Config{Endpoint: u, Name: "bucket", Region: "auto", AccessKeyID: "id", SecretAccessKey: "the bucket's secret"})
}

// ask sends a request on a connection of its own; the caller reads the answer.
func (r *rim) ask(t testing.TB, ctx context.Context, method, path string, body io.Reader, headers ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, r.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	resp, err := (&http.Transport{DisableCompression: true, DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func (r *rim) get(t testing.TB, key string, headers ...string) (*http.Response, string, error) {
	t.Helper()
	resp := r.ask(t, t.Context(), "GET", "/t/"+r.token+"/"+key, nil, headers...)
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

// want looks at a refusal.
func want(t *testing.T, resp *http.Response, body string, status int, code string) {
	t.Helper()
	var problem struct {
		Error struct{ Code, Message string }
	}
	if err := json.Unmarshal([]byte(body), &problem); err != nil || resp.StatusCode != status || problem.Error.Code != code ||
		!strings.HasSuffix(problem.Error.Message, ".") || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %d %s, want %d %s", resp.StatusCode, body, status, code)
	}
}

// Whatever the bucket says that is no object and no lack of one is a failure of the bucket.
func TestABucketThatFails(t *testing.T) {
	answer := func(status int, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
			return true
		}
	}
	for name, fault := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"it is out of order":         answer(503, `<Error><Code>SlowDown</Code></Error>`),
		"it refuses the credentials": answer(403, `<Error><Code>AccessDenied</Code></Error>`),
		"there is no such bucket":    answer(404, `<Error><Code>NoSuchBucket</Code></Error>`),
		"it knows no parts":          answer(200, "all of it"),
		"it is none":                 answer(301, "see elsewhere"),
		"it hangs up":                func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) },
		"it sends another part": func(w http.ResponseWriter, r *http.Request) bool {
			r.Header.Set("Range", "bytes=1-2")
			return false
		},
		"the epoch cannot be read": func(w http.ResponseWriter, r *http.Request) bool {
			return strings.Contains(r.URL.Path, "/epochs/") && answer(500, "")(w, r)
		},
		"a playlist breaks off": func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, ".m3u8") {
				return false
			}
			w.Header().Set("Content-Range", "bytes 0-99/100")
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(206)
			_, _ = io.WriteString(w, "#EXTM3U\n")
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, nil, "")
			r.store.fail(fault)
			begin := time.Now()
			for _, path := range []string{"/t/" + r.token + "/" + playlist, "/" + playlist + "?token=" + r.token} {
				resp := r.ask(t, t.Context(), "GET", path, nil, "Accept-Encoding: gzip")
				body, err := io.ReadAll(resp.Body)
				if err != nil {
					t.Fatal(err)
				}
				want(t, resp, string(body), 502, "storage_error")
				if resp.Header.Get("Retry-After") != "1" || resp.Header.Get("Access-Control-Allow-Origin") != "*" {
					t.Errorf("headers %v", resp.Header)
				}
			}
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
			r.log.settle(t, "the bucket failed")
			r.log.settle(t, `"code":"storage_error"`)
			r.store.fail(func(http.ResponseWriter, *http.Request) bool { return false })
			if resp, body, err := r.get(t, playlist); resp.StatusCode != 200 || err != nil {
				t.Errorf("afterwards: %d %s %v", resp.StatusCode, body, err)
			}
		})
	}
}

func TestABucketThatIsDown(t *testing.T) {
	r := start(t, func(c *edge.Config) {
		down := httptest.NewServer(http.NotFoundHandler())
		down.Close()
		c.Bucket = open(t, down.URL)
	}, "")
	resp, body, err := r.get(t, segment)
	if err != nil {
		t.Fatal(err)
	}
	want(t, resp, body, 502, "storage_error")
	if resp, body, _ := r.get(t, "jobs/abc.json"); resp.StatusCode != 404 {
		t.Errorf("what is decided without the bucket: %d %s", resp.StatusCode, body)
	}
}

// A segment of which the bucket sends a part never looks like all of it.
func TestABodyThatBreaksOffIsNoAnswer(t *testing.T) {
	r := start(t, nil, "")
	r.store.fail(func(w http.ResponseWriter, req *http.Request) bool {
		if !strings.HasSuffix(req.URL.Path, ".m4s") {
			return false
		}
		w.Header().Set("ETag", `"e"`)
		w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", len(large)-1, len(large)))
		w.Header().Set("Content-Length", fmt.Sprint(len(large)))
		w.WriteHeader(206)
		_, _ = io.WriteString(w, large[:len(large)/2])
		panic(http.ErrAbortHandler)
	})
	resp, body, err := r.get(t, segment)
	if resp.StatusCode != 200 || !errors.Is(err, io.ErrUnexpectedEOF) || len(body) > len(large)/2 {
		t.Errorf("got %d, %d bytes, %v", resp.StatusCode, len(body), err)
	}
	r.log.settle(t, "the answer was broken off")
}

// Whoever goes away costs the bucket nothing more, and is no failure.
func TestAClientThatGoesEndsTheBucketsCall(t *testing.T) {
	r := start(t, nil, "")
	gone := make(chan struct{})
	r.store.fail(func(w http.ResponseWriter, req *http.Request) bool {
		if !strings.HasSuffix(req.URL.Path, ".m4s") {
			return false
		}
		defer close(gone)
		w.Header().Set("ETag", `"e"`)
		w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", len(large)-1, len(large)))
		w.Header().Set("Content-Length", fmt.Sprint(len(large)))
		w.WriteHeader(206)
		_, _ = io.WriteString(w, "0123")
		_ = http.NewResponseController(w).Flush()
		<-req.Context().Done()
		return true
	})
	ctx, cancel := context.WithCancel(t.Context())
	resp := r.ask(t, ctx, "GET", "/t/"+r.token+"/"+segment, nil)
	first := make([]byte, 4)
	if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != "0123" {
		t.Fatalf("the body does not come as the bucket sends it: %q %v", first, err)
	}
	cancel()
	select {
	case <-gone:
	case <-time.After(5 * time.Second):
		t.Error("the bucket's call goes on")
	}
	if said := r.log.String(); strings.Contains(said, "failed") {
		t.Errorf("the log says %s", said)
	}
}

// Nor is one that goes before the bucket has answered.
func TestAClientThatGoesAtOnce(t *testing.T) {
	r := start(t, func(c *edge.Config) { c.LogSample = 1 }, "")
	asked := make(chan struct{}, 9)
	r.store.fail(func(_ http.ResponseWriter, req *http.Request) bool {
		asked <- struct{}{}
		<-req.Context().Done()
		return true
	})
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", r.url+"/t/"+r.token+"/"+segment, nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		<-asked
		cancel()
	}()
	if _, err := http.DefaultTransport.RoundTrip(req); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	r.log.settle(t, "a request was answered")
	if said := r.log.String(); strings.Contains(said, "failed") {
		t.Errorf("the log says %s", said)
	}
}

// The end was asked for: what is on its way arrives, nothing new is begun, and streams of events do not keep the server.
func TestTheEndDrains(t *testing.T) {
	events := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: 0\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer events.Close()
	r := start(t, nil, events.URL)
	stream := r.ask(t, t.Context(), "GET", "/videos/abc/events", nil)
	if line, err := bufio.NewReader(stream.Body).ReadString('\n'); line != "data: 0\n" {
		t.Fatalf("%q %v", line, err)
	}
	more := make(chan struct{})
	r.store.fail(func(w http.ResponseWriter, req *http.Request) bool {
		if !strings.HasSuffix(req.URL.Path, ".m4s") {
			return false
		}
		w.Header().Set("ETag", `"e"`)
		w.Header().Set("Content-Range", "bytes 0-7/8")
		w.Header().Set("Content-Length", "8")
		w.WriteHeader(206)
		_, _ = io.WriteString(w, "0123")
		_ = http.NewResponseController(w).Flush()
		<-more
		_, _ = io.WriteString(w, "4567")
		return true
	})
	slow := r.ask(t, t.Context(), "GET", "/t/"+r.token+"/"+segment, nil)
	r.end()
	for begin := time.Now(); ; {
		conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
		if err != nil {
			break
		}
		_ = conn.Close()
		if time.Since(begin) > 5*time.Second {
			t.Fatal("new connections are taken")
		}
	}
	if _, err := io.ReadAll(stream.Body); err == nil {
		t.Error("a stream that was cut looks like one that has ended")
	}
	select {
	case err := <-r.ended:
		t.Fatalf("the server ended before the segment: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	close(more)
	if body, err := io.ReadAll(slow.Body); err != nil || string(body) != "01234567" {
		t.Errorf("the segment: %q %v", body, err)
	}
	select {
	case err := <-r.ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("the server does not end")
	}
}

// Many at once get what each asked for.
func TestManyAtOnce(t *testing.T) {
	r := start(t, nil, "")
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for n := range 20 {
				from := (i*20 + n) * 1000
				resp, body, err := r.get(t, segment, fmt.Sprintf("Range: bytes=%d-%d", from, from+99_999))
				if err != nil || resp.StatusCode != 206 || body != large[from:from+100_000] {
					t.Errorf("%d: %d, %d bytes, %v", from, resp.StatusCode, len(body), err)
				}
				resp, body, err = r.get(t, playlist, "Accept-Encoding: gzip")
				if err != nil || resp.Header.Get("Content-Encoding") != "gzip" || fmt.Sprint(len(body)) != resp.Header.Get("Content-Length") {
					t.Errorf("the playlist: %d %v", resp.StatusCode, err)
				}
			}
		})
	}
	all.Wait()
}

// One call of the bucket a request is enough, and one more when the video's epoch is not known.
func TestOneCallOfTheBucketARequest(t *testing.T) {
	r := start(t, nil, "")
	for i, want := range []int64{2, 1, 1} {
		before := r.store.calls.Load()
		if resp, _, err := r.get(t, segment, "Range: bytes=0-1"); resp.StatusCode != 206 || err != nil {
			t.Fatal(resp.StatusCode, err)
		}
		if calls := r.store.calls.Load() - before; calls != want {
			t.Errorf("request %d took %d calls, want %d", i, calls, want)
		}
	}
}

// HTTP/2 without TLS is for proxies.
func TestHTTP2(t *testing.T) {
	r := start(t, nil, "")
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: protocols}}
	defer client.CloseIdleConnections()
	resp, err := client.Get(r.url + "/t/" + r.token + "/" + segment)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || resp.ProtoMajor != 2 || string(body) != large {
		t.Errorf("%s, %d bytes: %v", resp.Proto, len(body), err)
	}
}

func TestHealth(t *testing.T) {
	r := start(t, func(c *edge.Config) { c.Bucket = nil }, "") // it asks nobody
	resp := r.ask(t, t.Context(), "GET", "/healthz", nil)
	if body, err := io.ReadAll(resp.Body); resp.StatusCode != 200 || string(body) != "ok\n" || err != nil {
		t.Errorf("%d %q %v", resp.StatusCode, body, err)
	}
}

// Without a word of the operator, a client's address is its connection's, and nobody's country is known. With one, the proxy is
// believed, and of a list the end that it wrote. What is not known is no way in.
func TestWhoseWordIsTaken(t *testing.T) {
	const (
		home   = `[{"type":"ip.src","action":"allow","ip":["127.0.0.1"]},{"type":"any","action":"block"}]`
		away   = `[{"type":"ip.src","action":"allow","ip":["192.0.2.0/24","2001:db8::/32"]},{"type":"any","action":"block"}]`
		noHome = `[{"type":"ip.src","action":"block","ip":["127.0.0.1"]}]`
		german = `[{"type":"ip.geoip.country","action":"allow","country":["DE"]},{"type":"any","action":"block"}]`
		notUS  = `[{"type":"ip.geoip.country","action":"block","country":["US"]}]`
	)
	plain, behind := func(*edge.Config) {}, func(c *edge.Config) { c.IPHeader, c.CountryHeader = "X-Forwarded-For", "X-Country" }
	for _, c := range []struct {
		name    string
		config  func(*edge.Config)
		rules   string
		headers []string
		status  int
	}{
		{"the connection's address", plain, home, nil, 200},
		{"a header that nobody named", plain, away, []string{"X-Forwarded-For: 192.0.2.1", "CF-Connecting-IP: 192.0.2.1"}, 403},
		{"the proxy's word", behind, away, []string{"X-Forwarded-For: 192.0.2.1"}, 200},
		{"the proxy's word of an IPv6 address", behind, away, []string{"X-Forwarded-For: 2001:DB8::1"}, 200},
		{"an IPv4 address as IPv6", behind, away, []string{"X-Forwarded-For: ::ffff:192.0.2.1"}, 200},
		{"the client's words before the proxy's", behind, away, []string{"X-Forwarded-For: 192.0.2.1, 198.51.100.1"}, 403},
		{"the proxy's words behind the client's", behind, away, []string{"X-Forwarded-For: 198.51.100.1, 192.0.2.1"}, 200},
		{"in a header of its own", behind, away, []string{"X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 198.51.100.1"}, 403},
		{"the proxy says nothing", behind, home, nil, 403},
		{"the proxy says nothing, and some are blocked", behind, noHome, nil, 403},
		{"the proxy says nonsense, and some are blocked", behind, noHome, []string{"X-Forwarded-For: unknown"}, 403},
		{"the country, by nobody", plain, german, []string{"X-Country: DE"}, 403},
		{"the country, by nobody, and some are blocked", plain, notUS, []string{"X-Country: DE"}, 403},
		{"the country", behind, german, []string{"X-Country: DE"}, 200},
		{"the country, in small letters", behind, german, []string{"X-Country: de"}, 200},
		{"another country", behind, german, []string{"X-Country: US"}, 403},
		{"no country, and some are blocked", behind, notUS, []string{"X-Country: unknown"}, 403},
		{"a country that is not blocked", behind, notUS, []string{"X-Country: DE"}, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, c.config, "")
			var rules []any
			if err := json.Unmarshal([]byte(c.rules), &rules); err != nil {
				t.Fatal(err)
			}
			r.token = mint(t, jwt.MapClaims{"accessRules": rules})
			if resp, body, _ := r.get(t, playlist, c.headers...); resp.StatusCode != c.status {
				t.Errorf("%d %s", resp.StatusCode, body)
			}
		})
	}
}

// What players say is in the log, a line each, without what they did not say; of requests, as many as the operator wants.
func TestTheLog(t *testing.T) {
	r := start(t, func(c *edge.Config) { c.LogSample = 3 }, "")
	if resp, _, _ := r.get(t, playlist+"?CMCD=br%3D3200%2Csid%3D%22s%22%2Cbs"); resp.StatusCode != 200 {
		t.Fatal(resp.StatusCode)
	}
	resp := r.ask(t, t.Context(), "POST", "/beacon/abc?token="+r.token, strings.NewReader("e=ps,bl=1200\ne=t\n"))
	if resp.StatusCode != 204 {
		t.Fatal(resp.StatusCode)
	}
	for range 4 {
		_, _, _ = r.get(t, playlist)
	}
	if resp := r.ask(t, t.Context(), "POST", "/beacon/abc?token="+r.token, strings.NewReader(strings.Repeat("e=t\n", 5000))); resp.StatusCode != 413 {
		t.Errorf("a long report: %d", resp.StatusCode)
	}
	var reports, requests []string
	for line := range strings.Lines(r.log.String()) {
		line = line[strings.Index(line, `"msg"`):]
		if strings.Contains(line, "a player reported") {
			reports = append(reports, strings.TrimSpace(line))
		} else if strings.Contains(line, "a request was answered") {
			requests = append(requests, line)
		}
	}
	want := []string{
		`"msg":"a player reported","video":"abc","status":200,"session":"s","bitrate":3200,"starved":1,"startup":0}`,
		`"msg":"a player reported","video":"abc","status":0,"event":"ps","buffer":1200,"starved":0,"startup":0}`,
		`"msg":"a player reported","video":"abc","status":0,"event":"t","starved":0,"startup":0}`,
	}
	if strings.Join(reports, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(reports, "\n"), strings.Join(want, "\n"))
	}
	if len(requests) != 2 || !strings.Contains(requests[0], `"key":"`+playlist+`"`) {
		t.Errorf("of 7 requests these are logged: %s", requests)
	}
}

// behind is a clock that is so far behind that the time for something is nearly over when it begins.
func behind(c *edge.Config, by time.Duration) {
	c.Now = func() time.Time { return time.Now().Add(-by) }
}

// dial opens a connection and sends a request as it is written.
func (r *rim) dial(t *testing.T, text string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

// An answer without a body does not wait for that of the object.
func TestANotModifiedDoesNotWait(t *testing.T) {
	r := start(t, nil, "")
	r.store.fail(func(w http.ResponseWriter, req *http.Request) bool {
		if !strings.HasSuffix(req.URL.Path, ".m4s") {
			return false
		}
		w.Header().Set("ETag", `"e"`)
		w.Header().Set("Content-Range", "bytes 0-4/5")
		w.Header().Set("Content-Length", "5")
		w.WriteHeader(206)
		_ = http.NewResponseController(w).Flush()
		<-req.Context().Done()
		return true
	})
	began := time.Now()
	resp, _, err := r.get(t, segment, `If-None-Match: "e"`)
	if took := time.Since(began); err != nil || resp.StatusCode != 304 || took > 5*time.Second {
		t.Errorf("%d after %v: %v", resp.StatusCode, took, err)
	}
}

// Nobody holds a connection with a body that does not come, or an answer that is not taken.
func TestAClientThatStandsStill(t *testing.T) {
	t.Parallel()
	huge := strings.Repeat(large, 16) // more than a connection holds
	transcoder := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, huge) }))
	t.Cleanup(transcoder.Close)
	r := start(t, func(c *edge.Config) { behind(c, 29*time.Second); c.Player = readPlayer(t, huge) }, "")
	forwarding := start(t, func(c *edge.Config) { behind(c, 54*time.Second) }, transcoder.URL)
	for _, path := range []string{"/healthz", "/player/watch.js", "/" + segment, "/t/" + r.token + "/" + segment} {
		t.Run("a body of "+path, func(t *testing.T) {
			t.Parallel()
			_, in := r.dial(t, "GET "+path+" HTTP/1.1\r\nHost: edge\r\nContent-Length: 1\r\n\r\n")
			if _, err := io.Copy(io.Discard, in); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the connection is held")
			}
		})
	}
	for name, answer := range map[string]func() (net.Conn, *bufio.Reader){
		"an answer": func() (net.Conn, *bufio.Reader) {
			return r.dial(t, "GET /player/watch.js HTTP/1.1\r\nHost: edge\r\n\r\n")
		},
		"an answer of the transcoder": func() (net.Conn, *bufio.Reader) {
			return forwarding.dial(t, "GET /videos/abc HTTP/1.1\r\nHost: edge\r\n\r\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, in := answer()
			time.Sleep(2500 * time.Millisecond)
			if n, err := io.Copy(io.Discard, in); n >= int64(len(huge)) || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the answer waited: %d bytes, %v", n, err)
			}
		})
	}
}

// A text that is long has as much time as an object: each piece its own.
func TestALongTextForASlowClient(t *testing.T) {
	t.Parallel()
	r := start(t, func(c *edge.Config) { behind(c, 29*time.Second); c.Player = readPlayer(t, strings.Repeat(large, 4)) }, "")
	conn, in := r.dial(t, "GET /player/watch.js HTTP/1.1\r\nHost: edge\r\n\r\n")
	_ = conn.(*net.TCPConn).SetReadBuffer(64 << 10)
	n := int64(0)
	for range 20 {
		took, err := io.CopyN(io.Discard, in, 1<<20)
		if n += took; err != nil && !(errors.Is(err, io.EOF) && n >= int64(4*len(large))) {
			t.Fatalf("after %d bytes: %v", n, err)
		}
		if n >= int64(4*len(large)) {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Errorf("%d bytes came", n)
}

func readPlayer(t *testing.T, text string) edge.Player {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "player"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "player", "watch.js"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := edge.ReadPlayer(dir)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

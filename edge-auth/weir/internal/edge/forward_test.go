package edge_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestATranscoderThatIsDown(t *testing.T) {
	down := httptest.NewServer(http.NotFoundHandler())
	down.Close()
	r := start(t, nil, down.URL)
	for _, path := range []string{"/transcode", "/videos/abc/events"} {
		resp := r.ask(t, t.Context(), "POST", path, strings.NewReader("{}"))
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		want(t, resp, string(body), 503, "transcoder_unavailable")
		if resp.Header.Get("Retry-After") != "5" || resp.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("headers %v", resp.Header)
		}
	}
	r.log.settle(t, "the transcoder did not answer")
	if resp, body, _ := r.get(t, playlist); resp.StatusCode != 200 {
		t.Errorf("an object: %d %s", resp.StatusCode, body)
	}
}

// Events arrive when they are sent, and a stream ends with its client.
func TestEventsFlowUntilTheClientGoes(t *testing.T) {
	more, gone := make(chan int), make(chan struct{})
	transcoder := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			select {
			case event := <-more:
				_, _ = fmt.Fprintf(w, "data: %d\n\n", event)
				_ = http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				return
			}
		}
	}))
	defer transcoder.Close()
	r := start(t, nil, transcoder.URL)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { more <- 0 }()
	resp := r.ask(t, ctx, "GET", "/videos/abc/events", nil)
	events := bufio.NewReader(resp.Body)
	for i := range 20 {
		if i > 0 {
			more <- i // the one before has arrived
		}
		for _, want := range []string{fmt.Sprintf("data: %d\n", i), "\n"} {
			if line, err := events.ReadString('\n'); line != want {
				t.Fatalf("got %q, want %q: %v", line, want, err)
			}
		}
	}
	cancel()
	select {
	case <-gone:
	case <-time.After(5 * time.Second):
		t.Error("the stream goes on without its client")
	}
}

// Bodies flow in both directions before they have ended, and as they were.
func TestBodiesAreStreamed(t *testing.T) {
	transcoder := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		_, _ = io.Copy(flushing{w}, r.Body)
	}))
	defer transcoder.Close()
	r := start(t, nil, transcoder.URL)
	sent := bytes.Repeat([]byte("0123456789abcde\n"), 1<<19) // 8 MiB
	body, write := io.Pipe()
	returned := make(chan string, 1)
	go func() {
		_, _ = write.Write([]byte("first\n"))
		select {
		case line := <-returned:
			if line != "first\n" {
				_ = write.CloseWithError(fmt.Errorf("%q came back", line))
			}
		case <-time.After(10 * time.Second):
			_ = write.CloseWithError(errors.New("the beginning does not come back before the end is sent"))
		}
		_, _ = write.Write(sent)
		_ = write.Close()
	}()
	resp := r.ask(t, t.Context(), "PUT", "/videos/abc", body)
	in := bufio.NewReader(resp.Body)
	line, _ := in.ReadString('\n')
	returned <- line
	if got, err := io.ReadAll(in); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d of %d bytes: %v", len(got), len(sent), err)
	}
}

type flushing struct{ http.ResponseWriter }

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.ResponseWriter.Write(p)
	return n, errors.Join(err, http.NewResponseController(f.ResponseWriter).Flush())
}

// Only a stream may take as long as it wants.
func TestASlowTranscoderIsGivenUp(t *testing.T) {
	t.Parallel()
	const limit = 25 * time.Second
	gone := make(chan struct{})
	transcoder := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/events") {
			time.Sleep(limit + 7*time.Second) // longer than any body may take, too
			_, _ = io.WriteString(w, "late")
			return
		}
		<-r.Context().Done()
		close(gone)
	}))
	t.Cleanup(transcoder.Close)
	r := start(t, nil, transcoder.URL)
	t.Run("a request", func(t *testing.T) {
		t.Parallel()
		begin := time.Now()
		resp := r.ask(t, t.Context(), "GET", "/videos/abc", nil)
		body, err := io.ReadAll(resp.Body)
		if took := time.Since(begin); err != nil || took < limit-time.Second || took > limit+5*time.Second {
			t.Errorf("it took %v: %v", took, err)
		}
		want(t, resp, string(body), 503, "transcoder_unavailable")
		select {
		case <-gone:
		case <-time.After(5 * time.Second):
			t.Error("the transcoder's request goes on")
		}
	})
	t.Run("a stream", func(t *testing.T) {
		t.Parallel()
		resp := r.ask(t, t.Context(), "GET", "/videos/abc/events", nil)
		if body, err := io.ReadAll(resp.Body); resp.StatusCode != 200 || string(body) != "late" {
			t.Errorf("got %d %q: %v", resp.StatusCode, body, err)
		}
	})
}

// What is for one connection stays there, the cookie as well, and nobody changes protocols through the edge.
func TestWhatIsForOneConnectionIsNotHandedOn(t *testing.T) {
	heard := make(chan http.Header, 1)
	transcoder := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { heard <- r.Header }))
	defer transcoder.Close()
	r := start(t, nil, transcoder.URL)
	resp := r.ask(t, t.Context(), "GET", "/videos/abc", nil, "Cookie: weir_token=x", "Keep-Alive: 1", "TE: trailers", "Proxy-Connection: x", "Connection: Upgrade",
		"Upgrade: websocket", "X-Own: 1", "Authorization: Bearer key")
	if resp.StatusCode != 200 {
		t.Fatal(resp.StatusCode)
	}
	got := <-heard
	for _, name := range []string{"Cookie", "Keep-Alive", "Te", "Proxy-Connection", "Connection", "Upgrade"} {
		if value, ok := got[name]; ok {
			t.Errorf("%s: %q", name, value)
		}
	}
	if got.Get("X-Own") != "1" || got.Get("Authorization") != "Bearer key" {
		t.Errorf("%v", got)
	}
}

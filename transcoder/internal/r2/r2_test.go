package r2_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"weir/transcoder/internal/job"
	"weir/transcoder/internal/r2"
)

// The contract is tested in r2test, and with the real R2 in the tests of the transcoder. Here are R2's own ways.

func bucket(t *testing.T, answer http.HandlerFunc) *r2.Bucket {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	return r2.Open(r2.Config{Endpoint: s.URL, Bucket: "weir", AccessKeyID: "id", SecretAccessKey: "secret"})
}

func TestAWriteThatComesTooSoonIsTriedAgain(t *testing.T) {
	for _, status := range []int{http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable} {
		var tries atomic.Int32
		b := bucket(t, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil || string(body) != "data" {
				t.Errorf("got %q, %v", body, err)
			}
			if tries.Add(1) < 3 {
				w.WriteHeader(status)
			}
		})
		if err := b.Write(t.Context(), "key", []byte("data"), r2.Meta{}); err != nil || tries.Load() != 3 {
			t.Errorf("%d: %d tries, %v", status, tries.Load(), err)
		}
	}
}

func TestEveryTryIsObserved(t *testing.T) {
	answers := []int{0, http.StatusServiceUnavailable, http.StatusNotFound}
	var next atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if status := answers[next.Add(1)-1]; status != 0 {
			w.WriteHeader(status)
			return
		}
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(s.Close)
	var methods []string
	var seen []int
	b := r2.Open(r2.Config{
		Endpoint: s.URL, Bucket: "weir", AccessKeyID: "id", SecretAccessKey: "secret",
		Observe: func(method string, status int) { methods, seen = append(methods, method), append(seen, status) },
	})
	if _, err := b.Stat(t.Context(), "key"); !errors.Is(err, job.ErrNotFound) {
		t.Error(err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := b.Stat(ended, "key"); err == nil {
		t.Error("a request that was cut off succeeded")
	}
	if !slices.Equal(seen, answers) || !slices.Equal(methods, []string{"HEAD", "HEAD", "HEAD"}) {
		t.Errorf("observed %v of %v, want %v", seen, methods, answers)
	}
}

// What time mends is told apart from what it does not. Some are tried again for seconds, so they are all asked at once.
func TestAnswersAreErrorsOfTheirKind(t *testing.T) {
	kinds := []error{job.ErrNotFound, job.ErrConflict, job.ErrUnavailable}
	var all sync.WaitGroup
	for status, want := range map[int]error{
		http.StatusNotFound: job.ErrNotFound, http.StatusPreconditionFailed: job.ErrConflict, http.StatusConflict: job.ErrConflict,
		http.StatusForbidden: job.ErrUnavailable, http.StatusUnauthorized: job.ErrUnavailable,
		http.StatusTooManyRequests: job.ErrUnavailable, http.StatusInternalServerError: job.ErrUnavailable,
		http.StatusBadRequest: nil, http.StatusRequestedRangeNotSatisfiable: nil,
	} {
		b := bucket(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		all.Go(func() {
			_, _, err := b.Read(t.Context(), "key")
			if err == nil {
				t.Errorf("%d is no error", status)
			}
			for _, kind := range kinds {
				if is := errors.Is(err, kind); is != errors.Is(want, kind) {
					t.Errorf("%d: is it %q? %v: %v", status, kind, is, err)
				}
			}
		})
	}
	nobody := r2.Open(r2.Config{Endpoint: "http://127.0.0.1:1", Bucket: "weir", AccessKeyID: "id", SecretAccessKey: "secret"})
	all.Go(func() {
		if err := nobody.Check(t.Context()); !errors.Is(err, job.ErrUnavailable) {
			t.Error(err)
		}
	})
	all.Wait()
}

// A bucket that is there says so of an object that is not. The check is asked for every few seconds, and a list is billed as a write.
func TestTheCheckIsAReadThatKnowsTheBucket(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		code   string
		ready  bool
	}{
		"no such object":        {http.StatusNotFound, "NoSuchKey", true},
		"an object":             {http.StatusOK, "", true},
		"no such bucket":        {http.StatusNotFound, "NoSuchBucket", false},
		"nothing that is S3":    {http.StatusNotFound, "", false},
		"no such credentials":   {http.StatusUnauthorized, "Unauthorized", false},
		"a wrong secret":        {http.StatusForbidden, "SignatureDoesNotMatch", false},
		"another bucket's keys": {http.StatusForbidden, "AccessDenied", false},
	} {
		t.Run(name, func(t *testing.T) {
			b := bucket(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodGet || !strings.HasPrefix(r.URL.Path, "/weir/w") || r.URL.Query().Has("list-type") {
					t.Errorf("asked %s %s", r.Method, r.URL)
				}
				w.WriteHeader(c.status)
				if c.code != "" {
					_, _ = io.WriteString(w, "<Error><Code>"+c.code+"</Code><Message>m</Message></Error>")
				}
			})
			if err := b.Check(t.Context()); (err == nil) != c.ready || !c.ready && c.code != "" && !strings.Contains(err.Error(), c.code) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestRequestsAreAsR2TakesThem(t *testing.T) {
	b := bucket(t, func(_ http.ResponseWriter, r *http.Request) {
		for name := range r.Header {
			if name == "Expect" || strings.HasPrefix(name, "X-Amz-Checksum") || name == "X-Amz-Trailer" {
				t.Errorf("%s: %s", name, r.Header.Get(name))
			}
		}
		if r.URL.Path != "/weir/key" || r.Header.Get("If-None-Match") != "*" || r.Header.Get("Content-Type") != "video/mp4" {
			t.Errorf("%s %s with %v", r.Method, r.URL, r.Header)
		}
		_, _ = io.Copy(io.Discard, r.Body)
	})
	large := bytes.Repeat([]byte("x"), 3<<20) // beyond where the SDK asks to continue
	if err := b.Create(t.Context(), "key", large, r2.Meta{ContentType: "video/mp4"}); err != nil {
		t.Error(err)
	}
}

func TestAnAnswerThatIsCutOffIsAnError(t *testing.T) {
	b := bucket(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "short")
	})
	if _, _, err := b.Read(t.Context(), "key"); err == nil {
		t.Error("Read: no error")
	}
	if _, err := b.ReadRange(t.Context(), "key", `"etag"`, 0, 100); err == nil {
		t.Error("ReadRange: no error")
	}
}

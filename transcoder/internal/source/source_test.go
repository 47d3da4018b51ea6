package source_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"weir/transcoder/internal/job"
	"weir/transcoder/internal/r2"
	"weir/transcoder/internal/r2/r2test"
	"weir/transcoder/internal/source"
)

func listen(t testing.TB, b source.Bucket) *source.Server {
	t.Helper()
	return listenOn(t, b, source.Scratch{Dir: t.TempDir(), Bytes: 64 << 20}, slog.New(slog.DiscardHandler))
}

func listenOn(t testing.TB, b source.Bucket, scratch source.Scratch, log *slog.Logger) *source.Server {
	t.Helper()
	s, err := source.Listen(t.Context(), b, scratch, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return s
}

// content is three blocks and a bit.
var content = func() []byte {
	data := make([]byte, 13<<20)
	r := rand.NewChaCha8([32]byte{7})
	_, _ = r.Read(data)
	return data
}()

func put(t testing.TB, b *r2test.Bucket, data []byte) {
	t.Helper()
	if err := b.Write(t.Context(), "upload", data, r2.Meta{}); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, s *source.Server) *source.Upload {
	t.Helper()
	u, err := s.Open(t.Context(), "upload")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.Close)
	return u
}

func get(t *testing.T, url, ranges string) (int, []byte, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if ranges != "" {
		r.Header.Set("Range", ranges)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	return response.StatusCode, data, err
}

func TestAnUploadIsServedInRanges(t *testing.T) {
	b := &r2test.Bucket{}
	put(t, b, content)
	u := open(t, listen(t, b))
	if status, data, err := get(t, u.URL(), ""); status != http.StatusOK || err != nil || !bytes.Equal(data, content) {
		t.Errorf("the whole: %d, %d bytes, %v", status, len(data), err)
	}
	for _, c := range []struct {
		ranges string
		from   int
		to     int
	}{
		{"bytes=0-99", 0, 100},
		{"bytes=4194300-4194309", 4194300, 4194310},
		{"bytes=13631400-", 13631400, len(content)},
		{"bytes=-5", len(content) - 5, len(content)},
	} {
		status, data, err := get(t, u.URL(), c.ranges)
		if status != http.StatusPartialContent || err != nil || !bytes.Equal(data, content[c.from:c.to]) {
			t.Errorf("%s: %d, %d bytes, %v", c.ranges, status, len(data), err)
		}
	}
}

func TestBlocksAreReadOnce(t *testing.T) {
	b := &r2test.Bucket{}
	put(t, b, content)
	var reads atomic.Int32
	b.Inject(func(operation, _ string) r2test.Fault {
		if operation == "read" {
			reads.Add(1)
		}
		return r2test.None
	})
	u := open(t, listen(t, b))
	for range 3 {
		if _, _, err := get(t, u.URL(), ""); err != nil {
			t.Fatal(err)
		}
	}
	if reads.Load() != 4 {
		t.Errorf("%d reads of the bucket, want 4", reads.Load())
	}
}

func TestBrokenReadsAreTriedAgain(t *testing.T) {
	b := &r2test.Bucket{}
	put(t, b, content)
	u := open(t, listen(t, b))
	var n atomic.Int32
	b.Inject(func(operation, _ string) r2test.Fault {
		if operation == "read" && n.Add(1)%2 == 1 {
			return r2test.Lost
		}
		return r2test.None
	})
	if _, data, err := get(t, u.URL(), ""); err != nil || !bytes.Equal(data, content) {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	if u.Err() != nil {
		t.Errorf("a read that succeeded in the end is held against the upload: %v", u.Err())
	}
}

func TestAnOutageIsNotBlamedOnTheUpload(t *testing.T) {
	b := &r2test.Bucket{}
	put(t, b, content)
	s := listen(t, b)
	u := open(t, s)
	var over atomic.Bool
	b.Inject(func(operation, _ string) r2test.Fault {
		if operation == "read" && !over.Load() {
			return r2test.Lost
		}
		return r2test.None
	})
	if _, data, _ := get(t, u.URL(), ""); len(data) != 0 {
		t.Errorf("%d bytes came", len(data))
	}
	var failure *job.Failure
	if err := u.Err(); !errors.Is(err, r2test.ErrInjected) || errors.As(err, &failure) {
		t.Errorf("the reason is %v", err)
	}
	over.Store(true)
	if _, data, err := get(t, open(t, s).URL(), ""); err != nil || !bytes.Equal(data, content) {
		t.Errorf("when it is over: %d bytes, %v", len(data), err)
	}
}

func TestOutputIsNeverMadeOfTwoVersions(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(t *testing.T, b *r2test.Bucket)
	}{
		{"replaced", func(t *testing.T, b *r2test.Bucket) { put(t, b, bytes.Repeat([]byte("x"), len(content))) }},
		{"deleted", func(t *testing.T, b *r2test.Bucket) {
			if err := b.Delete(t.Context(), "upload"); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := &r2test.Bucket{}
			put(t, b, content)
			u := open(t, listen(t, b))
			if _, _, err := get(t, u.URL(), "bytes=0-9"); err != nil {
				t.Fatal(err)
			}
			c.change(t, b)
			if _, data, _ := get(t, u.URL(), ""); !bytes.HasPrefix(content, data) || len(data) == len(content) {
				t.Errorf("%d bytes came", len(data))
			}
			var failure *job.Failure
			if !errors.As(u.Err(), &failure) || failure.Code != job.SourceChanged {
				t.Errorf("the reason is %v", u.Err())
			}
		})
	}
}

func TestOnlyOpenUploadsAreServed(t *testing.T) {
	b := &r2test.Bucket{}
	put(t, b, content)
	s := listen(t, b)
	u := open(t, s)
	base := u.URL()[:strings.LastIndexByte(u.URL(), '/')]
	for _, path := range []string{"/", "/upload", "/x"} {
		if status, _, _ := get(t, base+path, ""); status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
	}
	u.Close()
	if status, _, _ := get(t, u.URL(), ""); status != http.StatusNotFound {
		t.Errorf("after Close: %d", status)
	}
	_, err := s.Open(t.Context(), "none")
	if failure := (*job.Failure)(nil); !errors.As(err, &failure) || failure.Code != job.SourceNotFound {
		t.Errorf("no object: %v", err)
	}
}

package r2test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"

	"weir/transcoder/internal/job"
	"weir/transcoder/internal/r2"
)

// Store is the contract that [Bucket] and [r2.Bucket] keep.
type Store interface {
	Check(ctx context.Context) error
	Stat(ctx context.Context, key string) (r2.Object, error)
	Read(ctx context.Context, key string) ([]byte, string, error)
	ReadRange(ctx context.Context, key, etag string, offset, size int64) ([]byte, error)
	Write(ctx context.Context, key string, data []byte, m r2.Meta) error
	Create(ctx context.Context, key string, data []byte, m r2.Meta) error
	Replace(ctx context.Context, key, etag string, data []byte, m r2.Meta) error
	Delete(ctx context.Context, keys ...string) error
	List(ctx context.Context, prefix string) iter.Seq2[r2.Object, error]
}

// Contract tests a store. It leaves objects under contract/.
func Contract(t *testing.T, s Store) {
	ctx := t.Context()
	text := r2.Meta{ContentType: "text/plain", CacheControl: "max-age=60"}
	write := func(t *testing.T, key, data string) (etag string) {
		t.Helper()
		if err := s.Write(ctx, key, []byte(data), text); err != nil {
			t.Fatal(err)
		}
		o, err := s.Stat(ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		return o.ETag
	}
	content := func(t *testing.T, key string) string {
		t.Helper()
		data, _, err := s.Read(ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}

	t.Run("it can be reached", func(t *testing.T) {
		if err := s.Check(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Run("what was written is read, with one ETag everywhere", func(t *testing.T) {
		etag := write(t, "contract/read", "hello")
		data, read, err := s.Read(ctx, "contract/read")
		if err != nil || string(data) != "hello" || read != etag {
			t.Errorf("read %q with ETag %s, %v; want hello with %s", data, read, err, etag)
		}
		for o, err := range s.List(ctx, "contract/read") {
			if err != nil || o.Key != "contract/read" || o.Size != 5 {
				t.Errorf("listed %+v, %v", o, err)
			}
		}
	})
	t.Run("a large object is written", func(t *testing.T) {
		big := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // 4 MiB: beyond where clients ask to continue
		if err := s.Write(ctx, "contract/big", big, text); err != nil {
			t.Fatal(err)
		}
		if content(t, "contract/big") != string(big) {
			t.Error("it came back changed")
		}
	})
	t.Run("a missing object is not found", func(t *testing.T) {
		_, err := s.Stat(ctx, "contract/none")
		_, _, err2 := s.Read(ctx, "contract/none")
		_, err3 := s.ReadRange(ctx, "contract/none", `"x"`, 0, 1)
		for _, err := range []error{err, err2, err3} {
			if !errors.Is(err, job.ErrNotFound) {
				t.Errorf("got %v", err)
			}
		}
	})
	t.Run("a range of one version is read, of another it is a conflict", func(t *testing.T) {
		etag := write(t, "contract/range", "0123456789")
		if data, err := s.ReadRange(ctx, "contract/range", etag, 3, 4); err != nil || string(data) != "3456" {
			t.Errorf("read %q, %v", data, err)
		}
		write(t, "contract/range", "9876543210")
		if _, err := s.ReadRange(ctx, "contract/range", etag, 3, 4); !errors.Is(err, job.ErrConflict) {
			t.Errorf("of a replaced object: %v", err)
		}
	})
	t.Run("of many that create one object, one succeeds", func(t *testing.T) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		var winners []string
		for i := range 8 {
			wg.Go(func() {
				mine := fmt.Sprint(i)
				err := s.Create(ctx, "contract/create", []byte(mine), text)
				if err != nil && !errors.Is(err, job.ErrConflict) {
					t.Error(err)
				}
				if err == nil {
					mu.Lock()
					winners = append(winners, mine)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if len(winners) != 1 || content(t, "contract/create") != winners[0] {
			t.Errorf("winners %v, content %q", winners, content(t, "contract/create"))
		}
	})
	t.Run("only who has seen an object replaces it", func(t *testing.T) {
		etag := write(t, "contract/replace", "one")
		if err := s.Replace(ctx, "contract/replace", etag, []byte("two"), text); err != nil {
			t.Fatal(err)
		}
		if err := s.Replace(ctx, "contract/replace", etag, []byte("three"), text); !errors.Is(err, job.ErrConflict) {
			t.Errorf("with an old ETag: %v", err)
		}
		if got := content(t, "contract/replace"); got != "two" {
			t.Errorf("content %q", got)
		}
	})
	t.Run("listing goes over pages, in order", func(t *testing.T) {
		var want []string
		for i := range 1100 {
			want = append(want, fmt.Sprintf("contract/list/%04d", i))
		}
		var wg sync.WaitGroup
		for part := range 8 {
			wg.Go(func() {
				for i := part; i < len(want); i += 8 {
					if err := s.Write(ctx, want[i], nil, text); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		i := 0
		for o, err := range s.List(ctx, "contract/list/") {
			if err != nil || i == len(want) || o.Key != want[i] {
				t.Fatalf("object %d is %+v, %v", i, o, err)
			}
			i++
		}
		if i != len(want) {
			t.Fatalf("%d objects were listed, want %d", i, len(want))
		}
		if err := s.Delete(ctx, want...); err != nil {
			t.Fatal(err)
		}
		for o := range s.List(ctx, "contract/list/") {
			t.Fatalf("%s is still there", o.Key)
		}
	})
	t.Run("deleting what is not there is no error", func(t *testing.T) {
		if err := s.Delete(ctx, "contract/none"); err != nil {
			t.Error(err)
		}
	})
}

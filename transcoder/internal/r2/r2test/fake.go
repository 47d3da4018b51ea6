// Package r2test holds a bucket in memory for tests, and the contract that it and the real one keep.
//
// The fake injects faults and asserts invariants: an object that readers may cache for ever never changes, and no playlist
// or MPD appears before what it names.
package r2test

import (
	"context"
	"crypto/md5"
	"fmt"
	"iter"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"

	"weir/transcoder/internal/job"
	"weir/transcoder/internal/r2"
)

// ErrInjected is what an injected fault returns. To those who ask it looks as if the bucket were away.
var ErrInjected = fmt.Errorf("injected fault: %w", job.ErrUnavailable)

// Fault is what happens to one operation.
type Fault int

// The faults.
const (
	None Fault = iota
	// Lost: the operation did not happen, and says so.
	Lost
	// Unheard: the operation happened, but the answer did not arrive.
	Unheard
)

// Bucket is a bucket in memory. The zero value is empty and ready.
type Bucket struct {
	mu       sync.Mutex
	choose   func(operation, key string) Fault
	objects  map[string]object
	version  int
	broken   []string // invariants that did not hold
	immortal map[string][16]byte
}

type object struct {
	data []byte
	etag string
	meta r2.Meta
}

// Inject lets choose give the fault of each operation from now on: "write", "create", "replace", "read", "stat", "delete",
// "list". With nil there are none.
func (b *Bucket) Inject(choose func(operation, key string) Fault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.choose = choose
}

// Broken returns the invariants that did not hold.
func (b *Bucket) Broken() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.broken)
}

// Keys returns the keys that start with prefix, sorted.
func (b *Bucket) Keys(prefix string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var keys []string
	for key := range b.objects {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// Meta returns what is kept with an object.
func (b *Bucket) Meta(key string) r2.Meta {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.objects[key].meta
}

func (b *Bucket) do(ctx context.Context, operation, key string, act func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	choose := b.choose
	b.mu.Unlock()
	fault := None
	if choose != nil {
		fault = choose(operation, key)
	}
	if fault == Lost {
		return fmt.Errorf("%s %q: %w", operation, key, ErrInjected)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.objects == nil {
		b.objects, b.immortal = map[string]object{}, map[string][16]byte{}
	}
	if err := act(); err != nil {
		return fmt.Errorf("%s %q: %w", operation, key, err)
	}
	if fault == Unheard {
		return fmt.Errorf("%s %q: %w", operation, key, ErrInjected)
	}
	return nil
}

// Check always succeeds.
func (b *Bucket) Check(context.Context) error { return nil }

// Stat describes an object.
func (b *Bucket) Stat(ctx context.Context, key string) (out r2.Object, err error) {
	err = b.do(ctx, "stat", key, func() error {
		o, ok := b.objects[key]
		if !ok {
			return job.ErrNotFound
		}
		out = r2.Object{Key: key, Size: int64(len(o.data)), ETag: o.etag}
		return nil
	})
	return out, err
}

// Read returns an object.
func (b *Bucket) Read(ctx context.Context, key string) (data []byte, etag string, err error) {
	err = b.do(ctx, "read", key, func() error {
		o, ok := b.objects[key]
		if !ok {
			return job.ErrNotFound
		}
		data, etag = slices.Clone(o.data), o.etag
		return nil
	})
	return data, etag, err
}

// ReadRange returns a part of an object.
func (b *Bucket) ReadRange(ctx context.Context, key, etag string, offset, size int64) (data []byte, err error) {
	err = b.do(ctx, "read", key, func() error {
		o, ok := b.objects[key]
		switch {
		case !ok:
			return job.ErrNotFound
		case o.etag != etag:
			return job.ErrConflict
		}
		data = slices.Clone(o.data[offset : offset+size])
		return nil
	})
	return data, err
}

// Write puts an object.
func (b *Bucket) Write(ctx context.Context, key string, data []byte, m r2.Meta) error {
	return b.do(ctx, "write", key, func() error { b.put(key, data, m); return nil })
}

// Create puts an object that is not there.
func (b *Bucket) Create(ctx context.Context, key string, data []byte, m r2.Meta) error {
	return b.do(ctx, "create", key, func() error {
		if _, ok := b.objects[key]; ok {
			return job.ErrConflict
		}
		b.put(key, data, m)
		return nil
	})
}

// Replace puts an object in place of a version.
func (b *Bucket) Replace(ctx context.Context, key, etag string, data []byte, m r2.Meta) error {
	return b.do(ctx, "replace", key, func() error {
		if b.objects[key].etag != etag {
			return job.ErrConflict
		}
		b.put(key, data, m)
		return nil
	})
}

// put stores an object and checks the invariants. The caller holds the lock.
func (b *Bucket) put(key string, data []byte, m r2.Meta) {
	b.version++
	sum := md5.Sum(data)
	if strings.Contains(m.CacheControl, "immutable") {
		if old, ok := b.immortal[key]; ok && old != sum {
			b.broken = append(b.broken, fmt.Sprintf("an immutable object was rewritten: %s", key))
		}
		b.immortal[key] = sum
	}
	if strings.HasSuffix(key, ".m3u8") || strings.HasSuffix(key, ".mpd") {
		for _, uri := range references(string(data)) {
			if _, ok := b.objects[path.Join(path.Dir(key), uri)]; !ok {
				b.broken = append(b.broken, fmt.Sprintf("%s names %s, which is not there", key, uri))
			}
		}
	}
	b.objects[key] = object{data: slices.Clone(data), etag: fmt.Sprintf("%q", fmt.Sprintf("%x-%d", sum[:4], b.version)), meta: m}
}

// references are the URIs in a playlist: lines that are no tags, and URI attributes; and those in an MPD that has an element a
// line, with a BaseURL in front of them. A key is no object.
func references(playlist string) []string {
	var uris []string
	base, isMPD := "", strings.Contains(playlist, "<MPD")
	for line := range strings.Lines(playlist) {
		line = strings.TrimSpace(line)
		if isMPD {
			for _, attribute := range []string{` sourceURL="`, ` media="`} {
				if _, rest, ok := strings.Cut(line, attribute); ok {
					uri, _, _ := strings.Cut(rest, `"`)
					uris = append(uris, base+uri)
				}
			}
			if rest, ok := strings.CutPrefix(line, "<BaseURL>"); ok {
				if base, _, _ = strings.Cut(rest, "<"); strings.HasSuffix(base, ".vtt") { // a file of its own
					uris = append(uris, base)
				}
			}
			continue
		}
		if line != "" && !strings.HasPrefix(line, "#") {
			uris = append(uris, line)
		} else if _, rest, ok := strings.Cut(line, `URI="`); ok && !strings.HasPrefix(line, "#EXT-X-KEY:") {
			uri, _, _ := strings.Cut(rest, `"`)
			uris = append(uris, uri)
		}
	}
	return uris
}

// Delete removes objects.
func (b *Bucket) Delete(ctx context.Context, keys ...string) error {
	return b.do(ctx, "delete", strings.Join(keys, " "), func() error {
		for _, key := range keys {
			delete(b.objects, key)
		}
		return nil
	})
}

// List yields the objects under a prefix.
func (b *Bucket) List(ctx context.Context, prefix string) iter.Seq2[r2.Object, error] {
	return func(yield func(r2.Object, error) bool) {
		var found []r2.Object
		err := b.do(ctx, "list", prefix, func() error {
			for _, key := range slices.Sorted(maps.Keys(b.objects)) {
				if o := b.objects[key]; strings.HasPrefix(key, prefix) {
					found = append(found, r2.Object{Key: key, Size: int64(len(o.data)), ETag: o.etag})
				}
			}
			return nil
		})
		if err != nil {
			yield(r2.Object{}, err)
			return
		}
		for _, o := range found {
			if !yield(o, nil) {
				return
			}
		}
	}
}

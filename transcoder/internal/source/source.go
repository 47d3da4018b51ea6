// Package source lets FFmpeg read uploads out of the bucket without a copy of them on disk.
//
// An [Upload] is one version of one object, read in blocks that are retried and cached, and served over HTTP on loopback
// under a path that cannot be guessed. If the object changes while it is read, reading fails for good: no output is ever
// made of two versions. Start at [Server.Open].
package source

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"weir/transcoder/internal/job"
	"weir/transcoder/internal/r2"
)

const (
	// blockSize balances requests to the bucket against reading what nobody wants, such as around an index at the end.
	blockSize = 4 << 20
	// cachedBlocks hold where a demuxer reads: a place or two for each track, and the index.
	cachedBlocks = 8
	// attempts and pause outlast a broken connection; longer outages are for the queue to sit out.
	attempts = 4
	pause    = 250 * time.Millisecond
	// headerTimeout ends connections that say nothing; FFmpeg asks at once.
	headerTimeout = 10 * time.Second
	// shutdownTimeout is for requests in flight when the server ends.
	shutdownTimeout = 5 * time.Second
)

// Bucket is where uploads lie. ReadRange returns exactly size bytes of the version with the given ETag, or
// job.ErrConflict if there is another, or job.ErrNotFound.
type Bucket interface {
	Stat(ctx context.Context, key string) (r2.Object, error)
	ReadRange(ctx context.Context, key, etag string, offset, size int64) ([]byte, error)
}

// Server serves open uploads on loopback.
type Server struct {
	bucket   Bucket
	listener net.Listener

	mu      sync.Mutex
	uploads map[string]*Upload // by path
}

// Listen opens the server's port on loopback.
func Listen(ctx context.Context, bucket Bucket) (*Server, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for ffmpeg: %w", err)
	}
	return &Server{bucket: bucket, listener: l, uploads: map[string]*Upload{}}, nil
}

// Serve answers requests until the context ends.
func (s *Server) Serve(ctx context.Context) error {
	server := &http.Server{Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: headerTimeout}
	stop := context.AfterFunc(ctx, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			_ = server.Close() // what is left are readers of a process that ends
		}
	})
	defer stop()
	if err := server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve ffmpeg: %w", err)
	}
	return nil
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	u := s.uploads[r.URL.Path]
	s.mu.Unlock()
	if u == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	// No modification time: FFmpeg asks for ranges without conditions.
	http.ServeContent(w, r, "", time.Time{}, io.NewSectionReader(u, 0, u.size))
}

// Open opens the object under key as it is now. A missing one is a [job.Failure] of [job.SourceNotFound]. The upload is
// read until ctx ends or it is closed.
func (s *Server) Open(ctx context.Context, key string) (*Upload, error) {
	o, err := s.bucket.Stat(ctx, key)
	if errors.Is(err, job.ErrNotFound) {
		return nil, &job.Failure{Code: job.SourceNotFound, Message: fmt.Sprintf(
			"There is no object %q in the bucket: upload it, or correct the key, and post the request again.", key)}
	}
	if err != nil {
		return nil, fmt.Errorf("open the upload: %w", err)
	}
	return s.OpenVersion(ctx, key, o.ETag, o.Size)
}

// OpenVersion opens one version of an object, which was looked up before. It reads nothing yet.
func (s *Server) OpenVersion(ctx context.Context, key, etag string, size int64) (*Upload, error) {
	cache, err := lru.New[int64, []byte](cachedBlocks)
	if err != nil {
		return nil, fmt.Errorf("open the upload: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	u := &Upload{
		server: s, path: "/" + rand.Text(), key: key, etag: etag, size: size,
		ctx: ctx, cancel: cancel, cache: cache,
	}
	s.mu.Lock()
	s.uploads[u.path] = u
	s.mu.Unlock()
	return u, nil
}

// Upload is one version of an object.
type Upload struct {
	server          *Server
	path, key, etag string
	size            int64

	ctx    context.Context // of all reads; one that several wait for must not end with the first of them
	cancel context.CancelFunc
	cache  *lru.Cache[int64, []byte]
	flight singleflight.Group

	mu  sync.Mutex
	err error
}

// Close ends the upload's URL and all reads.
func (u *Upload) Close() {
	u.cancel()
	u.server.mu.Lock()
	delete(u.server.uploads, u.path)
	u.server.mu.Unlock()
}

// URL is where FFmpeg reads the upload.
func (u *Upload) URL() string { return "http://" + u.server.listener.Addr().String() + u.path }

// Size is the upload's length in bytes.
func (u *Upload) Size() int64 { return u.size }

// ETag is the version of the object.
func (u *Upload) ETag() string { return u.etag }

// Err returns why a read failed; nil if none did. It is a [job.Failure] if the object has changed.
func (u *Upload) Err() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.err
}

// ReadAt reads as [io.ReaderAt] says.
func (u *Upload) ReadAt(p []byte, at int64) (n int, err error) {
	for n < len(p) {
		if at >= u.size {
			return n, io.EOF
		}
		block, err := u.block(at / blockSize)
		if err != nil {
			return n, err
		}
		copied := copy(p[n:], block[at%blockSize:])
		n, at = n+copied, at+int64(copied)
	}
	return n, nil
}

// block returns a block out of the cache or the bucket; several who want it at once make one request.
func (u *Upload) block(number int64) ([]byte, error) {
	if b, ok := u.cache.Get(number); ok {
		return b, nil
	}
	b, err, _ := u.flight.Do(strconv.FormatInt(number, 10), func() (any, error) {
		b, err := u.fetch(number*blockSize, min(blockSize, u.size-number*blockSize))
		if err == nil {
			u.cache.Add(number, b)
		}
		return b, err
	})
	if err != nil {
		u.mu.Lock()
		if u.err == nil {
			u.err = err
		}
		u.mu.Unlock()
		return nil, err
	}
	return b.([]byte), nil
}

func (u *Upload) fetch(offset, size int64) (b []byte, err error) {
	for attempt := range attempts {
		if attempt > 0 {
			select {
			case <-time.After(pause << attempt):
			case <-u.ctx.Done():
				return nil, u.ctx.Err()
			}
		}
		b, err = u.server.bucket.ReadRange(u.ctx, u.key, u.etag, offset, size)
		switch {
		case err == nil:
			return b, nil
		case errors.Is(err, job.ErrConflict), errors.Is(err, job.ErrNotFound):
			return nil, &job.Failure{Code: job.SourceChanged, Message: fmt.Sprintf(
				"The object %q was replaced or deleted while it was being read: post the request again.", u.key)}
		case u.ctx.Err() != nil:
			return nil, u.ctx.Err()
		}
	}
	return nil, fmt.Errorf("read the upload: %w", err)
}

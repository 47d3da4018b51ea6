// Package source lets FFmpeg read uploads out of the bucket.
//
// An [Upload] is one version of one object, read in blocks and served over HTTP on loopback under a path that cannot be
// guessed. All uploads of a node share the blocks, which are fetched once and kept on a scratch disk (cache.go): a block is
// named by the object's ETag, and the bucket is asked for that version and no other. If the object changes while it is
// read, reading fails for good: no output is ever made of two versions. A disk that is full or broken costs requests to the
// bucket and nothing else. Start at [Server.Open].
package source

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"weir/transcoder/internal/job"
	"weir/transcoder/internal/r2"
)

const (
	// blockSize balances requests to the bucket against reading what nobody wants, such as around an index at the end.
	blockSize = 4 << 20
	// attempts and pause outlast a broken connection; longer outages are for the queue to sit out.
	attempts = 4
	pause    = 250 * time.Millisecond
	// readTimeout ends a request whose answer stops coming: a link on which a block takes longer is of no use.
	readTimeout = time.Minute
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
	cache    *cache
	listener net.Listener

	mu      sync.Mutex
	uploads map[string]*Upload // by path
}

// Listen opens the server's port on loopback and its scratch disk. A disk that fails later is told to the log.
func Listen(ctx context.Context, bucket Bucket, scratch Scratch, log *slog.Logger) (*Server, error) {
	s := &Server{bucket: bucket, uploads: map[string]*Upload{}}
	var err error
	if s.cache, err = newCache(scratch, s.fetch, log); err != nil {
		return nil, err
	}
	if s.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
		return nil, errors.Join(fmt.Errorf("listen for ffmpeg: %w", err), s.cache.end())
	}
	return s, nil
}

// Serve answers requests until the context ends. After it, uploads cannot be read and the disk space is free.
func (s *Server) Serve(ctx context.Context) error {
	server := &http.Server{Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: headerTimeout}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			_ = server.Close() // what is left are readers of a process that ends
		}
	})
	err := server.Serve(s.listener)
	if !stop() {
		<-ended
	}
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	} else {
		err = fmt.Errorf("serve ffmpeg: %w", err)
	}
	return errors.Join(err, s.cache.end())
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	u := s.uploads[r.URL.Path]
	s.mu.Unlock()
	if u == nil {
		http.NotFound(w, r)
		return
	}
	// FFmpeg hangs up where it seeks: nobody wants what was being fetched for it then.
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(u.ctx, cancel)()
	place := &place{upload: u, ctx: ctx}
	defer place.leave()
	w.Header().Set("Content-Type", "application/octet-stream")
	// No modification time: FFmpeg asks for ranges without conditions.
	http.ServeContent(w, r, "", time.Time{}, io.NewSectionReader(place, 0, u.size))
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

// OpenVersion opens one version of an object, which was looked up before. It reads nothing yet, and fails only after the
// server's end.
func (s *Server) OpenVersion(ctx context.Context, key, etag string, size int64) (*Upload, error) {
	if s.cache.over() {
		return nil, errEnded
	}
	ctx, cancel := context.WithCancel(ctx)
	u := &Upload{server: s, path: "/" + rand.Text(), key: key, etag: etag, size: size, ctx: ctx, cancel: cancel}
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

	ctx    context.Context // of all reads
	cancel context.CancelFunc

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
func (u *Upload) ReadAt(p []byte, at int64) (int, error) {
	place := &place{upload: u, ctx: u.ctx}
	defer place.leave()
	return place.ReadAt(p, at)
}

// place is where one reader is in an upload. It holds on to the block, so that going on in it asks nobody.
type place struct {
	upload *Upload
	ctx    context.Context // of the reader; it ends with the upload's
	number int64
	block  *block // nil at first
}

// ReadAt reads as [io.ReaderAt] says, but for one caller at a time.
func (l *place) ReadAt(p []byte, at int64) (n int, err error) {
	u := l.upload
	if at < 0 {
		return 0, fmt.Errorf("read %s: the offset %d is negative", u.key, at)
	}
	for n < len(p) {
		if at >= u.size {
			return n, io.EOF
		}
		if err := l.enter(at / blockSize); err != nil {
			return n, err
		}
		within := at % blockSize
		part := p[n:min(int64(len(p)), int64(n)+l.block.size-within)]
		if !u.server.cache.read(l.block, part, within) {
			l.leave()
			continue
		}
		n, at = n+len(part), at+int64(len(part))
	}
	return n, nil
}

// enter makes a block the one that is held.
func (l *place) enter(number int64) error {
	u := l.upload
	err := l.ctx.Err()
	if err == nil && (l.block == nil || l.number != number) {
		l.leave()
		id := blockID{key: u.key, etag: u.etag, number: number}
		l.number = number
		l.block, err = u.server.cache.acquire(l.ctx, id, min(blockSize, u.size-number*blockSize))
	}
	// That a reader has left says nothing about the upload.
	if left := l.ctx.Err() != nil && u.ctx.Err() == nil; err != nil && !left {
		u.mu.Lock()
		if u.err == nil {
			u.err = err
		}
		u.mu.Unlock()
	}
	return err
}

func (l *place) leave() {
	if l.block != nil {
		l.upload.server.cache.release(l.block)
		l.block = nil
	}
}

// fetch reads a block out of the bucket.
func (s *Server) fetch(ctx context.Context, id blockID, size int64) (b []byte, err error) {
	for attempt := range attempts {
		if attempt > 0 {
			select {
			case <-time.After(pause << attempt):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		b, err = s.read(ctx, id, size)
		switch {
		case err == nil:
			return b, nil
		case errors.Is(err, job.ErrConflict), errors.Is(err, job.ErrNotFound):
			return nil, &job.Failure{Code: job.SourceChanged, Message: fmt.Sprintf(
				"The object %q was replaced or deleted while it was being read: post the request again.", id.key)}
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
	}
	return nil, fmt.Errorf("read the upload: %w", err)
}

func (s *Server) read(ctx context.Context, id blockID, size int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return s.bucket.ReadRange(ctx, id.key, id.etag, id.number*blockSize, size)
}

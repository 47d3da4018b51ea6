package edge

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

const (
	// stallTimeout is how long the bucket may send nothing, or a client take nothing, in the middle of a body.
	stallTimeout = 30 * time.Second
	// bufferSize is what is read from the bucket and written to a client at once.
	bufferSize = 64 << 10
	// smallRest is what is read of a body that nobody wants, to keep its connection: most playlists. The client waits meanwhile, so
	// restTimeout bounds it.
	smallRest   = 64 << 10
	restTimeout = 100 * time.Millisecond
)

// body is an object's as it comes from the bucket. nil is none.
type body struct {
	reader io.ReadCloser
	cancel context.CancelFunc // of the bucket's call
	stall  *time.Timer
}

func newBody(r io.ReadCloser, cancel context.CancelFunc) *body {
	b := &body{reader: r, cancel: cancel, stall: time.AfterFunc(stallTimeout, cancel)}
	b.stall.Stop()
	return b
}

// Read fails if nothing comes for too long.
func (b *body) Read(p []byte) (int, error) {
	b.stall.Reset(stallTimeout)
	defer b.stall.Stop()
	return b.reader.Read(p)
}

// read gives the first size bytes.
func (b *body) read(size int64) ([]byte, error) {
	text := make([]byte, size)
	if _, err := io.ReadFull(b, text); err != nil {
		return nil, fmt.Errorf("read %d bytes of an object: %w", size, err)
	}
	return text, nil
}

// discard ends the body, wherever it is.
func (b *body) discard() {
	if b == nil {
		return
	}
	defer time.AfterFunc(restTimeout, b.cancel).Stop()
	_, _ = io.CopyN(io.Discard, b, smallRest)
	b.reader.Close()
	b.cancel()
}

// writer writes an answer. A client has stallTimeout to take each piece, however long all of it takes.
type writer struct {
	http.ResponseWriter
	control *http.ResponseController
	now     func() time.Time
}

func (w *writer) WriteHeader(status int) {
	_ = w.control.SetWriteDeadline(w.now().Add(stallTimeout))
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) Write(p []byte) (n int, err error) {
	for piece := range slices.Chunk(p, bufferSize) {
		_ = w.control.SetWriteDeadline(w.now().Add(stallTimeout))
		wrote, err := w.ResponseWriter.Write(piece)
		if n += wrote; err != nil {
			return n, err
		}
	}
	return n, nil
}

func newBuffer() any { return new([bufferSize]byte) }

// errClient is a client that went away, or that takes nothing any more.
var errClient = errors.New("the client went away")

// stream hands an object's body to the client as it comes. An error that is not errClient is the bucket's.
func (x *exchange) stream(object *body) error {
	buffer := x.buffers.Get().(*[bufferSize]byte)
	defer x.buffers.Put(buffer)
	for {
		n, err := object.Read(buffer[:])
		if n > 0 {
			if _, err := x.w.Write(buffer[:n]); err != nil {
				return fmt.Errorf("%w: %w", errClient, err)
			}
			_ = x.control.Flush() // the next bytes may be long in coming
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// pack compresses a text.
func (x *exchange) pack(text []byte) []byte {
	packer := x.packers.Get().(*gzip.Writer)
	defer x.packers.Put(packer)
	var packed bytes.Buffer
	packer.Reset(&packed)
	_, _ = packer.Write(text) // a buffer takes everything
	_ = packer.Close()
	return packed.Bytes()
}

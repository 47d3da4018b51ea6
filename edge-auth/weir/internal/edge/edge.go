// Package edge is the edge as an HTTP server: what worker.mjs is on Cloudflare. It hands each request to package gate, makes the one
// call of the bucket or of the transcoder that the gate asks for, and answers with what the gate says. It decides nothing itself
// but where a client's address is to be read.
//
// Start at [Server.ServeHTTP]. Three things are Cloudflare's alone and not here: its caches, the queue of uploads, and Analytics Engine,
// in whose place is the log.
package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"weir/edge-auth/internal/gate"
	"weir/edge-auth/weir/internal/bucket"
)

const (
	// headerTimeout is for a request's head, and idleTimeout for the next request on a connection: longer than the proxies' in front,
	// which would otherwise send one just when it is closed.
	headerTimeout = 10 * time.Second
	idleTimeout   = 3 * time.Minute
	// bodyTimeout is for a request's body, whoever reads it: longer than the transcoder may take for its answer.
	bodyTimeout = 30 * time.Second
	// maxHeader is what a request's head may have: more than a URL with the longest token, and cookies.
	maxHeader = 64 << 10
	// drainTimeout is how long requests in flight may go on after the end was asked for: a segment's time for a slow client, and
	// less than the half minute that Kubernetes gives.
	drainTimeout = 25 * time.Second
)

// Config is what the edge needs.
type Config struct {
	Log    *slog.Logger
	Now    func() time.Time
	Gate   *gate.Gate
	Bucket *bucket.Bucket
	Player Player // nil is none

	// IPHeader and CountryHeader name the headers in which a trusted proxy says a client's address and its country. Without the
	// first, the address is the connection's; without the second, no country is known.
	IPHeader, CountryHeader string

	LogSample uint64 // of how many requests one is logged; 0 is none but those that fail
}

// Server is the edge.
type Server struct {
	Config
	transcoder *http.Transport
	draining   context.Context // ends when the server's end begins; set by Serve
	answered   atomic.Uint64
	buffers    sync.Pool // of *[bufferSize]byte
	packers    sync.Pool // of *gzip.Writer
}

// New makes the edge.
func New(c Config) *Server {
	s := &Server{Config: c, transcoder: newTransport()}
	s.buffers.New, s.packers.New = newBuffer, newPacker
	return s
}

// Serve answers requests on a listener until the context ends. Then no more are taken, streams of events are ended, and other requests
// in flight are finished, for as long as drainTimeout. It is called once.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true) // for proxies that speak it
	server := &http.Server{
		Handler: s, Protocols: protocols, DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelWarn),
	}
	draining, drain := context.WithCancel(context.WithoutCancel(ctx))
	defer drain()
	s.draining = draining
	server.RegisterOnShutdown(drain)
	drained := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
		defer cancel()
		err := server.Shutdown(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			s.Log.Warn("connections were cut: their clients took too long")
			err = server.Close()
		}
		drained <- err
	})
	err := server.Serve(l)
	if !errors.Is(err, http.ErrServerClosed) {
		stop()
		return fmt.Errorf("serve: %w", err)
	}
	if err := <-drained; err != nil {
		return fmt.Errorf("end the server: %w", err)
	}
	return nil
}

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began, control := s.Now(), http.NewResponseController(w)
	if r.ContentLength != 0 { // also where nobody reads it: the server does, before it answers
		_ = control.SetReadDeadline(began.Add(bodyTimeout))
	}
	out := &writer{ResponseWriter: w, control: control, now: s.Now}
	if r.RequestURI == "/healthz" {
		_, _ = out.Write([]byte("ok\n"))
		return
	}
	if s.Player.serve(out, r) {
		return
	}
	x := &exchange{Server: s, w: out, r: r, control: control, began: began}
	x.request = s.request(r)
	x.serve()
}

// Package player serves a page that plays a video of Weir with hls.js, and shows what an operator wants to see: the
// level, the buffer, every error, and the webhook that said the video is ready.
//
// The page is for the demo and for the browser tests: window.hls is the player, window.tracks are its
// source buffers, window.errors collects what went wrong.
package player

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"path/filepath"
	"time"
)

const (
	headerTimeout = 5 * time.Second
	// stopTimeout: browsers keep connections open, so waiting for them makes no sense.
	stopTimeout = time.Second
)

//go:embed page.html
var pageHTML string

var page = template.Must(template.New("page").Parse(pageHTML))

// Video is what the page shows.
type Video struct {
	ID      string
	URL     string // of the master playlist; empty while nothing can be played, and then Problem says why
	Problem string
	Webhook string // JSON, indented
}

// Find looks a video up. via is how the player is to present its token: "path" or "query".
type Find func(ctx context.Context, id, via string) (Video, error)

// Server serves /{id} (and /{id}?via=query) on a loopback port.
type Server struct {
	URL    string // http://127.0.0.1:PORT
	server *http.Server
	served chan error
}

// Serve starts a Server. root is the checkout, which has hls.js in its node_modules. The caller owes it a Stop.
func Serve(ctx context.Context, root string, find Find) (*Server, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("serve the player: %w", err)
	}
	s := &Server{
		URL:    "http://" + l.Addr().String(),
		server: &http.Server{Handler: handler(root, find), ReadHeaderTimeout: headerTimeout},
		served: make(chan error, 1),
	}
	go func() { s.served <- s.server.Serve(l) }()
	return s, nil
}

// Stop ends the Server.
func (s *Server) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	err := s.server.Shutdown(ctx)
	if err != nil {
		err = s.server.Close()
	}
	if served := <-s.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

func handler(root string, find Find) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hls.js", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(root, "edge-auth", "node_modules", "hls.js", "dist", "hls.min.js"))
	})
	mux.HandleFunc("GET /favicon.ico", http.NotFound)
	mux.HandleFunc("GET /{id}", func(w http.ResponseWriter, r *http.Request) {
		v, err := find(r.Context(), r.PathValue("id"), r.URL.Query().Get("via"))
		if err != nil {
			v = Video{ID: r.PathValue("id"), Problem: err.Error()}
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store") // the page carries a token
		_ = page.Execute(w, v)                      // it fails only if the browser went away
	})
	return mux
}

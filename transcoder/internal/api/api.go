// Package api is the HTTP interface that backends use: HTTP ⇄ package job, and nothing decided in between.
//
// Every error is JSON, {"error":{"code","message"}}, with a sentence that says what to do; the text of an internal error
// stays inside. Start at [New]; each file besides is one group of requests. Only this package imports Echo.
package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"weir/transcoder/internal/job"
)

const (
	// maxBody is more than the largest valid request.
	maxBody = "64K"
	// headerTimeout and requestTimeout end clients that do not speak; no request takes long but a stream, which has limits
	// of its own.
	headerTimeout, requestTimeout = 10 * time.Second, 30 * time.Second
	// answerTimeout is for the bucket and the queue, so that there is time left to say that they do not answer.
	answerTimeout = 20 * time.Second
	// shutdownTimeout is for requests in flight when the server ends.
	shutdownTimeout = 10 * time.Second
)

// Catalog keeps the job records. What Accept, Delete, Revoke and Replay have returned is recorded for good; the same again is no
// error. A video or an event that is not there is [job.ErrNotFound].
type Catalog interface {
	// Accept answers [job.ErrConflict] for a video id that stands for another request, and [job.ErrBusy] if that is to be
	// replaced and has not ended.
	Accept(ctx context.Context, spec job.Spec, replace bool) (job.Job, error)
	Get(ctx context.Context, videoID string) (job.Job, error)
	Delete(ctx context.Context, videoID string) (job.Job, error)
	// Revoke makes the edge refuse tokens that were issued before the time that it returns.
	Revoke(ctx context.Context, videoID string) (time.Time, error)
	DeadLetters(ctx context.Context) iter.Seq2[job.DeadLetter, error]
	Replay(ctx context.Context, eventID string) (job.Job, error)
}

// Dispatcher sends whatever of a job is due. What is under way already is no error.
type Dispatcher interface {
	Dispatch(ctx context.Context, j job.Job) error
}

// Signals are what nodes tell each other while they work. They may be lost, and are kept nowhere. hear is called with a
// signal's full id, from one goroutine, until stop returns.
type Signals interface {
	Listen(pattern string, hear func(id string, data []byte)) (stop func(), err error)
}

// Config is what the API needs to know.
type Config struct {
	Log *slog.Logger
	// Keys are the bearer tokens of backends: one, or, while it is changed, two.
	Keys       []string
	Catalog    Catalog
	Dispatcher Dispatcher
	Signals    Signals
	Minter     Minter
	// Encrypts tells whether videos can be encrypted: there is a secret to derive keys from.
	Encrypts bool
	// Further are the codecs beside H.264 that can be asked for; nil where only the workers know.
	Further job.Codecs
	Health
}

// Health is what a node says of itself, without a key: it is for whoever runs it.
type Health struct {
	// Ready tells whether requests can be served; its error is logged, not shown.
	Ready func(ctx context.Context) error
	// Outlook tells what all nodes together have to do.
	Outlook func() job.Outlook
	// Metrics prints what is counted.
	Metrics http.Handler
}

// Server is the API.
type Server struct {
	config Config
	echo   *echo.Echo
	// streams ends when the server shuts down; other requests end by themselves.
	streams    context.Context
	endStreams context.CancelFunc
}

// New returns the API's server.
func New(c Config) *Server {
	s := bare(c)
	e := s.echo
	e.POST("/transcode", s.transcode, s.authenticate, bounded)
	e.GET("/videos/:id", s.video, s.authenticate, bounded)
	e.DELETE("/videos/:id", s.delete, s.authenticate, bounded)
	e.GET("/videos/:id/playback", s.playback, s.authenticate, bounded)
	e.POST("/videos/:id/revoke", s.revoke, s.authenticate, bounded)
	e.GET("/videos/:id/events", s.events, s.authenticate)
	e.GET("/webhooks/dead", s.deadLetters, s.authenticate, bounded)
	e.POST("/webhooks/:id/replay", s.replay, s.authenticate, bounded)
	return s
}

// NewHealth returns the server of a node that works and takes no requests: it tells how the node is, and nothing else.
func NewHealth(log *slog.Logger, health Health) *Server {
	s := bare(Config{Log: log, Health: health})
	s.echo.Any("/*", func(echo.Context) error {
		return refuse(http.StatusNotFound, "not_found", "This node takes no requests: send them to one whose ROLE is api or all.")
	})
	return s
}

// bare returns a server that tells how it is.
func bare(c Config) *Server {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	s := &Server{config: c, echo: e}
	s.streams, s.endStreams = context.WithCancel(context.Background())
	e.HTTPErrorHandler = s.answerError
	e.Use(middleware.Recover(), middleware.BodyLimit(maxBody))
	e.GET("/healthz", func(c echo.Context) error { return c.JSON(http.StatusOK, status{"ok"}) })
	e.GET("/readyz", s.ready, bounded)
	e.GET("/work", func(c echo.Context) error { return c.JSON(http.StatusOK, s.config.Outlook()) })
	e.GET("/metrics", echo.WrapHandler(c.Metrics))
	return s
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.echo.ServeHTTP(w, r) }

// Serve answers requests on a listener until the context ends; then streams are ended and other requests in flight are
// finished. It is called once.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{Handler: s, ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTimeout, WriteTimeout: requestTimeout}
	server.RegisterOnShutdown(s.endStreams)
	ended := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		ended <- server.Shutdown(ctx)
	})
	err := server.Serve(l)
	if !errors.Is(err, http.ErrServerClosed) {
		stop()
		return fmt.Errorf("serve the API: %w", err)
	}
	if err := <-ended; err != nil {
		return fmt.Errorf("end the API: %w", err)
	}
	return nil
}

type status struct {
	Status string `json:"status"`
}

func (s *Server) ready(c echo.Context) error {
	if err := s.config.Ready(c.Request().Context()); err != nil {
		s.config.Log.Warn("the node is not ready", "error", err)
		return refuse(http.StatusServiceUnavailable, "not_ready", "The bucket or the queue cannot be reached: the log of the transcoder tells why.")
	}
	return c.JSON(http.StatusOK, status{"ready"})
}

// bounded ends a handler's wait in time for an answer.
func bounded(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		ctx, cancel := context.WithTimeout(c.Request().Context(), answerTimeout)
		defer cancel()
		c.SetRequest(c.Request().WithContext(ctx))
		return next(c)
	}
}

// authenticate lets backends in. Digests are compared, so that time tells nothing of the key, its length included.
func (s *Server) authenticate(next echo.HandlerFunc) echo.HandlerFunc {
	var keys [][sha256.Size]byte
	for _, key := range s.config.Keys {
		keys = append(keys, sha256.Sum256([]byte(key)))
	}
	return func(c echo.Context) error {
		scheme, key, _ := strings.Cut(c.Request().Header.Get("Authorization"), " ")
		got := sha256.Sum256([]byte(key))
		known := slices.ContainsFunc(keys, func(want [sha256.Size]byte) bool { return subtle.ConstantTimeCompare(got[:], want[:]) == 1 })
		if !strings.EqualFold(scheme, "Bearer") || !known {
			c.Response().Header().Set("WWW-Authenticate", `Bearer realm="weir"`)
			return refuse(http.StatusUnauthorized, "unauthorized", "Send the header \"Authorization: Bearer KEY\" with the transcoder's API_KEY.")
		}
		return next(c)
	}
}

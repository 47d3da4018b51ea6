// Package api is the HTTP interface that backends use: HTTP ⇄ package job, and nothing decided in between.
//
// Every error is JSON, {"error":{"code","message"}}, with a sentence that says what to do; the text of an internal error
// stays inside. Start at [New]. Only this package imports Echo.
package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"weir/transcoder/internal/job"
)

const (
	// maxBody is more than the largest valid request.
	maxBody = "64K"
	// headerTimeout and requestTimeout end clients that do not speak; no request takes long.
	headerTimeout, requestTimeout = 10 * time.Second, 30 * time.Second
	// shutdownTimeout is for requests in flight when the server ends.
	shutdownTimeout = 10 * time.Second
)

// Catalog keeps the job records. Accept has recorded the request for good when it returns; the same request is the same job.
type Catalog interface {
	Accept(ctx context.Context, spec job.Spec) (job.Job, error)
	Get(ctx context.Context, videoID string) (job.Job, error)
}

// Dispatcher puts an accepted job into the queue. A job that is there already is no error.
type Dispatcher interface {
	Dispatch(ctx context.Context, t job.Ticket) error
}

// Config is what the API needs to know.
type Config struct {
	Log *slog.Logger
	// Key is the bearer token of backends.
	Key        string
	Catalog    Catalog
	Dispatcher Dispatcher
	Minter     Minter
	// Ready tells whether requests can be served; its error is logged, not shown.
	Ready func(ctx context.Context) error
}

// Server is the API.
type Server struct {
	config Config
	echo   *echo.Echo
}

// New returns the API's server.
func New(c Config) *Server {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	s := &Server{config: c, echo: e}
	e.HTTPErrorHandler = s.answerError
	e.Use(middleware.Recover(), middleware.BodyLimit(maxBody))

	e.GET("/healthz", func(c echo.Context) error { return c.JSON(http.StatusOK, status{"ok"}) })
	e.GET("/readyz", s.ready)
	e.POST("/transcode", s.transcode, s.authenticate)
	e.GET("/videos/:id", s.video, s.authenticate)
	e.GET("/videos/:id/playback", s.playback, s.authenticate)
	return s
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.echo.ServeHTTP(w, r) }

// Serve answers requests on a listener until the context ends; then requests in flight are finished.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{Handler: s, ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTimeout, WriteTimeout: requestTimeout}
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

func (s *Server) transcode(c echo.Context) error {
	var spec job.Spec
	if err := decodeBody(c.Request().Body, &spec); err != nil {
		return err
	}
	if err := spec.Validate(); err != nil {
		return err
	}
	ctx := c.Request().Context()
	j, err := s.config.Catalog.Accept(ctx, spec)
	if err != nil {
		return err
	}
	if !j.Notice.Settled() {
		if err := s.config.Dispatcher.Dispatch(ctx, j.Ticket()); err != nil {
			// The record is safe and the reconciler dispatches it; the client need not know.
			s.config.Log.Error("an accepted job was not dispatched yet", "job", j.VideoID, "error", err)
		}
	}
	c.Response().Header().Set("Location", "/videos/"+j.VideoID)
	return c.JSON(http.StatusAccepted, view(j))
}

func (s *Server) video(c echo.Context) error {
	j, err := s.get(c)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, view(j))
}

func (s *Server) playback(c echo.Context) error {
	j, err := s.get(c)
	if err != nil {
		return err
	}
	if !j.State.Watchable() {
		return refuse(http.StatusConflict, "not_playable", fmt.Sprintf("The video is %s: ask again when its state is playable or processed.", j.State))
	}
	p, err := s.config.Minter.Mint(j)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, p)
}

func (s *Server) get(c echo.Context) (job.Job, error) {
	id := c.Param("id")
	if err := job.ValidateVideoID(id); err != nil {
		return job.Job{}, fmt.Errorf("%w: %w", job.ErrInvalid, err)
	}
	return s.config.Catalog.Get(c.Request().Context(), id)
}

// authenticate lets backends in. Digests are compared, so that time tells nothing of the key, its length included.
func (s *Server) authenticate(next echo.HandlerFunc) echo.HandlerFunc {
	want := sha256.Sum256([]byte(s.config.Key))
	return func(c echo.Context) error {
		scheme, key, _ := strings.Cut(c.Request().Header.Get("Authorization"), " ")
		got := sha256.Sum256([]byte(key))
		if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			c.Response().Header().Set("WWW-Authenticate", `Bearer realm="weir"`)
			return refuse(http.StatusUnauthorized, "unauthorized", "Send the header \"Authorization: Bearer KEY\" with the transcoder's API_KEY.")
		}
		return next(c)
	}
}

// Video is how a job is shown.
type Video struct {
	VideoID    string          `json:"video_id"`
	State      job.State       `json:"state"`
	Progress   float64         `json:"progress"` // percent
	CreatedAt  time.Time       `json:"created_at"`
	UpdatedAt  time.Time       `json:"updated_at"`
	EndedAt    time.Time       `json:"ended_at,omitzero"`
	Duration   float64         `json:"duration_s,omitempty"`
	Segments   int             `json:"segments,omitempty"`
	Bytes      int64           `json:"bytes,omitempty"`
	Renditions []job.Rendition `json:"renditions,omitempty"`
	Error      *job.Failure    `json:"error,omitempty"`
	Webhook    *Webhook        `json:"webhook,omitempty"`
}

// Webhook is how the telling of the end stands.
type Webhook struct {
	EventID     string     `json:"event_id"`
	Attempts    int        `json:"attempts"`
	DeliveredAt *time.Time `json:"delivered_at,omitempty"`
	LastError   string     `json:"last_error,omitempty"`
	GivenUp     bool       `json:"given_up,omitempty"`
}

func view(j job.Job) Video {
	v := Video{
		VideoID: j.VideoID, State: j.State, Progress: j.Progress,
		CreatedAt: j.CreatedAt, UpdatedAt: j.UpdatedAt, EndedAt: j.EndedAt, Error: j.Failure,
	}
	if r := j.Result; r != nil {
		v.Duration, v.Segments, v.Bytes, v.Renditions = r.Duration, r.Segments, r.Bytes, r.Renditions
	}
	if n := j.Notice; n.EventID != "" {
		v.Webhook = &Webhook{EventID: n.EventID, Attempts: n.Attempts, DeliveredAt: n.DeliveredAt, LastError: n.LastError, GivenUp: n.GivenUp}
	}
	return v
}

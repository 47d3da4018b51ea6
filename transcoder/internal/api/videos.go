package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"weir/transcoder/internal/job"
)

// request is the body of POST /transcode.
type request struct {
	VideoID    string `json:"video_id"`
	Key        string `json:"key"`
	WebhookURL string `json:"webhook_url"`
	Priority   int    `json:"priority"`
	// Replace makes a video anew that was processed. What is published of it can be watched until the new one takes its place.
	Replace bool `json:"replace"`
	// PosterAt and Storyboard say how the video shows itself before it is played; the configuration says the rest.
	PosterAt   *float64       `json:"poster_at_s"`
	Storyboard job.Storyboard `json:"storyboard"`
	// SegmentFormat and Encrypt say how the segments are written.
	SegmentFormat job.SegmentFormat `json:"segment_format"`
	Encrypt       bool              `json:"encrypt"`
	// Codecs are those of the pictures; the configuration says which if the request does not.
	Codecs job.Codecs `json:"codecs"`
}

func (s *Server) transcode(c echo.Context) error {
	r := request{Priority: job.DefaultPriority}
	if err := decodeBody(c.Request().Body, &r); err != nil {
		return err
	}
	spec := job.Spec{
		VideoID: r.VideoID, Key: r.Key, WebhookURL: r.WebhookURL, Priority: r.Priority, PosterAt: r.PosterAt, Storyboard: r.Storyboard,
		SegmentFormat: r.SegmentFormat, Encrypt: r.Encrypt, Codecs: r.Codecs,
	}
	if err := spec.Validate(); err != nil {
		return err
	}
	if spec.Encrypt && !s.config.Encrypts {
		return fmt.Errorf("%w: encrypt is true, but the transcoder has no ENCRYPTION_KEY: set it to what the Worker's is, or leave encrypt out", job.ErrInvalid)
	}
	if missing := spec.Codecs.Beyond(s.config.Further); s.config.Further != nil && len(missing) > 0 {
		return fmt.Errorf("%w: codecs has %s, for which the transcoder's ffmpeg has no encoder: leave it out, or install an ffmpeg that has one",
			job.ErrInvalid, missing)
	}
	ctx := c.Request().Context()
	j, err := s.config.Catalog.Accept(ctx, spec, r.Replace)
	if err != nil {
		return err
	}
	c.Response().Header().Set("Location", "/videos/"+j.VideoID)
	return s.accepted(c, j)
}

func (s *Server) video(c echo.Context) error {
	j, err := s.get(c)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, view(j))
}

func (s *Server) delete(c echo.Context) error {
	id, err := videoID(c)
	if err != nil {
		return err
	}
	j, err := s.config.Catalog.Delete(c.Request().Context(), id)
	if err != nil {
		return err
	}
	return s.accepted(c, j)
}

func (s *Server) playback(c echo.Context) error {
	j, err := s.get(c)
	switch {
	case err != nil:
		return err
	case !j.Watchable() && j.State.Ended():
		return refuse(http.StatusConflict, "not_playable", fmt.Sprintf("The video is %s: post it to /transcode again.", j.State))
	case !j.Watchable():
		return refuse(http.StatusConflict, "not_playable", fmt.Sprintf("The video is %s: ask again when its state is playable or processed.", j.State))
	}
	p, err := s.config.Minter.Mint(j)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, p)
}

// Revocation is the body of the answer to POST /videos/{id}/revoke.
type Revocation struct {
	VideoID       string    `json:"video_id"`
	RevokedBefore time.Time `json:"revoked_before"` // tokens that were issued earlier are refused, a minute from now at most
}

func (s *Server) revoke(c echo.Context) error {
	id, err := videoID(c)
	if err != nil {
		return err
	}
	before, err := s.config.Catalog.Revoke(c.Request().Context(), id)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, Revocation{VideoID: id, RevokedBefore: before})
}

// accepted hands on what is recorded, and answers.
func (s *Server) accepted(c echo.Context, j job.Job) error {
	if !j.Closed() {
		s.dispatch(c.Request().Context(), j)
	}
	return c.JSON(http.StatusAccepted, view(j))
}

// dispatch need not succeed: the record is safe and the reconciler dispatches it, so the client need not know.
func (s *Server) dispatch(ctx context.Context, j job.Job) {
	if err := s.config.Dispatcher.Dispatch(ctx, j); err != nil {
		s.config.Log.Warn("an accepted job was not dispatched yet", "job", j.VideoID, "error", err)
	}
}

func (s *Server) get(c echo.Context) (job.Job, error) {
	id, err := videoID(c)
	if err != nil {
		return job.Job{}, err
	}
	return s.config.Catalog.Get(c.Request().Context(), id)
}

// videoID returns the id in the path.
func videoID(c echo.Context) (string, error) {
	id := c.Param("id")
	if err := job.ValidateVideoID(id); err != nil {
		return "", fmt.Errorf("%w: %w", job.ErrInvalid, err)
	}
	return id, nil
}

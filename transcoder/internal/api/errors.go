package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"

	"github.com/labstack/echo/v4"

	"weir/transcoder/internal/job"
)

// Problem is the body of every error.
type Problem struct {
	Error struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// refusal is an error that the client is told as it is.
type refusal struct {
	status        int
	code, message string
}

func (r *refusal) Error() string { return r.code + ": " + r.message }

func refuse(status int, code, message string) error { return &refusal{status, code, message} }

// retryAfter is when to ask again what cannot be answered now, in seconds.
const retryAfter = "5"

// answerError writes any error that a handler returned. It is the one table from errors to HTTP.
func (s *Server) answerError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	r := s.refusalOf(err)
	if r.status == http.StatusServiceUnavailable {
		c.Response().Header().Set("Retry-After", retryAfter)
	}
	switch {
	case r.code == "not_ready": // said already
	case r.status == http.StatusServiceUnavailable:
		s.config.Log.Warn("a request could not be answered", "method", c.Request().Method, "path", c.Request().URL.Path, "error", err)
	case r.status >= http.StatusInternalServerError:
		s.config.Log.Error("a request failed", "method", c.Request().Method, "path", c.Request().URL.Path, "error", err)
	}
	var p Problem
	p.Error.Code, p.Error.Message = r.code, r.message
	c.Response().Header().Set("Cache-Control", "no-store")
	if err := c.JSON(r.status, p); err != nil {
		s.config.Log.Warn("an answer was not sent", "error", err)
	}
}

func (s *Server) refusalOf(err error) *refusal {
	var known *refusal
	var framework *echo.HTTPError
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, job.ErrInvalid):
		return &refusal{http.StatusBadRequest, "invalid_request", sentences(err)}
	case errors.Is(err, job.ErrBusy):
		return &refusal{http.StatusConflict, "video_busy", "The video is still being worked on: send this again when its state is processed, failed or deleted."}
	case errors.Is(err, job.ErrConflict):
		return &refusal{http.StatusConflict, "video_id_taken",
			"The video_id stands for another request already: choose another one, send that request as it was, or set \"replace\": true once it has ended."}
	case errors.Is(err, job.ErrNotFound):
		return &refusal{http.StatusNotFound, "video_not_found", "There is no video with this id: post it to /transcode first."}
	case errors.Is(err, job.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return &refusal{http.StatusServiceUnavailable, "unavailable", "The bucket cannot be reached, nothing was lost: send this again in a moment."}
	case errors.As(err, &framework):
		return frameworkRefusal(framework.Code)
	default:
		return &refusal{http.StatusInternalServerError, "internal", "Something went wrong inside the transcoder, nothing was lost: try again, and look at its log if it stays."}
	}
}

func frameworkRefusal(status int) *refusal {
	switch status {
	case http.StatusNotFound:
		return &refusal{status, "not_found", "There is nothing at this path: use /transcode, /videos/{id}, /videos/{id}/playback, /videos/{id}/revoke, /videos/{id}/events, " +
			"/webhooks/dead or /webhooks/{event_id}/replay."}
	case http.StatusMethodNotAllowed:
		return &refusal{status, "method_not_allowed", "This path does not take the method: use POST for /transcode, /videos/{id}/revoke and /webhooks/{event_id}/replay, " +
			"GET or DELETE for /videos/{id}, and GET for all others."}
	case http.StatusRequestEntityTooLarge:
		return &refusal{status, "too_large", "The request body is larger than " + maxBody + "B: send the JSON object alone, the video is read from the bucket."}
	default:
		return &refusal{status, "bad_request", "The request could not be read: send it as the README's API table says."}
	}
}

// sentences makes one line of the joined problems.
func sentences(err error) string {
	text := strings.TrimPrefix(err.Error(), job.ErrInvalid.Error()+": ")
	return strings.ReplaceAll(text, "\n", "; ")
}

// decodeBody reads a JSON object and nothing beside it, with the fields of v and no others.
func decodeBody(body io.Reader, v any) error {
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, end := d.Token(); end == nil {
			err = errors.New("something follows the JSON object")
		} else if !errors.Is(end, io.EOF) {
			err = end
		}
	}
	if err == nil {
		return nil
	}
	var framework *echo.HTTPError
	if errors.As(err, &framework) {
		return err // the body's limit
	}
	const want = `send a JSON object such as {"video_id":"intro","key":"uploads/intro.mp4","webhook_url":"https://example.com/hook"}`
	return refuse(http.StatusBadRequest, "invalid_request", fmt.Sprintf("The body is no valid request: %s: %s.", explain(err), want))
}

// kinds says what the fields of a request hold.
var kinds = map[reflect.Kind]string{
	reflect.String:  "a string",
	reflect.Int:     "a small whole number",
	reflect.Float64: "a number",
	reflect.Bool:    "true or false",
	reflect.Struct:  "an object",
	reflect.Slice:   "a list",
}

func explain(err error) string {
	var wrongType *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.EOF):
		return "it is empty"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "it ends in the middle"
	case errors.As(err, &wrongType) && wrongType.Field != "":
		// A number comes as it was written, however long that is.
		return fmt.Sprintf("%s must be %s, not a JSON %.40s", wrongType.Field, kinds[wrongType.Type.Kind()], wrongType.Value)
	case errors.As(err, &wrongType):
		return "it is a JSON " + wrongType.Value
	case errors.As(err, &syntax):
		return fmt.Sprintf("it is no JSON at byte %d", syntax.Offset)
	default:
		return strings.TrimPrefix(err.Error(), "json: ")
	}
}

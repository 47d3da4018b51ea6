package api

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"weir/transcoder/internal/job"
)

// maxDeadLetters bounds one answer. Those that are replayed make room for the others.
const maxDeadLetters = 1000

// DeadLetters is the body of GET /webhooks/dead.
type DeadLetters struct {
	DeadLetters []job.DeadLetter `json:"dead_letters"`
	More        bool             `json:"more,omitempty"` // there are others
}

func (s *Server) deadLetters(c echo.Context) error {
	list := DeadLetters{DeadLetters: []job.DeadLetter{}}
	for letter, err := range s.config.Catalog.DeadLetters(c.Request().Context()) {
		if err != nil {
			return err
		}
		if len(list.DeadLetters) == maxDeadLetters {
			list.More = true
			break
		}
		list.DeadLetters = append(list.DeadLetters, letter)
	}
	return c.JSON(http.StatusOK, list)
}

// replay has an event told again, whether it was given up or not: a receiver may have lost what it was told.
func (s *Server) replay(c echo.Context) error {
	j, err := s.config.Catalog.Replay(c.Request().Context(), c.Param("id"))
	if errors.Is(err, job.ErrNotFound) {
		return refuse(http.StatusNotFound, "event_not_found",
			"There is no event with this id: take one from GET /webhooks/dead or from \"webhooks\" of GET /videos/{id}.")
	}
	if err != nil {
		return err
	}
	return s.accepted(c, j)
}

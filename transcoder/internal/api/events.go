package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"weir/transcoder/internal/job"
)

const (
	// sendPause makes at most four events a second: people see no more.
	sendPause = 250 * time.Millisecond
	// lookInterval is how long a client may be without news because signals were lost or their node has died.
	lookInterval = 5 * time.Second
	// heartbeatInterval is well below the minute after which proxies close what is silent.
	heartbeatInterval = 15 * time.Second
)

// signal is what a node said of a run.
type signal struct {
	run      string
	progress job.Progress
}

// over tells whether the run's record is worth a look: it has ended, or will have in a moment.
func (n signal) over() bool { return n.progress.Phase == job.Over || n.progress.State.Ended() }

// events streams how a video comes along, as server-sent events (WHATWG HTML, section 9.2): "progress" now and whenever there
// is news, "end" when there will be no more. Signals bring the news; the record decides what is true.
//
// The stream wants the bearer, which EventSource in a browser cannot send: a backend hands the stream on to its own users.
func (s *Server) events(c echo.Context) error {
	id, err := videoID(c)
	if err != nil {
		return err
	}
	heard := make(chan signal, 1)
	stop, err := s.config.Signals.Listen("progress."+id+".*", func(name string, data []byte) {
		n := signal{run: name[strings.LastIndexByte(name, '.')+1:]}
		if json.Unmarshal(data, &n.progress) != nil {
			return // of another version's node
		}
		select {
		case <-heard: // not told yet: the client is slower than the node, and the latest wins
		default:
		}
		heard <- n
	})
	if err != nil {
		return fmt.Errorf("listen for the progress of %q: %w", id, err)
	}
	defer stop()
	ctx, cancel := context.WithCancel(c.Request().Context())
	defer cancel()
	defer context.AfterFunc(s.streams, cancel)()
	j, err := s.config.Catalog.Get(ctx, id) // after Listen, so that nothing is missed in between
	if err != nil {
		return err
	}
	return s.follow(ctx, openFeed(c.Response()), j, heard)
}

// follow tells a client the news until the job has ended, or ctx: with the client or the server.
func (s *Server) follow(ctx context.Context, f *feed, j job.Job, heard <-chan signal) (err error) {
	look, heartbeat := time.NewTicker(lookInterval), time.NewTicker(heartbeatInterval)
	defer look.Stop()
	defer heartbeat.Stop()
	var pause <-chan time.Time // runs after an event; what is heard meanwhile makes one event
	f.learn(j)
	for !j.State.Ended() {
		if pause == nil {
			sent, err := f.tell()
			if err != nil {
				return err
			}
			if sent {
				pause = time.After(sendPause)
			}
		}
		due := false
		select {
		case n := <-heard:
			f.hear(n)
			due = n.over()
		case <-look.C:
			due = true
		case <-pause:
			pause = nil
		case <-heartbeat.C:
			if err := f.heartbeat(); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
		if due {
			if j, err = s.look(ctx, j); err != nil {
				return err
			}
			f.learn(j)
		}
	}
	return f.end(j)
}

// look reads a record again. While that is not possible, the old one will do.
func (s *Server) look(ctx context.Context, old job.Job) (job.Job, error) {
	bounded, cancel := context.WithTimeout(ctx, lookInterval)
	defer cancel()
	j, err := s.config.Catalog.Get(bounded, old.VideoID)
	switch {
	case err == nil:
		return j, nil
	case ctx.Err() != nil, errors.Is(err, job.ErrNotFound):
		return job.Job{}, err
	default:
		s.config.Log.Warn("a stream's job could not be read", "job", old.VideoID, "error", err)
		return old, nil
	}
}

package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"weir/transcoder/internal/job"
)

// sendTimeout ends a client that takes nothing, within the time that a shutdown has. The server's own timeout would end
// every stream.
const sendTimeout = 5 * time.Second

// feed is one client's stream, and what it is to be told.
type feed struct {
	response *echo.Response
	control  *http.ResponseController
	run      string
	news     job.Progress
	quiet    bool   // nothing was heard of the run since the last look at its record
	told     []byte // the last event's data
}

// openFeed begins an answer that has no end of its own.
func openFeed(r *echo.Response) *feed {
	h := r.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would gather events
	return &feed{response: r, control: http.NewResponseController(r)}
}

// learn takes what the record says. A new run starts over; within one, the record knows the state and signals know the rest,
// if there are any.
func (f *feed) learn(j job.Job) {
	recorded := progress(j)
	switch {
	case j.Run != f.run || j.State.Ended():
		f.run, f.news = j.Run, recorded
	case f.quiet: // how fast it is and what it does is not known any more
		recorded.Renditions = f.news.Renditions
		f.advance(recorded)
	default:
		p := f.news
		p.State, p.Percent = recorded.State, recorded.Percent
		f.advance(p)
	}
	f.quiet = true
}

// hear takes a signal. That a run is over is for the record to say.
func (f *feed) hear(n signal) {
	if n.run == f.run && !n.over() {
		f.quiet = false
		f.advance(n.progress)
	}
}

// advance takes news of the same run. Neither its state nor its percent falls back, in whatever order news come.
func (f *feed) advance(p job.Progress) {
	order := []job.State{job.Queued, job.Processing, job.Playable}
	if slices.Index(order, p.State) < slices.Index(order, f.news.State) {
		p.State = f.news.State
	}
	p.Percent = max(p.Percent, f.news.Percent)
	f.news = p
}

// tell sends the news, if there are any.
func (f *feed) tell() (sent bool, err error) {
	data, err := json.Marshal(f.news)
	if err != nil || bytes.Equal(data, f.told) {
		return false, err
	}
	f.told = data
	return true, f.event("progress", data)
}

// end sends how the job ended, and that this was all: a client that is told so need not take the end for a failure and come
// again.
func (f *feed) end(j job.Job) error {
	if _, err := f.tell(); err != nil {
		return err
	}
	data, err := json.Marshal(struct {
		VideoID string    `json:"video_id"`
		State   job.State `json:"state"`
	}{j.VideoID, j.State})
	if err != nil {
		return err
	}
	return f.event("end", data)
}

func (f *feed) event(name string, data []byte) error {
	return f.send(fmt.Sprintf("event: %s\ndata: %s\n\n", name, data))
}

// heartbeat sends a comment, which clients pass over.
func (f *feed) heartbeat() error { return f.send(": the job goes on\n\n") }

func (f *feed) send(text string) error {
	if err := f.control.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return err
	}
	if _, err := io.WriteString(f.response, text); err != nil {
		return err
	}
	return f.control.Flush()
}

// progress tells what a record knows of its run.
func progress(j job.Job) job.Progress {
	p := job.Progress{VideoID: j.VideoID, State: j.State, Phase: job.Encoding, Percent: j.Progress}
	switch {
	case j.State.Ended():
		p.Phase = job.Over
	case j.State == job.Queued:
		p.Phase = job.Waiting
	case j.Duration == 0:
		p.Phase = job.Probing // the plan says how long the video is
	}
	if r := j.Result; r != nil {
		for _, rendition := range r.Renditions {
			p.Renditions = append(p.Renditions, job.RenditionProgress{
				Name: rendition.Name, State: job.Processed, Playable: r.Duration, Percent: 100,
			})
		}
	}
	return p
}

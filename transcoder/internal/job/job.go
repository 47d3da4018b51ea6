// Package job holds the words for work: what a backend asks for (Spec), the record of how far it has come (Job), how it
// ended (Failure), and the error kinds that every other package speaks in.
//
// A Job is one video's request. It lives as one JSON object in the bucket, jobs/{video_id}.json, and nothing but that
// object says what state a video is in. This package imports the standard library alone and does no IO.
package job

import (
	"fmt"
	"time"
)

// A State is how far a video has come.
type State string

// The states of a video. A job moves down this list; it ends as Processed or as Failed.
const (
	Queued     State = "queued"     // accepted, nothing done yet
	Processing State = "processing" // a node walks the write line
	Playable   State = "playable"   // the master playlist is there
	Processed  State = "processed"  // everything is there
	Failed     State = "failed"     // it cannot be done; Job.Failure says why
)

// Ended tells whether nothing will change the state any more.
func (s State) Ended() bool { return s == Processed || s == Failed }

// Watchable tells whether a player can play the video.
func (s State) Watchable() bool { return s == Playable || s == Processed }

// A Job is the record of one video's request.
type Job struct {
	Spec
	// Run names this walk of the line. A job that failed and is posted again gets a new one, so that nothing left over
	// from the old walk, in the bucket or on another node, can be taken for part of the new one.
	Run       string    `json:"run"`
	State     State     `json:"state"`
	Progress  float64   `json:"progress"` // percent, 0–100
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	EndedAt   time.Time `json:"ended_at,omitzero"`

	Result  *Result  `json:"result,omitempty"`
	Failure *Failure `json:"error,omitempty"`
	Notice  Notice   `json:"notice"`
}

// Ticket identifies one walk of one job; it is what the queue carries.
type Ticket struct {
	VideoID string `json:"video_id"`
	Run     string `json:"run"`
}

// Ticket returns the job's current ticket.
func (j Job) Ticket() Ticket { return Ticket{VideoID: j.VideoID, Run: j.Run} }

// Result says what was published.
type Result struct {
	Duration   float64     `json:"duration_s"`
	Segments   int         `json:"segments"` // of all renditions
	Bytes      int64       `json:"bytes"`    // of all segments and init segments
	Renditions []Rendition `json:"renditions"`
}

// Rendition is one published output.
type Rendition struct {
	Name   string `json:"name"` // its folder, such as 720p or audio_128k
	Codecs string `json:"codecs"`
	Width  int    `json:"width,omitempty"`
	Height int    `json:"height,omitempty"`
	// Bandwidth is the peak and AverageBandwidth the mean rate of the rendition alone, in bits per second.
	Bandwidth        int64 `json:"bandwidth"`
	AverageBandwidth int64 `json:"average_bandwidth"`
}

// Notice records how the backend was told of the end.
type Notice struct {
	// EventID is the webhook-id: the same on every attempt, so that a receiver can drop repeats.
	EventID     string     `json:"event_id,omitempty"`
	Attempts    int        `json:"attempts,omitempty"`
	DeliveredAt *time.Time `json:"delivered_at,omitempty"`
	LastError   string     `json:"last_error,omitempty"`
	GivenUp     bool       `json:"given_up,omitempty"`
}

// Settled tells whether the backend was told or cannot be.
func (n Notice) Settled() bool { return n.DeliveredAt != nil || n.GivenUp }

// Begin moves a queued job to processing.
func (j *Job) Begin() {
	if j.State == Queued {
		j.State = Processing
	}
}

// Advance raises the progress; it never falls back.
func (j *Job) Advance(percent float64) {
	if !j.State.Ended() {
		j.Progress = max(j.Progress, min(percent, 100))
	}
}

// Publish records that the master playlist is there.
func (j *Job) Publish() {
	if !j.State.Ended() {
		j.State = Playable
	}
}

// Finish ends the job well. An ended job stays as it is.
func (j *Job) Finish(r Result) {
	if j.State.Ended() {
		return
	}
	j.State, j.Progress, j.Result = Processed, 100, &r
	j.Notice.EventID = j.eventID()
}

// Fail ends the job badly. An ended job stays as it is.
func (j *Job) Fail(f Failure) {
	if j.State.Ended() {
		return
	}
	j.State, j.Failure = Failed, &f
	j.Notice.EventID = j.eventID()
}

// eventID depends on nothing but the walk and its end: a node that ends the same job twice tells of one event.
func (j *Job) eventID() string { return fmt.Sprintf("evt_%s_%s_%s", j.VideoID, j.Run, j.State) }

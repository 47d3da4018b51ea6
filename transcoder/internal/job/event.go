package job

import (
	"strings"
	"time"
)

// Notice is one thing that the backend is told, and how the telling stands.
type Notice struct {
	// EventID is the webhook-id: the same on every attempt, so that a receiver can drop repeats.
	EventID     string     `json:"event_id"`
	Type        string     `json:"type"` // video.playable, video.processed or video.failed
	At          time.Time  `json:"at"`
	Attempts    int        `json:"attempts,omitempty"`
	DeliveredAt *time.Time `json:"delivered_at,omitempty"`
	LastError   string     `json:"last_error,omitempty"`
	GivenUp     bool       `json:"given_up,omitempty"` // a dead letter: it can be replayed
}

// Settled tells whether the backend was told or cannot be.
func (n Notice) Settled() bool { return n.DeliveredAt != nil || n.GivenUp }

// Notice finds one of the job's notices by its event's id; nil if there is none.
func (j *Job) Notice(eventID string) *Notice {
	for i := range j.Notices {
		if j.Notices[i].EventID == eventID {
			return &j.Notices[i]
		}
	}
	return nil
}

// Replay makes a notice due again, as if it had never been tried; false means that there is none with this id.
func (j *Job) Replay(eventID string) bool {
	n := j.Notice(eventID)
	if n == nil {
		return false
	}
	n.Attempts, n.DeliveredAt, n.LastError, n.GivenUp = 0, nil, "", false
	return true
}

// EventVideo returns the id of the video that an event is about; "" if the text is no event's id.
func EventVideo(eventID string) string {
	rest, ok := strings.CutPrefix(eventID, "evt_")
	for range 2 { // the state and the run, neither of which has an underscore
		at := strings.LastIndexByte(rest, '_')
		if !ok || at < 0 {
			return ""
		}
		rest = rest[:at]
	}
	if ValidateVideoID(rest) != nil {
		return ""
	}
	return rest
}

// Event is the body of a webhook, in the form of the Standard Webhooks specification 1.0.0: type, timestamp, data. The
// video's id and status stand on top as well, so that a receiver needs nothing else.
type Event struct {
	Type      string    `json:"type"` // video.playable, video.processed or video.failed
	Timestamp time.Time `json:"timestamp"`
	VideoID   string    `json:"video_id"`
	Status    State     `json:"status"` // playable, processed or failed
	Data      EventData `json:"data"`
}

// EventData is the event's detail: Result of a processed video, Failure of a failed one.
type EventData struct {
	VideoID  string   `json:"video_id"`
	Key      string   `json:"key"`
	Duration float64  `json:"duration_s,omitempty"`
	Result   *Result  `json:"result,omitempty"`
	Failure  *Failure `json:"error,omitempty"`
}

// Event returns what the backend is told in a notice. It is the same at every attempt.
func (j Job) Event(n Notice) Event {
	state := State(strings.TrimPrefix(n.Type, "video."))
	data := EventData{VideoID: j.VideoID, Key: j.Key, Duration: j.Duration}
	switch state {
	case Processed:
		data.Result = j.Result
	case Failed:
		data.Failure = j.Failure
	}
	return Event{Type: n.Type, Timestamp: n.At, VideoID: j.VideoID, Status: state, Data: data}
}

// DeadLetter is a notice that could not be delivered.
type DeadLetter struct {
	VideoID    string    `json:"video_id"`
	EventID    string    `json:"event_id"`
	Type       string    `json:"type"`
	WebhookURL string    `json:"webhook_url"`
	At         time.Time `json:"at"`
	Attempts   int       `json:"attempts"`
	LastError  string    `json:"last_error"`
}

package job

import "time"

// Event is the body of a webhook, in the form of the Standard Webhooks specification 1.0.0: type, timestamp, data. The
// video's id and status stand on top as well, so that a receiver needs nothing else.
type Event struct {
	Type      string    `json:"type"` // video.processed or video.failed
	Timestamp time.Time `json:"timestamp"`
	VideoID   string    `json:"video_id"`
	Status    State     `json:"status"` // processed or failed
	Data      EventData `json:"data"`
}

// EventData is the event's detail: Result of a processed video, Failure of a failed one.
type EventData struct {
	VideoID string   `json:"video_id"`
	Key     string   `json:"key"`
	Result  *Result  `json:"result,omitempty"`
	Failure *Failure `json:"error,omitempty"`
}

// Event returns what the backend is told of an ended job.
func (j Job) Event() Event {
	return Event{
		Type:      "video." + string(j.State),
		Timestamp: j.EndedAt,
		VideoID:   j.VideoID,
		Status:    j.State,
		Data:      EventData{VideoID: j.VideoID, Key: j.Key, Result: j.Result, Failure: j.Failure},
	}
}

package api

import (
	"time"

	"weir/transcoder/internal/job"
)

// Video is how a job is shown.
type Video struct {
	VideoID    string          `json:"video_id"`
	State      job.State       `json:"state"`
	Progress   float64         `json:"progress"` // percent
	Priority   int             `json:"priority"`
	Version    int             `json:"version"` // how often the video was begun
	CreatedAt  time.Time       `json:"created_at"`
	UpdatedAt  time.Time       `json:"updated_at"`
	PlayableAt time.Time       `json:"playable_at,omitzero"`
	EndedAt    time.Time       `json:"ended_at,omitzero"`
	Duration   float64         `json:"duration_s,omitempty"`
	Segments   int             `json:"segments,omitempty"`
	Bytes      int64           `json:"bytes,omitempty"`
	Renditions []job.Rendition `json:"renditions,omitempty"`
	Manifest   string          `json:"manifest,omitempty"` // keys, and paths at the Worker
	Poster     string          `json:"poster,omitempty"`
	Storyboard string          `json:"storyboard,omitempty"`
	Error      *job.Failure    `json:"error,omitempty"`
	Webhooks   []Webhook       `json:"webhooks,omitempty"` // in the order in which the events happened
}

// Webhook is how the telling of an event stands.
type Webhook struct {
	EventID     string     `json:"event_id"`
	Type        string     `json:"type"`
	Attempts    int        `json:"attempts"`
	DeliveredAt *time.Time `json:"delivered_at,omitempty"`
	LastError   string     `json:"last_error,omitempty"`
	GivenUp     bool       `json:"given_up,omitempty"`
}

func view(j job.Job) Video {
	v := Video{
		VideoID: j.VideoID, State: j.State, Progress: j.Progress, Priority: j.Priority, Version: j.Version,
		CreatedAt: j.CreatedAt, UpdatedAt: j.UpdatedAt, PlayableAt: j.PlayableAt, EndedAt: j.EndedAt,
		Duration: duration(j), Error: j.Failure,
	}
	if r := j.Result; r != nil {
		v.Segments, v.Bytes, v.Renditions = r.Segments, r.Bytes, r.Renditions
		v.Manifest, v.Poster, v.Storyboard = r.Manifest, r.Poster, r.Storyboard
	}
	for _, n := range j.Notices {
		v.Webhooks = append(v.Webhooks, Webhook{
			EventID: n.EventID, Type: n.Type, Attempts: n.Attempts,
			DeliveredAt: n.DeliveredAt, LastError: n.LastError, GivenUp: n.GivenUp,
		})
	}
	return v
}

// duration returns a video's length in seconds: what was published if that is known, else what was planned; 0 before.
func duration(j job.Job) float64 {
	if j.Result != nil {
		return j.Result.Duration
	}
	return j.Duration
}

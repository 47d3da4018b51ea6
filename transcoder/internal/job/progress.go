package job

// Progress is how far a run has come at a moment. It is said while the run goes on and kept nowhere.
type Progress struct {
	VideoID string  `json:"video_id"`
	State   State   `json:"state"`
	Phase   Phase   `json:"phase"`
	Percent float64 `json:"percent"` // of the whole job, 0–100
	// Speed is how many seconds of video are finished in one second, and ETA the seconds that are left; 0 while unknown.
	Speed      float64             `json:"speed,omitempty"`
	ETA        float64             `json:"eta_s,omitempty"`
	Renditions []RenditionProgress `json:"renditions,omitempty"`
}

// A Phase is what a node does for a job.
type Phase string

// The phases of a job, in their order.
const (
	Waiting    Phase = "waiting"    // for a node
	Probing    Phase = "probing"    // the upload is examined and the plan made
	Encoding   Phase = "encoding"   // tasks are done
	Publishing Phase = "publishing" // the last playlists are written
	Over       Phase = "over"       // the state says how it ended
)

// RenditionProgress is one rendition's part.
type RenditionProgress struct {
	Name     string  `json:"name"`
	State    State   `json:"state"`      // processing, playable or processed
	Playable float64 `json:"playable_s"` // how much can be watched, in seconds from the start
	Percent  float64 `json:"percent"`
}

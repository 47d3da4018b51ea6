// Package job holds the words for work: what a backend asks for (Spec), the record of how far it has come (Job), how it
// ended (Failure), what is told of it (Notice, Event), and the error kinds that every other package speaks in.
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

// The states of a video. A job moves down this list; it ends as Processed or as Failed. Deleted may come at any time.
const (
	Queued     State = "queued"     // accepted, nothing done yet
	Processing State = "processing" // a node walks the write line
	Playable   State = "playable"   // the master playlist is there; the rest of the video follows
	Processed  State = "processed"  // everything is there
	Failed     State = "failed"     // it cannot be done; Job.Failure says why
	Deleted    State = "deleted"    // somebody does not want it any more
)

// Ended tells whether the job's work is over.
func (s State) Ended() bool { return s == Processed || s == Failed || s == Deleted }

// A Job is the record of one video's request.
type Job struct {
	Spec
	// Run names this walk of the line. A job that is posted again after it ended gets a new one, so that nothing left over
	// from the old walk, in the bucket or on another node, can be taken for part of the new one.
	Run string `json:"run"`
	// Version counts from 1 what was to be published of a video. Each version has media playlists of its own.
	Version int `json:"version"`
	// Published is the version that the master playlist leads to; 0 while there is none. While a video is encoded
	// anew to replace what is there, that is the version before.
	Published int `json:"published,omitempty"`
	// NoMPD says of the version that is to be replaced that it is published for HLS alone.
	NoMPD     bool      `json:"no_mpd,omitempty"`
	State     State     `json:"state"`
	Progress  float64   `json:"progress"`             // percent, 0–100
	Duration  float64   `json:"duration_s,omitempty"` // known once the job is planned
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	// Encode means that none of the source's pictures are published as they are: in the run before, they turned out to be other
	// than the source's index said.
	Encode bool `json:"encode,omitempty"`
	// NotBefore keeps a run waiting until the remains of the one before are gone.
	NotBefore  time.Time `json:"not_before,omitzero"`
	PlayableAt time.Time `json:"playable_at,omitzero"`
	EndedAt    time.Time `json:"ended_at,omitzero"`
	// SweepAt is when the last unreferenced objects are removed: later than any straggler could write one. Zero when that
	// was done.
	SweepAt time.Time `json:"sweep_at,omitzero"`

	Result  *Result  `json:"result,omitempty"`
	Failure *Failure `json:"error,omitempty"`
	Notices []Notice `json:"notices,omitempty"` // what the backend is told, in the order in which it happened
}

// Ticket identifies one walk of one job; it is what the queue carries.
type Ticket struct {
	VideoID string `json:"video_id"`
	Run     string `json:"run"`
}

// Ticket returns the job's current ticket.
func (j Job) Ticket() Ticket { return Ticket{VideoID: j.VideoID, Run: j.Run} }

// String is the ticket's name in the queue.
func (t Ticket) String() string { return t.VideoID + "." + t.Run }

// Result says what was published.
type Result struct {
	Duration   float64     `json:"duration_s"`
	Segments   int         `json:"segments"` // of all renditions
	Bytes      int64       `json:"bytes"`    // of all media: segments, init segments, and key frames with objects of their own
	Renditions []Rendition `json:"renditions"`
	// Manifest is the key of manifest.json, which says where all of it is.
	Manifest string `json:"manifest,omitempty"`
	// Poster and Storyboard are the keys of the picture of the video and of the WebVTT file with those along its time line.
	Poster     string `json:"poster,omitempty"`
	Storyboard string `json:"storyboard,omitempty"`
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

// Watchable tells whether a player can play the video, or the version before it.
func (j Job) Watchable() bool { return j.Published > 0 }

// Replaces tells whether the run is to take the place of a version that is watched meanwhile.
func (j Job) Replaces() bool { return j.Published > 0 && j.Published < j.Version }

// HasMPD tells whether the version that can be watched has an MPD. It has none before it is there in whole.
func (j Job) HasMPD() bool {
	if j.Replaces() {
		return !j.NoMPD
	}
	return j.State == Processed && j.MPD()
}

// Closed tells whether nothing is left to do: the job has ended, its remains are swept, and the backend was told.
func (j Job) Closed() bool {
	for _, n := range j.Notices {
		if !n.Settled() {
			return false
		}
	}
	return j.State.Ended() && j.SweepAt.IsZero()
}

// Restart has the work done once more, under a new run in which all pictures are encoded. To the backend it is the same job. What
// can be watched of it already stays until all of the new run is there, as a version of its own. An ended job stays as it is.
func (j *Job) Restart(run string) {
	if j.State.Ended() {
		return
	}
	if j.State == Playable {
		j.Version++
		j.NoMPD = true
	}
	j.Run, j.Encode = run, true
}

// Adopt makes a job that was taken for a video's first one that replaces what is published: the record of that was lost. An MPD is a
// part of it, or not.
func (j *Job) Adopt(version int, mpd bool) {
	if j.State == Queued && j.Version <= version {
		j.Version, j.Published, j.NoMPD = version+1, version, !mpd
	}
}

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

// Publish records that the master playlist leads to this version, and that the backend is to be told.
func (j *Job) Publish(now time.Time) {
	if j.State.Ended() || j.State == Playable {
		return
	}
	j.State, j.Published, j.PlayableAt = Playable, j.Version, now
	j.tell(now)
}

// stragglers is longer than a node that lost its work may go on unnoticed: after it, nothing of a run is written any more.
const stragglers = 90 * time.Second

// keepReplaced is how long the objects of a replaced version stay for those who are watching it: the longest life of a token.
const keepReplaced = 24 * time.Hour

// Finish ends the job well. An ended job stays as it is.
func (j *Job) Finish(r Result, now time.Time) {
	if j.State.Ended() {
		return
	}
	j.SweepAt = now.Add(stragglers)
	if j.Replaces() {
		j.SweepAt = now.Add(keepReplaced)
	}
	j.State, j.Progress, j.Published, j.Result, j.EndedAt = Processed, 100, j.Version, &r, now
	j.tell(now)
}

// Fail ends the job badly. An ended job stays as it is. What an earlier job published, and this one was to replace, stays.
func (j *Job) Fail(f Failure, now time.Time) {
	if j.State.Ended() {
		return
	}
	if !j.Replaces() || j.State == Playable { // then it is a part of this one, which started over
		j.Published = 0
	}
	j.State, j.Failure, j.EndedAt, j.SweepAt = Failed, &f, now, now.Add(stragglers)
	j.tell(now)
}

// Delete ends the job and all that was published of it. Nothing more is told: who deletes knows.
func (j *Job) Delete(now time.Time) {
	if j.State == Deleted {
		return
	}
	j.State, j.Published, j.EndedAt, j.SweepAt = Deleted, 0, now, now.Add(stragglers)
	j.Result, j.Failure, j.Notices = nil, nil, nil
}

func (j *Job) tell(now time.Time) {
	j.Notices = append(j.Notices, Notice{EventID: j.eventID(), Type: "video." + string(j.State), At: now})
}

// eventID depends on nothing but the walk and its state: a node that reports the same twice tells of one event.
func (j *Job) eventID() string { return fmt.Sprintf("evt_%s_%s_%s", j.VideoID, j.Run, j.State) }

package job

import "time"

// Outlook is what all jobs together have to do. Whoever stops machines that have nothing to do asks for it.
type Outlook struct {
	// Busy tells whether there is work now.
	Busy bool `json:"busy"`
	// DueAt is when there is the next, of what waits; zero if nothing waits.
	DueAt time.Time `json:"due_at,omitzero"`
	// Queued, Processing and Playable are how many jobs are in these states, and Untold how many events backends are to be told.
	Queued, Processing, Playable, Untold int `json:"-"`
}

// Add adds what a job has to do, whatever the queue knows of it. A backend that does not answer is waited for once more as long as it was
// waited for already.
func (o *Outlook) Add(j Job, now time.Time) {
	if !j.State.Ended() {
		o.Busy = true
	}
	switch j.State {
	case Queued:
		o.Queued++
	case Processing:
		o.Processing++
	case Playable:
		o.Playable++
	}
	wait := func(at time.Time) {
		switch {
		case !at.After(now):
			o.Busy = true
		case o.DueAt.IsZero() || at.Before(o.DueAt):
			o.DueAt = at
		}
	}
	if !j.SweepAt.IsZero() {
		wait(j.SweepAt)
	}
	for _, n := range j.Notices {
		if n.Settled() {
			continue
		}
		o.Untold++
		switch {
		case n.Attempts == 0:
			o.Busy = true
		default:
			wait(now.Add(now.Sub(n.At)))
		}
	}
}

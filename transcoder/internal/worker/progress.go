package worker

import (
	"context"
	"encoding/json"
	"time"

	"weir/transcoder/internal/job"
)

const (
	// sayInterval is how often progress is said, if there is any, and sayAgain how often it is said anyway.
	sayInterval, sayAgain = 500 * time.Millisecond, 3 * time.Second
	// recordInterval is how often progress goes into the job's record: R2 takes one write a second and key.
	recordInterval = 2 * time.Second
	// lastPercent is left for publishing.
	lastPercent = 99
)

// record says how far the job is, and writes it into the record now and then.
func (f *follower) record(ctx context.Context) error {
	now, p := f.Now(), f.progress()
	if p.Percent != f.heard || now.Sub(f.said) > sayAgain {
		f.say(f.job, p)
		f.heard, f.said = p.Percent, now
	}
	news := p.Percent != f.percent && now.Sub(f.recorded) > recordInterval
	if !news && now.Sub(f.recorded) < pollInterval {
		return nil
	}
	f.percent, f.recorded = p.Percent, now
	j, err := f.Catalog.Update(ctx, f.job.Ticket(), func(j *job.Job) { j.Advance(p.Percent) })
	if err == nil && j.State.Ended() {
		err = errStopped
	}
	return err
}

// finished is how many seconds of the picture are encoded, where each codec counts for as much as it takes, or of the sound.
func (f *follower) finished(sound bool) float64 {
	done, all := 0.0, 0.0
	for _, t := range f.tasks {
		if t.Sound == sound && !t.Still && !t.Text {
			done, all = done+f.share(t)*t.Weight, all+t.Weight
		}
	}
	return done / all * f.plan.Duration()
}

// encoded is the part of the picture that is finished in a codec, in percent.
func (f *follower) encoded(codec job.Codec) float64 {
	frames := 0.0
	for _, t := range f.tasks {
		if t.Codec == codec {
			frames += f.share(t) * float64(t.Chunks[0].End-t.Chunks[0].First)
		}
	}
	return tenths(100 * frames / float64(f.plan.Frames))
}

// main is how many seconds are encoded of what takes longest: of the picture, unless there is sound alone.
func (f *follower) main() float64 { return f.finished(len(f.plan.Video) == 0) }

// progress is how far the job is.
func (f *follower) progress() job.Progress {
	p := job.Progress{Phase: job.Encoding}
	sum := 0.0
	for _, t := range f.tasks {
		sum += t.Weight * f.share(t)
	}
	p.Percent = tenths(sum * lastPercent)
	seconds := f.main()
	if elapsed := f.Now().Sub(f.began).Seconds(); elapsed > 1 && seconds > f.begun {
		speed := (seconds - f.begun) / elapsed
		p.Speed, p.ETA = tenths(speed), tenths((f.plan.Duration()-seconds)/speed)
	}
	playable := 0.0
	if ready := f.ready(); ready > 0 {
		playable = f.plan.Rate().Seconds(f.plan.Chunks[ready-1].End)
	}
	state := job.Processing
	if f.job.State == job.Playable {
		state = job.Playable
	}
	for _, v := range f.plan.Video {
		r := job.RenditionProgress{Name: v.Name, State: job.Processing, Percent: f.encoded(v.Coding())}
		if v.Coding() == job.H264 {
			r.State, r.Playable = state, playable
		}
		p.Renditions = append(p.Renditions, r)
	}
	for _, a := range f.plan.Audio {
		p.Renditions = append(p.Renditions, job.RenditionProgress{Name: a.Name, State: state, Playable: playable, Percent: tenths(100 * f.finished(true) / f.plan.Duration())})
	}
	return p
}

func tenths(f float64) float64 { return float64(int(f*10)) / 10 }

// say tells whoever listens how far a job is.
func (w *Worker) say(j job.Job, p job.Progress) {
	p.VideoID, p.State = j.VideoID, j.State
	data, err := json.Marshal(p)
	if err == nil {
		err = w.Queue.Signal("progress."+j.Ticket().String(), data)
	}
	if err != nil {
		w.Log.Warn("progress was not said", "job", j.VideoID, "error", err)
	}
}

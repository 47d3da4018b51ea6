package worker

import (
	"context"
	"errors"
	"time"

	"weir/transcoder/internal/job"
	"weir/transcoder/internal/publish"
	"weir/transcoder/internal/queue"
)

// sweepTimeout is far less than a run that follows waits for a sweep to end.
const sweepTimeout = time.Minute

// Sweep handles a message of the sweeps lane: it removes what is left of a job that has ended, at once what can be played
// and must not be, and once more when no straggler of the run can write anything any more.
func (w *Worker) Sweep(ctx context.Context, d queue.Delivery) error {
	t, err := decode[job.Ticket](d.Data)
	if err != nil {
		return w.discard(d, err)
	}
	j, err := w.Catalog.Update(ctx, t, func(*job.Job) {})
	switch {
	case gone(err):
		return nil // the run that follows sweeps
	case err != nil:
		return err
	case j.SweepAt.IsZero():
		return w.close(ctx, j)
	}
	if err := w.clear(ctx, j); err != nil {
		return err
	}
	if wait := j.SweepAt.Sub(w.Now()); wait > 0 {
		return &queue.Later{After: wait, Err: errors.New("stragglers may still write")}
	}
	// A run that follows waits from now on, until the sweep has certainly ended.
	j, err = w.Catalog.Update(ctx, t, func(j *job.Job) { j.SweepAt = w.Now().UTC() })
	if err != nil {
		return err
	}
	sweeping, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	if j.Watchable() {
		err = publish.NewTree(w.Bucket, j.VideoID).Sweep(sweeping)
	}
	if err == nil {
		j, err = w.Catalog.Update(ctx, t, func(j *job.Job) { j.SweepAt = time.Time{} })
	}
	if err != nil {
		return err
	}
	return w.close(ctx, j)
}

// prepare makes room for a run. Nothing is left of one before that failed or was deleted, and nobody is about to remove
// anything. A first run that finds a whole video takes its place, as playlists that are complete are never written again.
func (w *Worker) prepare(ctx context.Context, j job.Job) error {
	if j.Version > 1 && !j.Watchable() {
		ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
		defer cancel()
		if err := publish.NewTree(w.Bucket, j.VideoID).Withdraw(ctx); err != nil {
			return err
		}
	}
	if wait := j.NotBefore.Sub(w.Now()); wait > 0 {
		return &queue.Later{After: wait, Err: errors.New("the remains of the run before are being removed")}
	}
	if j.Version > 1 {
		return nil
	}
	version, mpd, err := publish.NewTree(w.Bucket, j.VideoID).Published(ctx)
	if err != nil || version == 0 {
		return err
	}
	w.Log.Warn("the record of a published video was lost: it is replaced", "job", j.VideoID, "run", j.Run, "version", version)
	_, err = w.Catalog.Update(ctx, j.Ticket(), func(j *job.Job) { j.Adopt(version, mpd) })
	return err
}

// clear removes what must not be there once a run has failed or its video was deleted. It may be called again.
func (w *Worker) clear(ctx context.Context, j job.Job) error {
	if j.State != job.Failed && j.State != job.Deleted {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	if err := w.stopTasks(ctx, j.Ticket()); err != nil {
		return err
	}
	if !j.Watchable() {
		if err := publish.NewTree(w.Bucket, j.VideoID).Withdraw(ctx); err != nil {
			return err
		}
	}
	if j.State != job.Deleted {
		return nil
	}
	var records []string
	for o, err := range w.Bucket.List(ctx, "work/"+j.VideoID+"/") {
		if err != nil {
			return err
		}
		records = append(records, o.Key)
	}
	return w.Bucket.Delete(ctx, records...)
}

// close ends a job with which nothing is left to do.
func (w *Worker) close(ctx context.Context, j job.Job) error {
	if !j.Closed() {
		return nil
	}
	return w.Catalog.Close(ctx, j.Ticket())
}

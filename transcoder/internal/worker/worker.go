// Package worker is the write line: it turns an accepted job into a published video. Start at [Worker.Run].
//
// Three handlers take the three lanes of the queue. [Worker.Run] holds a job while it walks the line; it costs no CPU. The
// work is in tasks, which [Worker.RunTask] does on any node; their results are objects in the bucket. [Worker.Tell] tells
// the backend. If a node dies, another gets its messages and walks the same line again: the plan is there, finished tasks
// are skipped, what is written twice is the same. There is no recovery code beside the line itself.
package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"weir/transcoder/internal/catalog"
	"weir/transcoder/internal/encode"
	"weir/transcoder/internal/ffmpeg"
	"weir/transcoder/internal/hls"
	"weir/transcoder/internal/job"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
	"weir/transcoder/internal/probe"
	"weir/transcoder/internal/publish"
	"weir/transcoder/internal/queue"
	"weir/transcoder/internal/r2"
	"weir/transcoder/internal/source"
)

// Bucket is where plans and results lie, and where the tree grows. Create succeeds for one caller alone and answers the
// others with job.ErrConflict.
type Bucket interface {
	Read(ctx context.Context, key string) (data []byte, etag string, err error)
	Write(ctx context.Context, key string, data []byte, m r2.Meta) error
	Create(ctx context.Context, key string, data []byte, m r2.Meta) error
	Delete(ctx context.Context, keys ...string) error
	List(ctx context.Context, prefix string) iter.Seq2[r2.Object, error]
}

// Queue dispatches work; see package queue for what it promises.
type Queue interface {
	Send(ctx context.Context, lane queue.Lane, id string, data []byte) error
	Drop(ctx context.Context, lane queue.Lane, prefix string) error
	Signal(id string, data []byte) error
	Listen(prefix string, hear func(id string, data []byte)) (stop func(), err error)
}

// Sender makes one attempt to tell a backend; its errors are *webhook.Failure.
type Sender interface {
	Send(ctx context.Context, url, id string, now time.Time, body []byte) error
}

// Worker walks the write line.
type Worker struct {
	Log     *slog.Logger
	Now     func() time.Time
	Bucket  Bucket
	Catalog *catalog.Catalog
	Queue   Queue
	Sources *source.Server
	Tools   ffmpeg.Tools
	Encoder encode.Encoder
	Ladder  plan.Ladder
	Sender  Sender
}

// Run handles a message of the jobs lane: it walks one job down the line, from wherever it stands.
func (w *Worker) Run(ctx context.Context, d queue.Delivery) error {
	t, err := decode[job.Ticket](d.Data)
	if err != nil {
		return w.discard(d, err)
	}
	j, err := w.Catalog.Update(ctx, t, (*job.Job).Begin)
	if gone(err) {
		return w.discard(d, err)
	}
	if err != nil {
		return err
	}
	if !j.State.Ended() {
		if j, err = w.walk(ctx, j, d.Attempt); err != nil {
			return err
		}
	}
	return w.Queue.Send(ctx, queue.Hooks, j.VideoID+"."+j.Run, d.Data)
}

// jobAttempts is how often a job is walked before it is given up: with the queue's pauses, more than two hours, which
// outages of the bucket do not outlast.
const jobAttempts = 20

// walk is the line. It returns the ended job; an error means that it is to be walked again.
func (w *Worker) walk(ctx context.Context, j job.Job, attempt int) (job.Job, error) {
	log := w.Log.With("job", j.VideoID, "run", j.Run)
	tree := publish.NewTree(w.Bucket, j.VideoID)

	result, err := w.make(ctx, j, tree)
	if failure := (*job.Failure)(nil); errors.As(err, &failure) {
		log.Info("the job failed", "code", failure.Code, "error", err)
		return w.fail(ctx, j, tree, *failure)
	}
	if err != nil && ctx.Err() == nil && attempt >= jobAttempts {
		log.Error("the job was given up", "error", err)
		return w.fail(ctx, j, tree, job.Failure{Code: job.Internal, Message: "The transcoder failed on the video again and again; its log says why. Post the request again when that is mended."})
	}
	if err != nil {
		return j, err
	}
	log.Info("the job was processed", "duration_s", result.Duration, "segments", result.Segments, "bytes", result.Bytes)
	return w.Catalog.Update(ctx, j.Ticket(), func(j *job.Job) { j.Finish(result) })
}

func (w *Worker) make(ctx context.Context, j job.Job, tree publish.Tree) (job.Result, error) {
	p, err := w.plan(ctx, j)
	if err != nil {
		return job.Result{}, err
	}
	renditions, err := w.dispatch(ctx, j, p)
	if err != nil {
		return job.Result{}, err
	}
	result, err := w.publish(ctx, j, tree, p, renditions)
	if err != nil {
		return job.Result{}, err
	}
	return result, tree.Sweep(ctx, renditions)
}

// plan returns the run's plan: the one in the bucket, or else a new one. Whoever puts it there first decides.
func (w *Worker) plan(ctx context.Context, j job.Job) (plan.Plan, error) {
	p, err := read[plan.Plan](ctx, w.Bucket, planKey(j.Ticket()))
	if !errors.Is(err, job.ErrNotFound) {
		return p, err
	}
	upload, err := w.Sources.Open(ctx, j.Key)
	if err != nil {
		return plan.Plan{}, err
	}
	defer upload.Close()
	src, err := probe.Probe(ctx, w.Tools, upload)
	if err != nil {
		return plan.Plan{}, err
	}
	p = plan.Make(j.Key, upload.ETag(), upload.Size(), src, w.Ladder)
	w.Log.Info("the job was planned", "job", j.VideoID, "run", j.Run, "source", src, "chunks", len(p.Chunks))
	return commit(ctx, w.Bucket, planKey(j.Ticket()), p)
}

// publish writes the playlists. From the master playlist on, the video is playable.
func (w *Worker) publish(ctx context.Context, j job.Job, tree publish.Tree, p plan.Plan, renditions []media.Rendition) (job.Result, error) {
	target := hls.TargetDuration(renditions)
	playlists := make(map[string][]byte, len(renditions))
	var result job.Result
	for _, r := range renditions {
		list, err := hls.Media(r, target)
		if err != nil {
			return job.Result{}, err
		}
		playlists[r.Name] = list
		peak, average := hls.Bandwidth(r, target)
		out := job.Rendition{Name: r.Name, Codecs: r.Codecs, Bandwidth: peak, AverageBandwidth: average}
		for _, v := range p.Video {
			if v.Name == r.Name {
				out.Width, out.Height = v.Width, v.Height
			}
		}
		result.Renditions = append(result.Renditions, out)
		result.Segments += len(r.Segments)
		result.Bytes += r.Bytes()
		result.Duration = max(result.Duration, r.Duration())
	}
	master, err := hls.Master(p, renditions, publish.PlaylistName)
	if err != nil {
		return job.Result{}, err
	}
	if err := tree.Publish(ctx, playlists, master); err != nil {
		return job.Result{}, fmt.Errorf("publish: %w", err)
	}
	_, err = w.Catalog.Update(ctx, j.Ticket(), (*job.Job).Publish)
	return result, err
}

// fail ends the job badly. Nothing of it can be played afterwards, and no task of it is left.
func (w *Worker) fail(ctx context.Context, j job.Job, tree publish.Tree, f job.Failure) (job.Job, error) {
	// Only the run that the record names may touch the tree: it may be another's by now.
	if _, err := w.Catalog.Update(ctx, j.Ticket(), func(*job.Job) {}); err != nil {
		return j, err
	}
	if err := w.stopTasks(ctx, j.Ticket()); err != nil {
		return j, err
	}
	if err := tree.Withdraw(ctx); err != nil {
		return j, fmt.Errorf("withdraw the tree: %w", err)
	}
	return w.Catalog.Update(ctx, j.Ticket(), func(j *job.Job) { j.Fail(f) })
}

// Dispatch puts an accepted job into the queue.
func (w *Worker) Dispatch(ctx context.Context, t job.Ticket) error {
	data, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("dispatch %q: %w", t.VideoID, err)
	}
	return w.Queue.Send(ctx, queue.Jobs, t.VideoID+"."+t.Run, data)
}

// Reconcile dispatches what the bucket says is open, whatever became of the queue. It does so at once and then every
// interval, until the context ends.
func (w *Worker) Reconcile(ctx context.Context, interval time.Duration) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		if err := w.reconcile(ctx); err != nil && ctx.Err() == nil {
			w.Log.Warn("open jobs could not be dispatched again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (w *Worker) reconcile(ctx context.Context) error {
	for id, err := range w.Catalog.Open(ctx) {
		if err != nil {
			return err
		}
		j, err := w.Catalog.Get(ctx, id)
		if err != nil {
			return err
		}
		if j.Notice.Settled() {
			err = w.Catalog.Close(ctx, j.Ticket())
		} else {
			err = w.Dispatch(ctx, j.Ticket())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// gone tells whether a message's job is not there any more, or not this one.
func gone(err error) bool {
	return errors.Is(err, job.ErrNotFound) || errors.Is(err, catalog.ErrSuperseded)
}

// discard settles a message that nobody needs.
func (w *Worker) discard(d queue.Delivery, err error) error {
	w.Log.Warn("a message was discarded", "id", d.ID, "error", err)
	return nil
}

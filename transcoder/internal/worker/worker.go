// Package worker is the write line: it turns an accepted job into a published video. Start at [Worker.Run].
//
// Four handlers take the lanes of the queue. [Worker.Run] holds a job while it walks the line; it costs no CPU. The work is
// in tasks, which [Worker.RunTask] does on any node; their results are objects in the bucket. [Worker.Tell] tells the
// backend, [Worker.Sweep] removes what is not wanted any more. If a node dies, another gets its messages and walks the same
// line again: the plan is there, finished tasks are skipped, what is written twice is the same. There is no recovery code
// beside the line itself.
package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync/atomic"
	"time"

	"weir/transcoder/internal/catalog"
	"weir/transcoder/internal/encode"
	"weir/transcoder/internal/encrypt"
	"weir/transcoder/internal/ffmpeg"
	"weir/transcoder/internal/job"
	"weir/transcoder/internal/plan"
	"weir/transcoder/internal/probe"
	"weir/transcoder/internal/queue"
	"weir/transcoder/internal/r2"
	"weir/transcoder/internal/remux"
	"weir/transcoder/internal/source"
)

// Bucket is where plans and results lie, and where the tree grows. Create succeeds for one caller alone and answers the
// others with job.ErrConflict.
type Bucket interface {
	Read(ctx context.Context, key string) (data []byte, etag string, err error)
	Create(ctx context.Context, key string, data []byte, m r2.Meta) error
	Replace(ctx context.Context, key, etag string, data []byte, m r2.Meta) error
	Delete(ctx context.Context, keys ...string) error
	List(ctx context.Context, prefix string) iter.Seq2[r2.Object, error]
}

// Queue dispatches work; see package queue for what it promises.
type Queue interface {
	Send(ctx context.Context, lane queue.Lane, priority int, id string, data []byte) error
	Drop(ctx context.Context, lane queue.Lane, prefix string) error
	Signal(id string, data []byte) error
	Listen(pattern string, hear func(id string, data []byte)) (stop func(), err error)
}

// Sender makes one attempt to tell a backend; its errors are *webhook.Failure.
type Sender interface {
	Send(ctx context.Context, url, id string, now time.Time, body []byte) error
}

// Meter counts what an operator watches. Its methods may be called side by side.
type Meter interface {
	// Task is told that a task of a kind begins. What it returns is called once, with how the attempt ended, which is one of the
	// outcomes in task.go, and with the length of the part of the video, in seconds.
	Task(kind string) (end func(outcome string, seconds float64))
	// Playable and Ended are told of a job that can be watched now, and of one that has come to its end.
	Playable(j job.Job)
	Ended(j job.Job)
	// Told is told of an attempt to tell the backend, with the notice as it is afterwards.
	Told(n job.Notice)
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
	// Storyboard is how storyboards are made where the request does not say.
	Storyboard job.Storyboard
	// Codecs are those of the pictures where the request does not say.
	Codecs job.Codecs
	Sender Sender
	Meter  Meter
	// EncryptionKey is what the keys of encrypted videos are derived from; not every Weir has one.
	EncryptionKey encrypt.Master

	outlook atomic.Pointer[job.Outlook] // as Reconcile has seen it last; nil is not known
}

// Run handles a message of the jobs lane: it walks one job down the line, from wherever it stands.
func (w *Worker) Run(ctx context.Context, d queue.Delivery) error {
	t, err := decode[job.Ticket](d.Data)
	if err != nil {
		return w.discard(d, err)
	}
	j, err := w.Catalog.Update(ctx, t, func(*job.Job) {})
	if err == nil && j.State == job.Queued {
		if err := w.prepare(ctx, j); err != nil {
			return err
		}
		j, err = w.Catalog.Update(ctx, t, (*job.Job).Begin)
	}
	if gone(err) {
		return w.discard(d, err)
	}
	if err != nil {
		return err
	}
	if !j.State.Ended() {
		if j, err = w.walk(ctx, j, d); err != nil {
			return err
		}
		if j.State.Ended() {
			w.Meter.Ended(j)
		}
	}
	if !j.State.Ended() { // it starts over
		return w.Dispatch(ctx, j)
	}
	if err := w.clear(ctx, j); err != nil {
		return err
	}
	w.say(j, job.Progress{Phase: job.Over, Percent: j.Progress})
	return w.Dispatch(ctx, j)
}

// maxFaults is how often Weir itself may fail on a job, or on one of its tasks, before the job is given up: with the queue's
// pauses, for more than two hours. That the bucket is away is nobody's fault, however long it is.
const maxFaults = 20

// gaveUp is what the backend is told then.
const gaveUp = "The transcoder failed on the video again and again; its log says why. Post the request again when that is mended."

// walk is the line. It returns the job, ended or to be started over; an error means that it is to be walked again.
func (w *Worker) walk(ctx context.Context, j job.Job, d queue.Delivery) (job.Job, error) {
	log := w.Log.With("job", j.VideoID, "run", j.Run)
	wanted, end, err := w.untilStopped(ctx, j.Ticket())
	if err != nil {
		return j, err
	}
	var result job.Result
	if err = w.blame(d); err == nil {
		result, err = w.make(wanted, j)
	}
	stopped := errors.Is(context.Cause(wanted), errStopped) || errors.Is(err, errStopped) || gone(err)
	end()
	failure := (*job.Failure)(nil)
	switch {
	case stopped:
		log.Info("the job was stopped")
		return w.stopped(ctx, j)
	case errors.Is(err, errUncopyable):
		log.Info("the job starts over, and all pictures are encoded", "error", err)
		return w.restart(ctx, j)
	case errors.As(err, &failure):
		log.Info("the job failed", "code", failure.Code, "error", err)
		return w.fail(ctx, j, *failure)
	case errors.Is(err, job.ErrUnavailable), err != nil && ctx.Err() != nil:
		return j, err
	case err != nil && d.Faults+1 < maxFaults:
		return j, &queue.Fault{Err: err}
	case err != nil:
		log.Error("the job was given up", "error", err)
		return w.fail(ctx, j, job.Failure{Code: job.Internal, Message: gaveUp})
	}
	log.Info("the job was processed", "duration_s", result.Duration, "segments", result.Segments, "bytes", result.Bytes)
	return w.Catalog.Update(ctx, j.Ticket(), func(j *job.Job) { j.Finish(result, w.Now().UTC()) })
}

func (w *Worker) make(ctx context.Context, j job.Job) (job.Result, error) {
	w.say(j, job.Progress{Phase: job.Probing})
	p, err := w.plan(ctx, j)
	if err != nil {
		return job.Result{}, err
	}
	if j, err = w.Catalog.Update(ctx, j.Ticket(), func(j *job.Job) { j.Duration = p.Duration() }); err != nil {
		return job.Result{}, err
	}
	out, err := w.follow(ctx, j, p)
	if err != nil {
		return job.Result{}, err
	}
	return w.publish(ctx, j, p, out)
}

// plan returns the run's plan: the one in the bucket, or else a new one. Whoever puts it there first decides.
func (w *Worker) plan(ctx context.Context, j job.Job) (plan.Plan, error) {
	p, err := read[plan.Plan](ctx, w.Bucket, planKey(j.Ticket()))
	if !errors.Is(err, job.ErrNotFound) {
		return p, err
	}
	codecs := j.Spec.Codecs.Or(w.Codecs)
	if j.Spec.SegmentFormat.Stream() {
		codecs = nil // beside H.264, transport streams hold none
	}
	if missing := codecs.Beyond(w.Encoder.Further); len(missing) > 0 {
		return plan.Plan{}, &job.Failure{Code: job.CodecUnavailable, Message: fmt.Sprintf(
			"The transcoder's ffmpeg has no encoder for %s: leave it out of codecs, or install an ffmpeg that has one.", missing)}
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
	p = plan.Make(j.Key, upload.ETag(), upload.Size(), src, w.Ladder).Illustrate(j.PosterAt, j.Spec.Storyboard.Or(w.Storyboard)).In(codecs)
	if p, err = w.wrap(p, j.Spec); err != nil {
		return plan.Plan{}, err
	}
	log := w.Log.With("job", j.VideoID, "run", j.Run)
	if !j.Encode && p.Copyable() {
		if err := remux.Fit(upload, p); err == nil {
			p = p.Copy()
		} else if cause := upload.Err(); cause != nil {
			return plan.Plan{}, cause
		} else {
			log.Info("the source's own pictures are not published", "because", err)
		}
	}
	log.Info("the job was planned", "source", src, "chunks", len(p.Chunks), "copied", p.Strict)
	return commit(ctx, w.Bucket, planKey(j.Ticket()), p)
}

// errUncopyable says that pictures that were to be published as they are cannot be, or that others were found to be damaged, which
// nobody could tell of those.
var errUncopyable = errors.New("the source is not what its index says")

// restart ends what is left of a run, and makes it another.
func (w *Worker) restart(ctx context.Context, j job.Job) (job.Job, error) {
	if err := w.stopTasks(ctx, j.Ticket()); err != nil {
		return j, err
	}
	return w.Catalog.Restart(ctx, j.Ticket())
}

func (w *Worker) fail(ctx context.Context, j job.Job, f job.Failure) (job.Job, error) {
	return w.Catalog.Update(ctx, j.Ticket(), func(j *job.Job) { j.Fail(f, w.Now().UTC()) })
}

// stopped ends what is left of a run that nobody waits for any more, and returns the record as it is now.
func (w *Worker) stopped(ctx context.Context, j job.Job) (job.Job, error) {
	if err := w.stopTasks(ctx, j.Ticket()); err != nil {
		return j, err
	}
	return w.Catalog.Get(ctx, j.VideoID)
}

// Dispatch puts whatever of a job is due into the queue: the job itself, what its backend is to be told, and the removal of
// its remains. What is in the queue already is not put there again.
func (w *Worker) Dispatch(ctx context.Context, j job.Job) error {
	ticket := j.Ticket()
	if !j.State.Ended() {
		if err := w.send(ctx, queue.Jobs, j, ticket.String(), ticket); err != nil {
			return err
		}
	}
	for _, n := range j.Notices {
		if n.Settled() {
			continue
		}
		if err := w.send(ctx, queue.Hooks, j, hookID(ticket, n), hookMessage{ticket, n.EventID}); err != nil {
			return err
		}
	}
	if j.State == job.Deleted {
		if err := w.Queue.Signal(stopID(ticket), nil); err != nil {
			return err
		}
	}
	if !j.SweepAt.IsZero() {
		// Named after the state: the sweep of a video that is deleted must not be taken for that of its end, which may wait
		// for a day.
		return w.send(ctx, queue.Sweeps, j, ticket.String()+"."+string(j.State), ticket)
	}
	return nil
}

// send puts a message of a job into a lane.
func (w *Worker) send(ctx context.Context, lane queue.Lane, j job.Job, id string, message any) error {
	data, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("send %s %s: %w", lane, id, err)
	}
	return w.Queue.Send(ctx, lane, j.Priority, id, data)
}

// Reconcile dispatches what the bucket says is open, whatever became of the queue. It does so at once and then every
// interval, until the context ends.
func (w *Worker) Reconcile(ctx context.Context, interval time.Duration) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		outlook, err := w.reconcile(ctx)
		if err == nil {
			w.outlook.Store(&outlook)
		} else if w.outlook.Store(nil); ctx.Err() == nil {
			w.Log.Warn("open jobs could not be dispatched again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (w *Worker) reconcile(ctx context.Context) (job.Outlook, error) {
	var outlook job.Outlook
	for id, err := range w.Catalog.Open(ctx) {
		if err != nil {
			return outlook, err
		}
		j, err := w.Catalog.Get(ctx, id)
		if errors.Is(err, job.ErrNotFound) {
			continue // a marker whose request was never answered
		}
		if err != nil {
			return outlook, err
		}
		outlook.Add(j, w.Now())
		if j.Closed() {
			err = w.Catalog.Close(ctx, j.Ticket())
		} else {
			err = w.Dispatch(ctx, j)
		}
		if err != nil {
			return outlook, err
		}
	}
	return outlook, nil
}

// Seen is what there was to do when Reconcile looked at all open jobs the last time; nil if it could not.
func (w *Worker) Seen() *job.Outlook { return w.outlook.Load() }

// Outlook is what was seen to do. Whoever has not seen it is busy.
func (w *Worker) Outlook() job.Outlook {
	if seen := w.Seen(); seen != nil {
		return *seen
	}
	return job.Outlook{Busy: true}
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

package worker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"weir/transcoder/internal/encode"
	"weir/transcoder/internal/job"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
	"weir/transcoder/internal/queue"
)

const (
	// maxEncoderFaults is how often the encoder may fail on a task before the video is to blame.
	maxEncoderFaults = 3
	// maxCrashes is how often, and crashTime for how long, nodes may die with a message in their hands before the message is to
	// blame. Nodes that die for other reasons do so less often, or for a shorter time.
	maxCrashes, crashTime = 20, 30 * time.Minute
	// watchInterval is how long a task may go on when nobody waits for it any more and the signal was missed.
	watchInterval = 10 * time.Second
)

// How an attempt at a task ends, for the [Meter].
const (
	finished    = "finished"
	stopped     = "stopped"     // nobody waits for it any more, or the job starts over
	interrupted = "interrupted" // the bucket was away, or the node ends or lost the message: it goes on elsewhere
	retried     = "retried"     // it failed, and comes again
	failed      = "failed"      // for good
)

// taskMessage is what the lanes of tasks carry.
type taskMessage struct {
	job.Ticket
	Task string `json:"task"`
}

// outcome is the record of a chunk's picture or sound, of the poster, of the storyboard or of the subtitles: what was made, or
// why it cannot be done.
type outcome struct {
	Renditions []media.Rendition `json:"renditions,omitempty"`
	Tiles      string            `json:"tiles,omitempty"`  // the key of the tiles that a chunk's picture gave, side by side
	Poster     string            `json:"poster,omitempty"` // its key until it is published
	Sheets     []media.Sheet     `json:"sheets,omitempty"`
	// Texts are the subtitles that were made; those that could not be are left out.
	Texts []media.TextRendition `json:"texts,omitempty"`
	// Uncopyable ends the run and not the job: see [errUncopyable].
	Uncopyable bool         `json:"uncopyable,omitempty"`
	Failure    *job.Failure `json:"error,omitempty"`
}

// RunTask handles a message of the lanes of tasks: it does what is left of one task and commits the outcomes.
func (w *Worker) RunTask(ctx context.Context, d queue.Delivery) error {
	m, err := decode[taskMessage](d.Data)
	if err != nil {
		return w.discard(d, err)
	}
	ctx, end, err := w.untilStopped(ctx, m.Ticket)
	if err != nil {
		return err
	}
	defer end()
	if err := w.wanted(ctx, m.Ticket); gone(err) || errors.Is(err, errStopped) {
		return nil
	} else if err != nil {
		return err
	}
	p, err := read[plan.Plan](ctx, w.Bucket, planKey(m.Ticket))
	if err != nil {
		return err
	}
	task, ok := p.Task(m.Task)
	if !ok {
		return w.discard(d, fmt.Errorf("the plan has no task %q", m.Task))
	}
	left, done, err := w.left(ctx, m.Ticket, task)
	if err != nil {
		return err
	}
	if done {
		return w.signalTask(m, 1)
	}

	log := w.Log.With("job", m.VideoID, "run", m.Run, "task", m.Task)
	log.Info("a task was started", "attempt", d.Attempt)
	began := w.Now()
	if err := w.signalTask(m, 0); err != nil {
		return err
	}
	ended, count := failed, w.Meter.Task(task.Kind())
	defer func() { count(ended, p.Seconds(left.Chunks)) }()
	failure := (*job.Failure)(nil)
	if err = w.blame(d); err == nil {
		switch {
		case task.Still:
			err = w.picture(ctx, m, p, task)
		case task.Text:
			err = w.subtitles(ctx, m, p)
		default:
			err = w.encode(ctx, m, p, left)
		}
	}
	switch {
	case errors.Is(context.Cause(ctx), errStopped):
		log.Info("a task was stopped")
		ended = stopped
		return nil
	case err == nil:
		ended = finished
		log.Info("a task was finished", "took_s", w.Now().Sub(began).Seconds())
		return w.signalTask(m, 1)
	case errors.Is(err, job.ErrUnavailable), ctx.Err() != nil:
		ended = interrupted
		return err
	case errors.Is(err, errEncoder) && p.Strict && task.Decisive():
		ended = stopped
		log.Warn("a task cannot publish the source's own pictures", "error", err)
		return w.commit(ctx, m.Ticket, left.Outcomes()[0], outcome{Uncopyable: true})
	case errors.As(err, &failure):
	case errors.Is(err, errEncoder) && d.Faults+1 >= maxEncoderFaults:
		failure = &job.Failure{Code: job.EncodingFailed, Message: "The video could not be encoded to its end: it may be damaged. Check that it plays, and upload it again."}
	case d.Faults+1 < maxFaults:
		ended = retried
		return &queue.Fault{Err: err}
	default:
		failure = &job.Failure{Code: job.Internal, Message: gaveUp}
	}
	log.Warn("a task failed for good", "error", err)
	if task.Text { // the video is as good without
		failure = nil
	}
	return w.commit(ctx, m.Ticket, left.Outcomes()[0], outcome{Failure: failure})
}

// blame returns a failure if nodes have died with a message in their hands again and again.
func (w *Worker) blame(d queue.Delivery) error {
	if d.Crashes <= maxCrashes || w.Now().Sub(d.Since) <= crashTime {
		return nil
	}
	return &job.Failure{Code: job.Internal, Message: "The transcoder itself ended again and again while it worked on the video; its log says why. Post the request again when that is mended."}
}

// left is what of a task is not committed: all from the first outcome that is missing. It is done if none is.
func (w *Worker) left(ctx context.Context, t job.Ticket, task plan.Task) (left plan.Task, done bool, err error) {
	names, err := committed(ctx, w.Bucket, t)
	if err != nil {
		return plan.Task{}, false, err
	}
	for i, name := range task.Outcomes() {
		if !names[name] {
			task.Chunks = task.Chunks[i:]
			return task, false, nil
		}
	}
	return task, true, nil
}

// commit records an outcome, unless another node was first, and says so.
func (w *Worker) commit(ctx context.Context, t job.Ticket, name string, out outcome) error {
	if _, err := commit(ctx, w.Bucket, resultKey(t, name), out); err != nil {
		return err
	}
	return w.Queue.Signal(outcomeSignal(t, name), []byte("1"))
}

// errEncoder marks an error of the encoder itself, which is the upload's fault or ours, but not the bucket's.
var errEncoder = errors.New("encode")

// encode does a task and commits its outcomes.
func (w *Worker) encode(ctx context.Context, m taskMessage, p plan.Plan, task plan.Task) error {
	key, err := w.key(m.VideoID, p)
	if err != nil {
		return err
	}
	upload, err := w.Sources.OpenVersion(ctx, p.Key, p.ETag, p.Size)
	if err != nil {
		return err
	}
	defer upload.Close()

	if !task.Sound {
		p = p.Only(task.Codec)
	}
	s := newSink(ctx, w, m.Ticket, p, task, key)
	progress := func(share float64) {
		_ = w.signalTask(m, min(share, 0.99)) // only a hint
	}
	if task.Sound {
		err = w.Encoder.Sound(s.ctx, p, task.Chunks, upload.URL(), s, progress)
	} else {
		if p.Video[0].Copied {
			err = encode.Copy(s.ctx, p, task.Chunks[0], upload, s)
		}
		if err == nil {
			err = w.Encoder.Picture(s.ctx, p.Encoded(), task.Chunks[0], upload.URL(), s, progress)
		}
	}
	uploadErr := s.uploads.Wait()
	switch {
	case upload.Err() != nil:
		return upload.Err() // whatever the encoder said of a file that it could not read
	case uploadErr != nil:
		return uploadErr
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("%w: %w", errEncoder, err)
	}
	return s.finish(ctx)
}

// signalTask says how much of a task is finished: 0 when it is begun, 1 when it is committed.
func (w *Worker) signalTask(m taskMessage, share float64) error {
	return w.Queue.Signal(taskSignal(m.Ticket, m.Task), strconv.AppendFloat(nil, share, 'f', 3, 64))
}

// Where a run's tasks, its outcomes, and its end are spoken of.
func taskSignal(t job.Ticket, task string) string    { return "task." + t.String() + "." + task }
func outcomeSignal(t job.Ticket, name string) string { return "outcome." + t.String() + "." + name }
func stopID(t job.Ticket) string                     { return "stop." + t.String() }

// stopTasks takes a run's tasks out of the queue and ends those that are being done, on whichever node.
func (w *Worker) stopTasks(ctx context.Context, t job.Ticket) error {
	for _, lane := range []queue.Lane{queue.First, queue.Tasks} {
		if err := w.Queue.Drop(ctx, lane, t.String()); err != nil {
			return err
		}
	}
	return w.Queue.Signal(stopID(t), nil)
}

var errStopped = errors.New("nobody waits for it any more")

// untilStopped returns a context that ends, with errStopped, when the run is stopped: the moment that it is said, or
// soon after it is found in the record.
func (w *Worker) untilStopped(ctx context.Context, t job.Ticket) (context.Context, func(), error) {
	ctx, cancel := context.WithCancelCause(ctx)
	deaf, err := w.Queue.Listen(stopID(t), func(string, []byte) { cancel(errStopped) })
	if err != nil {
		cancel(err)
		return nil, nil, err
	}
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		tick := time.NewTicker(watchInterval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if err := w.wanted(ctx, t); gone(err) || errors.Is(err, errStopped) {
					cancel(errStopped)
				}
			}
		}
	}()
	return ctx, func() { deaf(); cancel(nil); <-watched }, nil
}

// wanted tells whether a run goes on; if not, with [errStopped] or an error that [gone] knows.
func (w *Worker) wanted(ctx context.Context, t job.Ticket) error {
	j, err := w.Catalog.Update(ctx, t, func(*job.Job) {})
	if err == nil && j.State.Ended() {
		err = errStopped
	}
	return err
}

package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"

	"weir/transcoder/internal/cmaf"
	"weir/transcoder/internal/job"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
	"weir/transcoder/internal/publish"
	"weir/transcoder/internal/queue"
)

const (
	// encodeAttempts is how often the encoder may fail on a task before the video is to blame.
	encodeAttempts = 3
	// uploadsAtOnce bounds what a task holds in memory: a few segments wait for the bucket, then the encoder does.
	uploadsAtOnce = 6
)

// taskMessage is what the tasks lane carries.
type taskMessage struct {
	job.Ticket
	Task string `json:"task"`
}

// outcome is a finished task's record: what it made, or why it cannot be done.
type outcome struct {
	Renditions []media.Rendition `json:"renditions,omitempty"`
	Failure    *job.Failure      `json:"error,omitempty"`
}

// RunTask handles a message of the tasks lane: it does one task, unless it is done, and commits the outcome.
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
	j, err := w.Catalog.Get(ctx, m.VideoID)
	switch {
	case errors.Is(err, job.ErrNotFound):
		return w.discard(d, err)
	case err != nil:
		return err
	case j.Run != m.Run || j.State.Ended():
		return nil // nobody waits for it
	}
	key := resultKey(m.Ticket, m.Task)
	if _, err := read[outcome](ctx, w.Bucket, key); err == nil {
		return w.Queue.Signal(signalID(m), []byte("1"))
	} else if !errors.Is(err, job.ErrNotFound) {
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

	log := w.Log.With("job", m.VideoID, "run", m.Run, "task", m.Task)
	log.Debug("a task was started", "attempt", d.Attempt)
	out := outcome{}
	out.Renditions, err = w.encode(ctx, m, p, task)
	switch {
	case errors.Is(context.Cause(ctx), errStopped):
		return nil
	case err == nil, errors.As(err, &out.Failure):
	case errors.Is(err, errEncoder) && d.Attempt >= encodeAttempts:
		out.Failure = &job.Failure{Code: job.EncodingFailed, Message: "The video could not be encoded to its end: it may be damaged. Check that it plays, and upload it again."}
	default:
		return err
	}
	if out.Failure != nil {
		log.Warn("a task failed for good", "error", err)
	}
	if _, err := commit(ctx, w.Bucket, key, out); err != nil {
		return err
	}
	log.Debug("a task was finished")
	return w.Queue.Signal(signalID(m), []byte("1"))
}

// errEncoder marks an error of the encoder itself, which is the upload's fault or ours, but not the bucket's.
var errEncoder = errors.New("encode")

// signalID is where a task says how far it is.
func signalID(m taskMessage) string { return m.VideoID + "." + m.Run + "." + m.Task }

// encode does a task and returns what is in the bucket then.
func (w *Worker) encode(ctx context.Context, m taskMessage, p plan.Plan, task plan.Task) ([]media.Rendition, error) {
	upload, err := w.Sources.OpenVersion(ctx, p.Key, p.ETag, p.Size)
	if err != nil {
		return nil, err
	}
	defer upload.Close()

	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(uploadsAtOnce)
	s := &sink{tree: publish.NewTree(w.Bucket, m.VideoID), uploads: g, uploadCtx: gctx, renditions: map[string]*media.Rendition{}}
	progress := func(share float64) {
		_ = w.Queue.Signal(signalID(m), strconv.AppendFloat(nil, min(share, 0.99), 'f', 3, 64)) // only a hint
	}
	if task.Chunk != nil {
		err = w.Encoder.Chunk(gctx, p, *task.Chunk, upload.URL(), s, progress)
	} else {
		err = w.Encoder.Audio(gctx, p, upload.URL(), s, progress)
	}
	uploadErr := g.Wait()
	switch {
	case upload.Err() != nil:
		return nil, upload.Err() // whatever the encoder said of a file that it could not read
	case uploadErr != nil:
		return nil, uploadErr
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errEncoder, err)
	}
	return s.finished(p), nil
}

// sink uploads what an encoder makes while it runs.
type sink struct {
	tree      publish.Tree
	uploads   *errgroup.Group
	uploadCtx context.Context // ends with the first upload that fails

	mu         sync.Mutex
	renditions map[string]*media.Rendition
}

// Init uploads an init segment and starts the rendition, anew if the encoder does.
func (s *sink) Init(ctx context.Context, rendition string, init cmaf.Init) error {
	name, err := s.tree.Init(ctx, rendition, init.Data)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.renditions[rendition] = &media.Rendition{
		Name: rendition, Codecs: init.Codecs, Timescale: init.Timescale, Init: name, InitBytes: int64(len(init.Data)),
	}
	return nil
}

// Segment uploads a segment beside the encoder; it waits only while too many are on their way.
func (s *sink) Segment(_ context.Context, rendition string, segment cmaf.Segment) error {
	s.mu.Lock()
	r := s.renditions[rendition]
	s.mu.Unlock()
	s.uploads.Go(func() error {
		name, err := s.tree.Segment(s.uploadCtx, rendition, segment.Number, segment.Data)
		if err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		r.Segments = append(r.Segments, media.Segment{
			Number: segment.Number, Name: name, Ticks: segment.Ticks, Bytes: int64(len(segment.Data)),
		})
		return nil
	})
	return s.uploadCtx.Err()
}

// finished returns the renditions in the plan's order, once all uploads are done.
func (s *sink) finished(p plan.Plan) []media.Rendition {
	var out []media.Rendition
	for _, name := range p.Renditions() {
		if r := s.renditions[name]; r != nil {
			slices.SortFunc(r.Segments, func(a, b media.Segment) int { return a.Number - b.Number })
			out = append(out, *r)
		}
	}
	return out
}

// send puts a task into the queue.
func (w *Worker) send(ctx context.Context, t job.Ticket, task string) error {
	data, err := json.Marshal(taskMessage{Ticket: t, Task: task})
	if err != nil {
		return fmt.Errorf("send task %s: %w", task, err)
	}
	return w.Queue.Send(ctx, queue.Tasks, t.VideoID+"."+t.Run+"."+task, data)
}

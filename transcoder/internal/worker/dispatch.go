package worker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"weir/transcoder/internal/job"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
	"weir/transcoder/internal/queue"
)

const (
	// pollInterval finds results whose signal was missed.
	pollInterval = 5 * time.Second
	// recordInterval is how often progress goes into the job's record; R2 takes one write a second and key.
	recordInterval = 2 * time.Second
)

// dispatch has the plan's tasks done, by whichever nodes, and returns the renditions that they make together. It follows
// the outcomes in the bucket; signals only say when to look.
func (w *Worker) dispatch(ctx context.Context, j job.Job, p plan.Plan) ([]media.Rendition, error) {
	tasks := p.Tasks()
	signals := make(chan signal, 64*len(tasks))
	stop, err := w.Queue.Listen(j.VideoID+"."+j.Run, func(id string, data []byte) {
		share, err := strconv.ParseFloat(string(data), 64)
		if err != nil {
			return
		}
		select {
		case signals <- signal{task: id[strings.LastIndexByte(id, '.')+1:], share: share}:
		default: // the poll makes up for it
		}
	})
	if err != nil {
		return nil, err
	}
	defer stop()

	done := make(map[string]outcome, len(tasks))
	// look takes in a task's outcome, if it is there.
	look := func(task string) error {
		if _, ok := done[task]; ok {
			return nil
		}
		out, err := read[outcome](ctx, w.Bucket, resultKey(j.Ticket(), task))
		switch {
		case errors.Is(err, job.ErrNotFound):
			return nil
		case err != nil:
			return err
		case out.Failure != nil:
			return out.Failure
		}
		done[task] = out
		return nil
	}
	for _, t := range tasks {
		if err := look(t.ID); err != nil {
			return nil, err
		}
		if _, ok := done[t.ID]; !ok {
			if err := w.send(ctx, j.Ticket(), t.ID); err != nil {
				return nil, err
			}
		}
	}

	poll, record := time.NewTicker(pollInterval), time.NewTicker(recordInterval)
	defer poll.Stop()
	defer record.Stop()
	shares := map[string]float64{}
	for len(done) < len(tasks) {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case s := <-signals:
			shares[s.task] = max(shares[s.task], s.share)
			if s.share >= 1 {
				if err := look(s.task); err != nil {
					return nil, err
				}
			}
		case <-poll.C:
			for _, t := range tasks {
				if err := look(t.ID); err != nil {
					return nil, err
				}
			}
		case <-record.C:
			percent := progress(tasks, done, shares)
			if _, err := w.Catalog.Update(ctx, j.Ticket(), func(j *job.Job) { j.Advance(percent) }); err != nil {
				return nil, err
			}
		}
	}
	return join(p, done)
}

// stopTasks takes a run's tasks out of the queue and ends those that are being done, on whichever node.
func (w *Worker) stopTasks(ctx context.Context, t job.Ticket) error {
	if err := w.Queue.Drop(ctx, queue.Tasks, t.VideoID+"."+t.Run); err != nil {
		return err
	}
	return w.Queue.Signal(stopID(t)+".now", nil)
}

// stopID is where a run's tasks hear that nobody waits for them any more.
func stopID(t job.Ticket) string { return t.VideoID + "." + t.Run + ".stop" }

var errStopped = errors.New("nobody waits for the task any more")

// untilStopped returns a context that ends, with errStopped, when the run's tasks are stopped.
func (w *Worker) untilStopped(ctx context.Context, t job.Ticket) (context.Context, func(), error) {
	ctx, cancel := context.WithCancelCause(ctx)
	deaf, err := w.Queue.Listen(stopID(t), func(string, []byte) { cancel(errStopped) })
	if err != nil {
		cancel(err)
		return nil, nil, err
	}
	return ctx, func() { deaf(); cancel(nil) }, nil
}

// signal is what a task says of itself: the share that is finished, 1 when its outcome is committed.
type signal struct {
	task  string
	share float64
}

// progress is the finished part of all tasks in percent. The last hundredth is for publishing.
func progress(tasks []plan.Task, done map[string]outcome, shares map[string]float64) float64 {
	sum := 0.0
	for _, t := range tasks {
		share := shares[t.ID]
		if _, ok := done[t.ID]; ok {
			share = 1
		}
		sum += t.Weight * share
	}
	return float64(int(sum*990)) / 10
}

// join puts the tasks' renditions together, in the plan's order, and checks that no segment is missing.
func join(p plan.Plan, done map[string]outcome) ([]media.Rendition, error) {
	whole := map[string]media.Rendition{}
	for _, t := range p.Tasks() {
		for _, part := range done[t.ID].Renditions {
			r, ok := whole[part.Name]
			if !ok {
				whole[part.Name] = part
				continue
			}
			// One init segment serves all chunks of a rendition: the encoder's settings are the same for each.
			if r.Init != part.Init {
				return nil, fmt.Errorf("join %s: the init segment of task %s differs", r.Name, t.ID)
			}
			r.Segments = append(r.Segments, part.Segments...)
			whole[part.Name] = r
		}
	}
	var out []media.Rendition
	for _, name := range p.Renditions() {
		r, ok := whole[name]
		if !ok || len(r.Segments) == 0 {
			return nil, fmt.Errorf("join %s: it has no segments", name)
		}
		for i, s := range r.Segments {
			if s.Number != i {
				return nil, fmt.Errorf("join %s: segment %d is missing", name, i)
			}
		}
		out = append(out, r)
	}
	return out, nil
}

package worker

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"weir/transcoder/internal/hls"
	"weir/transcoder/internal/job"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
	"weir/transcoder/internal/queue"
)

const (
	// ahead is how many tasks of a job wait in the queue. When one is begun, the next is sent: so no node is idle, and jobs
	// that wait side by side take turns.
	ahead = 2
	// pollInterval finds outcomes whose signal was missed.
	pollInterval = 10 * time.Second
	// growInterval is how often playlists are written: R2 takes one write a second and key.
	growInterval = 1100 * time.Millisecond
)

// follow has the plan's tasks done, by whichever nodes, and returns what they make together. It follows the outcomes in the
// bucket; signals only say when to look. As soon as the first chunk is there, it is shown, and so is whatever comes next in
// time.
func (w *Worker) follow(ctx context.Context, j job.Job, p plan.Plan) (media.Output, error) {
	f := &follower{
		Worker: w, job: j, plan: p, tasks: p.Tasks(),
		done: map[string]outcome{}, sent: map[string]bool{}, shares: map[string]float64{},
	}
	news := make(chan signal, 64)
	hear := func(id string, data []byte) {
		share, err := strconv.ParseFloat(string(data), 64)
		if err != nil {
			return
		}
		select {
		case news <- signal{id[strings.LastIndexByte(id, '.')+1:], share}:
		default: // the poll makes up for it
		}
	}
	for _, pattern := range []string{taskSignal(j.Ticket(), "*"), outcomeSignal(j.Ticket(), "*")} {
		stop, err := w.Queue.Listen(pattern, hear)
		if err != nil {
			return media.Output{}, err
		}
		defer stop()
	}
	if err := f.poll(ctx); err != nil {
		return media.Output{}, err
	}
	f.began, f.begun = w.Now(), f.main()

	poll, say := time.NewTicker(pollInterval), time.NewTicker(sayInterval)
	defer poll.Stop()
	defer say.Stop()
	for {
		if err := f.show(ctx); err != nil {
			return media.Output{}, err
		}
		if f.complete() {
			break
		}
		if err := f.send(ctx); err != nil {
			return media.Output{}, err
		}
		var err error
		select {
		case <-ctx.Done():
			err = context.Cause(ctx)
		case s := <-news:
			err = f.hear(ctx, s)
		case <-poll.C:
			clear(f.sent) // whatever became of the messages: those that are there are not sent twice
			err = f.poll(ctx)
		case <-say.C:
			err = f.record(ctx)
		}
		if err != nil {
			return media.Output{}, err
		}
	}
	// The playlists are written once more in a moment.
	select {
	case <-ctx.Done():
		return media.Output{}, context.Cause(ctx)
	case <-time.After(f.grown.Add(growInterval).Sub(w.Now())):
	}
	renditions, err := join(p, f.done, len(p.Chunks))
	return media.Output{
		Renditions: renditions, Texts: f.done[plan.SubtitlesTask].Texts,
		Poster: f.done[plan.PosterTask].Poster, Sheets: f.done[plan.StoryboardTask].Sheets,
	}, err
}

// signal is what is said of a task, its finished share, or of an outcome that is there.
type signal struct {
	name  string
	share float64
}

// follower is what a node knows of a job whose tasks are done.
type follower struct {
	*Worker
	job   job.Job
	plan  plan.Plan
	tasks []plan.Task

	done   map[string]outcome // what is committed, by name
	sent   map[string]bool    // tasks that are in the queue
	shares map[string]float64 // what is said of tasks that are begun

	shown    int       // chunks in the playlists
	grown    time.Time // when these were written
	began    time.Time
	begun    float64 // seconds that were finished then
	heard    float64 // percent that were said
	said     time.Time
	recorded time.Time
	percent  float64 // in the record
}

func (f *follower) hear(ctx context.Context, s signal) error {
	if _, ok := f.plan.Task(s.name); ok {
		f.shares[s.name] = max(f.shares[s.name], s.share)
	}
	if s.share < 1 {
		return nil
	}
	return f.look(ctx, s.name)
}

// look takes in an outcome, if it is there.
func (f *follower) look(ctx context.Context, name string) error {
	if _, ok := f.done[name]; ok {
		return nil
	}
	out, err := read[outcome](ctx, f.Bucket, resultKey(f.job.Ticket(), name))
	switch {
	case errors.Is(err, job.ErrNotFound):
		return nil
	case err != nil:
		return err
	case out.Uncopyable:
		return errUncopyable
	case out.Failure != nil:
		return out.Failure
	}
	f.done[name] = out
	if f.job.State == job.Playable && !f.job.Replaces() {
		return f.showPoster(ctx, f.job, out.Poster)
	}
	return nil
}

// poll looks for all outcomes.
func (f *follower) poll(ctx context.Context) error {
	names, err := committed(ctx, f.Bucket, f.job.Ticket())
	if err != nil {
		return err
	}
	for name := range names {
		if err := f.look(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// committed are the names of the records of a run.
func committed(ctx context.Context, b Bucket, t job.Ticket) (map[string]bool, error) {
	names := map[string]bool{}
	for o, err := range b.List(ctx, workPrefix(t)) {
		if err != nil {
			return nil, err
		}
		if name, record := strings.CutSuffix(path.Base(o.Key), ".json"); record && name != "plan" {
			names[name] = true
		}
	}
	return names, nil
}

// send puts tasks into the queue: those that make the video playable at once, the others as the queue takes them.
func (f *follower) send(ctx context.Context) error {
	waiting := 0
	for _, t := range f.tasks {
		if f.share(t) >= 1 || f.early(t) {
			continue
		}
		_, begun := f.shares[t.ID]
		urgent := t.First() || t.ID == plan.StoryboardTask // which takes a moment, and is all that a whole video lacks
		if !begun && !urgent {
			waiting++
		}
		if f.sent[t.ID] || waiting > ahead {
			continue
		}
		lane := queue.Tasks
		if urgent {
			lane = queue.First
		}
		ticket, j := f.job.Ticket(), f.job
		if t.Further() {
			// Half as urgent: of videos of one priority, none waits in H.264 while another gets a further codec.
			j.Priority /= 2
		}
		if err := f.Worker.send(ctx, lane, j, ticket.String()+"."+t.ID, taskMessage{ticket, t.ID}); err != nil {
			return err
		}
		f.sent[t.ID] = true
	}
	return nil
}

// early tells whether a task is not to be begun yet: the poster and the subtitles must not keep the video from being playable,
// and the storyboard is made of all chunks.
func (f *follower) early(t plan.Task) bool {
	switch t.ID {
	case plan.PosterTask, plan.SubtitlesTask:
		return f.ready() == 0
	case plan.StoryboardTask:
		return f.ready() < len(f.plan.Chunks)
	}
	return false
}

// complete tells whether everything is there.
func (f *follower) complete() bool {
	for _, t := range f.tasks {
		if f.share(t) < 1 {
			return false
		}
	}
	return true
}

// share is the finished part of a task.
func (f *follower) share(t plan.Task) float64 {
	for _, name := range t.Outcomes() {
		if _, ok := f.done[name]; !ok {
			return min(f.shares[t.ID], 0.99)
		}
	}
	return 1
}

// ready is the number of chunks that are there, picture and sound, without a gap from the start.
func (f *follower) ready() int {
	for n, c := range f.plan.Chunks {
		_, picture := f.done[plan.PictureOf(c)]
		_, sound := f.done[plan.SoundOf(c)]
		if !picture && len(f.plan.Video) > 0 || !sound && len(f.plan.Audio) > 0 {
			return n
		}
	}
	return len(f.plan.Chunks)
}

// show lets players see what is ready in H.264, unless they watch an earlier version meanwhile. The further codecs appear when all
// of them are there: a player that has begun stays with its own.
func (f *follower) show(ctx context.Context) error {
	ready := f.ready()
	soon := f.Now().Sub(f.grown) < growInterval
	over := f.complete() && f.job.State == job.Playable // the last playlists come next
	if ready <= f.shown || soon || over || f.job.Replaces() {
		return nil
	}
	p, kind := f.plan.Only(job.H264), hls.Event
	if ready == len(p.Chunks) && !f.complete() {
		kind = hls.VOD // whoever comes to the end need not wait for what is still made
	}
	renditions, err := join(p, f.done, ready)
	if err != nil {
		return err
	}
	if f.job, err = f.grow(ctx, f.job, p, renditions, kind); err != nil {
		return err
	}
	if f.job.State.Ended() {
		return errStopped
	}
	f.shown, f.grown = ready, f.Now()
	return nil
}

// join puts the first chunks' renditions together, in the plan's order, and checks that no segment is missing.
func join(p plan.Plan, done map[string]outcome, chunks int) ([]media.Rendition, error) {
	whole := map[string]media.Rendition{}
	for _, c := range p.Chunks[:chunks] {
		names := []string{plan.SoundOf(c)}
		for _, codec := range p.Codecs() {
			names = append(names, plan.PictureIn(codec, c))
		}
		for _, name := range names {
			for _, part := range done[name].Renditions {
				r, ok := whole[part.Name]
				if !ok {
					whole[part.Name] = part
					continue
				}
				// One init segment serves all chunks of a rendition: the encoder's settings are the same for each.
				if r.Init != part.Init {
					return nil, fmt.Errorf("join %s: the init segment of %s differs", r.Name, name)
				}
				r.Segments = append(r.Segments[:len(r.Segments):len(r.Segments)], part.Segments...)
				whole[part.Name] = r
			}
		}
	}
	_, segments := p.Span(p.Chunks[chunks-1])
	var out []media.Rendition
	for _, name := range p.Renditions() {
		r := whole[name]
		if len(r.Segments) != segments {
			return nil, fmt.Errorf("join %s: it has %d segments, not %d", name, len(r.Segments), segments)
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

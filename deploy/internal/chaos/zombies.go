package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"weir/deploy/internal/fleet"
)

const (
	// frozenLeast and frozenMost: longer than the 30 s for which a queue keeps the message of a worker that says nothing. The
	// worst moment to wake up is just after another has begun.
	frozenLeast, frozenMost = 31 * time.Second, 40 * time.Second
	// awakeFor is what the thawed ones get to do harm, before the next are frozen.
	awakeFor = 5 * time.Second
	// busyTimeout is for a worker to get work while jobs are waiting.
	busyTimeout = 3 * time.Minute
	// frozenAtOnce of the workers; one stays awake.
	frozenAtOnce = 2
	// clusterJobs keeps all workers busy.
	clusterJobs = 4
)

// long is work for so long that others are still at it when a frozen worker wakes up. The short run has no time for that.
func (r *run) long() (clips []fleet.Clip, preset string) {
	if r.short && !r.hasty {
		return []fleet.Clip{{Width: 480, Height: 270, Rate: 25, Seconds: 40, Sound: true}}, "superfast"
	}
	return []fleet.Clip{{Width: 640, Height: 360, Rate: 25, Seconds: 60, Sound: true}}, "fast"
}

// stale are the marks of a writer that does not know that its time is over.
var stale = map[fleet.Kind]bool{fleet.Shrunk: true, fleet.Rewritten: true, fleet.Backwards: true, fleet.Doubled: true}

// crew is an API and workers on one cluster.
type crew struct {
	*scene
	client  *fleet.Client
	workers []*fleet.Node
}

// muster starts a crew.
func (s *scene) muster(ctx context.Context, workers int, env map[string]string) (*crew, error) {
	c := &crew{scene: s}
	api, client, err := s.node(ctx, fleet.Spec{Name: "api", Role: fleet.API})
	if err != nil {
		return nil, err
	}
	c.client = client
	nodes := []*fleet.Node{api}
	for i := range workers {
		w, _, err := s.node(ctx, fleet.Spec{Name: fmt.Sprintf("worker%d", i), Role: fleet.Work, Env: env})
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, w)
		c.workers = append(c.workers, w)
	}
	g, gctx := errgroup.WithContext(ctx)
	for _, n := range nodes {
		g.Go(func() error {
			if err := n.Start(); err != nil {
				return err
			}
			return n.Ready(gctx)
		})
	}
	return c, g.Wait()
}

// busy waits until a worker holds work.
func (c *crew) busy(ctx context.Context, w *fleet.Node) error {
	ctx, cancel := context.WithTimeoutCause(ctx, busyTimeout, fmt.Errorf("%s got no work within %v", w.Name, busyTimeout))
	defer cancel()
	return until(ctx, func() bool { return len(c.inFlight(w)) > 0 || c.enough() })
}

// zombies lets workers stand still for so long that others do their work, and go on then.
func (r *run) zombies(ctx context.Context) (err error) {
	clips, preset := r.long()
	s, ctx, end, err := r.open(ctx, "zombies", true, clips)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	// One task at a time, and not too quickly: a worker that is frozen has work in its hands.
	c, err := s.muster(ctx, frozenAtOnce+1, map[string]string{"TASKS": "1", "X264_PRESET": preset})
	if err != nil {
		return err
	}
	frozen := 0
	for frozen < r.opts.Zombies && !s.enough() {
		n := min(frozenAtOnce, r.opts.Zombies-frozen)
		if err := c.freeze(ctx, n); err != nil {
			return err
		}
		frozen += n
	}
	o, err := s.verify(ctx)
	if err != nil {
		return err
	}
	if !r.short {
		if err := s.swept(ctx); err != nil {
			return err
		}
	}
	commits := 0
	for _, p := range s.broken() {
		if stale[p.Kind] {
			commits++
		}
	}
	r.finish("zombies", s, func(result *Result) {
		result.Zombies, result.ZombieCommits = frozen, commits
	}, "%d workers of three frozen, %d jobs, %d lost; stale commits: %d", frozen, o.jobs, o.lost+o.stuck, commits)
	return nil
}

// freeze freezes so many workers while they work, and thaws them.
func (c *crew) freeze(ctx context.Context, n int) error {
	stop := c.feed(ctx, c.client, clusterJobs)
	order := c.rng.Perm(len(c.workers))[:n]
	for _, i := range order {
		err := c.busy(ctx, c.workers[i])
		if err == nil {
			err = sleep(ctx, between(c.rng, 0, time.Second/4))
		}
		if err == nil {
			err = c.workers[i].Freeze()
		}
		if err != nil {
			return stop(err)
		}
	}
	if err := stop(nil); err != nil {
		return err
	}
	if err := sleep(ctx, between(c.rng, frozenLeast, frozenMost)); err != nil {
		return err
	}
	for _, i := range order {
		if err := c.workers[i].Thaw(); err != nil {
			return err
		}
	}
	return sleep(ctx, awakeFor)
}

// takeovers kills one of two workers and does not start it again until the other has taken over.
func (r *run) takeovers(ctx context.Context) (err error) {
	s, ctx, end, err := r.open(ctx, "takeovers", true, clips(r.short))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	c, err := s.muster(ctx, 2, map[string]string{"TASKS": "2", "X264_PRESET": "superfast"})
	if err != nil {
		return err
	}
	var took []time.Duration
	for i := range r.opts.Takeovers {
		d, err := c.takeover(ctx, c.workers[i%2], c.workers[(i+1)%2], r.limit())
		if err != nil {
			return err
		}
		took = append(took, d)
		if s.enough() {
			break
		}
	}
	o, err := s.verify(ctx)
	if err != nil {
		return err
	}
	s.judgeLosses()
	most := fleet.Quantile(took, 1)
	r.finish("takeovers", s, func(result *Result) {
		result.Takeovers, result.Takeover = len(took), fleet.Seconds(most)
	}, "%d workers of two killed and left dead, %d jobs, %d lost; their work was taken over within %.1f s (median %.1f s)",
		len(took), o.jobs, o.lost+o.stuck, most.Seconds(), fleet.Median(took).Seconds())
	return nil
}

// takeover kills a worker while it works, and returns how long it took until the other had begun, or somebody finished, all
// that it had in its hands.
func (c *crew) takeover(ctx context.Context, victim, other *fleet.Node, limit time.Duration) (time.Duration, error) {
	stop := c.feed(ctx, c.client, clusterJobs)
	err := c.busy(ctx, victim)
	if err == nil {
		err = c.kill(victim)
	}
	killed := time.Now()
	if err := stop(err); err != nil {
		return 0, err
	}
	left := c.inFlight(victim)
	for {
		for _, e := range c.fleet.Journal.Entries() {
			if e.Life == other.Life() && e.Message == fleet.TaskStarted && e.At.After(killed) {
				delete(left, e.ID())
			}
		}
		for t := range left {
			if _, done := c.watch.Committed(t); done || c.watch.View(t.Job).Ended() {
				delete(left, t)
			}
		}
		took := time.Since(killed)
		if len(left) > 0 && took > limit {
			c.blame(fleet.Slow, victim.Name, "%d of its tasks were not taken over within %v of its end", len(left), limit)
		}
		if len(left) == 0 || took > 2*limit || c.enough() {
			return took, victim.Start()
		}
		if err := sleep(ctx, askPause); err != nil {
			return 0, err
		}
	}
}

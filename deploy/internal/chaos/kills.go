package chaos

import (
	"context"
	"errors"
	"maps"
	"time"

	"weir/deploy/internal/fleet"
)

const (
	// recoveryLimit is what is promised: the time after which a queue gives a dead worker's message to another, and a little.
	recoveryLimit = 35 * time.Second
	// crowdSlack is for a short run, whose parts share the machine with each other.
	crowdSlack = 20 * time.Second
	// openJobs keeps every stage busy at the same time.
	openJobs = 4
)

// clips are small and differ in what may go wrong: length, size, rate, sound, and whether their pictures are encoded.
func clips(short bool) []fleet.Clip {
	all := []fleet.Clip{
		{Width: 320, Height: 180, Rate: 25, Seconds: 20, Sound: true},
		{Width: 480, Height: 270, Rate: 30, Seconds: 24, Bitrate: "300k", Ready: true},
		{Width: 640, Height: 360, Rate: 24, Seconds: 40, Sound: true},
		{Width: 640, Height: 360, Rate: 25, Seconds: 60, Sound: true},
	}
	if short {
		return all[:2]
	}
	return all
}

// kills kills a transcoder again and again while jobs come in, and restarts it on its disk.
func (r *run) kills(ctx context.Context) (err error) {
	s, ctx, end, err := r.open(ctx, "kills", false, clips(r.short))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	node, client, err := s.node(ctx, fleet.Spec{Name: "node"})
	if err != nil {
		return err
	}
	began := time.Now()
	if err := node.Start(); err != nil {
		return err
	}
	if err := node.Ready(ctx); err != nil {
		return err
	}
	stop := s.feed(ctx, client, openJobs)
	var recoveries []time.Duration
	killed := 0
	for _, d := range deaths(s.rng, r.opts.Kills) {
		started := began
		if killed > 0 {
			started = time.Now()
			if err := node.Start(); err != nil {
				return stop(err)
			}
		}
		recovered, err := s.live(ctx, started, d, r.limit())
		if err != nil {
			return stop(err)
		}
		if killed > 0 && recovered > 0 {
			recoveries = append(recoveries, recovered)
		}
		if err := s.kill(node); err != nil {
			return stop(err)
		}
		killed++
		if s.enough() {
			break
		}
	}
	if err := node.Start(); err != nil {
		return stop(err)
	}
	if err := stop(nil); err != nil {
		return err
	}
	o, err := s.verify(ctx)
	if err != nil {
		return err
	}
	most := s.judgeLosses()
	if !r.short {
		if err := s.swept(ctx); err != nil {
			return err
		}
	}
	r.finish("kills", s, func(result *Result) {
		result.Kills, result.Jobs, result.Lost, result.Stuck = killed, o.jobs, o.lost, o.stuck
		result.Recovery = fleet.Seconds(fleet.Quantile(recoveries, 0.99))
		result.Rerun = most
	}, "%d kills, %d jobs; recovery of %d nodes: median %.2f s, p99 %.2f s; chunks encoded again a kill and worker: at most %d",
		killed, o.jobs, len(recoveries), fleet.Median(recoveries).Seconds(), fleet.Quantile(recoveries, 0.99).Seconds(), most)
	return nil
}

// limit is how long work may lie idle after a worker's end.
func (r *run) limit() time.Duration {
	if r.short {
		return recoveryLimit + crowdSlack
	}
	return recoveryLimit
}

// live lets a node live until it is to be killed. It returns how long it took until the node had finished a task or
// published something; 0 if it did not come to that.
func (s *scene) live(ctx context.Context, started time.Time, d death, limit time.Duration) (recovered time.Duration, err error) {
	for {
		age := time.Since(started)
		if recovered == 0 {
			for _, q := range s.all() {
				if at := s.watch.View(q.id).Changed; at.After(started) {
					recovered = max(at.Sub(started), time.Millisecond)
					break
				}
			}
		}
		if recovered == 0 && d.waits && age > limit {
			s.blame(fleet.Slow, "node", "nothing was finished within %v of a restart", limit)
			return age, nil
		}
		if age >= d.after && (recovered > 0 || !d.waits) || s.enough() {
			return recovered, nil
		}
		if err := sleep(ctx, askPause); err != nil {
			return 0, err
		}
	}
}

// kill kills a node. That processes outlive it, or that it had ended by itself, breaks a promise.
func (s *scene) kill(n *fleet.Node) error {
	if n.Died() != nil {
		s.blame(fleet.Refused, n.Name, "%v", n.Died())
		return nil
	}
	err := n.Kill()
	if errors.Is(err, fleet.ErrOrphans) {
		s.blame(fleet.Refused, n.Name, "%v", err)
		return nil
	}
	return err
}

// judgeLosses wants that no worker's end cost more than the chunk that it had under way. It returns the most.
func (s *scene) judgeLosses() (most int) {
	lives, finished := fleet.Losses(s.fleet.Journal.Entries(), s.watch.Committed)
	for life, loss := range lives {
		most = max(most, loss.PerWorker())
		if loss.PerWorker() > 1 {
			s.blame(fleet.Wasted, life.String(), "%d chunks of %d workers were encoded again", loss.Again, loss.Workers)
		}
	}
	for _, t := range finished {
		s.blame(fleet.Wasted, t.Job, "%s was encoded again after it was finished", t.Task)
	}
	return most
}

// wipes kills a transcoder in the middle of its work and takes its disk away.
func (r *run) wipes(ctx context.Context) (err error) {
	s, ctx, end, err := r.open(ctx, "wipes", false, clips(r.short))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	node, client, err := s.node(ctx, fleet.Spec{Name: "node"})
	if err != nil {
		return err
	}
	if err := node.Start(); err != nil {
		return err
	}
	stop := s.feed(ctx, client, openJobs)
	var again []fleet.TaskID
	wiped := 0
	for range r.opts.Wipes {
		if err := s.halfway(ctx); err != nil {
			return stop(err)
		}
		if err := s.kill(node); err != nil {
			return stop(err)
		}
		if err := node.Wipe(); err != nil {
			return stop(err)
		}
		if err := node.Start(); err != nil {
			return stop(err)
		}
		wiped++
		if s.enough() {
			break
		}
	}
	if err := stop(nil); err != nil {
		return err
	}
	o, err := s.verify(ctx)
	if err != nil {
		return err
	}
	s.judgeLosses()
	_, again = fleet.Losses(s.fleet.Journal.Entries(), s.watch.Committed)
	r.finish("wipes", s, func(result *Result) {
		result.Wipes, result.WipeLost, result.WipeReencoded = wiped, o.lost+o.stuck, len(again)
	}, "%d wipes, %d jobs, %d lost; %d finished chunks encoded again", wiped, o.jobs, o.lost+o.stuck, len(again))
	return nil
}

// halfway waits until some job has finished tasks and others left, and then for a moment more.
func (s *scene) halfway(ctx context.Context) error {
	began := time.Now()
	for !s.enough() {
		for _, q := range s.open() {
			if v := s.watch.View(q.id); v.Changed.After(began) {
				return sleep(ctx, between(s.rng, 0, time.Second))
			}
		}
		if time.Since(began) > stuckAfter {
			s.blame(fleet.Unfinished, "node", "nothing was finished within %v", stuckAfter)
			return nil
		}
		if err := sleep(ctx, askPause); err != nil {
			return err
		}
	}
	return nil
}

// inFlight are the tasks that a node has under way and that have no outcome yet.
func (s *scene) inFlight(n *fleet.Node) map[fleet.TaskID]time.Time {
	running := n.Running()
	maps.DeleteFunc(running, func(t fleet.TaskID, _ time.Time) bool {
		_, done := s.watch.Committed(t)
		return done
	})
	return running
}

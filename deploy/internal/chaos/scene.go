package chaos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"weir/deploy/internal/fleet"
)

const (
	// stuckAfter is how long an open job may show no change: longer than a queue keeps a dead worker's message (30 s) and
	// than the reconciler waits (a minute), one after the other.
	stuckAfter = 100 * time.Second
	// askPause is how often a wait looks again.
	askPause = 20 * time.Millisecond
	// crowdPause is how often a part of a short run looks at the bucket that waits most of the time.
	crowdPause = 3 * fleet.WatchPause
	// postPause is how soon a request that nobody answered is sent again.
	postPause = 50 * time.Millisecond
	// sweepSlack is how much later than due the last sweep may come: the queue's precision and the removal itself.
	sweepSlack = 30 * time.Second
	// priority of jobs that nothing is known of.
	usual = 50
)

// source is a clip in the bucket.
type source struct {
	clip fleet.Clip
	key  string
}

// scene is the stage of one fault run: a fleet, the clips, the watcher, and all jobs with what is known of them.
type scene struct {
	fleet   *fleet.Fleet
	watch   *fleet.Watcher
	rng     *rand.Rand
	sources []source
	twins   twins
	// hasty ends the run with its first problem, as is enough for a mutant.
	hasty bool

	mu       sync.Mutex
	jobs     []*request
	problems []fleet.Problem
}

// request is a job that was asked for.
type request struct {
	id       string
	source   source
	accepted bool
	deleted  bool
}

// open starts a scene. The returned context ends with the fleet's Cloudflare.
func (r *run) open(ctx context.Context, part string, cluster bool, clips []fleet.Clip) (
	_ *scene, _ context.Context, end func() error, err error,
) {
	f, err := fleet.Start(ctx, fleet.Options{Binary: r.binary, Cluster: cluster, Log: r.log})
	if err != nil {
		return nil, nil, nil, err
	}
	ctx, unguard := f.Guard(ctx)
	s := &scene{fleet: f, rng: r.random(part), twins: twins{}, hasty: r.hasty}
	pause := fleet.WatchPause
	if r.short && cluster {
		pause = crowdPause
	}
	s.watch = f.Watch(ctx, pause)
	end = func() error {
		err := s.watch.Stop()
		unguard()
		return errors.Join(err, f.Stop())
	}
	for _, clip := range clips {
		src, err := s.upload(ctx, clip)
		if err != nil {
			return nil, nil, nil, errors.Join(err, end())
		}
		s.sources = append(s.sources, src)
	}
	return s, ctx, end, nil
}

// upload makes a clip and puts it into the bucket.
func (s *scene) upload(ctx context.Context, clip fleet.Clip) (source, error) {
	path := filepath.Join(s.fleet.Temp(), clip.Name()+".mp4")
	src := source{clip: clip, key: "uploads/" + clip.Name() + ".mp4"}
	if err := clip.Make(ctx, path); err != nil {
		return src, err
	}
	return src, s.fleet.Upload(ctx, path, src.key)
}

// environment of every node: a ladder of two rungs, encoded quickly, so that a run sees many jobs.
func environment(more map[string]string) map[string]string {
	env := map[string]string{"LADDER": "360:800k:96k,180:300k:64k", "X264_PRESET": "ultrafast"}
	maps.Copy(env, more)
	return env
}

// node makes a node of the scene and a client of its API.
func (s *scene) node(ctx context.Context, spec fleet.Spec) (*fleet.Node, *fleet.Client, error) {
	spec.Env = environment(spec.Env)
	n, err := s.fleet.Node(ctx, spec)
	if err != nil {
		return nil, nil, err
	}
	return n, s.fleet.Client(n, 8), nil
}

// post asks for a job until it is accepted, as a backend would whose request was lost.
func (s *scene) post(ctx context.Context, c *fleet.Client, src source, priority int) (*request, error) {
	s.mu.Lock()
	q := &request{id: fmt.Sprintf("v%04d", len(s.jobs)), source: src}
	s.jobs = append(s.jobs, q)
	s.mu.Unlock()
	s.watch.Add(q.id)
	for {
		_, err := c.Post(ctx, q.id, src.key, priority)
		if err == nil {
			s.mu.Lock()
			q.accepted = true
			s.mu.Unlock()
			return q, nil
		}
		if !fleet.Down(err) {
			s.blame(fleet.Refused, q.id, "%v", err)
			return q, nil
		}
		if err := sleep(ctx, postPause); err != nil {
			return q, err
		}
	}
}

// feed keeps so many jobs open until stop is called, which waits until the last request is answered. A stop for a reason
// waits for no answer, and returns the reason.
func (s *scene) feed(ctx context.Context, c *fleet.Client, open int) (stop func(reason error) error) {
	ctx, cancel := context.WithCancel(ctx)
	enough, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := 0; ; {
			select {
			case <-enough:
				ended <- nil
				return
			case <-time.After(askPause):
			}
			if len(s.open()) >= open {
				continue
			}
			if _, err := s.post(ctx, c, s.sources[i%len(s.sources)], usual); err != nil {
				ended <- err
				return
			}
			i++
		}
	}()
	return func(reason error) error {
		defer cancel()
		if reason != nil {
			cancel()
		}
		close(enough)
		err := <-ended
		if reason != nil {
			return reason
		}
		return err
	}
}

// all are the jobs so far.
func (s *scene) all() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	var jobs []request
	for _, q := range s.jobs {
		jobs = append(jobs, *q)
	}
	return jobs
}

// open are the jobs that were asked for and have not ended.
func (s *scene) open() []request {
	return slices.DeleteFunc(s.all(), func(q request) bool { return q.deleted || s.watch.View(q.id).Ended() })
}

func (s *scene) blame(kind fleet.Kind, video, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := fleet.Problem{Kind: kind, Video: video, Text: fmt.Sprintf(format, args...)}
	if !slices.Contains(s.problems, p) {
		s.problems = append(s.problems, p)
	}
}

// broken are all problems so far.
func (s *scene) broken() []fleet.Problem {
	s.mu.Lock()
	own := slices.Clone(s.problems)
	s.mu.Unlock()
	return append(s.watch.Problems(), own...)
}

// enough tells whether a hasty run has seen what it wanted to see.
func (s *scene) enough() bool { return s.hasty && len(s.broken()) > 0 }

// until waits for a condition.
func until(ctx context.Context, condition func() bool) error {
	for !condition() {
		if err := sleep(ctx, askPause); err != nil {
			return err
		}
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

package chaos

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"weir/deploy/internal/fleet"
)

// outage is a time in which something is away that work needs.
type outage struct {
	client  *fleet.Client
	lasts   time.Duration
	begin   func(context.Context) error
	worsen  func() error // when a quarter is left; may be nil
	end     func(context.Context) error
	accepts bool // whether requests are accepted meanwhile
}

// bucket lets the bucket be away: at first nobody listens, then nobody answers.
func (r *run) bucket(ctx context.Context) (err error) {
	s, ctx, end, err := r.open(ctx, "bucket", false, clips(r.short))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	front, err := s.front()
	if err != nil {
		return err
	}
	defer front.proxy.Stop()

	node, client, err := s.node(ctx, fleet.Spec{Name: "node", Env: map[string]string{"R2_ENDPOINT": front.url}})
	if err != nil {
		return err
	}
	if err := node.Start(); err != nil {
		return err
	}
	if err := node.Ready(ctx); err != nil {
		return err
	}
	resumed, err := s.outlast(ctx, outage{
		client: client, lasts: r.opts.Bucket,
		begin:  func(context.Context) error { front.proxy.Stop(); return nil },
		worsen: front.hang,
		end:    front.mend,
	})
	if err != nil {
		return err
	}
	o, err := s.verify(ctx)
	if err != nil {
		return err
	}
	s.judgeFinished()
	r.finish("bucket", s, func(result *Result) {
		result.BucketAway, result.BucketLost = fleet.Seconds(r.opts.Bucket), o.lost+o.stuck
		result.BucketResumed = fleet.Seconds(resumed)
	}, "the bucket away for %v, %d jobs, %d lost; work resumed %.1f s after it was back", r.opts.Bucket, o.jobs, o.lost+o.stuck, resumed.Seconds())
	return nil
}

// queue lets all servers of the cluster be away.
func (r *run) queue(ctx context.Context) (err error) {
	s, ctx, end, err := r.open(ctx, "queue", true, clips(r.short))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	c, err := s.muster(ctx, 2, map[string]string{"TASKS": "1"})
	if err != nil {
		return err
	}
	resumed, err := s.outlast(ctx, outage{
		client: c.client, lasts: r.opts.Queue, accepts: true,
		begin: func(context.Context) error { s.fleet.StopCluster(); return nil },
		end:   s.fleet.StartCluster,
	})
	if err != nil {
		return err
	}
	o, err := s.verify(ctx)
	if err != nil {
		return err
	}
	s.judgeFinished()
	r.finish("queue", s, func(result *Result) {
		result.QueueAway, result.QueueLost = fleet.Seconds(r.opts.Queue), o.lost+o.stuck
		result.QueueResumed = fleet.Seconds(resumed)
	}, "the cluster away for %v, %d jobs, %d lost; work resumed %.1f s after it was back", r.opts.Queue, o.jobs, o.lost+o.stuck, resumed.Seconds())
	return nil
}

// outlast lets an outage happen while jobs are under way and one more is asked for. It returns how long it took after the
// outage until something was finished.
func (s *scene) outlast(ctx context.Context, o outage) (resumed time.Duration, err error) {
	stop := s.feed(ctx, o.client, openJobs)
	if err := stop(s.halfway(ctx)); err != nil {
		return 0, err
	}
	began := time.Now()
	if err := o.begin(ctx); err != nil {
		return 0, err
	}
	asked := make(chan error, 1)
	var answered time.Time
	go func() {
		_, err := s.post(ctx, o.client, s.sources[0], usual)
		answered = time.Now()
		asked <- err
	}()
	if err := sleep(ctx, o.lasts*3/4); err != nil {
		return 0, err
	}
	if o.worsen != nil {
		if err := o.worsen(); err != nil {
			return 0, err
		}
	}
	if err := sleep(ctx, time.Until(began.Add(o.lasts))); err != nil {
		return 0, err
	}
	if err := o.end(ctx); err != nil {
		return 0, err
	}
	back := time.Now()
	if err := <-asked; err != nil {
		return 0, err
	}
	if accepted := answered.Before(back); accepted != o.accepts {
		s.blame(fleet.Refused, "api", "a request during the outage was accepted: %v, after %v", accepted, answered.Sub(began))
	}
	for resumed == 0 && !s.enough() {
		for _, q := range s.all() {
			if at := s.watch.View(q.id).Changed; at.After(back) {
				resumed = at.Sub(back)
				break
			}
		}
		if time.Since(back) > stuckAfter {
			s.blame(fleet.Slow, "node", "nothing was finished within %v of an outage's end", stuckAfter)
			break
		}
		if err := sleep(ctx, askPause); err != nil {
			return 0, err
		}
	}
	return resumed, nil
}

// judgeFinished wants that nothing was encoded again that was finished.
func (s *scene) judgeFinished() {
	_, again := fleet.Losses(s.fleet.Journal.Entries(), s.watch.Committed)
	for _, t := range again {
		s.blame(fleet.Wasted, t.Job, "%s was encoded again after it was finished", t.Task)
	}
}

// front is a proxy before the bucket.
type front struct {
	url   string
	proxy *toxiproxy.Proxy
}

func (s *scene) front() (*front, error) {
	bucket, err := url.Parse(s.fleet.Cloud.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("put a proxy before the bucket: %w", err)
	}
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	f := &front{proxy: toxiproxy.NewProxy(server, "bucket", "127.0.0.1:0", bucket.Host)}
	if err := f.proxy.Start(); err != nil {
		return nil, fmt.Errorf("put a proxy before the bucket: %w", err)
	}
	bucket.Host = f.proxy.Listen
	f.url = bucket.String()
	return f, nil
}

// hang takes connections again, but lets nothing through.
func (f *front) hang() error {
	if _, err := f.proxy.Toxics.AddToxicJson(strings.NewReader(`{"type":"timeout","attributes":{"timeout":0}}`)); err != nil {
		return fmt.Errorf("break the bucket: %w", err)
	}
	return f.proxy.Start()
}

func (f *front) mend(ctx context.Context) error {
	f.proxy.Toxics.ResetToxics(ctx)
	return nil
}

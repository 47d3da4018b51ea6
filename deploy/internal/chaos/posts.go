package chaos

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"

	"weir/deploy/internal/fleet"
)

// postersAtOnce is as many backends as ask at the same moment.
const postersAtOnce = 256

// posts sends one request many times at once.
func (r *run) posts(ctx context.Context) (err error) {
	s, ctx, end, err := r.open(ctx, "posts", false, clips(true)[:1])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	node, _, err := s.node(ctx, fleet.Spec{Name: "node"})
	if err != nil {
		return err
	}
	if err := node.Start(); err != nil {
		return err
	}
	if err := node.Ready(ctx); err != nil {
		return err
	}
	q := &request{id: "twin", source: s.sources[0], accepted: true}
	s.jobs = append(s.jobs, q)
	s.watch.Add(q.id)
	client := s.fleet.Client(node, postersAtOnce)

	began := time.Now()
	var mu sync.Mutex
	var waits []time.Duration
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(postersAtOnce)
	for range r.opts.Posts {
		g.Go(func() error {
			began := time.Now()
			_, err := client.Post(gctx, q.id, q.source.key, usual)
			mu.Lock()
			defer mu.Unlock()
			waits = append(waits, time.Since(began))
			if err != nil && gctx.Err() == nil {
				s.blame(fleet.Refused, q.id, "%v", err)
			}
			return gctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	took := time.Since(began)
	if _, err := s.verify(ctx); err != nil {
		return err
	}
	runs, err := s.runs(ctx, q.id)
	if err != nil {
		return err
	}
	if runs != 1 {
		s.blame(fleet.Doubled, q.id, "%d runs have left something in the bucket", runs)
	}
	r.finish("posts", s, func(result *Result) {
		result.Posts, result.PostJobs = r.opts.Posts, runs
	}, "%d equal requests, %d at once, became %d job; answered in %.2f s (median), %.2f s (p99), %.0f a second",
		r.opts.Posts, postersAtOnce, runs, fleet.Median(waits).Seconds(), fleet.Quantile(waits, 0.99).Seconds(),
		float64(r.opts.Posts)/took.Seconds())
	return nil
}

// runs counts the runs of a video that have left something under work/.
func (s *scene) runs(ctx context.Context, id string) (int, error) {
	prefix := "work/" + id + "/"
	out, err := s.fleet.Cloud.S3().ListObjectsV2(ctx, &s3.ListObjectsV2Input{
		Bucket: &s.fleet.Cloud.Bucket, Prefix: &prefix, Delimiter: aws.String("/"),
	})
	if err != nil {
		return 0, fmt.Errorf("list the runs of %s: %w", id, err)
	}
	return len(out.CommonPrefixes), nil
}

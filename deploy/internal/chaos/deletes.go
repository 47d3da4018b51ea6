package chaos

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"weir/deploy/internal/fleet"
)

const (
	// settle is what is given to a deletion until nothing may be left.
	settle = 4 * time.Second
	// phaseTimeout is for a job to come so far that it is to be deleted.
	phaseTimeout = 3 * time.Minute
	// urgent jobs go before the others, so that a deletion meets one that is worked on.
	urgent = 100
)

// deletes deletes jobs at any moment of theirs, while others go on.
func (r *run) deletes(ctx context.Context) (err error) {
	s, ctx, end, err := r.open(ctx, "deletes", false, clips(true))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	// Of no rung's size, so that its encoders are known by their arguments.
	victims := fleet.Clip{Width: 310, Height: 174, Rate: 25, Seconds: 30, Sound: true}
	src, err := s.upload(ctx, victims)
	if err != nil {
		return err
	}
	node, client, err := s.node(ctx, fleet.Spec{Name: "node", Env: map[string]string{"X264_PRESET": "medium"}})
	if err != nil {
		return err
	}
	if err := node.Start(); err != nil {
		return err
	}
	if err := node.Ready(ctx); err != nil {
		return err
	}
	stop := s.feed(ctx, client, 1)
	deleted, working := 0, 0
	for i := range r.opts.Deletes {
		// Each in another phase, so that a few deletions see all of them.
		met, err := s.deleteOne(ctx, node, client, src, phases[i%len(phases)])
		if err != nil {
			return stop(err)
		}
		deleted++
		if met {
			working++
		}
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
	if !r.short {
		if err := s.swept(ctx); err != nil {
			return err
		}
	}
	leftovers := 0
	for _, q := range s.all() {
		if !q.deleted {
			continue
		}
		n, err := s.left(ctx, q.id)
		if err != nil {
			return err
		}
		leftovers += n
	}
	r.finish("deletes", s, func(result *Result) {
		result.Deletes, result.DeleteLeftovers = deleted, leftovers
	}, "%d jobs deleted, %d of them while they were encoded; %d objects left; of %d others %d were lost",
		deleted, working, leftovers, o.jobs-deleted, o.lost+o.stuck)
	return nil
}

// phase is a part of a job's life.
type phase string

const (
	posted     phase = "posted"
	processing phase = "processing"
	encoding   phase = "encoding" // an encoder runs
	playable   phase = "playable"
	processed  phase = "processed"
)

var phases = []phase{encoding, processed, playable, posted, processing}

// deleteOne posts a job, deletes it in a phase of its life, and wants it to be gone. It tells whether encoders worked on it.
func (s *scene) deleteOne(ctx context.Context, node *fleet.Node, c *fleet.Client, src source, in phase) (working bool, err error) {
	q, err := s.post(ctx, c, src, urgent)
	if err != nil {
		return false, err
	}
	encoders := func() (n int) {
		marker := fmt.Sprintf("scale=%d:%d", src.clip.Width, src.clip.Height)
		for _, line := range node.Encoders() {
			if strings.Contains(line, marker) {
				n++
			}
		}
		return n
	}
	reached := func() bool {
		v := s.watch.View(q.id)
		return in == posted || in == encoding && encoders() > 0 || v.State == string(in) || v.Ended()
	}
	limit, cancel := context.WithTimeoutCause(ctx, phaseTimeout, fmt.Errorf("%s was not %s within %v", q.id, in, phaseTimeout))
	defer cancel()
	if err := until(limit, reached); err != nil {
		return false, err
	}
	if err := sleep(ctx, between(s.rng, 0, time.Second/2)); err != nil {
		return false, err
	}
	working = encoders() > 0
	s.watch.Doom(q.id)
	if err := c.Delete(ctx, q.id); err != nil {
		s.blame(fleet.Refused, q.id, "%v", err)
	}
	s.watch.Delete(q.id)
	s.mu.Lock()
	q.deleted = true
	s.mu.Unlock()
	if err := sleep(ctx, settle); err != nil {
		return working, err
	}
	left, err := s.left(ctx, q.id)
	if err != nil {
		return working, err
	}
	if left > 0 {
		s.blame(fleet.Leftover, q.id, "%d objects are there %v after its deletion when it was %s", left, settle, in)
	}
	if n := encoders(); n > 0 {
		s.blame(fleet.Leftover, q.id, "%d encoders work on it %v after its deletion when it was %s", n, settle, in)
	}
	if v, err := c.Video(ctx, q.id); err == nil && v.State != "deleted" {
		s.blame(fleet.Resurrected, q.id, "the API says that it is %s", v.State)
	}
	return working, nil
}

// left counts the objects of a video, its record aside.
func (s *scene) left(ctx context.Context, id string) (n int, err error) {
	for _, prefix := range []string{"videos/" + id + "/", "work/" + id + "/"} {
		out, err := s.fleet.Cloud.S3().ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &s.fleet.Cloud.Bucket, Prefix: &prefix})
		if err != nil {
			return 0, fmt.Errorf("list what is left of %s: %w", id, err)
		}
		n += len(out.Contents)
	}
	return n, nil
}

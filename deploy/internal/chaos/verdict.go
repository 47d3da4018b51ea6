package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"weir/deploy/internal/fleet"
	"weir/deploy/internal/viewer"
)

// drain waits until every accepted job has ended and its backend was told, or until those that are left stand still.
func (s *scene) drain(ctx context.Context) error {
	began := time.Now()
	for !s.enough() {
		last, waiting := began, 0
		for _, q := range s.all() {
			if q.deleted || !q.accepted {
				continue
			}
			v := s.watch.View(q.id)
			if v.Changed.After(last) {
				last = v.Changed
			}
			for _, e := range s.fleet.Ledger.Events(q.id) {
				if e.At.After(last) {
					last = e.At
				}
			}
			if !v.Ended() || !s.told(q.id) {
				waiting++
			}
		}
		if waiting == 0 || time.Since(last) > stuckAfter {
			return nil
		}
		if err := sleep(ctx, 5*askPause); err != nil {
			return err
		}
	}
	return nil
}

// told tells whether the backend knows of the job's end.
func (s *scene) told(id string) bool {
	return slices.ContainsFunc(s.fleet.Ledger.Events(id), func(e fleet.Event) bool { return e.Type != "video.playable" })
}

// outcome is what became of a scene's jobs.
type outcome struct {
	jobs, lost, stuck int
}

// verify drains the scene, lets the last look happen, and judges every job.
func (s *scene) verify(ctx context.Context) (outcome, error) {
	var o outcome
	if err := s.drain(ctx); err != nil {
		return o, err
	}
	if s.enough() {
		return o, nil
	}
	if err := s.look(ctx); err != nil {
		return o, err
	}
	watched := map[string]bool{} // clips whose video was watched
	for _, q := range s.all() {
		if !q.accepted {
			continue
		}
		o.jobs++
		if q.deleted {
			continue
		}
		v := s.watch.View(q.id)
		switch {
		case v.Run == "":
			o.lost++
			s.blame(fleet.Unfinished, q.id, "it was accepted, and has no record")
			continue
		case !v.Ended():
			o.stuck++
			s.blame(fleet.Unfinished, q.id, "it is %s, and nothing has happened for %v", v.State, stuckAfter)
			continue
		case v.State != "processed":
			o.lost++
			s.blame(fleet.Unfinished, q.id, "it is %s", v.State)
			continue
		}
		s.judgeEvents(q.id)
		s.judgeTree(q, v)
		if err := s.fleet.Cloud.Check(ctx, q.id); ctx.Err() != nil {
			return o, context.Cause(ctx)
		} else if err != nil {
			s.blame(fleet.Invalid, q.id, "it breaks rules: %v", err)
		}
		if q.source.clip.Ready {
			if err := s.judgeCopied(ctx, q.id); err != nil {
				return o, err
			}
		}
		if !watched[q.source.key] {
			watched[q.source.key] = true
			if err := s.watchVideo(ctx, q); err != nil {
				return o, err
			}
		}
	}
	for _, err := range s.fleet.Ledger.Rejected() {
		s.blame(fleet.Refused, "webhook", "%v", err)
	}
	return o, nil
}

// look takes a look at every video.
func (s *scene) look(ctx context.Context) error {
	for _, q := range s.all() {
		if err := s.watch.Look(ctx, q.id); err != nil {
			return err
		}
	}
	return nil
}

// judgeEvents wants one event for each state that a backend is told of.
func (s *scene) judgeEvents(id string) {
	ids := map[string]int{}
	for _, e := range s.fleet.Ledger.Events(id) {
		ids[e.Type]++
	}
	for _, kind := range []string{"video.playable", "video.processed"} {
		switch ids[kind] {
		case 1:
		case 0:
			s.blame(fleet.Unfinished, id, "its backend was not told %s", kind)
		default:
			s.blame(fleet.Doubled, id, "its backend was told of %d events %s", ids[kind], kind)
		}
		delete(ids, kind)
	}
	for kind := range ids {
		s.blame(fleet.Refused, id, "its backend was told %s", kind)
	}
}

// judgeTree wants a complete tree without remains, the same as that of every other job of the clip.
func (s *scene) judgeTree(q request, v fleet.View) {
	s.watch.Judge(q.id, func(w *fleet.Witness) {
		if missing := w.Complete(); missing != "" {
			s.blame(fleet.Unfinished, q.id, "it is processed, and %s", missing)
		}
		if left := w.Unreferenced(); v.SweepAt.IsZero() && len(left) > 0 {
			s.blame(fleet.Leftover, q.id, "no playlist leads to %s", strings.Join(left, ", "))
		}
		if why := s.twins.compare(q.source.clip.Name(), w.Shape()); why != "" {
			s.blame(fleet.Different, q.id, "%s", why)
		}
	})
}

// twins holds the shape that each clip took first. All later jobs of the clip must take the same.
type twins map[string]map[string]string

// compare says in what way the clip took another shape than before.
func (t twins) compare(clip string, shape map[string]string) string {
	first, ok := t[clip]
	if !ok {
		t[clip] = shape
		return ""
	}
	for name, text := range shape {
		if first[name] != text {
			return fmt.Sprintf("%s is %q, that of an earlier video of the clip was %q", name, text, first[name])
		}
	}
	if len(first) != len(shape) {
		return fmt.Sprintf("it has %d playlists, an earlier video of the clip had %d", len(shape), len(first))
	}
	return ""
}

// watchVideo fetches the video through the Worker, and decodes every frame.
func (s *scene) watchVideo(ctx context.Context, q request) error {
	url, err := s.fleet.Cloud.WatchURL(q.id)
	if err != nil {
		return err
	}
	seen, err := viewer.Watch(ctx, url)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		s.blame(fleet.Invalid, q.id, "it cannot be watched: %v", err)
	case seen.Frames < q.source.clip.Seconds*q.source.clip.Rate:
		s.blame(fleet.Invalid, q.id, "it has %d frames, its clip %d", seen.Frames, q.source.clip.Seconds*q.source.clip.Rate)
	}
	return nil
}

// judgeCopied wants the pictures of the clip as they are: whatever happens to a node says nothing about them.
func (s *scene) judgeCopied(ctx context.Context, id string) error {
	out, err := s.fleet.Cloud.S3().GetObject(ctx, &s3.GetObjectInput{
		Bucket: &s.fleet.Cloud.Bucket, Key: aws.String("videos/" + id + "/manifest.json"),
	})
	if err != nil {
		return fmt.Errorf("read the manifest of %s: %w", id, err)
	}
	defer func() { _ = out.Body.Close() }()
	var manifest struct {
		Renditions []struct{ Copied bool }
	}
	if err := json.NewDecoder(out.Body).Decode(&manifest); err != nil {
		return fmt.Errorf("read the manifest of %s: %w", id, err)
	}
	if len(manifest.Renditions) == 0 || !manifest.Renditions[0].Copied {
		s.blame(fleet.Different, id, "its top rung was encoded and not copied")
	}
	return nil
}

// swept waits until the last sweep of every ended job is over, and blames what is left then.
func (s *scene) swept(ctx context.Context) error {
	for _, q := range s.all() {
		if !q.accepted || s.enough() {
			continue
		}
		for {
			if err := s.watch.Look(ctx, q.id); err != nil {
				return err
			}
			due := s.watch.View(q.id).SweepAt
			if due.IsZero() {
				break
			}
			if time.Since(due) > sweepSlack {
				s.blame(fleet.Leftover, q.id, "its last sweep was due at %s and is not done", due.Format(time.TimeOnly))
				break
			}
			if err := sleep(ctx, 25*askPause); err != nil {
				return err
			}
		}
		if v := s.watch.View(q.id); !q.deleted && v.State == "processed" {
			s.judgeTree(q, v)
		}
	}
	return nil
}

// Package catalog keeps the job records in the bucket, and nothing else does.
//
// A record is created once, before the request is answered, and changed only by those who have seen what they change
// (compare and swap by ETag), so that nodes need no other agreement. Beside it lies a marker, open/{video_id}, until the
// job is closed: whatever the queue forgets, [Catalog.Open] finds again. Start at [Catalog.Accept].
package catalog

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/transcoder/internal/job"
	"weir/transcoder/internal/r2"
)

// Bucket is where the records lie. It is strongly consistent; Create succeeds for one caller alone, and Replace only for
// one who has the ETag of what is there; both answer job.ErrConflict otherwise.
type Bucket interface {
	Read(ctx context.Context, key string) (data []byte, etag string, err error)
	Write(ctx context.Context, key string, data []byte, m r2.Meta) error
	Create(ctx context.Context, key string, data []byte, m r2.Meta) error
	Replace(ctx context.Context, key, etag string, data []byte, m r2.Meta) error
	Delete(ctx context.Context, keys ...string) error
	List(ctx context.Context, prefix string) iter.Seq2[r2.Object, error]
}

const openPrefix, deadPrefix = "open/", "dead/"

// sweepTime is longer than the removal of a run's remains takes. A run that follows waits as long, or what it finds and
// takes for its own might be gone a moment later.
const sweepTime = 2 * time.Minute

func recordKey(videoID string) string { return "jobs/" + videoID + ".json" }
func markerKey(videoID string) string { return openPrefix + videoID }
func epochKey(videoID string) string  { return "epochs/" + videoID }
func deadKey(eventID string) string   { return deadPrefix + eventID }

var private = r2.Meta{ContentType: "application/json", CacheControl: "private, no-store"}

// Catalog is the job records of one bucket.
type Catalog struct {
	bucket Bucket
	now    func() time.Time
}

// New returns the catalog of a bucket.
func New(bucket Bucket, now func() time.Time) *Catalog { return &Catalog{bucket: bucket, now: now} }

// Accept records a request, for good: when it returns, the job survives everything that the bucket survives. The same
// request again is the same job, with the priority that it had first. One that has failed or was deleted starts over under a new run, with whatever the new
// request says; with replace, so does one that was processed, and what is published of it stays until then. A video id that
// stands for another request is [job.ErrConflict], or [job.ErrBusy] if that is to be replaced before it has ended.
func (c *Catalog) Accept(ctx context.Context, spec job.Spec, replace bool) (job.Job, error) {
	now := c.now().UTC()
	j := job.Job{
		Spec: spec, Run: newRun(), Version: 1,
		State: job.Queued, CreatedAt: now, UpdatedAt: now,
	}
	err := c.bucket.Create(ctx, recordKey(spec.VideoID), encode(j), private)
	if errors.Is(err, job.ErrConflict) {
		j, err = c.again(ctx, j, replace)
	}
	if err == nil && !j.Closed() {
		err = c.mark(ctx, j.VideoID)
	}
	if err != nil {
		return job.Job{}, fmt.Errorf("accept %q: %w", spec.VideoID, err)
	}
	return j, nil
}

// again deals with a request for a video that has a record already.
func (c *Catalog) again(ctx context.Context, fresh job.Job, replace bool) (job.Job, error) {
	for {
		old, etag, err := c.read(ctx, fresh.VideoID)
		switch {
		case err != nil:
			return job.Job{}, err
		case old.State == job.Failed, old.State == job.Deleted, old.State == job.Processed && replace:
			j := follow(old, fresh)
			err = c.bucket.Replace(ctx, recordKey(j.VideoID), etag, encode(j), private)
			if !errors.Is(err, job.ErrConflict) {
				return j, err
			}
		case old.Spec.Same(fresh.Spec):
			return old, nil
		case replace:
			return job.Job{}, fmt.Errorf("%w: the video is %s", job.ErrBusy, old.State)
		default:
			return job.Job{}, fmt.Errorf("%w: the video_id stands for the object %q already", job.ErrConflict, old.Key)
		}
	}
}

// follow makes a fresh job the next run of a video.
func follow(old, fresh job.Job) job.Job {
	fresh.Version = old.Version + 1
	if fresh.Published = old.Published; fresh.Published > 0 {
		fresh.Duration, fresh.NoMPD = old.Duration, !old.HasMPD()
	}
	due := !old.SweepAt.IsZero() && !old.SweepAt.After(fresh.CreatedAt)
	if due || old.State == job.Deleted && !old.SweepAt.IsZero() {
		fresh.NotBefore = fresh.CreatedAt.Add(sweepTime)
	}
	return fresh
}

// Get returns a record. A video that was never asked for is [job.ErrNotFound].
func (c *Catalog) Get(ctx context.Context, videoID string) (job.Job, error) {
	j, _, err := c.read(ctx, videoID)
	return j, err
}

// ErrSuperseded says that a ticket is of a run that is over: its job was started anew.
var ErrSuperseded = errors.New("the run was superseded")

// Update changes the record of a ticket's job. change may be called several times, each time with what is there then.
func (c *Catalog) Update(ctx context.Context, t job.Ticket, change func(*job.Job)) (job.Job, error) {
	for {
		old, etag, err := c.read(ctx, t.VideoID)
		if err != nil {
			return job.Job{}, err
		}
		if old.Run != t.Run {
			return old, fmt.Errorf("update %q: %w", t.VideoID, ErrSuperseded)
		}
		j := old
		j.Notices = slices.Clone(old.Notices)
		change(&j)
		if reflect.DeepEqual(j, old) {
			return j, nil
		}
		j.UpdatedAt = c.now().UTC()
		err = c.bucket.Replace(ctx, recordKey(t.VideoID), etag, encode(j), private)
		if err == nil {
			return j, nil
		}
		if !errors.Is(err, job.ErrConflict) {
			return job.Job{}, fmt.Errorf("update %q: %w", t.VideoID, err)
		}
	}
}

// Restart has the work of a ticket's job done once more; see [job.Job.Restart].
func (c *Catalog) Restart(ctx context.Context, t job.Ticket) (job.Job, error) {
	run := newRun()
	return c.Update(ctx, t, func(j *job.Job) { j.Restart(run) })
}

func newRun() string { return strings.ToLower(rand.Text()[:12]) }

// Delete marks a video as deleted; what is to be done about it is the worker's business. Again is no error.
func (c *Catalog) Delete(ctx context.Context, videoID string) (job.Job, error) {
	return c.reopen(ctx, videoID, func(j *job.Job) { j.Delete(c.now().UTC()) })
}

// Revoke makes the edge refuse, a minute later at most, the tokens of a video that were issued before the time that it
// returns, and returns then: whatever is issued afterwards is good.
func (c *Catalog) Revoke(ctx context.Context, videoID string) (time.Time, error) {
	if _, err := c.Get(ctx, videoID); err != nil {
		return time.Time{}, err
	}
	now := c.now().UTC()
	before := now.Truncate(time.Second).Add(time.Second) // tokens know whole seconds
	if err := c.bucket.Write(ctx, epochKey(videoID), strconv.AppendInt(nil, before.Unix(), 10), private); err != nil {
		return time.Time{}, fmt.Errorf("revoke the tokens of %q: %w", videoID, err)
	}
	select {
	case <-time.After(before.Sub(now)):
		return before, nil
	case <-ctx.Done():
		return time.Time{}, ctx.Err()
	}
}

// Replay makes the notice of an event due again. An event that never was is [job.ErrNotFound].
func (c *Catalog) Replay(ctx context.Context, eventID string) (job.Job, error) {
	videoID, found := job.EventVideo(eventID), false
	if videoID == "" {
		return job.Job{}, fmt.Errorf("replay %q: %w", eventID, job.ErrNotFound)
	}
	j, err := c.reopen(ctx, videoID, func(j *job.Job) { found = j.Replay(eventID) })
	if err == nil && !found {
		// Of a run that is over, if there ever was such an event: nobody needs its dead letter.
		err = errors.Join(fmt.Errorf("replay %q: %w", eventID, job.ErrNotFound), c.Unbury(ctx, eventID))
	}
	return j, err
}

// reopen changes a job that may be closed. The marker comes first: should this node end in between, the reconciler finds
// the job as it was, or as it is now. And it comes once more, because another node may have closed the job in between.
func (c *Catalog) reopen(ctx context.Context, videoID string, change func(*job.Job)) (job.Job, error) {
	for {
		j, err := c.Get(ctx, videoID)
		if err != nil {
			return job.Job{}, err
		}
		if err := c.mark(ctx, videoID); err != nil {
			return job.Job{}, fmt.Errorf("open %q again: %w", videoID, err)
		}
		j, err = c.Update(ctx, j.Ticket(), change)
		if err == nil && !j.Closed() {
			err = c.mark(ctx, videoID)
		}
		if !errors.Is(err, ErrSuperseded) {
			return j, err
		}
	}
}

// Close removes the marker of a job with which nothing is left to do.
func (c *Catalog) Close(ctx context.Context, t job.Ticket) error {
	if err := c.bucket.Delete(ctx, markerKey(t.VideoID)); err != nil {
		return fmt.Errorf("close %q: %w", t.VideoID, err)
	}
	// There is no conditional delete. If the job was opened again meanwhile, the marker that is gone was needed.
	j, err := c.Get(ctx, t.VideoID)
	if err != nil {
		return fmt.Errorf("close %q: %w", t.VideoID, err)
	}
	if !j.Closed() {
		return c.mark(ctx, t.VideoID)
	}
	return nil
}

// Open yields the ids of the videos whose jobs are not closed.
func (c *Catalog) Open(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for o, err := range c.bucket.List(ctx, openPrefix) {
			if !yield(strings.TrimPrefix(o.Key, openPrefix), err) || err != nil {
				return
			}
		}
	}
}

// Bury keeps a notice that could not be delivered where [Catalog.DeadLetters] finds it.
func (c *Catalog) Bury(ctx context.Context, j job.Job, n job.Notice) error {
	data, err := json.Marshal(job.DeadLetter{
		VideoID: j.VideoID, EventID: n.EventID, Type: n.Type, WebhookURL: j.WebhookURL,
		At: n.At, Attempts: n.Attempts, LastError: n.LastError,
	})
	if err == nil {
		err = c.bucket.Write(ctx, deadKey(n.EventID), data, private)
	}
	if err != nil {
		return fmt.Errorf("keep the dead letter %q: %w", n.EventID, err)
	}
	return nil
}

// Unbury removes the dead letter of an event, if there is one.
func (c *Catalog) Unbury(ctx context.Context, eventID string) error {
	if err := c.bucket.Delete(ctx, deadKey(eventID)); err != nil {
		return fmt.Errorf("remove the dead letter %q: %w", eventID, err)
	}
	return nil
}

// DeadLetters yields the notices that could not be delivered.
func (c *Catalog) DeadLetters(ctx context.Context) iter.Seq2[job.DeadLetter, error] {
	return func(yield func(job.DeadLetter, error) bool) {
		for o, err := range c.bucket.List(ctx, deadPrefix) {
			var l job.DeadLetter
			if err == nil {
				var data []byte
				data, _, err = c.bucket.Read(ctx, o.Key)
				if errors.Is(err, job.ErrNotFound) {
					continue // delivered meanwhile
				}
				if err == nil {
					err = json.Unmarshal(data, &l)
				}
			}
			if err != nil {
				err = fmt.Errorf("read the dead letters: %w", err)
			}
			if !yield(l, err) || err != nil {
				return
			}
		}
	}
}

// mark puts the marker there unless it is: R2 takes one write a second and key, and any number of equal requests may come
// at once. The record must say before that something is left to do, so that whoever removes the marker sees it.
func (c *Catalog) mark(ctx context.Context, videoID string) error {
	_, _, err := c.bucket.Read(ctx, markerKey(videoID))
	if errors.Is(err, job.ErrNotFound) {
		err = c.bucket.Write(ctx, markerKey(videoID), nil, private)
	}
	return err
}

func (c *Catalog) read(ctx context.Context, videoID string) (job.Job, string, error) {
	data, etag, err := c.bucket.Read(ctx, recordKey(videoID))
	if err != nil {
		return job.Job{}, "", fmt.Errorf("read the job of %q: %w", videoID, err)
	}
	var j job.Job
	if err := json.Unmarshal(data, &j); err != nil {
		return job.Job{}, "", fmt.Errorf("read the job of %q: %w", videoID, err)
	}
	return j, etag, nil
}

func encode(j job.Job) []byte {
	data, err := json.Marshal(j)
	if err != nil {
		panic(fmt.Sprintf("a job cannot be written as JSON: %v", err)) // it holds nothing that JSON lacks
	}
	return data
}

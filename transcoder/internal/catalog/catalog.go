// Package catalog keeps the job records in the bucket, and nothing else does.
//
// A record is created once, before the request is answered, and changed only by those who have seen what they change
// (compare and swap by ETag), so that nodes need no other agreement. Beside it lies a marker, open/{video_id}, until the
// backend has been told of the end: whatever the queue forgets, [Catalog.Open] finds again. Start at [Catalog.Accept].
package catalog

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"reflect"
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

const openPrefix = "open/"

func recordKey(videoID string) string { return "jobs/" + videoID + ".json" }
func markerKey(videoID string) string { return openPrefix + videoID }

var private = r2.Meta{ContentType: "application/json", CacheControl: "private, no-store"}

// Catalog is the job records of one bucket.
type Catalog struct {
	bucket Bucket
	now    func() time.Time
}

// New returns the catalog of a bucket.
func New(bucket Bucket, now func() time.Time) *Catalog { return &Catalog{bucket: bucket, now: now} }

// Accept records a request, for good: when it returns, the job survives everything that the bucket survives. The same
// request again is the same job. A failed one starts over under a new run, with whatever the new request says. A video id
// that stands for another request is [job.ErrConflict].
func (c *Catalog) Accept(ctx context.Context, spec job.Spec) (job.Job, error) {
	fresh := c.fresh(spec)
	err := c.bucket.Create(ctx, recordKey(spec.VideoID), encode(fresh), private)
	if errors.Is(err, job.ErrConflict) {
		fresh, err = c.again(ctx, fresh)
	}
	if err != nil {
		return job.Job{}, fmt.Errorf("accept %q: %w", spec.VideoID, err)
	}
	if !fresh.Notice.Settled() {
		if err := c.mark(ctx, fresh); err != nil {
			return job.Job{}, fmt.Errorf("accept %q: %w", spec.VideoID, err)
		}
	}
	return fresh, nil
}

func (c *Catalog) fresh(spec job.Spec) job.Job {
	now := c.now().UTC()
	return job.Job{Spec: spec, Run: strings.ToLower(rand.Text()[:12]), State: job.Queued, CreatedAt: now, UpdatedAt: now}
}

// again deals with a request for a video that has a record already.
func (c *Catalog) again(ctx context.Context, fresh job.Job) (job.Job, error) {
	for {
		old, etag, err := c.read(ctx, fresh.VideoID)
		switch {
		case err != nil:
			return job.Job{}, err
		case old.State == job.Failed:
			err = c.bucket.Replace(ctx, recordKey(fresh.VideoID), etag, encode(fresh), private)
			if !errors.Is(err, job.ErrConflict) {
				return fresh, err
			}
		case old.Spec == fresh.Spec:
			return old, nil
		default:
			return job.Job{}, fmt.Errorf("%w: the video_id stands for the object %q already", job.ErrConflict, old.Key)
		}
	}
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
		change(&j)
		if reflect.DeepEqual(j, old) {
			return j, nil
		}
		j.UpdatedAt = c.now().UTC()
		if j.State.Ended() && !old.State.Ended() {
			j.EndedAt = j.UpdatedAt
		}
		err = c.bucket.Replace(ctx, recordKey(t.VideoID), etag, encode(j), private)
		if err == nil {
			return j, nil
		}
		if !errors.Is(err, job.ErrConflict) {
			return job.Job{}, fmt.Errorf("update %q: %w", t.VideoID, err)
		}
	}
}

// Close removes the marker of a job whose end was told.
func (c *Catalog) Close(ctx context.Context, t job.Ticket) error {
	if err := c.bucket.Delete(ctx, markerKey(t.VideoID)); err != nil {
		return fmt.Errorf("close %q: %w", t.VideoID, err)
	}
	// There is no conditional delete. If the job was started anew meanwhile, the marker that is gone was the new run's.
	j, err := c.Get(ctx, t.VideoID)
	if err != nil {
		return fmt.Errorf("close %q: %w", t.VideoID, err)
	}
	if !j.Notice.Settled() {
		return c.mark(ctx, j)
	}
	return nil
}

// Open yields the ids of the videos whose jobs are not finished and told.
func (c *Catalog) Open(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for o, err := range c.bucket.List(ctx, openPrefix) {
			if !yield(strings.TrimPrefix(o.Key, openPrefix), err) || err != nil {
				return
			}
		}
	}
}

func (c *Catalog) mark(ctx context.Context, j job.Job) error {
	return c.bucket.Write(ctx, markerKey(j.VideoID), nil, private)
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

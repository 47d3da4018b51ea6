package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"
)

const (
	// WatchPause is how often every video is looked at, unless somebody has less time: more often than by any player.
	WatchPause = 100 * time.Millisecond
	// watchersAtOnce keeps the watching from being what the machine is busy with.
	watchersAtOnce = 4
	// thoroughEvery is how many looks at a video's tree go with one at its records, which nobody plays.
	thoroughEvery = 3
	// restAfter is when a video whose job has ended is looked at only now and then: one such at each tick.
	restAfter = 3 * time.Second
)

// Watcher looks at the bucket all the time and lets a [Witness] judge each video.
type Watcher struct {
	client *s3.Client
	bucket string
	cancel context.CancelFunc
	ended  chan error

	mu       sync.Mutex
	videos   map[string]*watched
	problems []Problem
	pauses   []time.Duration // between two looks at everything
}

type watched struct {
	mu      sync.Mutex // held while the witness listens
	witness *Witness
	changed time.Time // see View
	ended   time.Time // when the job was first seen to have ended
	looked  time.Time // when the last look was over
	looks   int
	work    map[string]Object // its records, as last listed
}

// View is what a Watcher knows of a video.
type View struct {
	Record
	// Changed is when the last outcome was recorded or the last playlist written, by the bucket's own clock.
	Changed time.Time
}

// Watch starts a watcher of the fleet's bucket, who looks at every video each time that a pause is over. The caller owes
// it a Stop.
func (f *Fleet) Watch(ctx context.Context, pause time.Duration) *Watcher {
	ctx, cancel := context.WithCancel(ctx)
	w := &Watcher{
		client: f.Cloud.S3(), bucket: f.Cloud.Bucket, cancel: cancel,
		ended: make(chan error, 1), videos: map[string]*watched{},
	}
	go func() { w.ended <- w.run(ctx, pause) }()
	return w
}

// Stop ends the watching. It returns what kept it from watching, if anything did.
func (w *Watcher) Stop() error {
	w.cancel()
	err := <-w.ended
	w.ended <- err
	return err
}

// Add lets a video be watched.
func (w *Watcher) Add(videoID string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.videos[videoID] == nil {
		w.videos[videoID] = &watched{witness: NewWitness(videoID)}
	}
}

// Doom tells that the video is about to be deleted.
func (w *Watcher) Doom(videoID string) {
	w.Judge(videoID, (*Witness).Doom)
}

// Delete tells that the video's deletion was answered.
func (w *Watcher) Delete(videoID string) {
	w.Judge(videoID, func(w *Witness) { w.Delete(time.Now()) })
}

// Look takes a thorough look at a video now.
func (w *Watcher) Look(ctx context.Context, videoID string) error {
	return w.look(ctx, videoID, true)
}

// View returns what is known of a video that is watched.
func (w *Watcher) View(videoID string) View {
	v := w.video(videoID)
	v.mu.Lock()
	defer v.mu.Unlock()
	return View{Record: v.witness.record, Changed: v.changed}
}

// Committed tells when the outcome of a task was first seen.
func (w *Watcher) Committed(t TaskID) (time.Time, bool) {
	v := w.video(t.Job)
	v.mu.Lock()
	defer v.mu.Unlock()
	at, ok := v.witness.committed["work/"+t.Job+"/"+t.Run+"/"+t.Task+".json"]
	return at, ok
}

// Judge asks the witness of a video; no look at it takes place meanwhile.
func (w *Watcher) Judge(videoID string, ask func(*Witness)) {
	v := w.video(videoID)
	v.mu.Lock()
	defer v.mu.Unlock()
	ask(v.witness)
}

// Problems are all that were seen so far.
func (w *Watcher) Problems() []Problem {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]Problem(nil), w.problems...)
}

// Pauses are the times between two looks at everything.
func (w *Watcher) Pauses() []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]time.Duration(nil), w.pauses...)
}

func (w *Watcher) video(videoID string) *watched {
	w.mu.Lock()
	defer w.mu.Unlock()
	v := w.videos[videoID]
	if v == nil {
		panic("the video " + videoID + " is not watched")
	}
	return v
}

func (w *Watcher) run(ctx context.Context, pause time.Duration) error {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	var last time.Time
	for {
		due := w.due()
		if !last.IsZero() && len(due) > 0 {
			w.mu.Lock()
			w.pauses = append(w.pauses, time.Since(last))
			w.mu.Unlock()
		}
		last = time.Now()
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(watchersAtOnce)
		for _, id := range due {
			g.Go(func() error { return w.look(gctx, id, false) })
		}
		err := g.Wait()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// due are the videos to look at now.
func (w *Watcher) due() []string {
	w.mu.Lock()
	all := maps.Clone(w.videos)
	w.mu.Unlock()
	var due []string
	var resting string
	oldest := time.Now()
	for id, v := range all {
		v.mu.Lock()
		if v.ended.IsZero() || time.Since(v.ended) < restAfter {
			due = append(due, id)
		} else if v.looked.Before(oldest) {
			resting, oldest = id, v.looked
		}
		v.mu.Unlock()
	}
	if resting != "" {
		due = append(due, resting)
	}
	return due
}

// look takes one look at a video.
func (w *Watcher) look(ctx context.Context, id string, thorough bool) (err error) {
	v := w.video(id)
	v.mu.Lock()
	defer v.mu.Unlock()
	var problems []Problem
	defer func() {
		if err != nil {
			err = fmt.Errorf("watch %s: %w", id, err)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.problems = append(w.problems, problems...)
	}()
	if thorough || v.looks%thoroughEvery == 0 || !v.ended.IsZero() {
		seen, err := w.record(ctx, id, v)
		if err != nil {
			return err
		}
		problems = append(problems, seen...)
		if v.work, err = w.list(ctx, "work/"+id+"/"); err != nil {
			return err
		}
	}
	all, err := w.objects(ctx, id, v)
	if err != nil {
		return err
	}
	read, seen := v.witness.Objects(time.Now(), all)
	problems = append(problems, seen...)
	for key, o := range all {
		if (outcomes.MatchString(key) || strings.HasSuffix(key, ".m3u8")) && o.Modified.After(v.changed) {
			v.changed = o.Modified
		}
	}
	type text struct {
		key, etag string
		body      []byte
	}
	var texts []text
	for _, key := range read {
		body, etag, err := w.read(ctx, key)
		if errors.Is(err, errNoObject) {
			continue // the next listing tells
		}
		if err != nil {
			return err
		}
		texts = append(texts, text{key, etag, body})
	}
	if len(texts) > 0 {
		// What a playlist names may be newer than the listing above, so there is one after the playlists.
		if all, err = w.objects(ctx, id, v); err != nil {
			return err
		}
	}
	for _, t := range texts {
		problems = append(problems, v.witness.Playlist(t.key, t.etag, t.body, all)...)
	}
	v.looked = time.Now()
	v.looks++
	return nil
}

// record looks at the job's record.
func (w *Watcher) record(ctx context.Context, id string, v *watched) ([]Problem, error) {
	data, _, err := w.read(ctx, "jobs/"+id+".json")
	if errors.Is(err, errNoObject) {
		return nil, nil // not accepted yet
	}
	if err != nil {
		return nil, err
	}
	r, err := decodeRecord(data)
	if err != nil {
		return nil, err
	}
	if r.Ended() && v.ended.IsZero() {
		v.ended = time.Now()
	}
	return v.witness.Record(r), nil
}

// objects lists a video's tree; its working records are as they were last listed.
func (w *Watcher) objects(ctx context.Context, id string, v *watched) (map[string]Object, error) {
	all, err := w.list(ctx, "videos/"+id+"/")
	if err == nil {
		maps.Copy(all, v.work)
	}
	return all, err
}

func (w *Watcher) list(ctx context.Context, prefix string) (map[string]Object, error) {
	all := map[string]Object{}
	pages := s3.NewListObjectsV2Paginator(w.client, &s3.ListObjectsV2Input{Bucket: &w.bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			all[aws.ToString(o.Key)] = Object{ETag: aws.ToString(o.ETag), Modified: aws.ToTime(o.LastModified)}
		}
	}
	return all, nil
}

var errNoObject = errors.New("no such object")

func (w *Watcher) read(ctx context.Context, key string) (data []byte, etag string, err error) {
	out, err := w.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &w.bucket, Key: &key})
	if missing := (*types.NoSuchKey)(nil); errors.As(err, &missing) {
		return nil, "", errNoObject
	}
	if err != nil {
		return nil, "", err
	}
	defer out.Body.Close()
	data, err = io.ReadAll(out.Body)
	return data, aws.ToString(out.ETag), err
}

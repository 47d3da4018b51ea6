package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"weir/transcoder/internal/catalog"
	"weir/transcoder/internal/job"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/metrics"
	"weir/transcoder/internal/plan"
	"weir/transcoder/internal/queue"
	"weir/transcoder/internal/r2"
	"weir/transcoder/internal/r2/r2test"
	"weir/transcoder/internal/worker"
)

// board is a queue that shows what was sent, and to which one may say what nodes would say.
type board struct {
	mu   sync.Mutex
	sent map[queue.Lane][]string
	ears map[string]func(id string, data []byte) // by pattern

	priorities map[string]int // of what was sent, by name
}

func (b *board) Send(_ context.Context, lane queue.Lane, priority int, id string, _ []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	name := id[strings.LastIndexByte(id, '.')+1:]
	if !slices.Contains(b.sent[lane], name) {
		b.sent[lane] = append(b.sent[lane], name)
	}
	if b.priorities == nil {
		b.priorities = map[string]int{}
	}
	b.priorities[name] = priority
	return nil
}

func (b *board) Drop(_ context.Context, lane queue.Lane, _ string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.sent, lane)
	return nil
}

func (b *board) Signal(string, []byte) error { return nil }

func (b *board) Listen(pattern string, hear func(id string, data []byte)) (func(), error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ears[pattern] = hear
	return func() {}, nil
}

func (b *board) say(kind, ticket, name, share string) {
	b.mu.Lock()
	hear := b.ears[kind+"."+ticket+".*"]
	b.mu.Unlock()
	hear(kind+"."+ticket+"."+name, []byte(share))
}

func (b *board) on(lane queue.Lane) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.sent[lane], " ")
}

// desk is a node that walks a job whose tasks the test does itself.
type desk struct {
	*testing.T
	*board
	bucket *r2test.Bucket
	job    job.Job
	plan   plan.Plan
	worker *worker.Worker
	ended  chan error

	written atomic.Int32 // how often the picture's playlist was
}

// walk starts to walk a job of a minute that is planned already, in a bubble of time. Its plan may be changed before.
func walk(t *testing.T, change ...func(plan.Plan) plan.Plan) *desk {
	t.Helper()
	ladder, err := plan.ParseLadder("360:800k:96k")
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{T: t, board: &board{sent: map[queue.Lane][]string{}, ears: map[string]func(string, []byte){}}, bucket: &r2test.Bucket{}, ended: make(chan error, 1)}
	d.plan = plan.Make("uploads/intro.mp4", "e", 1, media.Source{
		Video: media.Video{Width: 640, Height: 360, Rate: media.Rate{Num: 25, Den: 1}, End: 60},
		Audio: media.Tracks{{Index: 1, End: 60}},
	}, ladder)
	for _, c := range change {
		d.plan = c(d.plan)
	}
	d.bucket.Inject(func(operation, key string) r2test.Fault {
		if operation == "replace" && strings.HasSuffix(key, "/360p/playlist.m3u8") {
			d.written.Add(1)
		}
		return r2test.None
	})
	c := catalog.New(d.bucket, time.Now)
	d.job, err = c.Accept(t.Context(), job.Spec{VideoID: "intro", Key: "uploads/intro.mp4", WebhookURL: "https://example.com", Priority: 50}, false)
	if err != nil {
		t.Fatal(err)
	}
	d.worker = &worker.Worker{Log: slog.New(slog.DiscardHandler), Now: time.Now, Meter: metrics.New(), Bucket: d.bucket, Catalog: c, Queue: d.board}
	d.run()
	return d
}

// run walks the job's run, from its plan on.
func (d *desk) run() {
	d.Helper()
	d.put("plan", d.plan)
	data, err := json.Marshal(d.job.Ticket())
	if err != nil {
		d.Fatal(err)
	}
	go func() {
		d.ended <- d.worker.Run(d.Context(), queue.Delivery{ID: d.job.Ticket().String(), Data: data, Attempt: 1})
	}()
	synctest.Wait()
}

func (d *desk) put(name string, record any) {
	d.Helper()
	data, err := json.Marshal(record)
	if err != nil {
		d.Fatal(err)
	}
	key := fmt.Sprintf("work/intro/%s/%s.json", d.job.Run, name)
	if err := d.bucket.Create(d.Context(), key, data, r2.Meta{}); err != nil {
		d.Fatal(err)
	}
}

// finish commits the outcome of a chunk's picture or sound, and has it said.
func (d *desk) finish(names ...string) {
	d.Helper()
	for _, name := range names {
		var number int
		if _, err := fmt.Sscanf(name[strings.LastIndexByte(name, '_')+1:], "%d", &number); err != nil {
			d.Fatal(err)
		}
		chunk := d.plan.Chunks[number]
		r := media.Rendition{Name: "360p", Codecs: "avc1.64001e", Timescale: 25, Init: "init_a.mp4"}
		if strings.HasPrefix(name, "audio_") {
			r = media.Rendition{Name: "audio_96k", Codecs: "mp4a.40.2", Timescale: 25, Init: "init_b.mp4"}
		}
		first, end := d.plan.Span(chunk)
		for n := first; n < end; n++ {
			s := media.Segment{Number: n, Name: fmt.Sprintf("segment_%d_%s.m4s", n, r.Init[5:6]), Ticks: uint64(d.plan.Start(n+1) - d.plan.Start(n)), Bytes: 1000}
			r.Segments = append(r.Segments, s)
		}
		d.put(name, map[string]any{"renditions": []media.Rendition{r}})
		d.say("outcome", d.job.Ticket().String(), name, "1")
	}
	synctest.Wait()
}

func (d *desk) begin(task string) {
	d.say("task", d.job.Ticket().String(), task, "0.000")
	synctest.Wait()
}

func (d *desk) want(lane queue.Lane, tasks string) {
	d.Helper()
	if got := d.on(lane); got != tasks {
		d.Errorf("the lane %s holds %q, want %q", lane, got, tasks)
	}
}

// playlist is the picture's, or "" before there is one.
func (d *desk) playlist() string {
	data, _, err := d.bucket.Read(d.Context(), "videos/intro/hls/360p/playlist.m3u8")
	if err != nil {
		return ""
	}
	return string(data)
}

func (d *desk) state() job.State { return d.record().State }

func (d *desk) record() job.Job {
	d.Helper()
	j, err := d.worker.Catalog.Get(d.Context(), "intro")
	if err != nil {
		d.Fatal(err)
	}
	return j
}

func TestFirstTasksGoAtOnceAndTheOthersAsTheyAreTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := walk(t)
		d.want(queue.First, "audio_0 chunk_0")
		d.want(queue.Tasks, "audio_rest chunk_1")
		d.begin("chunk_0")
		d.want(queue.Tasks, "audio_rest chunk_1")
		d.begin("audio_rest")
		d.want(queue.Tasks, "audio_rest chunk_1 chunk_2")
		d.begin("chunk_1")
		d.begin("chunk_2")
		d.want(queue.Tasks, "audio_rest chunk_1 chunk_2 chunk_3 chunk_4")
		// A task that is done without a word having been heard of it is found.
		d.put("chunk_3", map[string]any{"renditions": []media.Rendition{}})
		time.Sleep(11 * time.Second)
		synctest.Wait()
		d.want(queue.Tasks, "audio_rest chunk_1 chunk_2 chunk_3 chunk_4 chunk_5")
		d.end()
	})
}

// end stops the walk.
func (d *desk) end() {
	d.Helper()
	if _, err := d.worker.Catalog.Delete(d.Context(), "intro"); err != nil {
		d.Fatal(err)
	}
	if err := <-d.ended; err != nil {
		d.Errorf("the walk ended with %v", err)
	}
}

func TestAVideoIsShownAsFarAsItIsThereWithoutAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := walk(t)
		d.finish("chunk_0", "chunk_1", "audio_1")
		if d.state() != job.Processing || d.playlist() != "" {
			t.Errorf("without the first sound the job is %s, the playlist %q", d.state(), d.playlist())
		}
		d.finish("audio_0")
		if list := d.playlist(); d.state() != job.Playable || strings.Count(list, "#EXTINF") != 2 || !strings.Contains(list, "EVENT") {
			t.Errorf("with it the job is %s, the playlist\n%s", d.state(), list)
		}
		d.want(queue.Hooks, "playable")
		time.Sleep(5 * time.Second)
		d.finish("chunk_3", "audio_3", "audio_2")
		time.Sleep(5 * time.Second)
		if keys := append(d.bucket.Keys("videos/intro/dash/"), d.bucket.Keys("videos/intro/manifest")...); len(keys) != 0 {
			t.Errorf("before the end there are %v", keys)
		}
		if n := strings.Count(d.playlist(), "#EXTINF"); n != 2 {
			t.Errorf("with a gap, %d segments are listed", n)
		}
		d.written.Store(0)
		for n := 2; n < len(d.plan.Chunks); n++ {
			for _, kind := range []string{"chunk", "audio"} {
				if name := fmt.Sprintf("%s_%d", kind, n); n > 3 || name == "chunk_2" {
					d.finish(name)
				}
			}
		}
		if n := d.written.Load(); n != 1 {
			t.Errorf("in one moment the playlist was written %d times", n)
		}
		if err := <-d.ended; err != nil {
			t.Fatal(err)
		}
		if list := d.playlist(); d.state() != job.Processed || strings.Count(list, "#EXTINF") != d.plan.Segments() || !strings.Contains(list, "#EXT-X-ENDLIST") {
			t.Errorf("in the end the job is %s, the playlist\n%s", d.state(), list)
		}
		d.want(queue.Hooks, "playable processed")
	})
}

// Sound alone has no picture to wait for, and no poster and no storyboard to make.
func TestSoundAloneIsShownAsSoonAsItIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := walk(t, func(p plan.Plan) plan.Plan {
			ladder, err := plan.ParseLadder("360:800k:96k")
			if err != nil {
				t.Fatal(err)
			}
			return plan.Make(p.Key, p.ETag, p.Size, media.Source{Audio: p.Source.Audio}, ladder)
		})
		d.want(queue.First, "audio_0")
		d.want(queue.Tasks, "audio_rest")
		d.finish("audio_0")
		if d.state() != job.Playable {
			t.Errorf("with the first sound the job is %s", d.state())
		}
		for n := range d.plan.Chunks[1:] {
			d.finish(fmt.Sprintf("audio_%d", n+1))
		}
		if err := <-d.ended; err != nil {
			t.Fatal(err)
		}
		j, err := d.worker.Catalog.Get(t.Context(), "intro")
		if err != nil || j.State != job.Processed || j.Progress != 100 || j.Result.Poster != "" || j.Result.Storyboard != "" || len(j.Result.Renditions) != 1 {
			t.Errorf("the job is %+v, %v", j, err)
		}
		if keys := d.bucket.Keys("videos/intro/"); len(keys) != 4 { // the tasks have written no media: a playlist, the master, the MPD and the manifest
			t.Errorf("there are %v", keys)
		}
	})
}

func TestAChunkThatCannotBeDoneEndsTheJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := walk(t)
		d.finish("chunk_0", "audio_0")
		d.put("chunk_2", map[string]any{"error": job.Failure{Code: job.SourceTruncated, Message: "It ends too early."}})
		d.say("outcome", d.job.Ticket().String(), "chunk_2", "1")
		if err := <-d.ended; err != nil {
			t.Fatal(err)
		}
		if d.state() != job.Failed || len(d.bucket.Keys("videos/")) != 0 {
			t.Errorf("the job is %s, left is %v", d.state(), d.bucket.Keys("videos/"))
		}
		d.want(queue.Tasks, "")
		d.want(queue.Sweeps, "failed")
		d.want(queue.Hooks, "playable failed")
	})
}

func TestAJobIsProcessedOnlyWithItsMPDAndItsManifest(t *testing.T) {
	for _, name := range []string{"dash/manifest.mpd", "manifest.json"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := walk(t)
				d.bucket.Inject(func(operation, key string) r2test.Fault {
					if operation == "create" && key == "videos/intro/"+name {
						return r2test.Lost
					}
					return r2test.None
				})
				for n := range d.plan.Chunks {
					d.finish(fmt.Sprintf("chunk_%d", n), fmt.Sprintf("audio_%d", n))
				}
				if err := <-d.ended; err == nil || d.state() != job.Playable {
					t.Fatalf("without it the job is %s, %v", d.state(), err)
				}
				d.bucket.Inject(nil)
				data, err := json.Marshal(d.job.Ticket())
				if err != nil {
					t.Fatal(err)
				}
				if err := d.worker.Run(t.Context(), queue.Delivery{ID: d.job.Ticket().String(), Data: data, Attempt: 2}); err != nil {
					t.Fatal(err)
				}
				j, err := d.worker.Catalog.Get(t.Context(), "intro")
				if err != nil || j.State != job.Processed || j.Result.Manifest != "videos/intro/manifest.json" {
					t.Errorf("the job is %+v, %v", j, err)
				}
				for _, name := range []string{"dash/manifest.mpd", "manifest.json"} {
					if keys := d.bucket.Keys("videos/intro/" + name); len(keys) != 1 {
						t.Errorf("it is processed without %s", name)
					}
				}
			})
		})
	}
}

package worker_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/transcoder/internal/catalog"
	"weir/transcoder/internal/job"
	"weir/transcoder/internal/metrics"
	"weir/transcoder/internal/queue"
	"weir/transcoder/internal/r2"
	"weir/transcoder/internal/r2/r2test"
	"weir/transcoder/internal/worker"
)

// yard is a video that was published, and the node that cleans up after it.
type yard struct {
	*testing.T
	bucket *r2test.Bucket
	worker *worker.Worker
	job    job.Job
}

func newYard(t *testing.T) *yard {
	t.Helper()
	b := &r2test.Bucket{}
	y := &yard{T: t, bucket: b, worker: &worker.Worker{
		Log: slog.New(slog.DiscardHandler), Now: time.Now, Meter: metrics.New(), Bucket: b, Catalog: catalog.New(b, time.Now),
		Queue: &board{sent: map[queue.Lane][]string{}, ears: map[string]func(string, []byte){}},
	}}
	y.post(false)
	return y
}

// post has a version of the video made and told.
func (y *yard) post(replace bool) {
	y.Helper()
	j, err := y.worker.Catalog.Accept(y.Context(), job.Spec{VideoID: "intro", Key: "uploads/intro.mp4", WebhookURL: "https://example.com"}, replace)
	if err != nil {
		y.Fatal(err)
	}
	list := fmt.Sprintf("playlist_%d.m3u8", j.Version)
	y.write("hls/360p/segment_0_" + j.Run + ".m4s")
	y.writeText("hls/360p/"+list, "#EXTM3U\nsegment_0_"+j.Run+".m4s\n#EXT-X-ENDLIST\n")
	y.writeText("hls/master.m3u8", "#EXTM3U\n360p/"+list+"\n")
	y.job = y.update(j, func(j *job.Job) {
		now := time.Now()
		j.Finish(job.Result{}, now)
		j.Notices[0].DeliveredAt = &now
	})
}

func (y *yard) update(j job.Job, change func(*job.Job)) job.Job {
	y.Helper()
	j, err := y.worker.Catalog.Update(y.Context(), j.Ticket(), change)
	if err != nil {
		y.Fatal(err)
	}
	return j
}

func (y *yard) write(name string) { y.writeText(name, name) }

func (y *yard) writeText(name, text string) {
	y.Helper()
	if err := y.bucket.Write(y.Context(), "videos/intro/"+name, []byte(text), r2.Meta{}); err != nil {
		y.Fatal(err)
	}
}

// sweep handles the message once and returns how long it is to wait.
func (y *yard) sweep() time.Duration {
	y.Helper()
	data, err := json.Marshal(y.job.Ticket())
	if err != nil {
		y.Fatal(err)
	}
	err = y.worker.Sweep(y.Context(), queue.Delivery{Data: data, Attempt: 1})
	var later *queue.Later
	if err != nil && !errors.As(err, &later) {
		y.Fatal(err)
	}
	if later == nil {
		return 0
	}
	return later.After
}

func (y *yard) want(prefix string, names ...string) {
	y.Helper()
	got := strings.Join(y.bucket.Keys(prefix), " ")
	if want := strings.Join(names, " "); got != want {
		y.Errorf("%s holds\n%s, want\n%s", prefix, got, want)
	}
}

func TestWhatStragglersLeaveIsSwept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newYard(t)
		y.write("hls/360p/segment_1_lost.m4s")
		wait := y.sweep()
		if wait < time.Minute || wait > 3*time.Minute {
			t.Fatalf("it waits %v for stragglers", wait)
		}
		time.Sleep(wait)
		y.write("hls/360p/segment_2_late.m4s")
		if wait := y.sweep(); wait != 0 {
			t.Errorf("it waits another %v", wait)
		}
		y.want("videos/intro/", "videos/intro/hls/360p/playlist_1.m3u8", "videos/intro/hls/360p/segment_0_"+y.job.Run+".m4s", "videos/intro/hls/master.m3u8")
		y.want("open/")
	})
}

func TestAReplacedVersionStaysForADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newYard(t)
		first := y.bucket.Keys("videos/intro/hls/360p/")
		y.post(true)
		wait := y.sweep()
		if wait < 24*time.Hour {
			t.Fatalf("it waits %v for those who are watching", wait)
		}
		if got := y.bucket.Keys("videos/intro/hls/360p/"); len(got) != len(first)+2 {
			t.Errorf("meanwhile there are %v", got)
		}
		time.Sleep(wait)
		if y.sweep() != 0 {
			t.Error("it waits on")
		}
		y.want("videos/intro/", "videos/intro/hls/360p/playlist_2.m3u8", "videos/intro/hls/360p/segment_0_"+y.job.Run+".m4s", "videos/intro/hls/master.m3u8")
		y.want("open/")
	})
}

func TestADeletedVideoGoesAtOnceAndAgainLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newYard(t)
		if err := y.bucket.Write(t.Context(), "work/intro/"+y.job.Run+"/plan.json", nil, r2.Meta{}); err != nil {
			t.Fatal(err)
		}
		if _, err := y.worker.Catalog.Delete(t.Context(), "intro"); err != nil {
			t.Fatal(err)
		}
		wait := y.sweep()
		y.want("videos/intro/")
		y.want("work/intro/")
		y.want("open/", "open/intro")
		y.write("hls/360p/segment_1_late.m4s") // by a node that was frozen
		time.Sleep(wait)
		if y.sweep() != 0 {
			t.Error("it waits on")
		}
		y.want("videos/intro/")
		y.want("open/")
	})
}

func TestADeletedVideoDoesNotWaitForTheSweepOfItsEnd(t *testing.T) {
	y := newYard(t)
	sweeps := func() string { return y.worker.Queue.(*board).on(queue.Sweeps) }
	if err := y.worker.Dispatch(t.Context(), y.job); err != nil || sweeps() != "processed" {
		t.Errorf("after its end the lane holds %q, %v", sweeps(), err)
	}
	j, err := y.worker.Catalog.Delete(t.Context(), "intro")
	if err != nil {
		t.Fatal(err)
	}
	if err := y.worker.Dispatch(t.Context(), j); err != nil || sweeps() != "processed deleted" {
		t.Errorf("after it was deleted the lane holds %q, %v", sweeps(), err)
	}
}

// What a sweep is about to remove could be what the next run has just found and taken for its own.
func TestARunWaitsForTheSweepOfTheOneBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newYard(t)
		if _, err := y.worker.Catalog.Delete(t.Context(), "intro"); err != nil {
			t.Fatal(err)
		}
		old := y.job
		j, err := y.worker.Catalog.Accept(t.Context(), job.Spec{VideoID: "intro", Key: "uploads/other.mp4", WebhookURL: "https://example.com"}, false)
		if err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(j.Ticket())
		if err != nil {
			t.Fatal(err)
		}
		var later *queue.Later
		if err := y.worker.Run(t.Context(), queue.Delivery{Data: data, Attempt: 1}); !errors.As(err, &later) || later.After < time.Minute {
			t.Errorf("the run began at once: %v", err)
		}
		y.want("videos/intro/") // it was deleted, whoever comes first
		y.write("hls/360p/segment_0_new.m4s")
		y.job = old
		if y.sweep() != 0 || len(y.bucket.Keys("videos/intro/")) == 0 {
			t.Error("the sweep of a run that is over went on")
		}
	})
}

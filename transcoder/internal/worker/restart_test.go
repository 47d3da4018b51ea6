package worker_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/transcoder/internal/job"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
	"weir/transcoder/internal/queue"
	"weir/transcoder/internal/r2"
	"weir/transcoder/internal/r2/r2test"
	"weir/transcoder/internal/source"
)

// uncopyable has it said that a chunk cannot be published as it is, waits for the end of the run, and returns the next.
func (d *desk) uncopyable(chunk string) job.Job {
	d.Helper()
	d.put(chunk, map[string]any{"uncopyable": true})
	d.say("outcome", d.job.Ticket().String(), chunk, "1")
	if err := <-d.ended; err != nil {
		d.Fatal(err)
	}
	j := d.record()
	if j.Run == d.job.Run || !j.Encode || j.State.Ended() {
		d.Fatalf("the job does not start over: %+v", j)
	}
	if jobs := d.on(queue.Jobs); !strings.HasSuffix(jobs, j.Run) {
		d.Errorf("the lane of jobs holds %q, and not %s", jobs, j.Run)
	}
	d.want(queue.Tasks, "")
	return j
}

func TestAJobStartsOverWhereItsSourceCannotBeCopied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := walk(t)
		if j := d.uncopyable("chunk_0"); j.Version != 1 || j.State != job.Processing {
			t.Errorf("nothing was published, and the job is %+v", j)
		}
		if keys := d.bucket.Keys("videos/"); len(keys) != 0 {
			t.Errorf("%v is published", keys)
		}
	})
}

// What can be watched already stays until all is there once more, in playlists of its own.
func TestAPlayableJobStartsOverBesideWhatIsWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := walk(t)
		d.finish("chunk_0", "audio_0")
		before := d.playlist()
		j := d.uncopyable("chunk_2")
		if j.State != job.Playable || j.Version != 2 || j.Published != 1 || j.HasMPD() {
			t.Fatalf("the job is %+v", j)
		}
		d.job = j
		d.run()
		d.finish("chunk_0", "audio_0")
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := d.playlist(); got != before || before == "" || len(d.bucket.Keys("videos/intro/hls/360p/playlist_2")) > 0 {
			t.Errorf("the playlist went from\n%sto\n%s", before, got)
		}
		for n := range d.plan.Chunks[1:] {
			d.finish(fmt.Sprintf("chunk_%d", n+1), fmt.Sprintf("audio_%d", n+1))
		}
		if err := <-d.ended; err != nil {
			t.Fatal(err)
		}
		if j := d.record(); j.State != job.Processed || j.Published != 2 || !j.HasMPD() {
			t.Errorf("the job is %+v", j)
		}
		master, _, err := d.bucket.Read(t.Context(), "videos/intro/hls/master.m3u8")
		if err != nil || !strings.Contains(string(master), "playlist_2.m3u8") || d.playlist() != before {
			t.Errorf("the master playlist is\n%s%v", master, err)
		}
		d.want(queue.Hooks, "playable processed")
	})
}

// A job that fails when it has started over leaves nothing, or a version of another job.
func TestAJobThatStartsOverMayFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := walk(t)
		d.finish("chunk_0", "audio_0")
		d.job = d.uncopyable("chunk_2")
		d.run()
		d.put("chunk_2", map[string]any{"error": job.Failure{Code: job.SourceTruncated, Message: "It ends too early."}})
		d.say("outcome", d.job.Ticket().String(), "chunk_2", "1")
		if err := <-d.ended; err != nil {
			t.Fatal(err)
		}
		if j := d.record(); j.State != job.Failed || j.Published != 0 || len(d.bucket.Keys("videos/")) != 0 {
			t.Errorf("the job is %+v, left is %v", j, d.bucket.Keys("videos/"))
		}
	})
	old := job.Job{State: job.Processing, Version: 2, Published: 1}
	old.Restart("b")
	if old.Fail(job.Failure{}, time.Now()); old.Version != 2 || old.Published != 1 {
		t.Errorf("the version of another job is lost: %+v", old)
	}
	gone := job.Job{State: job.Deleted, Run: "a", Version: 1}
	if gone.Restart("b"); gone.Run != "a" || gone.Encode {
		t.Errorf("a deleted job starts over: %+v", gone)
	}
}

// That the bucket is away says nothing about a source. That it is not what was planned does.
func TestOnlyTheSourceIsToBlameForNotBeingCopied(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.mp4")
	if out, err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x92:r=25:d=3",
		"-c:v", "libx264", "-g", "50", "-flags", "+cgop", "-pix_fmt", "yuv420p", file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	clip, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		upload []byte
		lost   string // what cannot be read or written
		blamed bool
	}{
		{name: "something else", upload: []byte("no video"), blamed: true},
		{name: "the upload cannot be read", upload: clip, lost: "uploads/"},
		{name: "the init segment cannot be written", upload: clip, lost: "/init_"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := walk(t, func(p plan.Plan) plan.Plan {
					ladder, err := plan.ParseLadder("92:400k:64k,64:100k:64k")
					if err != nil {
						t.Fatal(err)
					}
					return plan.Make(p.Key, p.ETag, int64(len(c.upload)), media.Source{Demuxer: "mov", Video: media.Video{
						Width: 160, Height: 92, Rate: media.Rate{Num: 25, Den: 1}, End: 3, Color: media.Color{Matrix: "bt709"}, Plain: true,
					}}, ladder).Copy()
				})
				if err := d.bucket.Write(t.Context(), d.plan.Key, c.upload, r2.Meta{}); err != nil {
					t.Fatal(err)
				}
				o, err := d.bucket.Stat(t.Context(), d.plan.Key)
				if err != nil {
					t.Fatal(err)
				}
				d.plan.ETag = o.ETag
				if err := d.bucket.Delete(t.Context(), "work/intro/"+d.job.Run+"/plan.json"); err != nil {
					t.Fatal(err)
				}
				d.put("plan", d.plan)
				d.bucket.Inject(func(_, key string) r2test.Fault {
					if c.lost != "" && strings.Contains(key, c.lost) {
						return r2test.Lost
					}
					return r2test.None
				})
				sources, err := source.Listen(t.Context(), d.bucket, source.Scratch{Dir: t.TempDir(), Bytes: 64 << 20}, d.worker.Log)
				if err != nil {
					t.Fatal(err)
				}
				d.worker.Sources = sources
				message := fmt.Appendf(nil, `{"video_id":"intro","run":%q,"task":"chunk_0"}`, d.job.Run)
				err = d.worker.RunTask(t.Context(), queue.Delivery{Data: message, Attempt: 1, Faults: 10})
				if blamed := err == nil; blamed != c.blamed || !blamed && !errors.Is(err, job.ErrUnavailable) {
					t.Errorf("the source is to blame: %v (%v)", blamed, err)
				}
				outcome := map[bool]string{true: "stopped", false: "interrupted"}[c.blamed]
				counted(t, d.worker, `weir_tasks_total{kind="h264",outcome="`+outcome+`"} 1`)
				record := "work/intro/" + d.job.Run + "/chunk_0.json"
				if committed := slices.Contains(d.bucket.Keys("work/"), record); committed != c.blamed {
					t.Errorf("an outcome is committed: %v", committed)
				}
				d.end()
			})
		})
	}
}

// A video whose record was lost is posted again: what is published plays on, until all is there once more in playlists of its own.
func TestAVideoWithoutARecordIsReplaced(t *testing.T) {
	for name, fails := range map[string]bool{"to its end": false, "and fails": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := walk(t)
				rest := func(first int) {
					for n := first; n < len(d.plan.Chunks); n++ {
						d.finish(fmt.Sprintf("chunk_%d", n), fmt.Sprintf("audio_%d", n))
					}
					if err := <-d.ended; err != nil {
						t.Fatal(err)
					}
				}
				rest(0)
				master := func() string {
					data, _, err := d.bucket.Read(t.Context(), "videos/intro/hls/master.m3u8")
					if err != nil {
						t.Fatal(err)
					}
					return string(data)
				}
				before, published := master(), d.bucket.Keys("videos/")
				lost := slices.Concat(d.bucket.Keys("jobs/"), d.bucket.Keys("open/"), d.bucket.Keys("work/"))
				if err := d.bucket.Delete(t.Context(), lost...); err != nil {
					t.Fatal(err)
				}
				var err error
				if d.job, err = d.worker.Catalog.Accept(t.Context(), d.job.Spec, false); err != nil {
					t.Fatal(err)
				}
				d.board.sent[queue.Hooks] = nil
				d.run()
				d.finish("chunk_0", "audio_0")
				if j := d.record(); j.Version != 2 || j.Published != 1 || !j.HasMPD() || master() != before {
					t.Fatalf("the job is %+v, and the master playlist\n%s", j, master())
				}
				if fails {
					d.put("chunk_1", map[string]any{"error": job.Failure{Code: job.SourceNotFound, Message: "It is gone."}})
					d.say("outcome", d.job.Ticket().String(), "chunk_1", "1")
					if err := <-d.ended; err != nil {
						t.Fatal(err)
					}
					if j := d.record(); j.State != job.Failed || j.Published != 1 || !slices.Equal(d.bucket.Keys("videos/"), published) {
						t.Errorf("the job is %+v, left is %v", j, d.bucket.Keys("videos/"))
					}
					return
				}
				rest(1)
				if j := d.record(); j.State != job.Processed || j.Published != 2 || !strings.Contains(master(), "playlist_2.m3u8") {
					t.Errorf("the job is %+v, and the master playlist\n%s", j, master())
				}
				d.want(queue.Hooks, "processed")
			})
		})
	}
}

package api_test

import (
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"weir/transcoder/internal/job"
)

// encoding is what a node says while it encodes.
func encoding(percent float64) job.Progress {
	return job.Progress{VideoID: "intro", State: job.Processing, Phase: job.Encoding, Percent: percent, Speed: 8, ETA: 60}
}

// states lists what a viewer was told, without repeats.
func states(events []event) (list []job.State) {
	for _, e := range events {
		list = append(list, e.progress.State)
	}
	return slices.Compact(list)
}

func TestAStreamTellsHowAVideoComesAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t)
		v := r.watch().reads()
		synctest.Wait()
		want := job.Progress{VideoID: "intro", State: job.Queued, Phase: job.Waiting}
		if got := v.of("progress"); len(got) != 1 || got[0].at != 0 || !reflect.DeepEqual(got[0].progress, want) {
			t.Fatalf("at once: %+v", got)
		}
		h := v.response.Header
		if h.Get("Content-Type") != "text/event-stream" || h.Get("Cache-Control") != "no-store" || h.Get("X-Accel-Buffering") != "no" {
			t.Errorf("headers %v", h)
		}
		time.Sleep(time.Second)
		said := encoding(12.5)
		said.Renditions = []job.RenditionProgress{{Name: "720p", State: job.Processing, Playable: 8, Percent: 10}}
		r.post("run1", said)
		synctest.Wait()
		if got := v.last(); !reflect.DeepEqual(got, said) {
			t.Errorf("after a signal: %+v", got)
		}
		time.Sleep(time.Second)
		r.set(publish)
		r.set(finish)
		r.post("run1", job.Progress{VideoID: "intro", State: job.Processed, Phase: job.Over, Percent: 100})
		<-v.done
		want = job.Progress{
			VideoID: "intro", State: job.Processed, Phase: job.Over, Percent: 100,
			Renditions: []job.RenditionProgress{{Name: "720p", State: job.Processed, Playable: 7200, Percent: 100}},
		}
		if got := v.last(); !reflect.DeepEqual(got, want) {
			t.Errorf("at the end: %+v", got)
		}
		end := v.of("end")
		if len(end) != 1 || end[0].at != 2*time.Second || end[0].progress.VideoID != "intro" || end[0].progress.State != job.Processed || v.err != nil {
			t.Errorf("ended with %+v, %v", end, v.err)
		}
		r.close()
	})
}

func TestAStreamOfAnEndedVideoEndsAtOnce(t *testing.T) {
	for state, end := range map[job.State]func(*job.Job){
		job.Processed: finish,
		job.Failed:    func(j *job.Job) { j.Advance(40); j.Fail(job.Failure{Code: job.SourceNotFound}, now) },
		job.Deleted:   func(j *job.Job) { j.Delete(now) },
	} {
		synctest.Test(t, func(t *testing.T) {
			r := run(t)
			r.set(end)
			v := r.watch().reads()
			<-v.done
			got, ends := v.of("progress"), v.of("end")
			if len(got) != 1 || got[0].progress.State != state || got[0].progress.Phase != job.Over || len(ends) != 1 || time.Since(v.start) != 0 || v.err != nil {
				t.Errorf("%s: %+v, then %+v, %v", state, got, ends, v.err)
			}
			r.close()
		})
	}
}

func TestAtMostFourEventsASecondAndTheLatestWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t)
		v := r.watch().reads()
		for i := range 3000 {
			r.post("run1", encoding(float64(i)/100))
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		got := v.of("progress")
		for i, e := range got[1:] {
			if gap := e.at - got[i].at; gap < 250*time.Millisecond || gap > 260*time.Millisecond && i < 10 {
				t.Errorf("%v after the event before", gap)
			}
		}
		if last := v.last(); len(got) < 12 || len(got) > 14 || last.Percent != 29.99 {
			t.Errorf("%d events, the last one of %v %%", len(got), last.Percent)
		}
		r.post("run1", encoding(29.99))
		time.Sleep(time.Second)
		if again := v.of("progress"); len(again) != len(got) {
			t.Errorf("what is no news was told: %+v", again[len(got):])
		}
		v.leave()
		r.close()
	})
}

func TestWithoutSignalsTheRecordIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t)
		v := r.watch().reads()
		for _, step := range []func(*job.Job){
			(*job.Job).Begin, func(j *job.Job) { j.Duration = 7200; j.Advance(20) }, publish, finish,
		} {
			time.Sleep(6 * time.Second)
			r.set(step)
		}
		<-v.done
		if got, want := states(v.of("progress")), []job.State{job.Queued, job.Processing, job.Playable, job.Processed}; !slices.Equal(got, want) {
			t.Errorf("told %v", got)
		}
		var phases []job.Phase
		for i, e := range v.of("progress") {
			phases = append(phases, e.progress.Phase)
			if late := e.at - time.Duration(i)*6*time.Second; late > 5*time.Second {
				t.Errorf("%+v came %v late", e.progress, late)
			}
		}
		if want := []job.Phase{job.Waiting, job.Probing, job.Encoding, job.Encoding, job.Over}; !slices.Equal(phases, want) {
			t.Errorf("told %v", phases)
		}
		r.close()
	})
}

func TestADeadNodesSpeedIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t)
		r.set(func(j *job.Job) { j.Begin(); j.Duration = 7200 })
		v := r.watch().reads()
		said := encoding(30)
		said.Renditions = []job.RenditionProgress{{Name: "720p", State: job.Processing, Percent: 30}}
		r.post("run1", said)
		time.Sleep(11 * time.Second)
		got := v.last()
		if got.Speed != 0 || got.ETA != 0 || got.Percent != 30 || len(got.Renditions) != 1 {
			t.Errorf("told %+v", got)
		}
		r.post("run1", encoding(31)) // another node goes on
		synctest.Wait()
		if got := v.last(); got.Speed != 8 || got.Percent != 31 {
			t.Errorf("told %+v", got)
		}
		v.leave()
		r.close()
	})
}

func TestWhileNothingHappensAStreamStaysOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t)
		v := r.watch().reads()
		time.Sleep(time.Hour + time.Second) // far beyond what the server gives other requests
		beats := v.of("comment")
		if len(beats) != 240 || beats[0].at != 15*time.Second {
			t.Errorf("%d heartbeats", len(beats))
		}
		r.post("run1", encoding(1))
		synctest.Wait()
		if got := v.of("progress"); len(got) != 2 {
			t.Errorf("told %+v", got)
		}
		v.leave()
		r.close()
	})
}

func TestNothingFallsBackWithinARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t)
		r.set(func(j *job.Job) { j.Begin(); j.Advance(50); publish(j) })
		v := r.watch().reads()
		for _, percent := range []float64{10, 60, 20, 70} { // a node began again, or news met on their way
			r.post("run1", encoding(percent))
			time.Sleep(3 * time.Second)
		}
		got := v.of("progress")
		for i, e := range got[1:] {
			if e.progress.Percent < got[i].progress.Percent || e.progress.State != job.Playable {
				t.Errorf("%+v came after %+v", e.progress, got[i].progress)
			}
		}
		if v.last().Percent != 70 {
			t.Errorf("the last one is %+v", v.last())
		}
		v.leave()
		r.close()
	})
}

func TestANewRunIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t)
		v := r.watch().reads()
		r.post("run1", encoding(80))
		synctest.Wait()
		r.set(finish) // seen by nobody
		r.do("POST", "/transcode", good[:len(good)-1]+`,"replace":true}`)
		r.post("run1", encoding(90)) // of a node that has not heard
		time.Sleep(6 * time.Second)
		r.post("run1", encoding(91))
		time.Sleep(time.Second)
		if got := v.last(); got.State != job.Queued || got.Percent != 0 {
			t.Errorf("of the new run: %+v", got)
		}
		r.post("run2", encoding(5))
		time.Sleep(time.Second)
		if got := v.last(); got.Percent != 5 {
			t.Errorf("of the new run: %+v", got)
		}
		v.leave()
		r.close()
	})
}

func TestSignalsOfOthersAreNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t)
		v := r.watch().reads()
		synctest.Wait()
		r.post("run0", encoding(50))
		for _, data := range []string{"", "0.5", `"x"`, "{"} {
			r.postRaw("progress.intro.run1", []byte(data))
		}
		r.postRaw("progress.other.run1", []byte(`{"percent":50}`))
		time.Sleep(time.Second)
		if got := v.of("progress"); len(got) != 1 {
			t.Errorf("told %+v", got)
		}
		v.leave()
		r.close()
	})
}

func TestASignalDoesNotEndAJobButTheRecordDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t)
		v := r.watch().reads()
		r.post("run1", job.Progress{VideoID: "intro", State: job.Processed, Phase: job.Over, Percent: 100})
		time.Sleep(4 * time.Second)
		if got := v.last(); got.State != job.Queued || got.Phase != job.Waiting || got.Percent != 0 || len(v.of("end")) != 0 {
			t.Errorf("told %+v, end %v", got, v.of("end"))
		}
		r.set(finish)
		<-v.done
		if len(v.of("end")) != 1 {
			t.Error("no end was told")
		}
		r.close()
	})
}

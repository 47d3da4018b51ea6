package api_test

import (
	"context"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"weir/transcoder/internal/job"
)

func TestASlowViewerHoldsNobodyUpAndSeesTheLatest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t)
		v := r.watch()
		for i := range 4000 { // four seconds in which it reads nothing
			before := time.Now()
			r.post("run1", encoding(float64(i)/100))
			if took := time.Since(before); took > 0 {
				t.Fatalf("the node waited for %v", took)
			}
			time.Sleep(time.Millisecond)
		}
		v.reads()
		time.Sleep(time.Second)
		if got := v.of("progress"); len(got) > 10 || v.last().Percent != 39.99 {
			t.Errorf("%d events, the last one is %+v", len(got), v.last())
		}
		v.leave()
		r.close()
	})
}

func TestAViewerThatReadsNothingIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t)
		v := r.watch()
		for i := range 10_000 {
			r.post("run1", encoding(float64(i)/1000))
			time.Sleep(time.Millisecond)
		}
		if n := r.listening(); n != 0 {
			t.Errorf("after ten seconds %d still listen", n)
		}
		v.reads()
		<-v.done
		if v.err == nil {
			t.Error("the stream looks complete")
		}
		r.close()
	})
}

func TestAViewerThatLeavesIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t)
		v := r.watch().reads()
		synctest.Wait()
		if n := r.listening(); n != 1 {
			t.Errorf("%d listen", n)
		}
		v.leave()
		synctest.Wait()
		reads := r.reads
		if n := r.listening(); n != 0 {
			t.Errorf("%d still listen", n)
		}
		time.Sleep(time.Minute)
		if r.reads != reads {
			t.Errorf("its record was read %d times", r.reads-reads)
		}
		r.close()
	})
}

func TestAShutdownEndsStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t)
		viewers := []*viewer{r.watch().reads(), r.watch().reads(), r.watch().reads()}
		time.Sleep(time.Minute)
		if took := r.close(); took > time.Second {
			t.Errorf("it took %v", took)
		}
		for _, v := range viewers {
			<-v.done
			if len(v.of("end")) != 0 {
				t.Error("the job's end was told: the viewer would not come again")
			}
		}
	})
}

func TestAShutdownDoesNotWaitForASlowViewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t)
		v := r.watch()
		for range 100 { // it is stuck in the middle of an event
			r.post("run1", job.Progress{VideoID: "intro", State: job.Processing, Renditions: make([]job.RenditionProgress, 1000)})
		}
		synctest.Wait()
		if took := r.close(); took > 9*time.Second {
			t.Errorf("it took %v", took)
		}
		v.leave()
	})
}

func TestAShutdownWaitsForOtherRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t)
		r.delay = 8 * time.Second
		answered := make(chan int, 1)
		go func() {
			response := r.get(t.Context(), "/videos/intro")
			_ = response.Body.Close()
			answered <- response.StatusCode
		}()
		time.Sleep(time.Second)
		r.close()
		if status := <-answered; status != http.StatusOK {
			t.Errorf("answered %d", status)
		}
	})
}

func TestAStreamOutlastsTheBucketsAbsence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t)
		v := r.watch().reads()
		synctest.Wait()
		r.outage(errInjected)
		time.Sleep(time.Minute)
		r.post("run1", encoding(5))
		synctest.Wait()
		if v.last().Percent != 5 {
			t.Errorf("told %+v", v.last())
		}
		r.outage(nil)
		r.set(finish)
		<-v.done
		if len(v.of("end")) != 1 {
			t.Error("no end was told")
		}
		r.close()
	})
}

func TestAStreamEndsWithItsRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t)
		v := r.watch().reads()
		synctest.Wait()
		r.outage(job.ErrNotFound)
		<-v.done
		if time.Since(v.start) > 5*time.Second || len(v.of("end")) != 0 {
			t.Errorf("after %v, with %v", time.Since(v.start), v.of("end"))
		}
		r.close()
	})
}

func TestAStreamThatCannotBeOpenedIsAnError(t *testing.T) {
	f := setup(t)
	f.do("POST", "/transcode", good)
	f.fail = errInjected
	refused(t, "no signals", f.do("GET", "/videos/intro/events", ""), http.StatusInternalServerError, "internal")
	f.fail, f.down = nil, errInjected
	refused(t, "no record", f.do("GET", "/videos/intro/events", ""), http.StatusInternalServerError, "internal")
	if n := f.listening(); n != 0 {
		t.Errorf("%d still listen", n)
	}
}

// Over a real network, with its buffers and its time, the stream is the same.
func TestAStreamOverTheNetwork(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := serve(t, l, func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
	})
	v := r.watch().reads()
	r.post("run1", encoding(50))
	r.set(finish)
	r.post("run1", job.Progress{Phase: job.Over})
	select {
	case <-v.done:
	case <-time.After(10 * time.Second):
		t.Fatal("the stream does not end")
	}
	if len(v.of("end")) != 1 || v.last().State != job.Processed || v.err != nil {
		t.Errorf("told %+v, end %+v, %v", v.of("progress"), v.of("end"), v.err)
	}
	r.close()
}

package worker_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/transcoder/internal/catalog"
	"weir/transcoder/internal/encode"
	"weir/transcoder/internal/job"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/metrics"
	"weir/transcoder/internal/plan"
	"weir/transcoder/internal/queue"
	"weir/transcoder/internal/r2/r2test"
	"weir/transcoder/internal/worker"
)

func inAV1(p plan.Plan) plan.Plan { return p.In(job.Codecs{job.H264, job.AV1}) }

// finishIn commits the outcome of a chunk's picture in AV1, and has it said.
func (d *desk) finishIn(number int) {
	d.Helper()
	name := fmt.Sprintf("chunk_%d_av1", number)
	r := media.Rendition{Name: "360p_av1", Codecs: "av01.0.01M.08", Timescale: 25, Init: "init_c.mp4"}
	first, end := d.plan.Span(d.plan.Chunks[number])
	for n := first; n < end; n++ {
		r.Segments = append(r.Segments, media.Segment{
			Number: n, Name: fmt.Sprintf("segment_%d_c.m4s", n), Ticks: uint64(d.plan.Start(n+1) - d.plan.Start(n)), Bytes: 500,
		})
	}
	d.put(name, map[string]any{"renditions": []media.Rendition{r}})
	d.say("outcome", d.job.Ticket().String(), name, "1")
	synctest.Wait()
}

// A video is watched in H.264 from its start to its end before anything of it is there in another codec, and players that came
// early keep what they have.
func TestAFurtherCodecComesWhenAllOfItIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := walk(t, inAV1)
		d.want(queue.First, "audio_0 chunk_0")
		d.want(queue.Tasks, "audio_rest chunk_1")
		d.finish("chunk_0", "audio_0")
		d.begin("audio_rest")
		if d.state() != job.Playable {
			t.Fatalf("with the first chunk in H.264 the job is %s", d.state())
		}
		master := func() string { return d.read("videos/intro/hls/master.m3u8") }
		if m := master(); !strings.Contains(m, "360p/playlist.m3u8") || strings.Contains(m, "360p_av1") {
			t.Errorf("the growing master playlist is\n%s", m)
		}
		for n := 1; n < len(d.plan.Chunks); n++ {
			d.finish(fmt.Sprintf("chunk_%d", n), fmt.Sprintf("audio_%d", n))
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		closed := d.playlist()
		if d.state() != job.Playable || !strings.Contains(closed, "#EXT-X-ENDLIST") || strings.Count(closed, ".m4s") != d.plan.Segments() {
			t.Errorf("with all of H.264 the job is %s, its playlist\n%s", d.state(), closed)
		}
		if got := d.on(queue.Tasks); !strings.HasSuffix(got, " chunk_0_av1 chunk_1_av1") {
			t.Errorf("the lane holds %q", got)
		}
		if got := d.on(queue.First); strings.Contains(got, "av1") {
			t.Errorf("a further codec is among what is urgent: %q", got)
		}
		for n := range d.plan.Chunks {
			d.finishIn(n)
		}
		time.Sleep(5 * time.Second)
		if err := <-d.ended; err != nil {
			t.Fatal(err)
		}
		if m := master(); d.state() != job.Processed || !strings.Contains(m, "360p_av1/playlist.m3u8") || !strings.Contains(m, `"av01.0.01M.08,mp4a.40.2"`) {
			t.Errorf("at the end the job is %s, its master playlist\n%s", d.state(), m)
		}
		if d.playlist() != closed {
			t.Error("the playlist in H.264 changed after its end")
		}
		if mpd := d.read("videos/intro/dash/manifest.mpd"); strings.Count(mpd, "<AdaptationSet") != 3 {
			t.Errorf("the MPD is\n%s", mpd)
		}
	})
}

func TestFurtherCodecsAreHalfAsUrgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := walk(t, inAV1)
		d.finish("chunk_0", "audio_0")
		d.begin("audio_rest")
		for n := 1; n < len(d.plan.Chunks); n++ {
			d.finish(fmt.Sprintf("chunk_%d", n), fmt.Sprintf("audio_%d", n))
		}
		time.Sleep(15 * time.Second)
		synctest.Wait()
		if got := d.priorities["chunk_1"]; got != 50 {
			t.Errorf("H.264 has the priority %d", got)
		}
		if got := d.priorities["chunk_0_av1"]; got != 25 {
			t.Errorf("AV1 has the priority %d", got)
		}
		for n := range d.plan.Chunks {
			d.finishIn(n)
		}
		time.Sleep(5 * time.Second)
		if err := <-d.ended; err != nil {
			t.Fatal(err)
		}
	})
}

func TestACodecThatNoEncoderMakesIsRefusedBeforeAnythingIsRead(t *testing.T) {
	c := catalog.New(&r2test.Bucket{}, time.Now)
	j, err := c.Accept(t.Context(), job.Spec{
		VideoID: "intro", Key: "uploads/intro.mp4", WebhookURL: "https://example.com", Codecs: job.Codecs{job.H264, job.HEVC, job.AV1},
	}, false)
	if err != nil {
		t.Fatal(err)
	}
	w := &worker.Worker{
		Log: slog.New(slog.DiscardHandler), Now: time.Now, Meter: metrics.New(), Bucket: &r2test.Bucket{}, Catalog: c,
		Queue:   &board{sent: map[queue.Lane][]string{}, ears: map[string]func(string, []byte){}},
		Encoder: encode.Encoder{Further: job.Codecs{job.HEVC}},
	}
	data, err := json.Marshal(j.Ticket())
	if err == nil {
		err = w.Run(t.Context(), queue.Delivery{ID: j.Ticket().String(), Data: data, Attempt: 1})
	}
	if err == nil {
		j, err = c.Get(t.Context(), "intro")
	}
	if err != nil {
		t.Fatal(err)
	}
	if f := j.Failure; f == nil || f.Code != job.CodecUnavailable || !strings.Contains(f.Message, "no encoder for av1: leave it out") {
		t.Errorf("the job is %s: %+v", j.State, f)
	}
}

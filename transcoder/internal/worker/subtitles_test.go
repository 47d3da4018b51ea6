package worker_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/transcoder/internal/job"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
	"weir/transcoder/internal/queue"
)

func withSubtitles(p plan.Plan) plan.Plan {
	p.Subtitles = []plan.Subtitle{{Name: "subs_en", Label: "English", Index: 2, Codec: "subrip", Language: "en"}, {Name: "subs_de", Label: "Deutsch", Index: 3, Codec: "ass", Language: "de"}}
	return p
}

// Nobody waits for subtitles to watch the video, and whoever began before they were there goes on.
func TestSubtitlesComeWithTheLastMaster(t *testing.T) {
	for _, c := range []struct {
		name string
		made bool
		want string // in the master playlist
	}{
		{"one of two could be read", true, `URI="subs_en/playlist.m3u8"`},
		{"none could be read", false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := walk(t, withSubtitles)
				d.want(queue.Tasks, "audio_rest chunk_1")
				d.finish("chunk_0", "audio_0")
				d.begin("audio_rest")
				d.want(queue.Tasks, "audio_rest chunk_1 subtitles")
				if master := d.read("videos/intro/hls/master.m3u8"); d.state() != job.Playable || strings.Contains(master, "SUBTITLES") {
					t.Errorf("the job is %s, the master playlist\n%s", d.state(), master)
				}
				for n := 1; n < len(d.plan.Chunks); n++ {
					d.finish(fmt.Sprintf("chunk_%d", n), fmt.Sprintf("audio_%d", n))
				}
				time.Sleep(5 * time.Second)
				synctest.Wait()
				if d.state() != job.Playable {
					t.Errorf("without subtitles the job is %s", d.state())
				}
				record := map[string]any{}
				if c.made {
					text := media.TextRendition{Rendition: media.Rendition{Name: "subs_en", Codecs: "wvtt", Timescale: 25}, File: "track_a.vtt", Cues: 1}
					for n := range d.plan.Segments() {
						s := media.Segment{Number: n, Name: fmt.Sprintf("segment_%d_a.vtt", n), Ticks: uint64(d.plan.Start(n+1) - d.plan.Start(n)), Bytes: 60}
						text.Segments = append(text.Segments, s)
						d.write("videos/intro/hls/subs_en/"+s.Name, "WEBVTT")
					}
					d.write("videos/intro/hls/subs_en/track_a.vtt", "WEBVTT")
					record["texts"] = []media.TextRendition{text}
				}
				d.put("subtitles", record)
				d.say("outcome", d.job.Ticket().String(), "subtitles", "1")
				if err := <-d.ended; err != nil {
					t.Fatal(err)
				}
				if d.state() != job.Processed {
					t.Errorf("in the end the job is %s", d.state())
				}
				master, mpd := d.read("videos/intro/hls/master.m3u8"), d.read("videos/intro/dash/manifest.mpd")
				if !strings.Contains(master, c.want) || strings.Contains(master, "SUBTITLES") != c.made || strings.Contains(master, "subs_de") {
					t.Errorf("the master playlist is\n%s", master)
				}
				if strings.Contains(mpd, "<BaseURL>../hls/subs_en/track_a.vtt</BaseURL>") != c.made {
					t.Errorf("the MPD is\n%s", mpd)
				}
				list := d.read("videos/intro/hls/subs_en/playlist.m3u8")
				if segments := strings.Count(list, "segment_"); c.made && segments != d.plan.Segments() || !c.made && list != "" {
					t.Errorf("their playlist is\n%s", list)
				}
				left := d.read("videos/intro/hls/subs_en/track_a.vtt")
				if (left != "") != c.made {
					t.Errorf("after the sweep, the track is %q", left)
				}
				if broken := d.bucket.Broken(); c.made && len(broken) > 0 {
					for _, b := range broken {
						if strings.Contains(b, "subs_") {
							t.Error(b)
						}
					}
				}
			})
		})
	}
}

// A video is as good without its subtitles, whatever they do to the nodes that read them.
func TestSubtitlesThatCannotBeReadFailNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := walk(t, withSubtitles)
		message := fmt.Appendf(nil, `{"video_id":"intro","run":%q,"task":"subtitles"}`, d.job.Run)
		if err := d.worker.RunTask(t.Context(), queue.Delivery{Data: message, Crashes: 1000}); err != nil {
			t.Fatal(err)
		}
		if got := d.read("work/intro/" + d.job.Run + "/subtitles.json"); got != "{}" {
			t.Errorf("the outcome is %s", got)
		}
		d.end()
	})
}

package worker_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/jpeg"
	"math"
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
	"weir/transcoder/internal/still"
)

func withPictures(p plan.Plan) plan.Plan {
	return p.Illustrate(nil, job.Storyboard{Interval: 2, Columns: 4, Rows: 4, Width: 64})
}

// write puts an object into the bucket.
func (d *desk) write(key, text string) {
	d.Helper()
	if err := d.bucket.Write(d.Context(), key, []byte(text), r2.Meta{}); err != nil {
		d.Fatal(err)
	}
}

// read returns an object, or "" if there is none.
func (d *desk) read(key string) string {
	data, _, err := d.bucket.Read(d.Context(), key)
	if err != nil {
		return ""
	}
	return string(data)
}

func TestPicturesComeAfterWhatTheyAreMadeOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := walk(t, withPictures)
		say := func(name string) {
			d.say("outcome", d.job.Ticket().String(), name, "1")
			synctest.Wait()
		}
		d.want(queue.First, "audio_0 chunk_0")
		d.want(queue.Tasks, "audio_rest chunk_1")
		d.finish("chunk_0", "audio_0")
		d.begin("audio_rest")
		d.want(queue.First, "audio_0 chunk_0")
		d.want(queue.Tasks, "audio_rest chunk_1 poster")
		if d.state() != job.Playable {
			t.Fatalf("without a poster the job is %s", d.state())
		}
		poster := "work/intro/" + d.job.Run + "/poster_a.jpg"
		d.write(poster, "the poster")
		d.put("poster", map[string]any{"poster": poster})
		say("poster")
		if got := d.read("videos/intro/poster.jpg"); got != "the poster" {
			t.Errorf("while the rest is encoded, the poster is %q", got)
		}
		for n := 1; n < len(d.plan.Chunks); n++ {
			d.finish(fmt.Sprintf("chunk_%d", n), fmt.Sprintf("audio_%d", n))
		}
		d.want(queue.First, "audio_0 chunk_0 storyboard")
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if d.state() != job.Playable {
			t.Errorf("without a storyboard the job is %s", d.state())
		}
		var sheets []media.Sheet
		for n := range d.plan.Sheets() {
			sheets = append(sheets, media.Sheet{Name: fmt.Sprintf("segment_%d_a.jpg", n), Bytes: 1000})
			d.write("videos/intro/storyboard/"+sheets[n].Name, "a sheet")
		}
		d.put("storyboard", map[string]any{"sheets": sheets})
		say("storyboard")
		if err := <-d.ended; err != nil {
			t.Fatal(err)
		}
		j, err := d.worker.Catalog.Get(t.Context(), "intro")
		if err != nil || j.State != job.Processed || j.Result.Poster != "videos/intro/poster.jpg" || j.Result.Storyboard != "videos/intro/storyboard/storyboard.vtt" {
			t.Errorf("in the end the job is %s: %+v, %v", j.State, j.Result, err)
		}
		if master := d.read("videos/intro/hls/master.m3u8"); !strings.Contains(master, `,URI="../storyboard/playlist.m3u8"`) {
			t.Errorf("the master playlist is\n%s", master)
		}
		if list := d.read("videos/intro/storyboard/playlist.m3u8"); strings.Count(list, "segment_") != len(sheets) {
			t.Errorf("the image playlist is\n%s", list)
		}
		if vtt := d.read("videos/intro/storyboard/storyboard.vtt"); strings.Count(vtt, "-->") != 30 {
			t.Errorf("the storyboard is\n%s", vtt)
		}
	})
}

// Whatever fails, heard or unheard, the task that is done again makes the same sheets.
func TestAStoryboardIsMadeOfTheTilesOfAllChunks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := walk(t, withPictures)
		luma := func(n int) byte { return byte(30 + 6*n) }
		for _, c := range d.plan.Chunks {
			var tiles []*image.YCbCr
			for n, end := d.plan.TilesOf(c); n < end; n++ {
				s := d.plan.Storyboard
				raw := slices.Concat(bytes.Repeat([]byte{luma(n)}, s.Width*s.Height), bytes.Repeat([]byte{128}, s.Width*s.Height/2))
				tile, err := still.Read(bytes.NewReader(raw), s.Width, s.Height)
				if err != nil {
					t.Fatal(err)
				}
				tiles = append(tiles, tile)
			}
			record := map[string]any{}
			if first, _ := d.plan.TilesOf(c); len(tiles) > 0 {
				strip, err := still.Strip(tiles)
				if err != nil {
					t.Fatal(err)
				}
				record["tiles"] = fmt.Sprintf("work/intro/%s/tiles_%d.jpg", d.job.Run, first)
				d.write(record["tiles"].(string), string(strip))
			}
			d.put(plan.PictureOf(c), record)
		}
		message := fmt.Appendf(nil, `{"video_id":"intro","run":%q,"task":"storyboard"}`, d.job.Run)
		record := "work/intro/" + d.job.Run + "/storyboard.json"
		for _, fault := range []r2test.Fault{r2test.Lost, r2test.Unheard, r2test.None, r2test.None} {
			hit := false
			d.bucket.Inject(func(operation, key string) r2test.Fault {
				if operation == "create" && !hit && (key == record || strings.Contains(key, "/segment_1_")) {
					hit = true
					return fault
				}
				return r2test.None
			})
			err := d.worker.RunTask(t.Context(), queue.Delivery{Data: message, Attempt: 1})
			if fault == r2test.None && err != nil {
				t.Fatal(err)
			}
		}
		var out struct{ Sheets []media.Sheet }
		if err := json.Unmarshal([]byte(d.read(record)), &out); err != nil || len(out.Sheets) != d.plan.Sheets() {
			t.Fatalf("the outcome is %s, %v", d.read(record), err)
		}
		for n := range d.plan.Tiles() {
			size, s := 16, d.plan.Storyboard
			m, err := jpeg.Decode(strings.NewReader(d.read("videos/intro/storyboard/" + out.Sheets[n/size].Name)))
			if err != nil {
				t.Fatal(err)
			}
			place := n % size
			got := m.(*image.YCbCr).YCbCrAt(place%4*s.Width+s.Width/2, place/4*s.Height+s.Height/2).Y
			if math.Abs(float64(got)-float64(luma(n))) > 3 {
				t.Errorf("tile %d has luma %d, want %d", n, got, luma(n))
			}
		}
		if broken := d.bucket.Broken(); len(broken) > 0 {
			t.Errorf("invariants: %v", broken)
		}
		d.end()
	})
}

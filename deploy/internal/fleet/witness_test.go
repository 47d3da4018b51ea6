package fleet_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/deploy/internal/fleet"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// objects of a video whose single rendition has so many segments, each as its own name says.
func objects(segments int, more ...string) map[string]fleet.Object {
	all := map[string]fleet.Object{}
	keys := append([]string{"work/v/r/plan.json", "videos/v/hls/180p/init_a.mp4"}, more...)
	for i := range segments {
		keys = append(keys, fmt.Sprintf("videos/v/hls/180p/segment_%d_a.m4s", i), fmt.Sprintf("work/v/r/chunk_%d.json", i))
	}
	for _, key := range keys {
		all[key] = fleet.Object{ETag: "etag of " + key, Modified: epoch}
	}
	return all
}

const (
	masterKey = "videos/v/hls/master.m3u8"
	mediaKey  = "videos/v/hls/180p/playlist.m3u8"
	mpdKey    = "videos/v/dash/manifest.mpd"
	streamKey = "videos/v/hls/180p/segment_0_a.ts"
	streams   = "#EXTM3U\n#EXT-X-VERSION:4\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-TARGETDURATION:6\n" +
		"#EXT-X-KEY:METHOD=AES-128,URI=\"../../../../keys/v\",IV=0x00000000000000000000000000000001\n" +
		"#EXTINF:6.000000,\nsegment_0_a.ts\n#EXT-X-ENDLIST\n"
	master = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-STREAM-INF:BANDWIDTH=1000,RESOLUTION=320x180\n180p/playlist.m3u8\n"
)

// media is a media playlist of so many segments; with an end it is complete.
func media(segments int, end bool) string {
	var b strings.Builder
	kind := "EVENT"
	if end {
		kind = "VOD"
	}
	fmt.Fprintf(&b, "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:%s\n#EXT-X-TARGETDURATION:6\n#EXT-X-MAP:URI=\"init_a.mp4\"\n", kind)
	for i := range segments {
		fmt.Fprintf(&b, "#EXTINF:6.000000,\nsegment_%d_a.m4s\n", i)
	}
	if end {
		b.WriteString("#EXT-X-ENDLIST\n")
	}
	return b.String()
}

// description is an MPD of so many segments.
func description(segments int) string {
	var b strings.Builder
	b.WriteString(`<MPD><Period><AdaptationSet><Representation id="180p"><BaseURL>../hls/180p/</BaseURL><SegmentList><Initialization sourceURL="init_a.mp4"/>`)
	for i := range segments {
		fmt.Fprintf(&b, `<SegmentURL media="segment_%d_a.m4s"/>`, i)
	}
	return b.String() + "</SegmentList></Representation></AdaptationSet></Period></MPD>"
}

func TestWitness(t *testing.T) {
	type step func(*fleet.Witness) []fleet.Problem
	list := func(at time.Duration, all map[string]fleet.Object) step {
		return func(w *fleet.Witness) []fleet.Problem {
			_, p := w.Objects(epoch.Add(at), all)
			return p
		}
	}
	read := func(key, text string, all map[string]fleet.Object) step {
		return func(w *fleet.Witness) []fleet.Problem { return w.Playlist(key, text, []byte(text), all) }
	}
	record := func(run, state string) step {
		return func(w *fleet.Witness) []fleet.Problem { return w.Record(fleet.Record{Run: run, State: state}) }
	}
	doomed := func(w *fleet.Witness) []fleet.Problem { w.Doom(); return nil }
	deleted := func(w *fleet.Witness) []fleet.Problem { w.Delete(epoch); return nil }
	changed := func(all map[string]fleet.Object, key string) map[string]fleet.Object {
		all[key] = fleet.Object{ETag: "another", Modified: epoch}
		return all
	}
	later := func(all map[string]fleet.Object, key string) map[string]fleet.Object {
		o := all[key]
		all[key] = fleet.Object{ETag: o.ETag, Modified: o.Modified.Add(time.Millisecond)}
		return all
	}
	without := func(all map[string]fleet.Object, key string) map[string]fleet.Object {
		delete(all, key)
		return all
	}
	for _, c := range []struct {
		name  string
		steps []step
		want  fleet.Kind // of the last step; those before it are fine
	}{
		{"encrypted transport streams", []step{
			list(0, objects(0, streamKey)), read(mediaKey, streams, objects(0, streamKey)),
		}, ""},
		{"transport streams that are not there", []step{read(mediaKey, streams, objects(2))}, fleet.Invalid},
		{"a transport stream that is written again", []step{
			list(0, objects(0, streamKey)), list(1, changed(objects(0, streamKey), streamKey)),
		}, fleet.Rewritten},
		{"MP4 without an init segment", []step{
			read(mediaKey, strings.Replace(media(1, false), "#EXT-X-MAP:URI=\"init_a.mp4\"\n", "", 1), objects(1)),
		}, fleet.Invalid},
		{"an MPD that names what is there", []step{list(0, objects(2)), read(mpdKey, description(2), objects(2))}, ""},
		{"an MPD that names a segment that is not there", []step{list(0, objects(2)), read(mpdKey, description(3), objects(2))}, fleet.Invalid},
		{"an MPD that names nothing", []step{list(0, objects(2)), read(mpdKey, "<MPD/>", objects(2))}, fleet.Invalid},
		{"a playlist that grows to its end", []step{
			list(0, objects(1)), read(mediaKey, media(1, false), objects(1)), list(1, objects(2)),
			read(mediaKey, media(2, false), objects(2)), read(mediaKey, media(2, true), objects(2)),
		}, ""},
		{"a segment that is listed and not there", []step{read(mediaKey, media(2, false), objects(1))}, fleet.Invalid},
		{"a segment that was listed and is gone", []step{
			read(mediaKey, media(2, false), objects(2)), list(1, without(objects(2), "videos/v/hls/180p/segment_1_a.m4s")),
		}, fleet.Invalid},
		{"an init segment that is not there", []step{
			read(mediaKey, media(1, false), without(objects(1), "videos/v/hls/180p/init_a.mp4")),
		}, fleet.Invalid},
		{"a master that leads to a playlist that is not there", []step{read(masterKey, master, objects(1))}, fleet.Invalid},
		{"half a playlist", []step{read(mediaKey, media(2, false)[:60], objects(2))}, fleet.Invalid},
		{"no playlist at all", []step{read(mediaKey, "", objects(2))}, fleet.Invalid},
		{"a segment longer than the target duration", []step{
			read(mediaKey, strings.Replace(media(1, false), ":6.0", ":7.0", 1), objects(1)),
		}, fleet.Invalid},
		{"type VOD without an end", []step{
			read(mediaKey, strings.Replace(media(1, false), "EVENT", "VOD", 1), objects(1)),
		}, fleet.Invalid},
		{"a playlist that loses a segment", []step{
			read(mediaKey, media(2, false), objects(2)), read(mediaKey, media(1, false), objects(2)),
		}, fleet.Shrunk},
		{"a playlist that changes a segment", []step{
			read(mediaKey, media(2, false), objects(2)),
			read(mediaKey, strings.Replace(media(2, false), "6.000000", "5.000000", 1), objects(2)),
		}, fleet.Shrunk},
		{"a playlist that grows after its end", []step{
			read(mediaKey, media(2, true), objects(3)), read(mediaKey, media(3, true), objects(3)),
		}, fleet.Shrunk},
		{"a playlist that is opened again", []step{
			read(mediaKey, media(2, true), objects(2)), read(mediaKey, media(2, false), objects(2)),
		}, fleet.Shrunk},
		{"another target duration", []step{
			read(mediaKey, media(1, false), objects(2)),
			read(mediaKey, strings.Replace(media(2, false), "DURATION:6", "DURATION:7", 1), objects(2)),
		}, fleet.Shrunk},
		{"an outcome that is written again", []step{
			list(0, objects(2)), list(1, changed(objects(2), "work/v/r/chunk_1.json")),
		}, fleet.Rewritten},
		{"an outcome that is written again and is the same", []step{
			list(0, objects(2)), list(1, later(objects(2), "work/v/r/chunk_1.json")),
		}, fleet.Rewritten},
		{"an outcome that comes back as another", []step{
			list(0, objects(2)), record("r", "failed"), list(1, without(objects(2), "work/v/r/chunk_1.json")),
			list(2, changed(objects(2), "work/v/r/chunk_1.json")),
		}, fleet.Rewritten},
		{"a plan that is written again", []step{
			list(0, objects(2)), list(1, changed(objects(2), "work/v/r/plan.json")),
		}, fleet.Rewritten},
		{"a segment that is written again", []step{
			list(0, objects(2)), list(1, changed(objects(2), "videos/v/hls/180p/segment_0_a.m4s")),
		}, fleet.Rewritten},
		{"a playlist that is gone", []step{list(0, objects(2, mediaKey)), list(1, objects(2))}, fleet.Rewritten},
		{"another record beside the outcomes may change", []step{
			list(0, objects(1, "work/v/r/claim.json")), list(1, changed(objects(1, "work/v/r/claim.json"), "work/v/r/claim.json")),
		}, ""},
		{"a job's way", []step{
			record("r", "queued"), record("r", "processing"), record("r", "playable"), record("r", "processed"), record("r", "processed"),
		}, ""},
		{"a state that goes back", []step{record("r", "playable"), record("r", "processing")}, fleet.Backwards},
		{"an end that changes", []step{record("r", "processed"), record("r", "failed")}, fleet.Backwards},
		{"a second run", []step{record("r", "processing"), record("s", "queued")}, fleet.Doubled},
		{"a deletion that takes a moment", []step{
			read(mediaKey, media(2, false), objects(2, mediaKey)), list(0, objects(2, mediaKey)), doomed, list(0, objects(1)), deleted, list(time.Second, objects(1)), list(time.Minute, nil),
		}, ""},
		{"a video that is there long after its deletion", []step{
			list(0, objects(2)), deleted, list(time.Second, nil), list(time.Minute, objects(0)),
		}, fleet.Resurrected},
		{"a record that is not deleted any more", []step{record("r", "processing"), deleted, record("r", "processing")}, fleet.Resurrected},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := fleet.NewWitness("v")
			for i, step := range c.steps {
				problems := step(w)
				want := fleet.Kind("")
				if i == len(c.steps)-1 {
					want = c.want
				}
				if want == "" && len(problems) > 0 {
					t.Fatalf("step %d: %v", i, problems)
				}
				if want != "" && !slices.ContainsFunc(problems, func(p fleet.Problem) bool { return p.Kind == want }) {
					t.Fatalf("step %d: %v, want one of kind %s", i, problems, want)
				}
				for _, p := range step(w) {
					if slices.Contains(problems, p) {
						t.Errorf("told twice: %v", p)
					}
				}
			}
		})
	}
}

// What is published for HLS alone is whole without an MPD, and with one it is not.
func TestWitnessKnowsThatStreamsHaveNoMPD(t *testing.T) {
	w := fleet.NewWitness("v")
	all := objects(0, streamKey, mediaKey, masterKey, "videos/v/manifest.json", "videos/v/poster.jpg", "videos/v/storyboard/storyboard.vtt")
	w.Objects(epoch, all)
	w.Playlist(masterKey, "1", []byte(master), all)
	w.Playlist(mediaKey, "1", []byte(streams), all)
	if got := w.Complete(); got != "" {
		t.Errorf("it is not complete: %s", got)
	}
	w.Playlist(mpdKey, "1", []byte(description(0)), all)
	if got := w.Complete(); !strings.Contains(got, "1 MPDs") {
		t.Errorf("with an MPD: %q", got)
	}
}

func TestWitnessReadsWhatChangedMediaBeforeMaster(t *testing.T) {
	w := fleet.NewWitness("v")
	all := objects(1, mediaKey, masterKey)
	if read, _ := w.Objects(epoch, all); !slices.Equal(read, []string{mediaKey, masterKey}) {
		t.Errorf("to be read: %v", read)
	}
	w.Playlist(mediaKey, all[mediaKey].ETag, []byte(media(1, false)), all)
	w.Playlist(masterKey, all[masterKey].ETag, []byte(master), all)
	if read, _ := w.Objects(epoch, all); len(read) != 0 {
		t.Errorf("to be read again: %v", read)
	}
	all[mediaKey] = fleet.Object{ETag: "another"}
	if read, _ := w.Objects(epoch, all); !slices.Equal(read, []string{mediaKey}) {
		t.Errorf("to be read after a change: %v", read)
	}
}

func TestWitnessKnowsWhenAVideoIsWhole(t *testing.T) {
	w := fleet.NewWitness("v")
	stray := "videos/v/hls/180p/segment_0_b.m4s"
	const sheet, images = "videos/v/storyboard/segment_0_a.jpg", "videos/v/storyboard/playlist.m3u8"
	const text, track, texts = "videos/v/hls/subs_en/segment_0_a.vtt", "videos/v/hls/subs_en/track_a.vtt", "videos/v/hls/subs_en/playlist.m3u8"
	all := objects(2, mediaKey, masterKey, mpdKey, stray, sheet, images, text, track, texts)
	w.Objects(epoch, all)
	if w.Complete() == "" {
		t.Error("nothing was read, and it is complete")
	}
	w.Playlist(images, "1", []byte("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:9\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-IMAGES-ONLY\n"+
		"#EXT-X-TILES:RESOLUTION=160x90,LAYOUT=9x1,DURATION=1\n#EXTINF:9.000000,\nsegment_0_a.jpg\n#EXT-X-ENDLIST\n"), all)
	w.Playlist(texts, "1", []byte("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:9\n#EXT-X-PLAYLIST-TYPE:VOD\n"+
		"#EXTINF:9.000000,\nsegment_0_a.vtt\n#EXT-X-ENDLIST\n"), all)
	subtitled := strings.Replace(master, "RESOLUTION", `SUBTITLES="subs",RESOLUTION`, 1) +
		`#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subs",NAME="English",LANGUAGE="en",URI="subs_en/playlist.m3u8"` + "\n"
	w.Playlist(masterKey, "1", []byte(subtitled+"#EXT-X-IMAGE-STREAM-INF:BANDWIDTH=1,URI=\"../storyboard/playlist.m3u8\"\n"), all)
	w.Playlist(mediaKey, "1", []byte(media(2, false)), all)
	if got := w.Complete(); !strings.Contains(got, "has no end") {
		t.Errorf("without an end: %q", got)
	}
	w.Playlist(mediaKey, "2", []byte(media(2, true)), all)
	if got := w.Complete(); !strings.Contains(got, "0 MPDs") {
		t.Errorf("with an end: %q", got)
	}
	w.Playlist(mpdKey, "1", []byte(strings.Replace(description(2), "</Period>", `<AdaptationSet contentType="text"><Representation id="subs_en">`+
		`<BaseURL>../hls/subs_en/track_a.vtt</BaseURL></Representation></AdaptationSet></Period>`, 1)), all)
	for _, key := range []string{"videos/v/manifest.json", "videos/v/poster.jpg", "videos/v/storyboard/storyboard.vtt"} {
		if got := w.Complete(); got != "there is no "+key {
			t.Errorf("without %s: %q", key, got)
		}
		all[key] = fleet.Object{ETag: "1"}
		w.Objects(epoch, all)
	}
	if got := w.Complete(); got != "" {
		t.Errorf("with all of it: %q", got)
	}
	if left := w.Unreferenced(); !slices.Equal(left, []string{"hls/180p/segment_0_b.m4s"}) {
		t.Errorf("unreferenced: %v", left)
	}
	want := map[string]string{
		"hls/master.m3u8":           " hls/180p/playlist.m3u8 hls/subs_en/playlist.m3u8 storyboard/playlist.m3u8",
		"hls/subs_en/playlist.m3u8": " 9.000",
		"hls/180p/playlist.m3u8":    "init_a.mp4 6.000 6.000",
		"storyboard/playlist.m3u8":  " 9.000",
	}
	if got := w.Shape(); !maps.Equal(got, want) {
		t.Errorf("shape %v, want %v", got, want)
	}
}

// Sound alone has no poster and no storyboard, and one that is there belongs to nobody.
func TestCompleteSoundAlone(t *testing.T) {
	w := fleet.NewWitness("v")
	all := objects(2, mediaKey, masterKey, mpdKey, "videos/v/manifest.json", "videos/v/poster.jpg")
	w.Objects(epoch, all)
	w.Playlist(masterKey, "1", []byte(strings.Replace(master, ",RESOLUTION=320x180", `,CODECS="mp4a.40.2"`, 1)), all)
	w.Playlist(mediaKey, "1", []byte(media(2, true)), all)
	w.Playlist(mpdKey, "1", []byte(description(2)), all)
	if got := w.Complete(); got != "" {
		t.Errorf("with all of it: %q", got)
	}
	if left := w.Unreferenced(); !slices.Equal(left, []string{"poster.jpg"}) {
		t.Errorf("unreferenced: %v", left)
	}
}

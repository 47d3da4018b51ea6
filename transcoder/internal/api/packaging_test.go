package api_test

import (
	"net/http"
	"strings"
	"testing"

	"weir/transcoder/internal/job"
)

func TestARequestMaySayHowSegmentsAreWritten(t *testing.T) {
	with := func(more string) string { return strings.TrimSuffix(good, "}") + more + "}" }
	f := setup(t)
	wanted := with(`,"segment_format":"ts","encrypt":true`)
	for range 2 { // the same again is the same job
		if w := f.do("POST", "/transcode", wanted); w.Code != http.StatusAccepted {
			t.Fatalf("answered %d: %s", w.Code, w.Body)
		}
	}
	if s := f.records["intro"].Spec; s.SegmentFormat != job.TS || !s.Encrypt {
		t.Errorf("recorded %+v", s)
	}
	for _, other := range []string{good, with(`,"segment_format":"ts"`), with(`,"encrypt":true`)} {
		refused(t, other, f.do("POST", "/transcode", other), http.StatusConflict, "video_id_taken")
	}
	f = setup(t)
	for _, same := range []string{good, with(`,"segment_format":"fmp4","encrypt":false`)} { // what goes without saying
		if w := f.do("POST", "/transcode", same); w.Code != http.StatusAccepted {
			t.Errorf("%s: answered %d: %s", same, w.Code, w.Body)
		}
	}
	for _, bad := range []string{`,"segment_format":"mpegts"`, `,"segment_format":"TS"`, `,"segment_format":"ts","codecs":["h264","hevc"]`, `,"encrypt":"yes"`} {
		if w := f.do("POST", "/transcode", with(bad)); w.Code != http.StatusBadRequest {
			t.Errorf("%s: answered %d: %s", bad, w.Code, w.Body)
		}
	}
}

// Only what is published for DASH is said to be.
func TestPlaybackLeadsToAnMPDWhereThereIsOne(t *testing.T) {
	for name, c := range map[string]struct {
		job  job.Job
		want bool
	}{
		"fragmented MP4":    {job.Job{State: job.Processed, Published: 1, Version: 1}, true},
		"transport streams": {job.Job{State: job.Processed, Published: 1, Version: 1, Spec: job.Spec{SegmentFormat: job.TS}}, false},
		"encrypted":         {job.Job{State: job.Processed, Published: 1, Version: 1, Spec: job.Spec{Encrypt: true}}, false},
		"not whole yet":     {job.Job{State: job.Playable, Published: 1, Version: 1}, false},
		"one that is to be replaced by transport streams": {job.Job{State: job.Processing, Published: 1, Version: 2, Spec: job.Spec{SegmentFormat: job.TS}}, true},
		"transport streams that are to be replaced":       {job.Job{State: job.Processing, Published: 1, Version: 2, NoMPD: true}, false},
		"transport streams that could not be replaced":    {job.Job{State: job.Failed, Published: 1, Version: 2, NoMPD: true}, false},
	} {
		f := setup(t)
		c.job.VideoID = "intro"
		f.records["intro"] = c.job
		w := f.do("GET", "/videos/intro/playback", "")
		if got := strings.Contains(w.Body.String(), `"dash"`); w.Code != http.StatusOK || got != c.want {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

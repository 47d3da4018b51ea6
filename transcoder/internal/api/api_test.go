package api_test

import (
	"net/http"
	"reflect"
	"strings"
	"testing"

	"weir/transcoder/internal/job"
)

func TestOnlyBackendsWithTheKeyComeIn(t *testing.T) {
	for _, path := range []string{
		"POST /transcode", "GET /videos/a", "DELETE /videos/a", "GET /videos/a/playback", "GET /videos/a/events",
		"GET /webhooks/dead", "POST /webhooks/a/replay",
	} {
		for _, authorization := range []string{"", "Bearer", "Bearer ", "Bearer wrong", "Bearer right ", "right", "Basic right", "Bearer righ", "Bearer rightt", "Bearer right older"} {
			method, path, _ := strings.Cut(path, " ")
			f := setup(t)
			w := f.do(method, path, good, "Authorization", authorization)
			refused(t, method+" "+path+" with "+authorization, w, http.StatusUnauthorized, "unauthorized")
			if w.Header().Get("WWW-Authenticate") == "" || f.reads > 0 || len(f.records) > 0 {
				t.Errorf("%s %s with %q: headers %v; %d reads, records %v", method, path, authorization, w.Header(), f.reads, f.records)
			}
		}
	}
	for _, authorization := range []string{"Bearer right", "bearer right", "Bearer older"} {
		if w := setup(t).do("GET", "/videos/a", "", "Authorization", authorization); w.Code != http.StatusNotFound {
			t.Errorf("with %q, it answers %d", authorization, w.Code)
		}
	}
}

func TestWhatIsNotThere(t *testing.T) {
	for _, c := range []struct {
		method, path string
		status       int
		code         string
	}{
		{"GET", "/videos/none", 404, "video_not_found"},
		{"DELETE", "/videos/none", 404, "video_not_found"},
		{"GET", "/videos/none/playback", 404, "video_not_found"},
		{"GET", "/videos/none/events", 404, "video_not_found"},
		{"GET", "/videos/a.b", 400, "invalid_request"},
		{"GET", "/videos/a.b/events", 400, "invalid_request"},
		{"GET", "/videos/*/events", 400, "invalid_request"},
		{"GET", "/videos/%3E/events", 400, "invalid_request"},
		{"DELETE", "/videos/a.b", 400, "invalid_request"},
		{"GET", "/nowhere", 404, "not_found"},
		{"GET", "/", 404, "not_found"},
		{"GET", "/webhooks", 404, "not_found"},
		{"GET", "/transcode", 405, "method_not_allowed"},
		{"PUT", "/videos/none", 405, "method_not_allowed"},
		{"POST", "/videos/none/events", 405, "method_not_allowed"},
		{"GET", "/webhooks/evt_none_run_failed/replay", 405, "method_not_allowed"},
		{"POST", "/webhooks/evt_none_run_failed/replay", 404, "event_not_found"},
		{"POST", "/webhooks/none/replay", 404, "event_not_found"},
		{"POST", "/webhooks/evt_a%2Fb_run_failed/replay", 404, "event_not_found"},
	} {
		refused(t, c.method+" "+c.path, setup(t).do(c.method, c.path, ""), c.status, c.code)
	}
}

func TestAVideoIsDeletedOnce(t *testing.T) {
	f := setup(t)
	f.do("POST", "/transcode", good)
	f.set(finish)
	first := f.do("DELETE", "/videos/intro", "")
	second := f.do("DELETE", "/videos/intro", "")
	if first.Code != http.StatusAccepted || f.show(first)["state"] != "deleted" || second.Code != http.StatusAccepted || first.Body.String() != second.Body.String() {
		t.Errorf("answered %d %s, again %d %s", first.Code, first.Body, second.Code, second.Body)
	}
	if w := f.do("GET", "/videos/intro", ""); f.show(w)["state"] != "deleted" {
		t.Errorf("the video is %s", w.Body)
	}
	if strings.Join(f.dispatched, " ") != "intro.run1 intro.run1 intro.run1" {
		t.Errorf("dispatched %v: the sweep is due until it is done", f.dispatched)
	}
	f.set(func(j *job.Job) { j.SweepAt = j.NotBefore })
	if f.do("DELETE", "/videos/intro", ""); len(f.dispatched) != 3 {
		t.Errorf("dispatched %v though everything is done", f.dispatched)
	}
	if w := f.do("POST", "/transcode", good); w.Code != http.StatusAccepted || f.show(w)["version"] != 2.0 {
		t.Errorf("posted again: %d %s", w.Code, w.Body)
	}
}

func TestADeletionThatIsNotRecordedIsNotAccepted(t *testing.T) {
	f := setup(t)
	f.do("POST", "/transcode", good)
	f.lost = true
	refused(t, "not confirmed", f.do("DELETE", "/videos/intro", ""), http.StatusInternalServerError, "internal")
	if len(f.dispatched) != 1 {
		t.Errorf("dispatched %v", f.dispatched)
	}
}

func TestAVideoIsShownAsFarAsItHasCome(t *testing.T) {
	f := setup(t)
	f.do("POST", "/transcode", good)
	has := func(step string, want ...string) {
		t.Helper()
		v := f.show(f.do("GET", "/videos/intro", ""))
		for _, field := range append(want, "video_id", "state", "progress", "priority", "version", "created_at", "updated_at") {
			if v[field] == nil {
				t.Errorf("%s: no %s in %v", step, field, v)
			}
			delete(v, field)
		}
		if len(v) != 0 {
			t.Errorf("%s: also %v", step, v)
		}
	}
	has("queued")
	f.set(func(j *job.Job) { j.Begin(); j.Duration = 7200 })
	has("planned", "duration_s")
	f.set(publish)
	has("playable", "duration_s", "playable_at", "webhooks")
	f.set(finish)
	has("processed", "duration_s", "playable_at", "ended_at", "segments", "bytes", "renditions", "webhooks")
	f.set(func(j *job.Job) {
		j.Notices[0].Attempts, j.Notices[0].DeliveredAt = 1, &now
		j.Notices[1].Attempts, j.Notices[1].LastError, j.Notices[1].GivenUp = 10, "the receiver answered 500", true
	})
	hooks, _ := f.show(f.do("GET", "/videos/intro", ""))["webhooks"].([]any)
	for i, want := range []map[string]any{
		{"event_id": "evt_intro_run1_playable", "type": "video.playable", "attempts": 1.0, "delivered_at": "2026-01-02T03:04:05.0000006Z"},
		{"event_id": "evt_intro_run1_processed", "type": "video.processed", "attempts": 10.0, "last_error": "the receiver answered 500", "given_up": true},
	} {
		if len(hooks) != 2 || !reflect.DeepEqual(hooks[i], any(want)) {
			t.Errorf("the webhooks are %v", hooks)
		}
	}
	f = setup(t)
	f.do("POST", "/transcode", good)
	f.set(func(j *job.Job) { j.Fail(job.Failure{Code: job.SourceNotFound}, now) })
	has("failed", "error", "ended_at", "webhooks")
}

package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"weir/transcoder/internal/api"
	"weir/transcoder/internal/job"
)

func TestDeadLettersAreListed(t *testing.T) {
	f := setup(t)
	w := f.do("GET", "/webhooks/dead", "")
	if got := strings.TrimSpace(w.Body.String()); w.Code != http.StatusOK || got != `{"dead_letters":[]}` {
		t.Errorf("none: %d %s", w.Code, got)
	}
	letter := job.DeadLetter{
		VideoID: "intro", EventID: "evt_intro_run1_failed", Type: "video.failed", WebhookURL: "https://example.com/hook",
		At: now, Attempts: 10, LastError: "the receiver answered 500",
	}
	f.letters = []job.DeadLetter{letter}
	var list api.DeadLetters
	w = f.do("GET", "/webhooks/dead", "")
	if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil || !reflect.DeepEqual(list.DeadLetters, f.letters) || list.More {
		t.Errorf("one: %d %s: %v", w.Code, w.Body, err)
	}
	f.down = errInjected
	refused(t, "the bucket is away", f.do("GET", "/webhooks/dead", ""), http.StatusInternalServerError, "internal")
	f.down = nil
	for i := range 1000 {
		letter.EventID = fmt.Sprintf("evt_v%d_run1_failed", i)
		f.letters = append(f.letters, letter)
	}
	list = api.DeadLetters{}
	if err := json.Unmarshal(f.do("GET", "/webhooks/dead", "").Body.Bytes(), &list); err != nil || len(list.DeadLetters) != 1000 || !list.More {
		t.Errorf("1001: %d are listed, more: %v, %v", len(list.DeadLetters), list.More, err)
	}
}

func TestAnEventIsToldAgain(t *testing.T) {
	f := setup(t)
	f.do("POST", "/transcode", good)
	f.set(finish)
	f.set(func(j *job.Job) {
		j.SweepAt = j.NotBefore
		j.Notices[0].Attempts, j.Notices[0].LastError, j.Notices[0].GivenUp = 10, "the receiver answered 500", true
	})
	f.dispatched = nil
	const path = "/webhooks/evt_intro_run1_processed/replay"
	w := f.do("POST", path, "")
	hooks, _ := f.show(w)["webhooks"].([]any)
	want := map[string]any{"event_id": "evt_intro_run1_processed", "type": "video.processed", "attempts": 0.0}
	if w.Code != http.StatusAccepted || len(hooks) != 1 || !reflect.DeepEqual(hooks[0], any(want)) {
		t.Errorf("answered %d %s", w.Code, w.Body)
	}
	if strings.Join(f.dispatched, " ") != "intro.run1" {
		t.Errorf("dispatched %v", f.dispatched)
	}
	refused(t, "an event of another run", f.do("POST", "/webhooks/evt_intro_run0_processed/replay", ""), http.StatusNotFound, "event_not_found")
	refused(t, "an event that was not", f.do("POST", "/webhooks/evt_intro_run1_failed/replay", ""), http.StatusNotFound, "event_not_found")
	f.lost = true
	refused(t, "not confirmed", f.do("POST", path, ""), http.StatusInternalServerError, "internal")
	if len(f.dispatched) != 1 {
		t.Errorf("dispatched %v", f.dispatched)
	}
}

package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/transcoder/internal/job"
)

func TestAJobIsRecordedBeforeItIsAccepted(t *testing.T) {
	f := setup(t)
	w := f.do("POST", "/transcode", good)
	if w.Code != http.StatusAccepted || w.Header().Get("Location") != "/videos/intro" {
		t.Fatalf("answered %d, Location %q: %s", w.Code, w.Header().Get("Location"), w.Body)
	}
	if v := f.show(w); v["video_id"] != "intro" || v["state"] != "queued" || v["progress"] != 0.0 || v["version"] != 1.0 {
		t.Errorf("the video is %v", v)
	}
	want := job.Spec{VideoID: "intro", Key: "uploads/intro.mp4", WebhookURL: "https://example.com/hook", Priority: job.DefaultPriority}
	if got := f.records["intro"].Spec; !reflect.DeepEqual(got, want) {
		t.Errorf("recorded %+v", got)
	}
	if strings.Join(f.dispatched, " ") != "intro.run1" {
		t.Errorf("dispatched %v", f.dispatched)
	}
}

func TestNothingIsDispatchedThatIsNotRecorded(t *testing.T) {
	for name, breakIt := range map[string]func(*fixture){
		"failed":                  func(f *fixture) { f.down = errInjected },
		"recorded, not confirmed": func(f *fixture) { f.lost = true },
	} {
		f := setup(t)
		breakIt(f)
		refused(t, name, f.do("POST", "/transcode", good), http.StatusInternalServerError, "internal")
		if len(f.dispatched) != 0 {
			t.Errorf("%s: dispatched %v", name, f.dispatched)
		}
		f.down, f.lost = nil, false
		if w := f.do("POST", "/transcode", good); w.Code != http.StatusAccepted || len(f.dispatched) != 1 || f.show(w)["version"] != 1.0 {
			t.Errorf("%s: again: %d %s, dispatched %v", name, w.Code, w.Body, f.dispatched)
		}
	}
}

func TestWhoAsksWhileTheBucketIsAwayIsToldToAskAgain(t *testing.T) {
	f := setup(t)
	f.down = fmt.Errorf("read jobs/intro.json: %w", job.ErrUnavailable)
	w := f.do("POST", "/transcode", good)
	refused(t, "the bucket is away", w, http.StatusServiceUnavailable, "unavailable")
	if after := w.Header().Get("Retry-After"); after != "5" {
		t.Errorf("Retry-After: %q", after)
	}
}

func TestABucketThatHangsIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := setup(t)
		f.delay = 25 * time.Second // as long as no request lasts
		refused(t, "the bucket hangs", f.do("GET", "/videos/intro", ""), http.StatusServiceUnavailable, "unavailable")
	})
}

func TestWhatIsRecordedIsAcceptedThoughTheQueueIsAway(t *testing.T) {
	f := setup(t)
	f.do("POST", "/transcode", good)
	f.away = errInjected
	for _, request := range []string{"POST /transcode", "DELETE /videos/intro"} {
		method, path, _ := strings.Cut(request, " ")
		if w := f.do(method, path, good); w.Code != http.StatusAccepted {
			t.Errorf("%s: %d %s", request, w.Code, w.Body)
		}
	}
}

func TestARequestMaySayHowUrgentItIs(t *testing.T) {
	for body, want := range map[string]int{"": job.DefaultPriority, `,"priority":0`: 0, `,"priority":100`: 100, `,"priority":null`: job.DefaultPriority} {
		f := setup(t)
		w := f.do("POST", "/transcode", strings.TrimSuffix(good, "}")+body+"}")
		if got := f.records["intro"].Priority; w.Code != http.StatusAccepted || got != want || f.show(w)["priority"] != float64(want) {
			t.Errorf("%s: %d %s, recorded %d, want %d", body, w.Code, w.Body, got, want)
		}
	}
}

func TestARequestMaySayWhichPicturesItWants(t *testing.T) {
	f := setup(t)
	wanted := strings.TrimSuffix(good, "}") + `,"poster_at_s":0,"storyboard":{"interval_s":5,"columns":4,"rows":3,"width":320}}`
	for range 2 { // the same again is the same job
		if w := f.do("POST", "/transcode", wanted); w.Code != http.StatusAccepted {
			t.Fatalf("answered %d: %s", w.Code, w.Body)
		}
	}
	s := f.records["intro"].Spec
	if s.PosterAt == nil || *s.PosterAt != 0 || s.Storyboard != (job.Storyboard{Interval: 5, Columns: 4, Rows: 3, Width: 320}) {
		t.Errorf("recorded %+v", s)
	}
	for _, other := range []string{good, strings.Replace(wanted, `"poster_at_s":0`, `"poster_at_s":1`, 1), strings.Replace(wanted, `"rows":3`, `"rows":4`, 1)} {
		refused(t, other, f.do("POST", "/transcode", other), http.StatusConflict, "video_id_taken")
	}
}

func TestARequestMaySayInWhichCodecs(t *testing.T) {
	f := setup(t)
	wanted := strings.TrimSuffix(good, "}") + `,"codecs":["hevc","h264"]}`
	for _, body := range []string{wanted, strings.Replace(wanted, `"hevc","h264"`, `"h264","hevc"`, 1)} {
		if w := f.do("POST", "/transcode", body); w.Code != http.StatusAccepted {
			t.Fatalf("answered %d: %s", w.Code, w.Body)
		}
	}
	if got := f.records["intro"].Codecs.String(); got != "hevc, h264" {
		t.Errorf("recorded %s", got)
	}
	refused(t, "other codecs", f.do("POST", "/transcode", good), http.StatusConflict, "video_id_taken")
	// The fixture's ffmpeg has no encoder for AV1.
	w := f.do("POST", "/transcode", strings.Replace(wanted, `"hevc"`, `"av1","hevc"`, 1))
	if _, message := problem(t, w); w.Code != http.StatusBadRequest || !strings.Contains(message, "codecs has av1, for which the transcoder's ffmpeg has no encoder: leave it out") {
		t.Errorf("answered %d %s", w.Code, message)
	}
}

func TestAVideoIDHasOneRequest(t *testing.T) {
	replaced := strings.TrimSuffix(good, "}") + `,"replace":true}`
	other := strings.Replace(good, "intro.mp4", "other.mp4", 1)
	otherReplaced := strings.Replace(replaced, "intro.mp4", "other.mp4", 1)
	ended := func(f *fixture) { f.set(func(j *job.Job) { j.Finish(result, now) }) }
	failed := func(f *fixture) { f.set(func(j *job.Job) { j.Fail(job.Failure{Code: job.SourceNotFound}, now) }) }
	for _, c := range []struct {
		name    string
		before  func(*fixture)
		body    string
		status  int
		code    string
		version float64
	}{
		{"the same again", nil, good, 202, "", 1},
		{"the same again, to be replaced while it is worked on", nil, replaced, 202, "", 1},
		{"another", nil, other, 409, "video_id_taken", 0},
		{"another, to replace what is worked on", nil, otherReplaced, 409, "video_busy", 0},
		{"the same after it was processed", ended, good, 202, "", 1},
		{"another after it was processed", ended, other, 409, "video_id_taken", 0},
		{"the same to replace what was processed", ended, replaced, 202, "", 2},
		{"another to replace what was processed", ended, otherReplaced, 202, "", 2},
		{"the same after it failed", failed, good, 202, "", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := setup(t)
			f.do("POST", "/transcode", good)
			if c.before != nil {
				c.before(f)
			}
			w := f.do("POST", "/transcode", c.body)
			if c.code == "" {
				if v := f.show(w); w.Code != c.status || v["version"] != c.version {
					t.Errorf("%d %v", w.Code, v)
				}
				return
			}
			refused(t, c.name, w, c.status, c.code)
			if _, message := problem(t, w); c.code == "video_id_taken" && !strings.Contains(message, `"replace": true`) {
				t.Errorf("%q does not say how to replace", message)
			}
			if len(f.dispatched) != 1 {
				t.Errorf("dispatched %v", f.dispatched)
			}
		})
	}
}

func TestEveryProblemOfARequestIsNamed(t *testing.T) {
	long := strings.Repeat("x", 1025)
	quote := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	for _, c := range []struct {
		name, body string
		want       []string
	}{
		{"empty", ``, []string{"it is empty"}},
		{"no JSON", `video`, []string{"no JSON"}},
		{"cut off", `{"video_id":"a"`, []string{"ends in the middle"}},
		{"an array", `[]`, []string{"JSON array"}},
		{"a number for a string", `{"video_id":7}`, []string{"video_id must be a string"}},
		{"a number with a point for a priority", `{"video_id":"a","priority":1.5}`, []string{"priority must be a small whole number", "1.5"}},
		{"a text for a priority", `{"video_id":"a","priority":"high"}`, []string{"priority must be a small whole number", "string"}},
		{"a priority of many digits", `{"priority":` + strings.Repeat("9", 5000) + `}`, []string{"priority must be a small whole number"}},
		{"a text for a yes or no", `{"video_id":"a","replace":"true"}`, []string{"replace must be true or false", "string"}},
		{"a priority below all", `{"video_id":"a","key":"k","webhook_url":"https://e.com","priority":-1}`, []string{"priority is -1"}},
		{"a priority above all", `{"video_id":"a","key":"k","webhook_url":"https://e.com","priority":101}`, []string{"priority is 101"}},
		{"a text for a position", `{"video_id":"a","poster_at_s":"0:10"}`, []string{"poster_at_s must be a number", "string"}},
		{"a position before the start", `{"video_id":"a","key":"k","webhook_url":"https://e.com","poster_at_s":-1}`, []string{"poster_at_s is -1"}},
		{"no storyboard", `{"video_id":"a","storyboard":true}`, []string{"storyboard must be an object", "bool"}},
		{"a storyboard without bounds", `{"video_id":"a","key":"k","webhook_url":"https://e.com","storyboard":{"interval_s":-1,"columns":21,"rows":99,"width":9}}`,
			[]string{"storyboard.interval_s is -1", "storyboard.columns is 21", "storyboard.rows is 99", "storyboard.width is 9"}},
		{"a storyboard too wide", `{"video_id":"a","key":"k","webhook_url":"https://e.com","storyboard":{"columns":20,"width":640}}`,
			[]string{"storyboard.columns × storyboard.width is 12800"}},
		{"an unknown field of the storyboard", `{"video_id":"a","key":"k","webhook_url":"https://e.com","storyboard":{"height":90}}`, []string{`unknown field "height"`}},
		{"a text for codecs", `{"video_id":"a","codecs":"av1"}`, []string{"codecs must be a list", "string"}},
		{"codecs that are none, twice, or without H.264", `{"video_id":"a","key":"k","webhook_url":"https://e.com","codecs":["av1","vp9","av1"]}`,
			[]string{`codecs has "vp9": it may have h264, hevc, av1`, `codecs has "av1" twice`, `codecs lacks "h264"`}},
		{"an unknown field", `{"video_id":"a","key":"k","webhook_url":"https://e.com","webhok":1}`, []string{`unknown field "webhok"`}},
		{"two objects", good + good, []string{"something follows"}},
		{"all fields missing", `{}`, []string{"video_id is missing", "key is missing", "webhook_url is missing"}},
		{"all fields malformed", `{"video_id":"a b","key":"a//b","webhook_url":"ftp://e.com/","priority":200}`,
			[]string{"video_id must be", "key must not", "webhook_url must start with http", "priority is 200"}},
		{"a long id", `{"video_id":` + quote(strings.Repeat("a", 129)) + `,"key":"k","webhook_url":"https://e.com"}`, []string{"1 to 128"}},
		{"an id with a slash", `{"video_id":"a/b","key":"k","webhook_url":"https://e.com"}`, []string{"video_id must be"}},
		{"an id with a newline at its end", `{"video_id":"a\n","key":"k","webhook_url":"https://e.com"}`, []string{"video_id must be"}},
		{"a key that climbs", `{"video_id":"a","key":"uploads/../jobs/b","webhook_url":"https://e.com"}`, []string{"key must not"}},
		{"a key that is ..", `{"video_id":"a","key":"..","webhook_url":"https://e.com"}`, []string{"key must not"}},
		{"a key that starts with a slash", `{"video_id":"a","key":"/k","webhook_url":"https://e.com"}`, []string{"key must not"}},
		{"a key with NUL", `{"video_id":"a","key":"a\u0000b","webhook_url":"https://e.com"}`, []string{"NUL"}},
		{"a long key", `{"video_id":"a","key":"` + long + `","webhook_url":"https://e.com"}`, []string{"1025 bytes"}},
		{"a relative webhook", `{"video_id":"a","key":"k","webhook_url":"/hook"}`, []string{"absolute URL"}},
		{"a webhook without a host", `{"video_id":"a","key":"k","webhook_url":"https://:443/hook"}`, []string{"absolute URL"}},
		{"a webhook with a password", `{"video_id":"a","key":"k","webhook_url":"https://u:p@e.com"}`, []string{"password"}},
		{"a file as webhook", `{"video_id":"a","key":"k","webhook_url":"file://host/etc/passwd"}`, []string{"http"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := setup(t)
			w := f.do("POST", "/transcode", c.body)
			code, message := problem(t, w)
			if w.Code != http.StatusBadRequest || code != "invalid_request" {
				t.Errorf("answered %d %s", w.Code, code)
			}
			if len(message) > 1000 {
				t.Errorf("the message has %d bytes", len(message))
			}
			for _, want := range c.want {
				if !strings.Contains(message, want) {
					t.Errorf("%q does not say %q", message, want)
				}
			}
			if len(f.records) != 0 {
				t.Errorf("something was recorded: %v", f.records)
			}
		})
	}
}

func TestKeysThatAreOdd(t *testing.T) {
	for _, key := range []string{"a", "uploads/a..b.mp4", "Ünïcödé/видео.mp4", "a b&c?d#e.mp4", strings.Repeat("x", 1024)} {
		body, _ := json.Marshal(map[string]string{"video_id": "a", "key": key, "webhook_url": "http://127.0.0.1:1/hook"})
		if w := setup(t).do("POST", "/transcode", string(body)); w.Code != http.StatusAccepted {
			t.Errorf("%q: answered %d: %s", key, w.Code, w.Body)
		}
	}
}

func TestABodyThatIsTooLargeIsRefused(t *testing.T) {
	w := setup(t).do("POST", "/transcode", `{"video_id":"`+strings.Repeat("a", 70_000)+`"}`)
	refused(t, "70 KB", w, http.StatusRequestEntityTooLarge, "too_large")
}

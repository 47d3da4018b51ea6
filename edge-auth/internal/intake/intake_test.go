package intake_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"weir/edge-auth/internal/intake"
)

var settings = intake.Settings{Transcoder: "https://transcoder.example", WebhookURL: "https://example.com/hook", APIKey: "key"}

const event, before, after = 1_800_000_000_000, event - 1, event

func upload(key string) intake.Notification {
	return intake.Notification{Action: "PutObject", Key: key, Time: event, Attempts: 1}
}

// transcoder is the API with its jobs, by video id; each stands for a key. It answers as POST /transcode does.
type transcoder struct {
	keys    map[string]string
	created map[string]int64
	running map[string]bool
	now     int64
	posts   []string
}

func (a *transcoder) post(key string, r intake.Request) intake.Reply {
	a.posts = append(a.posts, fmt.Sprintf("%s %v", r.VideoID, r.Replace))
	id := r.VideoID
	old, there := a.keys[id]
	switch {
	case there && old == key && (!r.Replace || a.running[id]):
	case there && r.Replace && a.running[id]:
		return intake.Reply{Status: 409, Code: "video_busy"}
	case there && !r.Replace:
		return intake.Reply{Status: 409, Code: "video_id_taken"}
	default:
		a.keys[id], a.created[id], a.running[id] = key, a.now, true
	}
	return intake.Reply{Status: 202, Created: a.created[id]}
}

// takeIn does what the shim does.
func takeIn(t testing.TB, a *transcoder, n intake.Notification) intake.Step {
	t.Helper()
	step := intake.Next(n, settings, intake.Request{}, intake.Reply{})
	for posts := 0; step.Request != nil; posts++ {
		if posts == 4 {
			t.Fatalf("%+v: a fifth request", n)
		}
		step = intake.Next(n, settings, *step.Request, a.post(n.Key, *step.Request))
	}
	return step
}

func empty() *transcoder {
	return &transcoder{keys: map[string]string{}, created: map[string]int64{}, running: map[string]bool{}, now: after}
}

func TestAnUploadBecomesAVideo(t *testing.T) {
	for key, id := range map[string]string{
		"uploads/intro.mp4":                     `intro`,
		"uploads/intro":                         `intro`,
		"uploads/a/b/A_b-9.MOV":                 `A_b-9`,
		"uploads/uploads/x.mp4":                 `x`,
		"uploads/" + strings.Repeat("x", 128):   strings.Repeat("x", 128),
		"uploads/" + strings.Repeat("x", 129):   strings.Repeat("x", 115) + `-[0-9a-f]{12}`,
		"uploads/my holiday.mp4":                `my-holiday-[0-9a-f]{12}`,
		"uploads/über.mp4":                      `--ber-[0-9a-f]{12}`,
		"uploads/archive.tar.gz":                `archive-tar-[0-9a-f]{12}`,
		"uploads/.mp4":                          `-[0-9a-f]{12}`,
		"uploads/\x00\".mp4":                    `---[0-9a-f]{12}`,
		"uploads/" + strings.Repeat("é", 200):   `-{115}-[0-9a-f]{12}`,
		"uploads/../videos/abc/hls/master.m3u8": `master`,
	} {
		for _, action := range []string{"PutObject", "CopyObject", "CompleteMultipartUpload"} {
			a, n := empty(), upload(key)
			n.Action = action
			if step := takeIn(t, a, n); step != (intake.Step{Outcome: intake.Done}) {
				t.Errorf("%s: got %+v", key, step)
			}
			if len(a.posts) != 1 || !regexp.MustCompile("^"+id+" false$").MatchString(a.posts[0]) {
				t.Errorf("%s: posted %q, want %s", key, a.posts, id)
			}
		}
	}
}

func TestWhatIsNoUploadIsNotTakenIn(t *testing.T) {
	for name, c := range map[string]struct {
		n    intake.Notification
		want intake.Outcome
	}{
		"a segment":               {upload("videos/a/hls/720p/segment_1_a.m4s"), intake.Done},
		"a record":                {upload("jobs/a.json"), intake.Done},
		"a key that begins alike": {upload("uploads.mp4"), intake.Done},
		"another case":            {upload("Uploads/a.mp4"), intake.Done},
		"below something else":    {upload("x/uploads/a.mp4"), intake.Done},
		"the folder":              {upload("uploads/"), intake.Done},
		"a folder":                {upload("uploads/a/"), intake.Done},
		"a deletion":              {intake.Notification{Action: "DeleteObject", Key: "uploads/a.mp4", Time: event}, intake.Done},
		"an expiry":               {intake.Notification{Action: "LifecycleDeletion", Key: "uploads/a.mp4", Time: event}, intake.Done},
		"an unknown action":       {intake.Notification{Action: "putobject", Key: "uploads/a.mp4", Time: event}, intake.Dead},
		"nothing":                 {intake.Notification{}, intake.Dead},
		"no key":                  {upload(""), intake.Dead},
		"no time":                 {intake.Notification{Action: "PutObject", Key: "uploads/a.mp4"}, intake.Dead},
	} {
		step := intake.Next(c.n, settings, intake.Request{}, intake.Reply{})
		if step.Request != nil || step.Outcome != c.want || (step.Reason == "") != (c.want == intake.Done) {
			t.Errorf("%s: got %+v", name, step)
		}
	}
}

// Two uploads never become one video, and each is always the same one.
func TestUploadsOfOneNameAreTwoVideos(t *testing.T) {
	a := empty()
	for range 3 {
		for _, key := range []string{"uploads/a/intro.mp4", "uploads/b/intro.mp4", "uploads/intro.mov"} {
			a.running = map[string]bool{}
			if step := takeIn(t, a, upload(key)); step.Outcome != intake.Done {
				t.Errorf("%s: got %+v", key, step)
			}
		}
	}
	keys := map[string]bool{}
	for id, key := range a.keys {
		keys[key] = true
		if !strings.HasPrefix(id, "intro") {
			t.Errorf("%s became %s", key, id)
		}
	}
	if a.keys["intro"] != "uploads/a/intro.mp4" || len(a.keys) != 3 || len(keys) != 3 || strings.Contains(strings.Join(a.posts, ","), "true") {
		t.Errorf("videos %v, posts %q", a.keys, a.posts)
	}
}

func TestAnUploadThatComesTwiceIsDoneOnce(t *testing.T) {
	a := empty()
	for range 2 {
		if step := takeIn(t, a, upload("uploads/intro.mp4")); step.Outcome != intake.Done {
			t.Errorf("got %+v", step)
		}
		a.running["intro"], a.now = false, after+1000
	}
	if a.created["intro"] != after {
		t.Error("it was done again")
	}
}

func TestAnUploadUnderTheSameKeyReplacesTheVideo(t *testing.T) {
	a := empty()
	a.keys["intro"], a.created["intro"], a.running["intro"] = "uploads/intro.mp4", before, true
	if step := takeIn(t, a, upload("uploads/intro.mp4")); step.Outcome != intake.Retry || step.Reason == "" {
		t.Errorf("while the first one is being worked on: got %+v", step)
	}
	a.running["intro"] = false
	if step := takeIn(t, a, upload("uploads/intro.mp4")); step.Outcome != intake.Done || a.created["intro"] != after {
		t.Errorf("afterwards: got %+v", step)
	}
}

// What will be different another time is tried again; what will not is put aside for a person.
func TestAnswers(t *testing.T) {
	sent := intake.Request{VideoID: "intro"}
	for _, c := range []struct {
		reply intake.Reply
		want  intake.Outcome
	}{
		{intake.Reply{}, intake.Retry},
		{intake.Reply{Status: 200, Created: after}, intake.Retry},
		{intake.Reply{Status: 202}, intake.Retry},
		{intake.Reply{Status: 302}, intake.Retry},
		{intake.Reply{Status: 400}, intake.Dead},
		{intake.Reply{Status: 401}, intake.Retry},
		{intake.Reply{Status: 403}, intake.Retry},
		{intake.Reply{Status: 404}, intake.Retry},
		{intake.Reply{Status: 409}, intake.Retry},
		{intake.Reply{Status: 409, Code: "video_busy"}, intake.Retry},
		{intake.Reply{Status: 413}, intake.Dead},
		{intake.Reply{Status: 429}, intake.Retry},
		{intake.Reply{Status: 500}, intake.Retry},
		{intake.Reply{Status: 503}, intake.Retry},
	} {
		step := intake.Next(upload("uploads/intro.mp4"), settings, sent, c.reply)
		if step.Request != nil || step.Outcome != c.want || step.Reason == "" {
			t.Errorf("%+v: got %+v, want %s", c.reply, step, c.want)
		}
	}
	derived := intake.Next(upload("uploads/intro.mp4"), settings, sent, intake.Reply{Status: 409, Code: "video_id_taken"}).Request
	if derived == nil || derived.Replace {
		t.Fatalf("a taken id leads to %+v", derived)
	}
	if step := intake.Next(upload("uploads/intro.mp4"), settings, *derived, intake.Reply{Status: 409, Code: "video_id_taken"}); step.Outcome != intake.Dead {
		t.Errorf("a taken id for the second time: got %+v", step)
	}
}

func TestDelaysGrow(t *testing.T) {
	total := int64(0)
	for attempt, want := range map[int64]int64{0: 5, 1: 5, 2: 10, 3: 20, 10: 2560, 11: 3600, 100: 3600, 1 << 62: 3600} {
		n := upload("uploads/a.mp4")
		n.Attempts = attempt
		if got := intake.Next(n, settings, intake.Request{VideoID: "a"}, intake.Reply{Status: 503}).Delay; got != want {
			t.Errorf("attempt %d: %d s, want %d", attempt, got, want)
		}
	}
	for attempt := range int64(35) { // max_retries in wrangler.toml
		n := upload("uploads/a.mp4")
		n.Attempts = attempt + 1
		total += intake.Next(n, settings, intake.Request{VideoID: "a"}, intake.Reply{Status: 503}).Delay
	}
	if total < 24*60*60 || total > 48*60*60 {
		t.Errorf("all attempts take %d s, a day is wanted", total)
	}
	for header, want := range map[string]int64{"": 5, "1": 5, "7": 7, "99999999999999999999": 43200, "-9": 5, "9.5": 5, "Wed, 21 Oct 2026 07:28:00 GMT": 5} {
		if got := intake.Next(upload("uploads/a.mp4"), settings, intake.Request{VideoID: "a"}, intake.Reply{Status: 429, RetryAfter: header}).Delay; got != want {
			t.Errorf("Retry-After %q: %d s, want %d", header, got, want)
		}
	}
}

// A setting is missed by an upload alone; the message waits until it is there.
func TestSettings(t *testing.T) {
	for name, s := range map[string]intake.Settings{
		"TRANSCODER_URL": {WebhookURL: settings.WebhookURL, APIKey: "key"},
		"WEBHOOK_URL":    {Transcoder: settings.Transcoder, WebhookURL: "example.com", APIKey: "key"},
		"API_KEY":        {Transcoder: settings.Transcoder, WebhookURL: settings.WebhookURL, APIKey: "a\nb"},
		"API_KEY is":     {Transcoder: settings.Transcoder, WebhookURL: settings.WebhookURL, APIKey: " "},
	} {
		step := intake.Next(upload("uploads/a.mp4"), s, intake.Request{}, intake.Reply{})
		if step.Request != nil || step.Outcome != intake.Retry || !strings.HasPrefix(step.Reason, name) {
			t.Errorf("%s: got %+v", name, step)
		}
		if step := intake.Next(upload("videos/a"), s, intake.Request{}, intake.Reply{}); step.Outcome != intake.Done {
			t.Errorf("%s: what is no upload: got %+v", name, step)
		}
	}
}

var validID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// Whatever a message and an answer say: nothing outside uploads/ is posted, an id is one, replacing follows a 202, and it ends.
func FuzzOnlyUploadsArePosted(f *testing.F) {
	f.Add("PutObject", "uploads/a b.mp4", int64(event), int64(1), int64(202), int64(before), "", "")
	f.Add("CopyObject", "videos/a.mp4", int64(event), int64(1), int64(409), int64(0), "video_id_taken", "5")
	f.Fuzz(func(t *testing.T, action, key string, at, attempts, status, created int64, code, retryAfter string) {
		n := intake.Notification{Action: action, Key: key, Time: at, Attempts: attempts}
		r := intake.Reply{Status: status, Created: created, Code: code, RetryAfter: retryAfter}
		step := intake.Next(n, settings, intake.Request{}, intake.Reply{})
		for posts := 0; step.Request != nil; posts++ {
			if posts == 4 {
				t.Fatal("it does not end")
			}
			if !strings.HasPrefix(key, "uploads/") || !validID.MatchString(step.Request.VideoID) || step.Request.Replace && (posts == 0 || status != 202) {
				t.Fatalf("%+v is posted as %+v", n, *step.Request)
			}
			step = intake.Next(n, settings, *step.Request, r)
		}
		if step.Outcome == intake.Done && strings.HasPrefix(key, "uploads/") && !strings.HasSuffix(key, "/") && strings.HasPrefix(action, "Put") && status != 202 {
			t.Errorf("%+v is lost: %+v", n, step)
		}
		if step.Delay < 0 || step.Delay > 43200 {
			t.Errorf("the delay is %d s", step.Delay)
		}
	})
}

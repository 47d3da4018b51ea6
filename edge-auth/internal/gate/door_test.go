package gate_test

import (
	"strings"
	"testing"

	"weir/edge-auth/internal/gate"
	"weir/edge-auth/internal/object"
)

const transcoder = "http://127.0.0.1:8080"

// apiPaths are all of the API's routes.
var apiPaths = []string{
	"/transcode", "/videos", "/videos/abc", "/videos/A_-9", "/videos/abc/events", "/videos/abc/playback", "/videos/abc/revoke",
	"/webhooks/dead", "/webhooks/evt_abc_x_failed/replay",
}

// methods are what clients send, and what nobody has heard of.
var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"}

func TestTheAPIsRequestsAreForwardedAsTheyWereSent(t *testing.T) {
	g := open(t, gate.Config{TranscoderURL: transcoder})
	for _, path := range apiPaths {
		for _, method := range methods {
			for _, query := range []string{"", "?", "?token=x&a=%2F#", "?a=/videos/abc/master.m3u8"} {
				step := g.Decide(gate.Request{Method: method, URL: "https://weir.example" + path + query, Cookie: "weir_token=x"}, now)
				sent, _, _ := strings.Cut(path+query, "#")
				want := gate.Forward{URL: transcoder + sent, Limit: 25_000}
				if strings.HasSuffix(path, "/events") {
					want.Limit = 0
				}
				if step.Forward == nil || step.Fetch != nil || step.Answer != nil || *step.Forward != want {
					t.Errorf("%s %s%s: got %+v, want %+v", method, path, query, step.Forward, want)
				}
			}
		}
	}
}

// Nothing but the plain spelling of its routes reaches the API, whoever asks.
func TestOtherPathsAreNotForwarded(t *testing.T) {
	g, token := open(t, gate.Config{TranscoderURL: transcoder}), mint(t, "videos/abc")
	paths := []string{
		"", "/", "/healthz", "/readyz", "/work", "/metrics", "/webhooks", "/webhooks/", "/webhooks/a/b/c", "/webhooks/a%2fb", "/t/transcode",
		"/videos/abc/hls/master.m3u8", "/videos/abc/manifest.json", "/videos/abc/events.json", "/videos/abc/other", "/videos/abc/x/events",
		"/jobs/abc.json", "/uploads/abc.mp4", "/videos/ä", "/videos/a b", "/videos/a\\events", "/videos/a;x=1", "/videos/..", "/videos/./abc",
	}
	for _, path := range apiPaths {
		paths = append(paths, path+"/", "/"+path, path+"%00", path+"%2f", path+"/.", path+"/..", path+"/../transcode", path+";", path+"\\",
			strings.Replace(path, "v", "%76", 1)+".", strings.ToUpper(path), path[:2]+"%"+path[2:], "/t/"+token+path, "/t/"+path, "/./"+path[1:],
			strings.Replace(path, "e", "%65", 1), strings.TrimPrefix(path, "/"), "/x"+path, path+" ", path+"\n")
		if strings.Count(path, "/") > 1 {
			i := strings.LastIndexByte(path, '/')
			paths = append(paths, path[:i]+"%2f"+path[i+1:], path[:i]+"/"+path[i:], path[:i]+"\\"+path[i+1:])
		}
	}
	for _, path := range paths {
		for _, method := range methods {
			step := g.Decide(gate.Request{Method: method, URL: "https://weir.example" + path, Authorization: "Bearer " + token}, now)
			if step.Forward != nil {
				t.Errorf("%s %q goes to the transcoder as %+v", method, path, *step.Forward)
			}
		}
	}
}

// No URL is both: what is forwarded names no object, but for the words that are the API's.
func FuzzAPathIsTheAPIsOrAnObjects(f *testing.F) {
	for _, path := range apiPaths {
		f.Add(path[1:])
		f.Add(path[1:] + "/x")
	}
	f.Fuzz(func(t *testing.T, path string) {
		path = "/" + path
		step := open(t, gate.Config{TranscoderURL: transcoder}).Decide(gate.Request{Method: "GET", URL: "https://weir.example" + path}, now)
		if step.Forward == nil {
			return
		}
		sent := strings.TrimPrefix(step.Forward.URL, transcoder)
		if before, _, _ := strings.Cut(path, "#"); sent != before {
			t.Errorf("%q is sent as %q", path, sent)
		}
		sent, _, _ = strings.Cut(sent, "?")
		key, is := object.Key(sent)
		word := strings.HasSuffix(key, "/events") || strings.HasSuffix(key, "/playback") || strings.HasSuffix(key, "/revoke")
		if is && (!word || strings.Count(key, "/") != 2) || strings.ContainsAny(sent, "%.\\;?# \x00") || strings.Contains(sent, "//") {
			t.Errorf("%q goes to the transcoder", path)
		}
	})
}

func TestWithoutATranscoder(t *testing.T) {
	g := open(t, gate.Config{})
	for _, path := range apiPaths {
		got := exchange(t, g, &bucket{}, gate.Request{Method: "POST", URL: "http://h" + path})
		if got.status != 503 || !strings.Contains(got.body, "TRANSCODER_URL") || got.header["Access-Control-Allow-Origin"] != "" || got.header["Cache-Control"] != "no-store" {
			t.Errorf("%s: got %+v", path, got)
		}
	}
	if got := exchange(t, g, &bucket{key: key, body: content}, get(t, "/"+key)); got.status != 200 {
		t.Errorf("an object: got %+v", got)
	}
}

func TestTranscoderURL(t *testing.T) {
	for _, c := range []struct {
		url string
		ok  bool
	}{
		{"http://127.0.0.1:8080", true}, {"https://transcoder.example.com", true}, {"http://[::1]:8080", true}, {"", true},
		{"https://transcoder.example.com/", false}, {"https://transcoder.example.com/api", false}, {"transcoder.example.com", false},
		{"ftp://transcoder.example.com", false}, {"https://", false}, {"https://user@h", false}, {"https://h?x", false}, {"HTTPS://h", false}, {" https://h", false},
	} {
		g := open(t, gate.Config{TranscoderURL: c.url})
		for _, path := range []string{"/transcode", "/" + key} {
			step := g.Decide(gate.Request{Method: "GET", URL: "http://h" + path}, now)
			refused := step.Answer != nil && step.Answer.Status == 500 && strings.Contains(string(step.Answer.Text), "TRANSCODER_URL")
			if refused == c.ok {
				t.Errorf("%q, %s: got %+v", c.url, path, step.Answer)
			}
		}
		if known := g.Transcoder(); c.ok && known != c.url || !c.ok && known != "" {
			t.Errorf("%q: the transcoder is at %q", c.url, known)
		}
	}
}

func TestUnanswered(t *testing.T) {
	for _, method := range []string{"GET", "HEAD"} {
		step := gate.Unanswered(gate.Request{Method: method, URL: "http://h/transcode"})
		if a := step.Answer; a == nil || a.Status != 503 || (len(a.Text) == 0) != (method == "HEAD") {
			t.Errorf("%s: got %+v", method, a)
		}
	}
}

package gate_test

import (
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"weir/edge-auth/internal/cmcd"
	"weir/edge-auth/internal/gate"
)

// points are what is recorded of a request that an object answers.
func points(t *testing.T, r gate.Request, o gate.Object) []gate.Point {
	t.Helper()
	step := open(t, gate.Config{}).Decide(r, now)
	if step.Fetch == nil {
		return step.Answer.Points
	}
	o.Epoch = gate.Epoch{Outcome: gate.Missing}
	return open(t, gate.Config{}).Respond(r, *step.Fetch, o, now).Answer.Points
}

// What a player says is recorded with what it got, from headers or the query, and only of those who were let in.
func TestWhatPlayersSayIsRecorded(t *testing.T) {
	found := gate.Object{Outcome: gate.Found, Size: 10, ETag: etag}
	path := "http://h/t/" + mint(t, "videos/abc") + "/" + key
	said := func(status int) gate.Point {
		return gate.Point{VideoID: "abc", Status: status, Country: "DE", Report: cmcd.Report{
			Session: "s", Bitrate: 3200, Top: -1, Duration: -1, Buffer: -1, Throughput: -1, Deadline: -1, Starved: 1}}
	}
	for _, c := range []struct {
		name string
		r    gate.Request
		o    gate.Object
		want []gate.Point
	}{
		{"in headers", gate.Request{URL: path, CMCD: `br=3200,bs,sid="s"`}, found, []gate.Point{said(200)}},
		{"in the query", gate.Request{URL: path + "?CMCD=br%3D3200%2Cbs%2Csid%3D%22s%22"}, found, []gate.Point{said(200)}},
		{"with a part", gate.Request{URL: path, Range: "bytes=0-1", CMCD: `br=3200,bs,sid="s"`}, found, []gate.Point{said(206)}},
		{"with what it has", gate.Request{URL: path, IfNoneMatch: "*", CMCD: `br=3200,bs,sid="s"`}, found, []gate.Point{said(304)}},
		{"nothing", gate.Request{URL: path}, found, nil},
		{"nothing that counts", gate.Request{URL: path, CMCD: "x=1"}, found, nil},
		{"with what is not there", gate.Request{URL: path, CMCD: "br=3200"}, gate.Object{Outcome: gate.Missing}, nil},
		{"by a stranger", gate.Request{URL: "http://h/" + key, CMCD: "br=3200"}, found, nil},
	} {
		c.r.Method, c.r.Country = "GET", "DE"
		got := points(t, c.r, c.o)
		if len(got) != len(c.want) || len(got) == 1 && got[0] != c.want[0] {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestBeacon(t *testing.T) {
	r := gate.Request{Method: "POST", URL: "http://h/beacon/abc?token=" + mint(t, "videos/abc"), Country: "DE"}
	step := open(t, gate.Config{}).Decide(r, now)
	if step.Fetch == nil || step.Fetch.Op != gate.Said {
		t.Fatalf("got %+v", step)
	}
	for _, c := range []struct {
		name   string
		o      gate.Object
		status int
		events string
	}{
		{"two", gate.Object{Outcome: gate.Found, Body: []byte("e=ps,sid=\"s\"\r\ne=t\n")}, 204, "ps t"},
		{"none", gate.Object{Outcome: gate.Found, Body: []byte("hello")}, 400, ""},
		{"nothing", gate.Object{Outcome: gate.Found}, 400, ""},
		{"too much", gate.Object{Outcome: gate.NoSuchPart}, 413, ""},
		{"a body that broke off", gate.Object{Outcome: gate.Failed}, 400, ""},
		{"more lines than are taken", gate.Object{Outcome: gate.Found, Body: []byte(strings.Repeat("e=t\n", 100))}, 204, strings.TrimSpace(strings.Repeat("t ", 16))},
	} {
		c.o.Epoch = gate.Epoch{Outcome: gate.Missing}
		a := open(t, gate.Config{}).Respond(r, *step.Fetch, c.o, now).Answer
		var events []string
		for _, p := range a.Points {
			if p.VideoID != "abc" || p.Country != "DE" || p.Status != 0 {
				t.Errorf("%s: %+v", c.name, p)
			}
			events = append(events, p.Event)
		}
		if a.Status != c.status || strings.Join(events, " ") != c.events {
			t.Errorf("%s: %d %q", c.name, a.Status, events)
		}
	}
	for method, want := range map[string]int{"GET": 405, "PUT": 405} {
		r := r
		r.Method = method
		if got := open(t, gate.Config{}).Decide(r, now); got.Answer == nil || got.Answer.Status != want {
			t.Errorf("%s: %+v", method, got)
		}
	}
}

func TestPlaylistsAreCompressedForThoseWhoTakeIt(t *testing.T) {
	for encoding, want := range map[string]string{
		"": "", "gzip": "gzip", "GZIP": "gzip", "x-gzip": "gzip", "br, gzip;q=0.1": "gzip", "gzip;q=0": "", "gzip; q=0.000, br": "",
		"deflate": "", "br": "", "*": "", "identity": "", "gzipped": "",
	} {
		b := &bucket{key: playlistKey, body: "#EXTM3U\n"}
		got := exchange(t, open(t, gate.Config{}), b, gate.Request{Method: "GET", URL: "http://h/t/" + mint(t, "videos/abc") + "/" + playlistKey, AcceptEncoding: encoding})
		length, hasLength := got.header["Content-Length"]
		if got.status != 200 || got.header["Content-Encoding"] != want || got.header["Vary"] != "Accept-Encoding" || hasLength == (want != "") || strings.HasPrefix(got.header["ETag"], "W/") != (want != "") {
			t.Errorf("%q: %q, length %q, ETag %s, Vary %s", encoding, got.header["Content-Encoding"], length, got.header["ETag"], got.header["Vary"])
		}
	}
	b := &bucket{key: key, body: content}
	got := exchange(t, open(t, gate.Config{}), b, gate.Request{Method: "GET", URL: "http://h/t/" + mint(t, "videos/abc") + "/" + key, AcceptEncoding: "gzip"})
	if got.header["Content-Encoding"] != "" || got.header["Content-Length"] != "10" || got.header["Vary"] != "" {
		t.Errorf("media: %+v", got.header)
	}
}

// A setting that cannot be used closes everything, and says which it is; one that is missing closes what needs it.
func TestSettingsAreValidated(t *testing.T) {
	r := gate.Request{Method: "GET", URL: "http://h/t/" + mint(t, "videos/abc") + "/" + key}
	for name, c := range map[string]gate.Config{
		"CACHE": {Cache: "yes"}, "ENCRYPTION_KEY": {EncryptionKey: "c2hvcnQ"}, "LOG_SAMPLE": {LogSample: "1 %"}, "TRANSCODER_URL": {TranscoderURL: "localhost"},
		"ALLOWED_ORIGINS": {AllowedOrigins: "example.com"},
	} {
		got := exchange(t, open(t, c), &bucket{key: key, body: content}, r)
		if got.status != 500 || !strings.Contains(got.body, name) || !strings.Contains(got.body, "misconfigured") {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	if got := exchange(t, gate.New(gate.Config{}), &bucket{key: key, body: content}, r); got.status != 500 || !strings.Contains(got.body, "TOKEN_KEYS") {
		t.Errorf("no TOKEN_KEYS: %d %s", got.status, got.body)
	}
	all := gate.New(gate.Config{Cache: "yes", EncryptionKey: "c2hvcnQ", LogSample: "1 %", TranscoderURL: "localhost", AllowedOrigins: "example.com"})
	if problems := strings.Join(all.Problems(), "\n"); len(all.Problems()) != 6 || strings.Contains(problems, "c2hvcnQ") {
		t.Errorf("not every problem at once, or a secret in one: %s", problems)
	}
	keys := gate.Request{Method: "GET", URL: "http://h/t/" + with(t, jwt.MapClaims{"kind": "key"}) + "/keys/abc"}
	if got := exchange(t, open(t, gate.Config{}), &bucket{key: playlistKey}, keys); got.status != 500 || !strings.Contains(got.body, "ENCRYPTION_KEY") {
		t.Errorf("no ENCRYPTION_KEY: %d %s", got.status, got.body)
	}
	good := gate.Config{Cache: "none", LogSample: "100", EncryptionKey: "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY", TranscoderURL: "https://t.example"}
	if got := exchange(t, open(t, good), &bucket{key: key, body: content}, r); got.status != 200 || len(open(t, good).Problems()) > 0 {
		t.Errorf("settings that are good: %d %s", got.status, got.body)
	}
}

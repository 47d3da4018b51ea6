package wire_test

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"weir/edge-auth/internal/cmcd"
	"weir/edge-auth/internal/gate"
	"weir/edge-auth/internal/playlist"
	"weir/edge-auth/internal/wire"
)

// message puts fields together as the shim does.
func message(fields ...string) []byte {
	return []byte(strings.Join(append(fields, ""), "\x00"))
}

// split takes a message's fields apart as the shim does.
func split(m []byte) []string {
	return strings.Split(strings.TrimSuffix(string(m), "\x00"), "\x00")
}

var (
	termFields    = []string{"1800000000", "GET", "DE", "http://o", "bytes=0-1", `"r"`, `"m"`, `"n"`, "since", "until", "text/html", "gzip"}
	requestFields = append([]string{"http://h/videos/a/b", "Bearer x", "c=d", "http://o/p", "192.0.2.1", "br=1"}, termFields...)
)

var (
	terms = gate.Request{
		Method: "GET", Country: "DE", Origin: "http://o", Range: "bytes=0-1", IfRange: `"r"`, IfMatch: `"m"`, IfNoneMatch: `"n"`,
		IfModifiedSince: "since", IfUnmodifiedSince: "until", Accept: "text/html", AcceptEncoding: "gzip",
	}
	request = func(r gate.Request) gate.Request {
		r.URL, r.Authorization, r.Cookie, r.Referer, r.IP, r.CMCD = "http://h/videos/a/b", "Bearer x", "c=d", "http://o/p", "192.0.2.1", "br=1"
		return r
	}(terms)
)

func TestReadConfig(t *testing.T) {
	want := gate.Config{TokenKeys: "keys", AllowedOrigins: "https://example.com", EncryptionKey: "master", Cache: "none", LogSample: "9", TranscoderURL: "http://h"}
	if got, ok := wire.ReadConfig(message("keys", "https://example.com", "master", "none", "9", "http://h")); got != want || !ok {
		t.Errorf("got %+v, %v", got, ok)
	}
	kept := message("keys", "https://example.com", "master", "none", "9", "http://h")
	got, _ := wire.ReadConfig(kept)
	clear(kept)
	if got != want {
		t.Errorf("the settings change with the message: %+v", got)
	}
	for _, fields := range [][]string{{"keys", "", "", "", ""}, {"keys", "", "", "", "", "", ""}} {
		if _, ok := wire.ReadConfig(message(fields...)); ok {
			t.Errorf("%q are taken for a configuration", fields)
		}
	}
}

func TestReadRequest(t *testing.T) {
	got, now, ok := wire.ReadRequest(message(requestFields...))
	if got != request || now != 1_800_000_000 || !ok {
		t.Errorf("got %+v, %d, %v", got, now, ok)
	}
}

func TestReadTerms(t *testing.T) {
	if got, ok := wire.ReadTerms(message(termFields...)); got != terms || !ok {
		t.Errorf("got %+v, %v", got, ok)
	}
	if _, ok := wire.ReadTerms(message(requestFields...)); ok {
		t.Error("a whole request is taken for its terms")
	}
}

func TestReadReply(t *testing.T) {
	fields := append(slices.Clone(termFields),
		"fetch", "videos/a/b", "get", "1", "2", "3", "rewrite", "cache-api", "1", "Cookie", "bs", "epochs/a", "token", "found", "4", `"e"`, "5", "max-age=6", "missing", "7")
	r, f, o, now, ok := wire.ReadReply(append(message(fields...), "bo\x00dy\xff"...))
	wantFetch := gate.Fetch{Key: "videos/a/b", Op: gate.Get, Part: gate.Part{Offset: 1, Length: 2, Suffix: 3}, Use: gate.Rewrite, Cache: gate.CacheAPI, Private: true, Vary: "Cookie", CMCD: "bs", Epoch: "epochs/a", Token: "token"}
	wantObject := gate.Object{Outcome: gate.Found, Size: 4, ETag: `"e"`, Modified: 5, CacheControl: "max-age=6", Body: []byte("bo\x00dy\xff"), Epoch: gate.Epoch{Outcome: gate.Missing, Text: "7"}}
	if r != terms || f != wantFetch || !reflect.DeepEqual(o, wantObject) || now != 1_800_000_000 || !ok {
		t.Errorf("got %+v\n%+v\n%+v\n%v", r, f, o, ok)
	}
}

func TestKeep(t *testing.T) {
	if key, stored, ok := wire.ReadKeep(message("k", "max-age=1")); key != "k" || stored != "max-age=1" || !ok {
		t.Errorf("got %q, %q, %v", key, stored, ok)
	}
	if _, _, ok := wire.ReadKeep(message("k")); ok {
		t.Error("a field too few is not seen")
	}
	if got, want := wire.AppendKeep([]byte("x"), "max-age=1"), "xkeep\x00max-age=1\x00"; string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAppendStep(t *testing.T) {
	for _, c := range []struct {
		step gate.Step
		want []string
		text string
	}{
		{gate.Step{Fetch: &gate.Fetch{Key: "k", Op: gate.Head, Part: gate.Part{Offset: 1, Length: 2, Suffix: 3}, Use: gate.Pass, Cache: gate.NoCache}},
			[]string{"fetch", "k", "head", "1", "2", "3", "pass", "", "", "", "", "", ""}, ""},
		{gate.Step{Fetch: &gate.Fetch{Key: "k", Op: gate.Get, Use: gate.Rewrite, Cache: gate.WorkersCache, Private: true, Vary: "Cookie", CMCD: "bs", Epoch: "epochs/k", Token: "T"}},
			[]string{"fetch", "k", "get", "0", "0", "0", "rewrite", "workers-cache", "1", "Cookie", "bs", "epochs/k", "T"}, ""},
		{gate.Step{Forward: &gate.Forward{URL: "http://h/videos?a=b", Limit: 7}}, []string{"forward", "http://h/videos?a=b", "7"}, ""},
		{gate.Step{Answer: &gate.Answer{Status: 200, Body: gate.TextBody, Text: []byte("text"), Headers: []gate.Header{{Name: "A", Value: "b"}, {Name: "C", Value: ""}}}},
			[]string{"answer", "200", "text", "", "", "", "0", "A", "b", "C", ""}, "text"},
		{gate.Step{Answer: &gate.Answer{Status: 200, Body: gate.TextBody, Text: []byte("a\nb\n"), Format: playlist.HLS, Token: "T"}},
			[]string{"answer", "200", "text", "", "", "", "0"}, "a?token=T\nb?token=T\n"},
		{gate.Step{Answer: &gate.Answer{Status: 404, Body: gate.NoBody, Gzip: true, Key: "k", Code: "c", Points: []gate.Point{{VideoID: "v", Status: 206, Country: "DE",
			Report: cmcd.Report{Session: "s", Content: "d", Object: "v", Format: "h", Stream: "l", Event: "e", Bitrate: 1, Top: 2, Duration: 3, Buffer: 4, Throughput: 5, Deadline: -1, Starved: 1}}}}},
			[]string{"answer", "404", "none", "1", "k", "c", "1", "v", "206", "DE", "s", "d", "v", "h", "l", "e", "1", "2", "3", "4", "5", "-1", "1", "0"}, ""},
	} {
		got, text := wire.AppendStep([]byte("x"), c.step)
		head := len(got) - text
		if fields := split(got[1:head]); !slices.Equal(fields, c.want) || string(got[head:]) != c.text {
			t.Errorf("got %q and %q, want %q and %q", fields, got[head:], c.want, c.text)
		}
	}
}

// Of a message that is cut anywhere, or goes on, nothing is believed.
func TestWrongMessagesAreReported(t *testing.T) {
	whole := message(requestFields...)
	for end := range whole {
		if _, _, ok := wire.ReadRequest(whole[:end]); ok {
			t.Errorf("%d of %d bytes are taken for a request", end, len(whole))
		}
	}
	if _, _, ok := wire.ReadRequest(append(whole, 0)); ok {
		t.Error("a byte too many is not seen")
	}
	wrong := slices.Clone(requestFields)
	wrong[len(requestFields)-len(termFields)] = "soon"
	if _, _, ok := wire.ReadRequest(message(wrong...)); ok {
		t.Error("a time that is no number is not seen")
	}
}

// No bytes make the readers panic, and what they take is what was meant: put together again, it is the same.
func FuzzMessagesAreReadBackOrReported(f *testing.F) {
	f.Add(message(requestFields...))
	f.Add(message(append(slices.Clone(termFields), "fetch", "k", "get", "0", "0", "0", "pass", "", "", "", "", "", "", "found", "1", "e", "2", "c", "", "")...))
	f.Add([]byte{0, 0, 0})
	f.Fuzz(func(t *testing.T, m []byte) {
		wire.ReadConfig(m)
		wire.ReadKeep(m)
		wire.ReadTerms(m)
		text := func(n int64) string { return strconv.FormatInt(n, 10) }
		termsOf := func(r gate.Request, now int64) []string {
			return []string{text(now), r.Method, r.Country, r.Origin, r.Range, r.IfRange, r.IfMatch, r.IfNoneMatch, r.IfModifiedSince, r.IfUnmodifiedSince, r.Accept, r.AcceptEncoding}
		}
		ends := strings.Count(string(m), "\x00")
		if r, now, ok := wire.ReadRequest(m); ok {
			whole := append([]string{r.URL, r.Authorization, r.Cookie, r.Referer, r.IP, r.CMCD}, termsOf(r, now)...)
			if got, _, again := wire.ReadRequest(message(whole...)); got != r || !again || ends != len(requestFields) {
				t.Errorf("%q is read as %+v and then as %+v", m, r, got)
			}
		}
		if r, fetch, o, now, ok := wire.ReadReply(m); ok {
			p := fetch.Part
			back := message(append(termsOf(r, now), "fetch", fetch.Key, string(fetch.Op), text(p.Offset), text(p.Length), text(p.Suffix), string(fetch.Use), string(fetch.Cache), map[bool]string{true: "1"}[fetch.Private], fetch.Vary, fetch.CMCD, fetch.Epoch, fetch.Token,
				string(o.Outcome), text(o.Size), o.ETag, text(o.Modified), o.CacheControl, string(o.Epoch.Outcome), o.Epoch.Text)...)
			back = append(back, o.Body...)
			r2, fetch2, o2, _, again := wire.ReadReply(back)
			if r2 != r || fetch2 != fetch || !reflect.DeepEqual(o2, o) || !again || ends < len(termFields)+20 {
				t.Errorf("%q is read as %+v and then as %+v", m, o, o2)
			}
		}
	})
}

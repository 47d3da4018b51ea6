package gate_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"weir/edge-auth/internal/gate"
	"weir/edge-auth/internal/playlist"
)

const (
	now       = 1_800_000_000
	secret    = "0123456789abcdef0123456789abcdef"
	tokenKeys = `{"keys":[{"kty":"oct","alg":"HS256","kid":"k1","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}]}`

	etag     = `"e1"`
	modified = 1_700_000_000 // Tue, 14 Nov 2023 22:13:20 GMT
	key      = "videos/abc/hls/720p/segment_1_a.m4s"
	content  = "0123456789"
)

// mint signs a token that opens sub at now.
func mint(t testing.TB, sub string) string {
	t.Helper()
	return with(t, jwt.MapClaims{"sub": sub})
}

// bucket is R2 with one object, behaving as R2 does; calls counts what it was asked.
type bucket struct {
	key, body string
	fails     bool
	epoch     gate.Epoch // of every video; none is missing
	epochs    int        // how often that was asked for
	calls     int
	atCall    func(n int) // may replace the object
}

func (b *bucket) fetch(f gate.Fetch) (o gate.Object, part string) {
	b.calls++
	if b.atCall != nil {
		b.atCall(b.calls)
	}
	switch {
	case b.fails:
		return gate.Object{Outcome: gate.Failed}, ""
	case f.Key != b.key:
		return gate.Object{Outcome: gate.Missing}, ""
	}
	o = gate.Object{Outcome: gate.Found, Size: int64(len(b.body)), ETag: etag, Modified: modified*1000 + 999}
	if f.Op == gate.Head {
		return o, ""
	}
	from, to := f.Part.Offset, o.Size
	if f.Part.Suffix > 0 {
		from = max(0, o.Size-f.Part.Suffix)
	} else if f.Part.Length > 0 {
		to = min(o.Size, from+f.Part.Length)
	}
	if from > o.Size {
		return gate.Object{Outcome: gate.NoSuchPart}, ""
	}
	if f.Use == gate.Rewrite {
		o.Body = []byte(b.body[from:to])
	}
	return o, b.body[from:to]
}

// answer is an answer as a client sees it.
type answer struct {
	status int
	header map[string]string
	body   string
}

// exchange does what the shim does.
func exchange(t testing.TB, g *gate.Gate, b *bucket, r gate.Request) answer {
	t.Helper()
	step, part := g.Decide(r, now), ""
	terms := r // this much of it is at hand then
	terms.URL, terms.Authorization, terms.Cookie, terms.Referer, terms.IP, terms.CMCD = "", "", "", "", "", ""
	for fetches := 0; step.Fetch != nil; fetches++ {
		if fetches == 4 {
			t.Fatalf("%+v: a fifth fetch", r)
		}
		var o gate.Object
		o, part = b.fetch(*step.Fetch)
		if step.Fetch.Epoch != "" {
			o.Epoch = b.epoch
			if o.Epoch.Outcome == "" {
				o.Epoch.Outcome = gate.Missing
			}
			b.epochs++
		}
		step = g.Respond(terms, *step.Fetch, o, now)
	}
	got := answer{status: step.Answer.Status, header: map[string]string{}}
	for _, h := range step.Answer.Headers {
		if _, twice := got.header[h.Name]; twice || strings.ContainsAny(h.Value, "\r\n") {
			t.Errorf("%+v: header %q: %q", r, h.Name, h.Value)
		}
		got.header[h.Name] = h.Value
	}
	switch step.Answer.Body {
	case gate.TextBody:
		got.body = string(step.Answer.Text)
		if token := step.Answer.Token; token != "" {
			got.body = string(playlist.Append(nil, step.Answer.Text, step.Answer.Format, token))
		}
	case gate.ObjectBody:
		got.body = part
	case gate.NoBody:
	}
	return got
}

func get(t testing.TB, path string) gate.Request {
	return gate.Request{Method: "GET", URL: "https://weir.example/t/" + mint(t, "videos/abc") + path}
}

// What is asked of the bucket for a request that may pass: one call, and no more than is needed.
func TestDecideFetches(t *testing.T) {
	token := mint(t, "videos/abc")
	const playlist = "videos/abc/hls/master.m3u8"
	for _, c := range []struct {
		name string
		r    gate.Request
		want gate.Fetch
	}{
		{"GET", gate.Request{Method: "GET", URL: "http://h/t/" + token + "/" + key},
			gate.Fetch{Epoch: "epochs/abc", Key: key, Op: gate.Get, Use: gate.Pass}},
		{"HEAD", gate.Request{Method: "HEAD", URL: "http://h/t/" + token + "/" + key, Range: "bytes=0-1"},
			gate.Fetch{Epoch: "epochs/abc", Key: key, Op: gate.Head, Use: gate.Pass}},
		{"a part", gate.Request{Method: "GET", URL: "http://h/" + key + "?x=1&token=" + token + "&y#z", Range: "bytes=2-5"},
			gate.Fetch{Epoch: "epochs/abc", Key: key, Op: gate.Get, Part: gate.Part{Offset: 2, Length: 4}, Use: gate.Pass}},
		{"a bearer", gate.Request{Method: "GET", URL: "http://h/" + key, Authorization: "bearer  " + token},
			gate.Fetch{Epoch: "epochs/abc", Key: key, Op: gate.Get, Use: gate.Pass, Private: true, Vary: "Authorization"}},
		{"a cookie", gate.Request{Method: "GET", URL: "http://h/" + key, Cookie: "a=b; weir_token=" + token + "; c"},
			gate.Fetch{Epoch: "epochs/abc", Key: key, Op: gate.Get, Use: gate.Pass, Private: true, Vary: "Cookie"}},
		{"a bearer goes before a cookie", gate.Request{Method: "GET", URL: "http://h/" + key, Authorization: "Bearer " + token, Cookie: "weir_token=x"},
			gate.Fetch{Epoch: "epochs/abc", Key: key, Op: gate.Get, Use: gate.Pass, Private: true, Vary: "Authorization"}},
		{"a playlist with its token in the path", gate.Request{Method: "GET", URL: "http://h/t/" + token + "/" + playlist},
			gate.Fetch{Epoch: "epochs/abc", Key: playlist, Op: gate.Get, Use: gate.Pass}},
		{"a playlist to rewrite, within bounds", gate.Request{Method: "GET", URL: "http://h/" + playlist + "?token=" + token, Range: "bytes=0-1"},
			gate.Fetch{Epoch: "epochs/abc", Key: playlist, Op: gate.Get, Part: gate.Part{Length: 4 << 20}, Use: gate.Rewrite}},
		{"an MPD to rewrite", gate.Request{Method: "GET", URL: "http://h/" + manifestKey + "?token=" + token},
			gate.Fetch{Epoch: "epochs/abc", Key: manifestKey, Op: gate.Get, Part: gate.Part{Length: 4 << 20}, Use: gate.Rewrite}},
		{"HEAD of a storyboard to rewrite", gate.Request{Method: "HEAD", URL: "http://h/" + storyKey + "?token=" + token},
			gate.Fetch{Epoch: "epochs/abc", Key: storyKey, Op: gate.Get, Part: gate.Part{Length: 4 << 20}, Use: gate.Rewrite}},
		{"subtitles, which nobody rewrites", gate.Request{Method: "GET", URL: "http://h/" + captionsKey + "?token=" + token},
			gate.Fetch{Epoch: "epochs/abc", Key: captionsKey, Op: gate.Get, Use: gate.Pass}},
		{"HEAD of a playlist to rewrite, for its length", gate.Request{Method: "HEAD", URL: "http://h/" + playlist + "?token=" + token},
			gate.Fetch{Epoch: "epochs/abc", Key: playlist, Op: gate.Get, Part: gate.Part{Length: 4 << 20}, Use: gate.Rewrite}},
	} {
		t.Run(c.name, func(t *testing.T) {
			step := gate.New(gate.Config{TokenKeys: tokenKeys}).Decide(c.r, now)
			if step.Fetch == nil {
				t.Fatalf("answered %+v", step.Answer)
			}
			c.want.Token = token // as long as the epoch is not known
			if *step.Fetch != c.want {
				t.Errorf("got %+v, want %+v", *step.Fetch, c.want)
			}
		})
	}
}

// A token anywhere but where it belongs lets nobody in.
func TestDecideRefuses(t *testing.T) {
	token := mint(t, "videos/abc")
	for name, r := range map[string]gate.Request{
		"no token":                         {URL: "http://h/" + key},
		"a token in the fragment":          {URL: "http://h/" + key + "#?token=" + token},
		"a parameter of another name":      {URL: "http://h/" + key + "?Token=" + token},
		"an escaped token":                 {URL: "http://h/" + key + "?token=" + strings.Replace(token, ".", "%2E", 1)},
		"the first of two tokens is wrong": {URL: "http://h/" + key + "?token=x&token=" + token},
		"a token without its scheme":       {URL: "http://h/" + key, Authorization: token},
		"a cookie of another name":         {URL: "http://h/" + key, Cookie: "Weir_token=" + token},
		"a cookie within another":          {URL: "http://h/" + key, Cookie: "a=weir_token=" + token},
		"a token as password":              {URL: "http://" + token + "@h/" + key},
		"a token for no path":              {URL: "http://h/t/" + token},
		"a token for the root":             {URL: "http://h/t/" + token + "/"},
		"a token within the path":          {URL: "http://h/videos/t/" + token + "/" + key},
		"two tokens in the path":           {URL: "http://h/t/" + token + "/t/" + token + "/" + key},
		"no URL":                           {},
		"a path alone":                     {URL: "/t/" + token + "/" + key},
		"a path with a URL in its query":   {URL: "/x?http://h/t/" + token + "/" + key},
		"a URL without its scheme":         {URL: "://h/t/" + token + "/" + key},
		"a token for another video":        {URL: "http://h/t/" + mint(t, "videos/ab") + "/" + key},
		"a token whose sub is a slash":     {URL: "http://h/t/" + mint(t, "/") + "/" + key},
	} {
		t.Run(name, func(t *testing.T) {
			r.Method = "GET"
			step := gate.New(gate.Config{TokenKeys: tokenKeys}).Decide(r, now)
			if step.Fetch != nil {
				t.Fatalf("fetches %+v", *step.Fetch)
			}
			if s := step.Answer.Status; s != 401 && s != 403 && s != 404 {
				t.Errorf("answered %d", s)
			}
		})
	}
}

func TestMisconfigured(t *testing.T) {
	for _, keys := range []string{"", "{}", `{"keys":[{"kty":"oct","alg":"HS256","kid":"a","k":"short"}]}`} {
		g := gate.New(gate.Config{TokenKeys: keys})
		got := exchange(t, g, &bucket{key: key}, get(t, "/"+key))
		if got.status != 500 || got.header["Cache-Control"] != "no-store" || !strings.Contains(got.body, "TOKEN_KEYS") ||
			strings.Contains(got.body, "short") {
			t.Errorf("%q: got %+v", keys, got)
		}
		if got := exchange(t, g, &bucket{}, gate.Request{Method: "OPTIONS", URL: "http://h/"}); got.status != 204 {
			t.Errorf("%q: OPTIONS: got %+v", keys, got)
		}
	}
}

func TestTheBucketFails(t *testing.T) {
	got := exchange(t, gate.New(gate.Config{TokenKeys: tokenKeys}), &bucket{key: key, fails: true}, get(t, "/"+key))
	if got.status != 502 || got.header["Cache-Control"] != "no-store" || got.header["Retry-After"] == "" {
		t.Errorf("got %+v", got)
	}
}

// The object may be replaced between two calls of the bucket: what is answered is true of one of the two.
func TestObjectIsReplacedMeanwhile(t *testing.T) {
	for _, c := range []struct {
		name          string
		before, after string
		r             gate.Request
		status        int
		body          string
	}{
		{"a part that was not there is there now", "0", content, gate.Request{Range: "bytes=3-4"}, 206, "34"},
		{"a part that was not there is of nothing now", "0", "", gate.Request{Range: "bytes=3-4"}, 200, ""},
		{"If-Range asks for all of what is shorter now", content, "01", gate.Request{Range: "bytes=3-4", IfRange: `"x"`}, 200, "01"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := &bucket{key: key, body: c.before}
			b.atCall = func(n int) {
				if n == 2 {
					b.body = c.after
				}
			}
			r := get(t, "/"+key)
			r.Range, r.IfRange = c.r.Range, c.r.IfRange
			if got := exchange(t, gate.New(gate.Config{TokenKeys: tokenKeys}), b, r); got.status != c.status || got.body != c.body {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestPlaylistTooLarge(t *testing.T) {
	b := &bucket{key: "videos/abc/x.m3u8"}
	r := gate.Request{Method: "GET", URL: "http://h/videos/abc/x.m3u8?token=" + mint(t, "videos/abc")}
	for name, body := range map[string]string{
		"before it is rewritten":    strings.Repeat("#", 8<<20+1),
		"because of all the tokens": strings.Repeat("a\n", 1<<19),
	} {
		t.Run(name, func(t *testing.T) {
			b.body = body
			if got := exchange(t, gate.New(gate.Config{TokenKeys: tokenKeys}), b, r); got.status != 500 || got.header["Cache-Control"] != "no-store" {
				t.Errorf("got %d %v", got.status, got.header)
			}
		})
	}
}

// A rewritten playlist has other bytes than the object: its entity tag is weak, so nobody joins parts of them.
func TestRewrittenPlaylistHasAWeakETag(t *testing.T) {
	b := &bucket{key: "videos/abc/x.m3u8", body: "a.m4s\n"}
	r := gate.Request{Method: "GET", URL: "http://h/videos/abc/x.m3u8?token=" + mint(t, "videos/abc")}
	got := exchange(t, gate.New(gate.Config{TokenKeys: tokenKeys}), b, r)
	if got.status != 200 || got.header["ETag"] != "W/"+etag || got.header["Accept-Ranges"] != "none" {
		t.Errorf("got %+v", got)
	}
	r.IfNoneMatch = got.header["ETag"]
	if got := exchange(t, gate.New(gate.Config{TokenKeys: tokenKeys}), b, r); got.status != 304 || got.header["ETag"] != "W/"+etag {
		t.Errorf("the second time: got %+v", got)
	}
	r.IfNoneMatch, r.IfMatch = "", "W/"+etag
	if got := exchange(t, gate.New(gate.Config{TokenKeys: tokenKeys}), b, r); got.status != 412 {
		t.Errorf("If-Match: got %+v", got)
	}
}

func TestErrorsAreJSON(t *testing.T) {
	for _, r := range []gate.Request{
		{Method: "PUT", URL: "http://h/" + key},
		{Method: "GET", URL: `http://h/"\`},
		{Method: "GET", URL: "http://h/" + key},
		{Method: "GET", URL: "http://h/t/x/" + key},
		{Method: "GET", URL: "http://h/t/" + mint(t, "videos/other") + "/" + key},
	} {
		got := exchange(t, gate.New(gate.Config{TokenKeys: tokenKeys}), &bucket{key: key}, r)
		var problem struct {
			Error struct{ Code, Message string }
		}
		if err := json.Unmarshal([]byte(got.body), &problem); err != nil || problem.Error.Code == "" || problem.Error.Message == "" {
			t.Errorf("%d %q: %v", got.status, got.body, err)
		}
	}
}

func TestDatesAreHTTPDates(t *testing.T) {
	got := exchange(t, gate.New(gate.Config{TokenKeys: tokenKeys}), &bucket{key: key}, get(t, "/"+key)).header["Last-Modified"]
	if want := time.Unix(modified, 0).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

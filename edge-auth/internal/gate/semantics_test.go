package gate_test

import (
	"fmt"
	"strings"
	"testing"

	"weir/edge-auth/internal/gate"
)

const (
	same   = "Tue, 14 Nov 2023 22:13:20 GMT"
	before = "Tue, 14 Nov 2023 22:13:19 GMT"
	after  = "Tue, 14 Nov 2023 22:13:21 GMT"
)

// The forms of each header, the section of RFC 9110 that speaks of them, and what becomes of them.
func TestConditionsAndRanges(t *testing.T) {
	for _, c := range []struct {
		name   string
		r      gate.Request
		status int
		body   string // of 200 and 206
	}{
		{"If-None-Match: the same", gate.Request{IfNoneMatch: etag}, 304, ""},
		{"If-None-Match: the same, weak", gate.Request{IfNoneMatch: "W/" + etag}, 304, ""},
		{"If-None-Match: anything", gate.Request{IfNoneMatch: " * "}, 304, ""},
		{"If-None-Match: in a list", gate.Request{IfNoneMatch: `"a,b" ,, W/"c",` + etag}, 304, ""},
		{"If-None-Match: another", gate.Request{IfNoneMatch: `"e2"`}, 200, content},
		{"If-None-Match: without quotes", gate.Request{IfNoneMatch: "e1"}, 200, content},
		{"If-None-Match: an open quote", gate.Request{IfNoneMatch: `"e1`}, 200, content},
		{"If-None-Match: a tag within a tag", gate.Request{IfNoneMatch: `"x` + etag + `x"`}, 200, content},
		{"If-None-Match goes before If-Modified-Since", gate.Request{IfNoneMatch: `"e2"`, IfModifiedSince: same}, 200, content},

		{"If-Modified-Since: the same second", gate.Request{IfModifiedSince: same}, 304, ""},
		{"If-Modified-Since: later", gate.Request{IfModifiedSince: after}, 304, ""},
		{"If-Modified-Since: earlier", gate.Request{IfModifiedSince: before}, 200, content},
		{"If-Modified-Since: as in RFC 850", gate.Request{IfModifiedSince: "Tuesday, 14-Nov-23 22:13:20 GMT"}, 304, ""},
		{"If-Modified-Since: as asctime has it", gate.Request{IfModifiedSince: "Tue Nov 14 22:13:20 2023"}, 304, ""},
		{"If-Modified-Since: no date", gate.Request{IfModifiedSince: "yesterday"}, 200, content},

		{"If-Match: the same", gate.Request{IfMatch: `"a", ` + etag}, 200, content},
		{"If-Match: anything", gate.Request{IfMatch: "*"}, 200, content},
		{"If-Match: the same, weak", gate.Request{IfMatch: "W/" + etag}, 412, ""},
		{"If-Match: another", gate.Request{IfMatch: `"e2"`}, 412, ""},
		{"If-Match goes before If-None-Match", gate.Request{IfMatch: `"e2"`, IfNoneMatch: etag}, 412, ""},
		{"If-Match goes before If-Unmodified-Since", gate.Request{IfMatch: etag, IfUnmodifiedSince: before}, 200, content},
		{"If-Unmodified-Since: the same second", gate.Request{IfUnmodifiedSince: same}, 200, content},
		{"If-Unmodified-Since: earlier", gate.Request{IfUnmodifiedSince: before}, 412, ""},
		{"If-Unmodified-Since: no date", gate.Request{IfUnmodifiedSince: "now"}, 200, content},

		{"Range: first bytes", gate.Request{Range: "bytes=0-0"}, 206, "0"},
		{"Range: from somewhere on", gate.Request{Range: "bytes=9-"}, 206, "9"},
		{"Range: last bytes", gate.Request{Range: "bytes=-1"}, 206, "9"},
		{"Range: the unit in other letters", gate.Request{Range: "Bytes=0-1"}, 206, "01"},
		{"Range: spaces around it", gate.Request{Range: "bytes= 0-1 "}, 206, "01"},
		{"Range: beyond counting", gate.Request{Range: "bytes=8-99999999999999999999999"}, 206, "89"},
		{"Range: behind the end", gate.Request{Range: "bytes=10-"}, 416, ""},
		{"Range: behind the end, beyond counting", gate.Request{Range: "bytes=99999999999999999999999-"}, 416, ""},
		{"Range: the last no bytes", gate.Request{Range: "bytes=-0"}, 416, ""},
		{"Range: two", gate.Request{Range: "bytes=0-1,4-5"}, 200, content},
		{"Range: backwards", gate.Request{Range: "bytes=5-4"}, 200, content},
		{"Range: another unit", gate.Request{Range: "seconds=0-1"}, 200, content},
		{"Range: no number", gate.Request{Range: "bytes=a-b"}, 200, content},
		{"Range: a sign", gate.Request{Range: "bytes=+1-2"}, 200, content},
		{"Range: only a dash", gate.Request{Range: "bytes=-"}, 200, content},
		{"Range: two dashes", gate.Request{Range: "bytes=1-2-3"}, 200, content},
		{"Range: nothing", gate.Request{Range: "bytes="}, 200, content},

		{"If-Range: the same", gate.Request{Range: "bytes=0-1", IfRange: etag}, 206, "01"},
		{"If-Range: the same, weak", gate.Request{Range: "bytes=0-1", IfRange: "W/" + etag}, 200, content},
		{"If-Range: another", gate.Request{Range: "bytes=0-1", IfRange: `"e2"`}, 200, content},
		{"If-Range: the date", gate.Request{Range: "bytes=0-1", IfRange: same}, 206, "01"},
		{"If-Range: a later date", gate.Request{Range: "bytes=0-1", IfRange: after}, 200, content},
		{"If-Range: an earlier date", gate.Request{Range: "bytes=0-1", IfRange: before}, 200, content},
		{"If-Range: no date", gate.Request{Range: "bytes=0-1", IfRange: "e1"}, 200, content},
		{"If-Range without Range", gate.Request{IfRange: `"e2"`}, 200, content},
		{"If-Range of another, Range behind the end", gate.Request{Range: "bytes=10-", IfRange: `"e2"`}, 200, content},
		{"If-None-Match goes before Range", gate.Request{Range: "bytes=0-1", IfNoneMatch: etag}, 304, ""},
		{"If-Match and Range", gate.Request{Range: "bytes=0-1", IfMatch: etag}, 206, "01"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.r.Method, c.r.URL = "GET", get(t, "/"+key).URL
			got := exchange(t, gate.New(gate.Config{TokenKeys: tokenKeys}), &bucket{key: key, body: content}, c.r)
			if got.status != c.status || (c.status < 300 && got.body != c.body) {
				t.Fatalf("got %d %q, want %d %q", got.status, got.body, c.status, c.body)
			}
			check(t, c.r, got)
		})
	}
}

// check holds for every answer.
func check(t *testing.T, r gate.Request, got answer) {
	t.Helper()
	must := func(ok bool, what string) {
		if !ok {
			t.Errorf("%+v: %s: %+v", r, what, got)
		}
	}
	h := got.header
	must(h["Access-Control-Allow-Origin"] == "*" && h["Access-Control-Expose-Headers"] != "", "no CORS")
	must(h["X-Content-Type-Options"] == "nosniff", "a browser may guess the type")
	switch got.status {
	case 200, 206:
		must(h["ETag"] != "" && h["Last-Modified"] != "" && h["Accept-Ranges"] != "" && h["Content-Type"] != "", "a header is missing")
		must(strings.Contains(h["Cache-Control"], "max-age="), "no cache policy")
		must((h["Content-Range"] != "") == (got.status == 206), "Content-Range")
	case 304:
		must(h["ETag"] != "" && h["Last-Modified"] != "" && strings.Contains(h["Cache-Control"], "max-age="), "nothing to renew")
		must(h["Content-Length"] == "" && h["Content-Type"] == "", "it speaks of a body")
	case 204:
		must(h["Allow"] != "" && h["Access-Control-Allow-Methods"] != "", "an empty preflight")
	default:
		must(h["Cache-Control"] == "no-store" && h["Content-Type"] == "application/json", "an error may be cached, or is no JSON")
		must((h["WWW-Authenticate"] != "") == (got.status == 401), "WWW-Authenticate")
		must((h["Allow"] != "") == (got.status == 405), "Allow")
		must((h["Content-Range"] != "") == (got.status == 416), "Content-Range")
	}
	if got.status == 204 || got.status == 304 || r.Method == "HEAD" {
		must(got.body == "", "a body")
	} else {
		must(h["Content-Length"] == fmt.Sprint(len(got.body)), "Content-Length")
	}
}

// Whatever a client sends, the answer is whole and true to HTTP; and without a valid token nothing is fetched.
func FuzzAnswersAreWhole(f *testing.F) {
	token := mint(f, "videos/abc")
	f.Add("GET", "http://h/t/{token}/"+key, "", "bytes=0-1", `"e1"`, `"e1"`, "*", same, same)
	f.Add("HEAD", "http://h/videos/abc/x.m3u8?token={token}", "", "bytes=10-", "", "", "", "", "")
	f.Add("GET", "http://h/"+key, "Bearer {token}", "", "", "", "", "", "")
	f.Add("OPTIONS", "", "", "", "", "", "", "", "")
	f.Fuzz(func(t *testing.T, method, url, authorization, rng, ifRange, ifMatch, ifNoneMatch, since, until string) {
		r := gate.Request{Method: method, URL: strings.ReplaceAll(url, "{token}", token),
			Authorization: strings.ReplaceAll(authorization, "{token}", token), Range: rng, IfRange: ifRange,
			IfMatch: ifMatch, IfNoneMatch: ifNoneMatch, IfModifiedSince: since, IfUnmodifiedSince: until}
		b := &bucket{key: key, body: content}
		if strings.Contains(url, ".m3u8") {
			b.key, b.body = "videos/abc/x.m3u8", "a.m4s\n"
		}
		got := exchange(t, gate.New(gate.Config{TokenKeys: tokenKeys}), b, r)
		check(t, r, got)
		if b.calls > 0 && !strings.Contains(r.URL+r.Authorization, token) {
			t.Errorf("%+v: fetched without the token", r)
		}
	})
}

package verify_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"weir/deploy/internal/verify"
)

// bucket remembers what it was given.
type bucket struct {
	objects  map[string]string
	put, del error
}

func (b *bucket) Put(_ context.Context, key string, header http.Header, body string) error {
	b.objects[key] = header.Get("Content-Type") + "|" + body
	return b.put // the object may be there although it failed
}

func (b *bucket) Delete(ctx context.Context, key string) error {
	delete(b.objects, key)
	return errors.Join(b.del, ctx.Err())
}

func target(t *testing.T, url string) (verify.Target, *bucket) {
	t.Helper()
	key, err := verify.ParseKey(`{"kty":"oct","alg":"HS256","kid":"k","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}`)
	if err != nil {
		t.Fatal(err)
	}
	b := &bucket{objects: map[string]string{}}
	return verify.Target{URL: url, Bucket: b, Key: key}, b
}

// run runs a script against a server that gives the same answer to everything, and gives the failures by sentence.
func run(t *testing.T, script, answer string) map[string]string {
	t.Helper()
	head, body, _ := strings.Cut(answer, "\n\n")
	answer = strings.ReplaceAll(head, "\n", "\r\n") + "\r\n\r\n" + body
	to, _ := target(t, listen(t, func(string) string { return answer }))
	return runAt(t, to, script)
}

func runAt(t *testing.T, to verify.Target, script string) map[string]string {
	t.Helper()
	s, err := verify.Parse("test.http", script)
	if err != nil {
		t.Fatal(err)
	}
	results := map[string]string{}
	if err := verify.Run(t.Context(), to, s, func(r verify.Result) { results[r.Name] = r.Failure }); err != nil {
		t.Fatal(err)
	}
	return results
}

func TestExpectations(t *testing.T) {
	const answer = "HTTP/1.1 206 Partial Content\nContent-Length: 8\nETag: \"a.b\"\nVary: A\nVary: B\nDate: Sat, 01 Jan 2000 00:00:00 GMT\n\none\n{}\n "
	for _, c := range []struct{ want, wrong string }{
		{"HTTP 206", ""},
		{"HTTP 200", `the status: got "206", expected 200`},
		{"HTTP 200 {or} 206", ""},
		{"HTTP 2{any}", ""},
		{"HTTP 2", "the status"},
		{"HTTP 206\nContent-Length: {number}", ""},
		{"HTTP 206\ncontent-length: 8", ""},
		{"HTTP 206\nContent-Length: 88", `Content-Length: got "8", expected 88`},
		{"HTTP 206\nETag: {number}", "ETag"},
		{`HTTP 206` + "\n" + `ETag: "a.b"`, ""},
		{`HTTP 206` + "\n" + `ETag: "a{any}`, ""},
		{`HTTP 206` + "\n" + `ETag: "a.b`, "ETag"},
		{`HTTP 206` + "\n" + `ETag: "a-b"`, "ETag"},
		{`HTTP 206` + "\n" + `ETag: "a+b" {or} "a.b"`, ""},
		{`HTTP 206` + "\n" + `ETag: {absent}`, "ETag"},
		{"HTTP 206\nVary: A, B", ""},
		{"HTTP 206\nVary: A", `Vary: got "A, B"`},
		{"HTTP 206\nDate: {date}", ""},
		{"HTTP 206\nVary: {date}", "Vary"},
		{"HTTP 206\nAge: {absent}", ""},
		{"HTTP 206\nAge: {any}", "Age: is not there, expected {any}"},
		{"HTTP 206\nAge: 1 {or} {absent}", ""},
		{"HTTP 206\n| one\n| {}\n|  ", ""},
		{"HTTP 206\n| one\n| {any}", ""},
		{"HTTP 206\n| one", `the body: got "one\n{}\n "`},
		{"HTTP 206\n|", "the body"},
	} {
		t.Run(c.want, func(t *testing.T) {
			failure := run(t, "## Section\n# It.\nGET /a\n"+c.want, answer)["It."]
			if (failure == "") != (c.wrong == "") || !strings.Contains(failure, c.wrong) {
				t.Errorf("got %q, want one with %q", failure, c.wrong)
			}
		})
	}
}

func TestOneLineBreakAtTheEndDoesNotCount(t *testing.T) {
	for answer, same := range map[string]bool{"a\nb": true, "a\nb\n": true, "a\nb\n\n": false, "a\n\nb": false} {
		answer = fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(answer), answer)
		to, _ := target(t, listen(t, func(string) string { return answer }))
		failure := runAt(t, to, "## Section\n# It.\nGET /a\nHTTP 200\n| a\n| b\n")["It."]
		if (failure == "") != same {
			t.Errorf("%q: %s", answer, failure)
		}
	}
}

// A body is compared as it was before it was packed.
func TestPackedBodies(t *testing.T) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, _ = w.Write([]byte("#EXTM3U\n"))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ body, wrong string }{
		"gzip":         {packed.String(), ""},
		"half of gzip": {packed.String()[:packed.Len()-4], "unpack the body: unexpected EOF"},
		"no gzip":      {"#EXTM3U\n", "unpack the body: "},
	} {
		got := run(t, "## Section\n# It.\nGET /a\nAccept-Encoding: gzip\nHTTP 200\n| #EXTM3U\n",
			fmt.Sprintf("HTTP/1.1 200 OK\nContent-Encoding: gzip\nContent-Length: %d\n\n%s", len(c.body), c.body))["It."]
		if (got == "") != (c.wrong == "") || !strings.Contains(got, c.wrong) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// What holds for every answer holds, but for what an exchange says itself.
func TestRules(t *testing.T) {
	const rules = "EVERY HTTP 4{any}\nCache-Control: no-store\n| error\nEVERY HTTP 2{any}\nCache-Control: public\n## Section\n"
	got := run(t, rules+`
# By the rule.
GET /a
HTTP 404
# By itself.
GET /a
HTTP 404
Cache-Control: private
| other
# HEAD has no body.
HEAD /a
HTTP 404
Cache-Control: private
`, "HTTP/1.1 404 Not Found\nCache-Control: private\nContent-Length: 5\n\nother")
	if f := got["By the rule."]; !strings.Contains(f, "Cache-Control: got \"private\", expected no-store") || !strings.Contains(f, "the body") ||
		strings.Contains(f, "public") {
		t.Error(f)
	}
	if f := got["By itself."]; f != "" {
		t.Error(f)
	}
	if f := got["HEAD has no body."]; !strings.Contains(f, "goes on behind its end") || strings.Contains(f, "the body:") {
		t.Error(f)
	}
}

func TestKeptValuesStandForThemselves(t *testing.T) {
	got := run(t, `## Section
# Kept.
GET /a
HTTP 200
ETag: "{tag=any}"
# The same.
GET /a
HTTP 200
ETag: "{tag}"
# Not the same.
GET /a
HTTP 200
Vary: {tag}
# Not kept.
GET /a
HTTP 200
Age: {age=number}
# Wanted.
GET /{age}
HTTP 200
`, "HTTP/1.1 200 OK\nETag: \".*\"\nVary: abc\nContent-Length: 0\n\n")
	if got["Kept."] != "" || got["The same."] != "" || !strings.Contains(got["Not the same."], `Vary: got "abc"`) ||
		!strings.Contains(got["Wanted."], "{age} stands for nothing: the exchange that had to bring it has failed") {
		t.Error(got)
	}
}

// Requests go out byte for byte: net/http would clean the path, and add headers.
func TestRequestsGoOutAsWritten(t *testing.T) {
	var heads []string
	url := listen(t, func(head string) string {
		heads = append(heads, head)
		return "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
	})
	to, _ := target(t, url)
	paths := []string{"/videos/a/../b", "/a/./b", "/a%2fb%2F%5c%00%ff", "//a//b/", "/%2", "/a?b=%20&c#d", `/a\b`, "/ü|{}"}
	script := "## Section\n"
	for i, path := range paths {
		script += fmt.Sprintf("# %d.\nGET %s\nif-RANGE:  \"x\"\nhttp-x: a\nhttp-x: b\nHTTP 200\n", i, path)
	}
	runAt(t, to, script)
	for i, path := range paths {
		want := "GET " + path + " HTTP/1.1\r\nHost: " + strings.TrimPrefix(url, "http://") +
			"\r\nUser-Agent: weir-verify\r\nConnection: close\r\nif-RANGE: \"x\"\r\nhttp-x: a\r\nhttp-x: b\r\n\r\n"
		if heads[i] != want {
			t.Errorf("sent %q, want %q", heads[i], want)
		}
	}
}

// A failure shows what was sent, expected and got, and no token.
func TestFailureShowsAllButTokens(t *testing.T) {
	to, _ := target(t, listen(t, func(head string) string {
		path := strings.Fields(head)[1]
		return fmt.Sprintf("HTTP/1.1 404 Not Found\r\nX-Path: %s\r\nContent-Length: %d\r\n\r\n%s", path, len(path), path)
	}))
	got := runAt(t, to, "TOKEN good signed {\"sub\":\"a\"}\n## Section\n# It is there.\nGET /{good}\nRange: bytes=0-\nHTTP 200\nX-Path: none\n| x\n")["It is there."]
	const want = `test.http:4: It is there.
  sent      GET /{good}
            Range: bytes=0-
  expected  HTTP 200
            X-Path: none
            | x
  got       HTTP 404
            Content-Length: 111
            X-Path: /{good}
            | "/{good}"
  wrong     the status: got "404", expected 200
  wrong     X-Path: got "/{good}", expected none
  wrong     the body: got "/{good}", expected x
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

const withObjects = `OBJECT videos/{video}/a b.html
Content-Type: text/html
| one
|
OBJECT empty/{video}
## Section
# It.
GET /a
HTTP 200
`

// The objects are there while the script runs, and never afterwards.
func TestObjectsAreThereAndGo(t *testing.T) {
	var to verify.Target
	var b *bucket
	var seen []string
	to, b = target(t, listen(t, func(string) string {
		for key, object := range b.objects {
			folder, id, _ := strings.Cut(key, "/verify-")
			seen = append(seen, folder+id[26:]+"="+object)
		}
		return "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
	}))
	runAt(t, to, withObjects)
	slices.Sort(seen)
	if want := []string{"empty=|", "videos/a b.html=text/html|one\n"}; !slices.Equal(seen, want) {
		t.Errorf("seen %q, want %q", seen, want)
	}
	if len(b.objects) > 0 {
		t.Errorf("left: %q", slices.Collect(maps.Keys(b.objects)))
	}
}

func TestWhatKeepsItFromRunningIsAnError(t *testing.T) {
	script, err := verify.Parse("test.http", withObjects)
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	answer := func(string) string { return "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" }
	for name, c := range map[string]struct {
		arrange func(*verify.Target, *bucket)
		want    string
	}{
		"the bucket takes nothing":  {func(_ *verify.Target, b *bucket) { b.put = broken }, "broken"},
		"objects cannot be removed": {func(_ *verify.Target, b *bucket) { b.del = broken }, "broken"},
		"nobody listens":            {func(to *verify.Target, _ *bucket) { to.URL = "http://127.0.0.1:1" }, "reach the Worker: dial tcp 127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			to, b := target(t, listen(t, answer))
			c.arrange(&to, b)
			err := verify.Run(t.Context(), to, script, func(verify.Result) {})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
			if len(b.objects) > 0 {
				t.Errorf("left: %q", slices.Collect(maps.Keys(b.objects)))
			}
		})
	}
}

// A line that cannot be meant is named, with what is wrong with it.
func TestParseNamesTheLine(t *testing.T) {
	for _, c := range []struct{ name, script, want string }{
		{"nothing", "", "test.http:1: there is no exchange"},
		{"prose", "## A\nhello there", `test.http:2: "hello there" is no line of a script`},
		{"a path without its slash", "## A\n# It.\nGET a\nHTTP 200", `test.http:3: "GET a" is no line of a script`},
		{"no heading", "# It.\nGET /a\nHTTP 200", "test.http:2: a heading (## text) must come before the first request"},
		{"no sentence", "## A\nGET /a\nHTTP 200", "test.http:2: the request needs a sentence right above it"},
		{"a sentence too far above", "## A\n# It.\n\nGET /a\nHTTP 200", "test.http:4: the request needs a sentence right above it"},
		{"a sentence twice", "## A\n# It.\nGET /a\nHTTP 200\n# It.\nGET /b\nHTTP 200", "test.http:6: line 3 of this section has the same sentence"},
		{"no answer", "## A\n# It.\nGET /a\n# It too.\nGET /b\nHTTP 200", "test.http:5: the request on line 3 has no answer"},
		{"no answer at the end", "## A\n# It.\nGET /a", "the request on line 3 has no answer"},
		{"no request", "## A\nHTTP 200", "test.http:2: there is no request for this answer"},
		{"no status", "## A\n# It.\nGET /a\nHTTP", "test.http:4: write HTTP and a status"},
		{"a header of nothing", "## A\nETag: x", "test.http:2: this header belongs to nothing"},
		{"a header without a value", "## A\n# It.\nGET /a\nHTTP 200\nVary:", `test.http:5: "Vary:" is no line of a script`},
		{"a header twice", "## A\n# It.\nGET /a\nHTTP 200\nVary: A\nvary: B", "test.http:6: vary is there twice"},
		{"a body of nothing", "| a", "test.http:1: this body belongs to nothing"},
		{"a word that stands for nothing", "## A\n# It.\nGET /{goood}\nHTTP 200", "test.http:3: {goood} stands for nothing"},
		{"a value that is kept later", "## A\n# It.\nGET /\nETag: {tag}\nHTTP 200\nETag: {tag=any}", "test.http:4: {tag} stands for nothing"},
		{"a value of another kind", "## A\n# It.\nGET /\nHTTP 200\nETag: {tag=text}", "test.http:5: {tag=text}: a value to keep is any, number or date"},
		{"a value with a name that is taken", "## A\n# It.\nGET /\nHTTP 200\nETag: {video=any}", "test.http:5: {video} stands for something already"},
		{"any in a request", "## A\n# It.\nGET /{any}\nHTTP 200", "test.http:3: {any} belongs into what must come back"},
		{"any in an object", "OBJECT {video}\n| {any}\n", "test.http:2: {any}: objects and claims may have {video} and {now}"},
		{"a kept value in an object", "## A\n# It.\nGET /\nHTTP 200\nETag: {tag=any}\nOBJECT {video}{tag}", "test.http:6: {tag}: objects and claims may have"},
		{"a word in claims", `TOKEN a signed {"sub":"{name}"}`, "test.http:1: {name}: objects and claims may have {video} and {now}"},
		{"absent beside something", "## A\n# It.\nGET /\nHTTP 200\nETag: x{absent}", "test.http:5: {absent} and {or} are words of their own"},
		{"or without spaces", "## A\n# It.\nGET /\nHTTP 200{or}206", "test.http:4: {absent} and {or} are words of their own"},
		{"counting from a video", "## A\n# It.\nGET /{video+1}\nHTTP 200", "test.http:3: {video+1}: only {now} can be counted from"},
		{"somebody else's object", "OBJECT videos/a\n", "test.http:1: the key needs {video} in it"},
		{"an object without a key", "OBJECT", "test.http:1: write OBJECT and a key"},
		{"a rule without a status", "EVERY 404", "test.http:1: write EVERY HTTP and a status"},
		{"a token without claims", "TOKEN a signed", "test.http:1: write TOKEN, a name of small letters"},
		{"claims that are no JSON", `TOKEN a signed {"sub":}`, "test.http:1: token {a}: its claims are no JSON object"},
		{"a signer that there is not", `TOKEN a sealed {}`, `test.http:1: token {a}: there is no way "sealed" to sign`},
		{"a token twice", "TOKEN a signed {}\nTOKEN a signed {}", "test.http:2: {a} stands for something already"},
		{"a token that is called as a kind", "TOKEN any signed {}", "test.http:1: {any} stands for something already"},
		{"two problems", "OBJECT\nEVERY", "test.http:2: write EVERY"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := verify.Parse("test.http", c.script); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

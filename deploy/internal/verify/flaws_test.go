package verify_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"weir/deploy/internal/verify"
)

// flaw is what stands between the script and the real Worker and makes a wrong one of it: it changes what is sent, or what
// comes back.
type flaw struct {
	name     string
	request  func(head string) string
	response func(head, answer string) string
	fails    string // the sentence of an exchange that fails with it
}

// Every single flaw of a Worker is noticed, and none where there is none.
func TestFlawsAreNoticed(t *testing.T) {
	script, err := verify.Edge()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []flaw{
		{name: "none"},
		{"a part begins a byte too early", edit(`Range: bytes=2-4`, `Range: bytes=1-4`), nil, "A part is 206, with all the headers of the whole."},
		{"the last bytes are the first", edit(`Range: bytes=-3\r`, "Range: bytes=0-2\r"), nil, "The last bytes."},
		{"of several ranges, the first is sent", edit(`Range: bytes=0-1,3-4`, `Range: bytes=0-1`), nil,
			"Several ranges are answered with the whole, as the RFC allows."},
		{"416 does not tell the size", nil, answers("HTTP/1.1 416", `Content-Range: [^\r]*\r\n`, ""), "A part that is not there is 416, with the size."},
		{"206 has no ETag", nil, answers("HTTP/1.1 206", `ETag: [^\r]*\r\n`, ""), "A part is 206, with all the headers of the whole."},
		{"304 has no Cache-Control", nil, answers("HTTP/1.1 304", `Cache-Control: [^\r]*\r\n`, ""), "If-None-Match after If-Match."},
		{"validators are weak", nil, answers("", `ETag: "`, `ETag: W/"`), "A media segment never changes: caches keep it for ever."},
		{"dates change from answer to answer", nil, answers("HTTP/1.1 206", `Last-Modified: [^\r]*`, "Last-Modified: Sat, 01 Jan 2000 00:00:00 GMT"),
			"A part is 206, with all the headers of the whole."},
		{"If-Range is not read", edit(`If-Range: [^\r]*\r\n`, ""), nil, "Another: all of it."},
		{"If-None-Match is compared strongly", edit(`If-None-Match: W/[^\r]*\r\n`, ""), nil, "The comparison is weak."},
		{"of a list, the first tag is compared", edit(`(If-None-Match: "x"),[^\r]*`, "$1"), nil, "It may be one of a list."},
		{"If-Modified-Since counts beside If-None-Match", edit(`If-None-Match: "x"\r\n(If-Modified-Since)`, "$1"), nil,
			"If-None-Match, not If-Modified-Since: another, though not modified."},
		{"If-Match comes after ranges", nil, func(head, answer string) string {
			return edit(`HTTP/1.1 412`, `HTTP/1.1 416`)(answer)
		}, "If-Match before a part that is not there."},
		{"an escaped slash is a slash", edit(`%2[fF]`, "/"), nil, "An escaped slash is no slash."},
		{"escapes are decoded twice", edit(`%25`, "%"), nil, "A double escape names what it says."},
		{"slashes are merged", edit(`/videos//`, "/videos/"), nil, "A segment that is empty."},
		{"a NUL ends the name", edit(`%00`, ""), nil, "A NUL."},
		{"a bearer's answer may be shared", nil, answers("", `private,`, "public,"), "As a bearer, which keeps shared caches out."},
		{"what an answer depends on is not told", nil, answers("", `Vary: Cookie\r\n`, ""), "In a cookie, which keeps shared caches out."},
		{"errors may be kept", nil, answers("", `no-store`, "public, max-age=60"), "What is not there is not found."},
		{"errors are not for pages", nil, answers("HTTP/1.1 401", `Access-Control-Allow-Origin: \*\r\n`, ""), "An expired token."},
		{"401 does not name the problem", nil, answers("HTTP/1.1 401", `, error="invalid_token"`, ""), "An expired token."},
		{"403 is 401", nil, answers("", `^HTTP/1.1 403`, "HTTP/1.1 401"), "Another video."},
		{"a preflight needs a token", edit(`^OPTIONS`, "GET"), nil, "A preflight carries no token, and is answered before one is asked for."},
		{"405 does not say what is allowed", nil, answers("HTTP/1.1 405", `Allow: [^\r]*\r\n`, ""), "Neither is PUT."},
		{"HEAD has a body", edit(`^HEAD`, "GET"), nil, "HEAD says what GET does (RFC 9110 section 9.3.2)."},
		{"the length is not told", nil, answers("HTTP/1.1 200", `Content-Length: [^\r]*\r\n`, ""), "So does JSON."},
		{"the length is one too many", nil, answers("", `Content-Length: 10\r`, "Content-Length: 11\r"), "A media segment never changes: caches keep it for ever."},
		{"the length is one too few", nil, answers("", `Content-Length: 10\r`, "Content-Length: 9\r"), "A media segment never changes: caches keep it for ever."},
		{"the stored type is sent", nil, answers("", `Content-Type: video/mp4`, "Content-Type: text/html"), "So does an init segment."},
		{"playlists do not hand the token on", nil, answers("HTTP/1.1 200", `\?token=[^"\n]*`, ""),
			"Every URI in it gets the token, and no shared cache the playlist; its validator is weak, for the bucket has other bytes."},
		{"nobody answers", nil, func(string, string) string { return "" }, "The root."},
	} {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			target := load(t, environment())
			target.URL = f.serve(t)
			ctx, noticed := context.WithCancel(t.Context())
			failures := map[string]string{}
			err := verify.Run(ctx, target, script, func(r verify.Result) {
				if r.Failure != "" {
					failures[r.Name] = r.Failure
				}
				if failures[f.fails] != "" { // the rest can be spared
					noticed()
				}
			})
			if err != nil && ctx.Err() == nil {
				t.Fatal(err)
			}
			if f.fails == "" && len(failures) > 0 || f.fails != "" && failures[f.fails] == "" {
				t.Errorf("%d failures, none is %q: %v", len(failures), f.fails, failures)
			}
			noticed()
		})
	}
}

// edit replaces what matches in a text.
func edit(pattern, by string) func(string) string {
	re := regexp.MustCompile(pattern)
	return func(text string) string { return re.ReplaceAllString(text, by) }
}

// answers edits the answers that begin in this way.
func answers(begin, pattern, by string) func(string, string) string {
	change := edit(pattern, by)
	return func(_, answer string) string {
		if !strings.HasPrefix(answer, begin) {
			return answer
		}
		return change(answer)
	}
}

// serve listens, passes each request on to the Worker, and its answer back, and gives its URL.
func (f flaw) serve(t *testing.T) string {
	return listen(t, func(head string) string {
		if f.request != nil {
			head = f.request(head)
		}
		worker, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", strings.TrimPrefix(cloud.URL, "http://"))
		if err != nil {
			t.Error(err)
			return ""
		}
		defer func() { _ = worker.Close() }()
		if _, err := io.WriteString(worker, head); err != nil {
			t.Error(err)
		}
		answer, err := io.ReadAll(worker)
		if err != nil {
			t.Error(err)
		}
		if f.response != nil {
			return f.response(head, string(answer))
		}
		return string(answer)
	})
}

// listen answers each request, which it gives as it came, and closes the connection.
func listen(t *testing.T, answer func(head string) string) (url string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			in, head := bufio.NewReader(conn), ""
			for !strings.HasSuffix(head, "\r\n\r\n") {
				line, err := in.ReadString('\n')
				if head += line; err != nil {
					break
				}
			}
			if _, length, ok := strings.Cut(head, "Content-Length: "); ok { // the body goes along
				length, _, _ = strings.Cut(length, "\r\n")
				size, _ := strconv.Atoi(length)
				body := make([]byte, size)
				_, _ = io.ReadFull(in, body)
				head += string(body)
			}
			_, _ = io.WriteString(conn, answer(head))
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-ended
	})
	return "http://" + l.Addr().String()
}

package main_test

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/golang-jwt/jwt/v5"

	"weir/deploy/local"
)

// cloud is the Worker as it is released, in the real workerd, with the real local R2 behind it.
var cloud *local.Cloud

func TestMain(m *testing.M) {
	code, err := testMain(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "edge-auth:", err)
		code = 1
	}
	os.Exit(code)
}

func testMain(m *testing.M) (code int, err error) {
	if _, err := os.Stat("edge.wasm"); err != nil {
		return 1, fmt.Errorf("edge-auth/edge.wasm is missing: run `go tool task wasm` (%w)", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if cloud, err = local.Start(ctx, local.Options{Log: os.Stderr}); err != nil {
		return 1, err
	}
	defer func() {
		if stopErr := cloud.Stop(); err == nil {
			err = stopErr
		}
	}()
	if err := fill(ctx); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

const (
	segment = "0123456789"
	etag    = `"781e5e245d69b566979b86e28d23f2c7"` // of the segment: its MD5
	media   = "#EXTM3U\n#EXT-X-MAP:URI=\"init_a.mp4\"\n#EXTINF:6,\nsegment_1_a.m4s\n"
)

// objects is what the tests find in the bucket. The types that are stored are wrong on purpose.
var objects = []struct{ key, body, cacheControl string }{
	{"videos/abc/hls/720p/init_a.mp4", "init", ""},
	{"videos/abc/hls/720p/segment_1_a.m4s", segment, "no-cache"},
	{"videos/abc/hls/720p/playlist.m3u8", media, "public, max-age=1"},
	{"videos/abc/hls/master.m3u8", "#EXTM3U\n720p/playlist.m3u8\n", "public, max-age=60"},
	{"videos/abc/dash/manifest.mpd", "<MPD/>", ""},
	{"videos/abc/manifest.json", "{}", ""},
	{"videos/abc/poster.jpg", "jpeg", ""},
	{"videos/abc/subtitles/en/empty.vtt", "", ""},
	{"videos/abc/notes in ü.html", "<script>", ""},
	{"videos/abcd/manifest.json", "{}", ""},
	{"jobs/abc.json", "{}", ""},
	{"uploads/abc.mp4", "upload", ""},
}

func fill(ctx context.Context) error {
	client := cloud.S3()
	for _, o := range objects {
		in := &s3.PutObjectInput{Bucket: &cloud.Bucket, Key: &o.key, Body: strings.NewReader(o.body),
			ContentType: aws.String("text/html")}
		if o.cacheControl != "" {
			in.CacheControl = &o.cacheControl
		}
		if _, err := client.PutObject(ctx, in); err != nil {
			return fmt.Errorf("put %q: %w", o.key, err)
		}
	}
	return nil
}

// mint signs a token as the transcoder does.
func mint(t *testing.T, claims jwt.MapClaims) string {
	t.Helper()
	var jwk struct{ Kid, K string }
	if err := json.Unmarshal([]byte(cloud.TokenKey), &jwk); err != nil {
		t.Fatal(err)
	}
	secret, err := base64.RawURLEncoding.DecodeString(jwk.K)
	if err != nil {
		t.Fatal(err)
	}
	return sign(t, jwk.Kid, secret, claims)
}

func sign(t *testing.T, kid string, secret []byte, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, claims)
	token.Header["kid"] = kid
	compact, err := token.SignedString(secret)
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

// tokens are the words that paths and headers may hold in braces.
func tokens(t *testing.T) *strings.Replacer {
	soon, past := time.Now().Add(time.Hour).Unix(), time.Now().Add(-time.Minute).Unix()
	good := mint(t, jwt.MapClaims{"sub": "videos/abc", "exp": soon})
	return strings.NewReplacer(
		"{good}", good,
		"{expired}", mint(t, jwt.MapClaims{"sub": "videos/abc", "exp": past}),
		"{early}", mint(t, jwt.MapClaims{"sub": "videos/abc", "exp": soon, "nbf": soon - 60}),
		"{other}", mint(t, jwt.MapClaims{"sub": "videos/other", "exp": soon}),
		"{part}", mint(t, jwt.MapClaims{"sub": "videos/ab", "exp": soon}),
		"{hls}", mint(t, jwt.MapClaims{"sub": "videos/abc/hls", "exp": soon}),
		"{private}", mint(t, jwt.MapClaims{"sub": "jobs", "exp": soon}),
		"{stranger}", sign(t, "stranger", make([]byte, 32), jwt.MapClaims{"sub": "videos/abc", "exp": soon}),
		"{forged}", good[:len(good)-8]+"AAAAAAAA",
	)
}

// send makes a request with the path as it is, dots and escapes included.
func send(t *testing.T, method, path string, header map[string]string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, cloud.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.URL = &url.URL{Scheme: "http", Host: strings.TrimPrefix(cloud.URL, "http://"), Opaque: path}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := (&http.Transport{DisableCompression: true, DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: read the body: %v", method, path, err)
	}
	return resp, string(body)
}

// sendWith sends a request after the words in its path and headers were replaced. The method is GET unless it is named.
func sendWith(t *testing.T, word *strings.Replacer, method, path string, header headers) (*http.Response, string) {
	t.Helper()
	sent := headers{}
	for name, value := range header {
		sent[name] = word.Replace(value)
	}
	return send(t, cmp.Or(method, "GET"), word.Replace(path), sent)
}

type headers = map[string]string

const (
	immutable = "public, max-age=31536000, immutable"
	video     = "/t/{good}/videos/abc"
	seg       = video + "/hls/720p/segment_1_a.m4s"
)

func TestObjectsAreServed(t *testing.T) {
	word := tokens(t)
	bearer := headers{"Authorization": "Bearer {good}"}
	for _, c := range []struct {
		name   string
		method string
		path   string
		send   headers
		status int
		body   string
		want   headers // "" is for a header that must not be there
	}{
		{name: "a segment, for ever", path: seg, status: 200, body: segment, want: headers{
			"Content-Type": "video/iso.segment", "Cache-Control": immutable, "Content-Length": "10",
			"ETag": etag, "Accept-Ranges": "bytes", "X-Content-Type-Options": "nosniff", "Vary": "", "Content-Range": ""}},
		{name: "an init segment, for ever", path: video + "/hls/720p/init_a.mp4", status: 200, body: "init",
			want: headers{"Content-Type": "video/mp4", "Cache-Control": immutable}},
		{name: "a playlist, for a minute", path: video + "/hls/master.m3u8", status: 200, body: "#EXTM3U\n720p/playlist.m3u8\n",
			want: headers{"Content-Type": "application/vnd.apple.mpegurl", "Cache-Control": "public, max-age=60"}},
		{name: "a growing playlist, as short as it was written", path: video + "/hls/720p/playlist.m3u8", status: 200, body: media,
			want: headers{"Cache-Control": "public, max-age=1"}},
		{name: "an MPD", path: video + "/dash/manifest.mpd", status: 200, body: "<MPD/>",
			want: headers{"Content-Type": "application/dash+xml", "Cache-Control": "public, max-age=60"}},
		{name: "JSON", path: video + "/manifest.json", status: 200, body: "{}",
			want: headers{"Content-Type": "application/json", "Cache-Control": "public, max-age=60"}},
		{name: "a picture", path: video + "/poster.jpg", status: 200, body: "jpeg",
			want: headers{"Content-Type": "image/jpeg"}},
		{name: "an unknown type is bytes", path: video + "/notes%20in%20%C3%BC.html", status: 200, body: "<script>",
			want: headers{"Content-Type": "application/octet-stream"}},
		{name: "an empty object", path: video + "/subtitles/en/empty.vtt", status: 200,
			want: headers{"Content-Type": "text/vtt", "Content-Length": "0"}},
		{name: "an empty object ignores Range", path: video + "/subtitles/en/empty.vtt", send: headers{"Range": "bytes=0-"},
			status: 200, want: headers{"Content-Length": "0"}},

		{name: "a bearer token keeps shared caches out", path: "/videos/abc/hls/720p/segment_1_a.m4s", send: bearer,
			status: 200, body: segment,
			want: headers{"Cache-Control": "private, max-age=31536000, immutable", "Vary": "Authorization"}},
		{name: "a bearer's playlist is not rewritten", path: "/videos/abc/hls/720p/playlist.m3u8", send: bearer,
			status: 200, body: media, want: headers{"Cache-Control": "private, max-age=1"}},
		{name: "a token in the query", path: "/videos/abc/hls/720p/segment_1_a.m4s?token={good}", status: 200, body: segment,
			want: headers{"Cache-Control": immutable}},
		{name: "a token in the query is inherited by a playlist", path: "/videos/abc/hls/720p/playlist.m3u8?token={good}",
			status: 200,
			body:   "#EXTM3U\n#EXT-X-MAP:URI=\"init_a.mp4?token={good}\"\n#EXTINF:6,\nsegment_1_a.m4s?token={good}\n",
			want:   headers{"Cache-Control": "private, max-age=1", "Accept-Ranges": "none"}},
		{name: "a rewritten playlist ignores Range", path: "/videos/abc/hls/master.m3u8?token={good}",
			send: headers{"Range": "bytes=0-1"}, status: 200, body: "#EXTM3U\n720p/playlist.m3u8?token={good}\n"},
		{name: "the token in the path wins", path: seg + "?token={expired}", send: headers{"Authorization": "Bearer {forged}"},
			status: 200, body: segment, want: headers{"Cache-Control": immutable}},
		{name: "a token may open less than a video", path: "/t/{hls}/videos/abc/hls/720p/segment_1_a.m4s", status: 200, body: segment},

		{name: "HEAD says what GET does", method: "HEAD", path: seg, status: 200, want: headers{
			"Content-Type": "video/iso.segment", "Content-Length": "10", "ETag": etag, "Accept-Ranges": "bytes"}},
		{name: "HEAD has no range", method: "HEAD", path: seg, send: headers{"Range": "bytes=0-1"}, status: 200,
			want: headers{"Content-Length": "10", "Content-Range": ""}},

		{name: "a range", path: seg, send: headers{"Range": "bytes=2-4"}, status: 206, body: "234",
			want: headers{"Content-Range": "bytes 2-4/10", "Content-Length": "3", "ETag": etag, "Cache-Control": immutable}},
		{name: "a range of one byte, as Safari probes", path: seg, send: headers{"Range": "bytes=0-1"}, status: 206, body: "01",
			want: headers{"Content-Range": "bytes 0-1/10", "Content-Length": "2"}},
		{name: "a range to the end", path: seg, send: headers{"Range": "bytes=7-"}, status: 206, body: "789",
			want: headers{"Content-Range": "bytes 7-9/10"}},
		{name: "a range of everything", path: seg, send: headers{"Range": "bytes=0-"}, status: 206, body: segment,
			want: headers{"Content-Range": "bytes 0-9/10"}},
		{name: "the last bytes", path: seg, send: headers{"Range": "bytes=-3"}, status: 206, body: "789",
			want: headers{"Content-Range": "bytes 7-9/10"}},
		{name: "more last bytes than there are", path: seg, send: headers{"Range": "bytes=-30"}, status: 206, body: segment,
			want: headers{"Content-Range": "bytes 0-9/10"}},
		{name: "a range beyond the end is cut", path: seg, send: headers{"Range": "bytes=8-99"}, status: 206, body: "89",
			want: headers{"Content-Range": "bytes 8-9/10", "Content-Length": "2"}},
		{name: "several ranges are ignored", path: seg, send: headers{"Range": "bytes=0-1,3-4"}, status: 200, body: segment},
		{name: "a malformed range is ignored", path: seg, send: headers{"Range": "bytes=4-2"}, status: 200, body: segment},

		{name: "If-None-Match: the client has it", path: seg, send: headers{"If-None-Match": `"x", W/` + etag}, status: 304,
			want: headers{"ETag": etag, "Cache-Control": immutable, "Access-Control-Allow-Origin": "*"}},
		{name: "If-None-Match wins over an unsatisfiable range", path: seg,
			send: headers{"If-None-Match": etag, "Range": "bytes=10-"}, status: 304},
		{name: "If-None-Match: the client has another", path: seg, send: headers{"If-None-Match": `"x"`}, status: 200, body: segment},
		{name: "If-None-Match of a rewritten playlist", path: "/videos/abc/hls/master.m3u8?token={good}",
			send: headers{"If-None-Match": "*"}, status: 304, want: headers{"Cache-Control": "private, max-age=60"}},
		{name: "If-Range: the rest of the same", path: seg, send: headers{"Range": "bytes=5-", "If-Range": etag},
			status: 206, body: "56789"},
		{name: "If-Range: all of another", path: seg, send: headers{"Range": "bytes=5-", "If-Range": `"x"`},
			status: 200, body: segment, want: headers{"Content-Length": "10", "Content-Range": ""}},
		{name: "If-Range: all of another, which is shorter than the range", path: seg,
			send: headers{"Range": "bytes=50-", "If-Range": `"x"`}, status: 200, body: segment},
		{name: "If-Modified-Since: not since then", path: seg,
			send: headers{"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}, status: 304},
		{name: "If-Modified-Since: since then", path: seg,
			send: headers{"If-Modified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"}, status: 200, body: segment},
		{name: "If-Match: the same", path: seg, send: headers{"If-Match": etag}, status: 200, body: segment},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp, body := sendWith(t, word, c.method, c.path, c.send)
			if resp.StatusCode != c.status || body != word.Replace(c.body) {
				t.Fatalf("got %d %q\nwant %d %q", resp.StatusCode, body, c.status, word.Replace(c.body))
			}
			checkHeaders(t, resp, c.want)
			checkCORS(t, resp)
			if modified := resp.Header.Get("Last-Modified"); modified == "" {
				t.Error("there is no Last-Modified")
			} else if _, err := http.ParseTime(modified); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	word := tokens(t)
	const path = "/videos/abc/manifest.json"
	for _, c := range []struct {
		name   string
		method string
		path   string
		send   headers
		status int
		code   string
		want   headers
	}{
		{name: "no token", path: path, status: 401, code: "token_missing",
			want: headers{"WWW-Authenticate": `Bearer realm="weir"`}},
		{name: "an empty token", path: path + "?token=", status: 401, code: "token_missing"},
		{name: "another scheme", path: path, send: headers{"Authorization": "Basic e30="}, status: 401, code: "token_missing"},
		{name: "no JWT", path: "/t/abc" + path, status: 401, code: "token_malformed"},
		{name: "an expired token", path: "/t/{expired}" + path, status: 401, code: "token_expired",
			want: headers{"WWW-Authenticate": `Bearer realm="weir", error="invalid_token", ` +
				`error_description="The token is refused: it has expired."`}},
		{name: "an expired token in the query", path: path + "?token={expired}", status: 401, code: "token_expired"},
		{name: "an expired bearer", path: path, send: headers{"Authorization": "Bearer {expired}"}, status: 401, code: "token_expired"},
		{name: "a token of the future", path: "/t/{early}" + path, status: 401, code: "token_not_yet_valid"},
		{name: "a token of an unknown key", path: "/t/{stranger}" + path, status: 401, code: "token_unknown_key"},
		{name: "a forged token", path: "/t/{forged}" + path, status: 401, code: "token_bad_signature"},
		{name: "a token for another video", path: "/t/{other}" + path, status: 403, code: "forbidden"},
		{name: "a token for a video whose ID is the beginning of this one", path: "/t/{part}" + path, status: 403, code: "forbidden"},
		{name: "a video whose ID begins with the token's", path: "/t/{good}/videos/abcd/manifest.json", status: 403, code: "forbidden"},
		{name: "no such object", path: "/t/{good}/videos/abc/nothing.json", status: 404, code: "not_found"},
		{name: "a part of no such object", path: "/t/{good}/videos/abc/nothing.m4s", send: headers{"Range": "bytes=0-1"},
			status: 404, code: "not_found"},
		{name: "a part that is not there", path: "/t/{good}" + path, send: headers{"Range": "bytes=2-"}, status: 416,
			code: "range_not_satisfiable", want: headers{"Content-Range": "bytes */2"}},
		{name: "a part far behind the end", path: "/t/{good}" + path, send: headers{"Range": "bytes=99999999999999999999-"},
			status: 416, code: "range_not_satisfiable", want: headers{"Content-Range": "bytes */2"}},
		{name: "no last bytes", path: "/t/{good}" + path, send: headers{"Range": "bytes=-0"}, status: 416,
			code: "range_not_satisfiable", want: headers{"Content-Range": "bytes */2"}},
		{name: "If-Match: another", path: "/t/{good}" + path, send: headers{"If-Match": `"x"`}, status: 412, code: "precondition_failed"},
		{name: "POST", method: "POST", path: "/t/{good}" + path, status: 405, code: "method_not_allowed",
			want: headers{"Allow": "GET, HEAD, OPTIONS"}},
		{name: "DELETE", method: "DELETE", path: "/t/{good}" + path, status: 405, code: "method_not_allowed"},
		{name: "the root", path: "/", status: 404, code: "not_found"},
		{name: "what is not a video, with a token for it", path: "/t/{private}/jobs/abc.json", status: 404, code: "not_found"},
		{name: "an upload", path: "/uploads/abc.mp4?token={good}", status: 404, code: "not_found"},
		{name: "out of the video and back: what it names is another's", path: "/t/{good}/videos/abc/../abcd/manifest.json",
			status: 403, code: "forbidden"},
		{name: "an escaped slash", path: "/t/{good}/videos/abc%2fmanifest.json", status: 404, code: "not_found"},
		{name: "an escaped backslash", path: "/t/{good}/videos/abc/%5c..%5cmanifest.json", status: 404, code: "not_found"},
		{name: "an empty segment", path: "/t/{good}/videos//abc/manifest.json", status: 404, code: "not_found"},
		{name: "a NUL", path: "/t/{good}/videos/abc/%00.json", status: 404, code: "not_found"},
		{name: "no UTF-8", path: "/t/{good}/videos/abc/%ff.json", status: 404, code: "not_found"},
		{name: "a double escape names what it says", path: "/t/{good}/videos/abc/%252e%252e/abcd/manifest.json", status: 404, code: "not_found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp, body := sendWith(t, word, c.method, c.path, c.send)
			var problem struct {
				Error struct{ Code, Message string }
			}
			if err := json.Unmarshal([]byte(body), &problem); err != nil {
				t.Fatalf("%d %q: %v", resp.StatusCode, body, err)
			}
			if resp.StatusCode != c.status || problem.Error.Code != c.code {
				t.Errorf("got %d %q, want %d %q", resp.StatusCode, problem.Error.Code, c.status, c.code)
			}
			if !strings.HasSuffix(problem.Error.Message, ".") {
				t.Errorf("the message is no sentence: %q", problem.Error.Message)
			}
			c.want = withDefaults(c.want, headers{"Content-Type": "application/json", "Cache-Control": "no-store",
				"X-Content-Type-Options": "nosniff", "Content-Length": fmt.Sprint(len(body))})
			checkHeaders(t, resp, c.want)
			checkCORS(t, resp)
		})
	}
}

func TestPreflightNeedsNoToken(t *testing.T) {
	resp, body := send(t, "OPTIONS", "/videos/abc/hls/master.m3u8", headers{"Origin": "https://example.com",
		"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "range"})
	if resp.StatusCode != 204 || body != "" {
		t.Errorf("got %d %q", resp.StatusCode, body)
	}
	checkHeaders(t, resp, headers{
		"Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
		"Access-Control-Allow-Headers": "Authorization, Range, If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since, If-Range",
		"Access-Control-Max-Age":       "86400",
		"Allow":                        "GET, HEAD, OPTIONS",
	})
	checkCORS(t, resp)
}

// Whatever GET says of an answer, HEAD says too, but for the range that only GET has.
func TestHeadMirrorsGet(t *testing.T) {
	word := tokens(t)
	for _, path := range []string{
		seg,
		video + "/hls/master.m3u8",
		video + "/subtitles/en/empty.vtt",
		"/videos/abc/hls/720p/playlist.m3u8?token={good}",
		video + "/nothing.json",
		"/videos/abc/manifest.json",
		"/t/{other}/videos/abc/manifest.json",
	} {
		t.Run(path, func(t *testing.T) {
			get, _ := send(t, "GET", word.Replace(path), nil)
			head, body := send(t, "HEAD", word.Replace(path), nil)
			if body != "" || head.StatusCode != get.StatusCode {
				t.Errorf("HEAD: %d %q, GET: %d", head.StatusCode, body, get.StatusCode)
			}
			for name := range get.Header {
				if name != "Date" && head.Header.Get(name) != get.Header.Get(name) {
					t.Errorf("%s: HEAD has %q, GET %q", name, head.Header.Get(name), get.Header.Get(name))
				}
			}
		})
	}
}

// The dates of conditional requests are those that the Worker sent itself.
func TestLastModifiedComesBack(t *testing.T) {
	path := tokens(t).Replace(seg)
	resp, _ := send(t, "GET", path, nil)
	modified := resp.Header.Get("Last-Modified")
	for _, c := range []struct {
		send   headers
		status int
	}{
		{headers{"If-Modified-Since": modified}, 304},
		{headers{"If-Unmodified-Since": modified}, 200},
		{headers{"If-Unmodified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"}, 412},
		{headers{"If-Range": modified, "Range": "bytes=1-"}, 206},
		{headers{"If-Range": "Fri, 01 Jan 2100 00:00:00 GMT", "Range": "bytes=1-"}, 200},
	} {
		if resp, _ := send(t, "GET", path, c.send); resp.StatusCode != c.status {
			t.Errorf("%v: got %d, want %d", c.send, resp.StatusCode, c.status)
		}
	}
}

// A large object goes through whole, and as the same bytes.
func TestLargeObject(t *testing.T) {
	key, want := "videos/abc/hls/1080p/segment_9_b.m4s", strings.Repeat("0123456789abcdef", 1<<18) // 4 MiB
	if _, err := cloud.S3().PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &cloud.Bucket, Key: &key, Body: strings.NewReader(want)}); err != nil {
		t.Fatal(err)
	}
	resp, got := send(t, "GET", tokens(t).Replace("/t/{good}/"+key), nil)
	if resp.ContentLength != int64(len(want)) || got != want {
		t.Errorf("got %d bytes with Content-Length %d, want %d", len(got), resp.ContentLength, len(want))
	}
}

func checkCORS(t *testing.T, resp *http.Response) {
	t.Helper()
	checkHeaders(t, resp, headers{
		"Access-Control-Allow-Origin":   "*",
		"Access-Control-Expose-Headers": "Content-Length, Content-Range, ETag, Accept-Ranges",
	})
}

func checkHeaders(t *testing.T, resp *http.Response, want headers) {
	t.Helper()
	for name, want := range want {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func withDefaults(own, defaults headers) headers {
	for name, value := range own {
		defaults[name] = value
	}
	return defaults
}

package main_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/golang-jwt/jwt/v5"

	"weir/deploy/local"
)

// cloud is the Worker as it is released, in the real workerd, with the real local R2 behind it. What it answers to which request
// is said, and tested, in deploy/internal/verify/edge.http; here is what cannot be said as one request and its answer.
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
	transcoder.Start()
	defer transcoder.Close()
	if cloud, err = local.Start(ctx, local.Options{Log: os.Stderr, Settings: map[string]string{"TRANSCODER_URL": transcoder.URL}}); err != nil {
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

// objects is what the tests find in the bucket.
var objects = []struct{ key, body string }{
	{"videos/abc/hls/720p/segment_1_a.m4s", "0123456789"},
	{"videos/abc/hls/720p/playlist.m3u8", "#EXTM3U\n#EXT-X-MAP:URI=\"init_a.mp4\"\n#EXTINF:6,\nsegment_1_a.m4s\n"},
	{"videos/abc/hls/master.m3u8", "#EXTM3U\n720p/playlist.m3u8\n"},
	{"videos/abc/manifest.json", "{}"},
	{"videos/abc/subtitles/en/empty.vtt", ""},
}

func fill(ctx context.Context) error {
	client := cloud.S3()
	for _, o := range objects {
		if _, err := client.PutObject(ctx, &s3.PutObjectInput{
			Bucket: &cloud.Bucket, Key: &o.key, Body: strings.NewReader(o.body)}); err != nil {
			return fmt.Errorf("put %q: %w", o.key, err)
		}
	}
	return nil
}

// mint signs a token as the transcoder does.
func mint(t *testing.T, claims jwt.MapClaims) string {
	t.Helper()
	return mintFor(t, cloud, claims)
}

func mintFor(t *testing.T, c *local.Cloud, claims jwt.MapClaims) string {
	t.Helper()
	var jwk struct{ Kid, K string }
	if err := json.Unmarshal([]byte(c.TokenKey), &jwk); err != nil {
		t.Fatal(err)
	}
	secret, err := base64.RawURLEncoding.DecodeString(jwk.K)
	if err != nil {
		t.Fatal(err)
	}
	return sign(t, jwt.SigningMethodHS256, jwk.Kid, secret, claims)
}

func sign(t *testing.T, method jwt.SigningMethod, kid string, key any, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	token.Header["kid"] = kid
	compact, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

// tokens are the words that paths may hold in braces.
func tokens(t *testing.T) *strings.Replacer {
	soon := time.Now().Add(time.Hour).Unix()
	return strings.NewReplacer(
		"{good}", mint(t, jwt.MapClaims{"sub": "videos/abc", "exp": soon}),
		"{other}", mint(t, jwt.MapClaims{"sub": "videos/other", "exp": soon}),
	)
}

type headers map[string]string

func send(t *testing.T, method, path string, more headers) (*http.Response, string) {
	t.Helper()
	return sendTo(t, cloud, method, path, more)
}

func sendTo(t *testing.T, to *local.Cloud, method, path string, more headers) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, to.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range more {
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

// Whatever GET says of an answer, HEAD says too, but for the range that only GET has.
func TestHeadMirrorsGet(t *testing.T) {
	word := tokens(t)
	for _, path := range []string{
		"/t/{good}/videos/abc/hls/720p/segment_1_a.m4s",
		"/t/{good}/videos/abc/hls/master.m3u8",
		"/t/{good}/videos/abc/subtitles/en/empty.vtt",
		"/videos/abc/hls/720p/playlist.m3u8?token={good}",
		"/t/{good}/videos/abc/nothing.json",
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
				if name != "Date" && name != "Server-Timing" && head.Header.Get(name) != get.Header.Get(name) {
					t.Errorf("%s: HEAD has %q, GET %q", name, head.Header.Get(name), get.Header.Get(name))
				}
			}
		})
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

func checkHeaders(t *testing.T, resp *http.Response, want headers) {
	t.Helper()
	for name, want := range want {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

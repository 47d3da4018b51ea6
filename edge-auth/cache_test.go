package main_test

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/golang-jwt/jwt/v5"

	"weir/deploy/local"
)

const master = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"

// withCache starts a Worker with a cache behind the check, and puts objects into its bucket.
func withCache(t *testing.T, cache string) *local.Cloud {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c, err := local.Start(ctx, local.Options{Log: os.Stderr, Settings: map[string]string{"CACHE": cache, "ENCRYPTION_KEY": master}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func put(t *testing.T, c *local.Cloud, key, body, cacheControl string) {
	t.Helper()
	if _, err := c.S3().PutObject(t.Context(), &s3.PutObjectInput{Bucket: &c.Bucket, Key: &key, Body: strings.NewReader(body), CacheControl: aws.String(cacheControl)}); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, c *local.Cloud, key string) {
	t.Helper()
	if _, err := c.S3().DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &c.Bucket, Key: &key}); err != nil {
		t.Fatal(err)
	}
}

// What the cache has is answered without the bucket, whole and in parts, and never without a check.
func TestNothingLeavesTheCacheWithoutACheck(t *testing.T) {
	c := withCache(t, "cache-api")
	const (
		segment  = "videos/abc/hls/720p/segment_1_a.m4s"
		playlist = "videos/abc/hls/720p/playlist.m3u8"
		growing  = "videos/abc/hls/480p/playlist.m3u8"
		lines    = "#EXTM3U\nsegment_1_a.m4s\n"
	)
	put(t, c, segment, "0123456789", "public, max-age=31536000, immutable")
	put(t, c, playlist, lines, "public, max-age=60")
	put(t, c, growing, lines, "public, max-age=1")
	soon := time.Now().Add(time.Hour).Unix()
	good := mintFor(t, c, jwt.MapClaims{"sub": "videos/abc", "exp": soon})
	again := mintFor(t, c, jwt.MapClaims{"sub": "videos/abc", "exp": soon + 1})
	timing := func(resp *http.Response) string { return resp.Header.Get("Server-Timing") }

	for _, key := range []string{segment, playlist, growing} {
		if resp, body := sendTo(t, c, "GET", "/t/"+good+"/"+key, nil); resp.StatusCode != 200 || !strings.Contains(timing(resp), "miss") {
			t.Fatalf("%s: %d %q %s", key, resp.StatusCode, body, timing(resp))
		}
	}
	kept := func(key string) bool {
		for range 50 { // the cache is filled behind the answer
			if resp, _ := sendTo(t, c, "GET", "/t/"+good+"/"+key, nil); strings.Contains(timing(resp), "hit") {
				return true
			}
			time.Sleep(20 * time.Millisecond)
		}
		return false
	}
	for _, key := range []string{segment, playlist} {
		if !kept(key) {
			t.Fatalf("%s is not kept", key)
		}
		remove(t, c, key)
	}
	put(t, c, growing, lines+"segment_2_a.m4s\n", "public, max-age=1")

	for _, r := range []struct {
		name, path   string
		send         headers
		status       int
		body         string
		contentRange string
	}{
		{"all of it", "/t/" + good + "/" + segment, nil, 200, "0123456789", ""},
		{"with another token", "/t/" + again + "/" + segment, nil, 200, "0123456789", ""},
		{"with the token elsewhere", "/" + segment + "?x=1&token=" + good, nil, 200, "0123456789", ""},
		{"what a player says is not in its name", "/" + segment + "?CMCD=br%3D1&token=" + good, nil, 200, "0123456789", ""},
		{"a part", "/t/" + good + "/" + segment, headers{"Range": "bytes=2-4"}, 206, "234", "bytes 2-4/10"},
		{"the end", "/t/" + good + "/" + segment, headers{"Range": "bytes=-3"}, 206, "789", "bytes 7-9/10"},
		{"a playlist", "/t/" + good + "/" + playlist, nil, 200, lines, ""},
		{"a playlist with the token in it", "/" + playlist + "?token=" + good, nil, 200, "#EXTM3U\nsegment_1_a.m4s?token=" + good + "\n", ""},
	} {
		resp, body := sendTo(t, c, "GET", r.path, r.send)
		if resp.StatusCode != r.status || body != r.body || resp.Header.Get("Content-Range") != r.contentRange || !strings.Contains(timing(resp), "hit") {
			t.Errorf("%s: %d %q %q %s", r.name, resp.StatusCode, body, resp.Header.Get("Content-Range"), timing(resp))
		}
	}
	etag := func() string {
		resp, _ := sendTo(t, c, "GET", "/t/"+good+"/"+segment, nil)
		return resp.Header.Get("ETag")
	}()
	if resp, _ := sendTo(t, c, "GET", "/t/"+good+"/"+segment, headers{"If-None-Match": etag}); resp.StatusCode != 304 || etag == "" {
		t.Errorf("If-None-Match: %d", resp.StatusCode)
	}

	// It has them, and says nothing of them to whoever may not know.
	strange := mintFor(t, c, jwt.MapClaims{"sub": "videos/other", "exp": soon})
	expired := mintFor(t, c, jwt.MapClaims{"sub": "videos/abc", "exp": soon - 7200})
	narrow := mintFor(t, c, jwt.MapClaims{"sub": "videos/abc", "exp": soon, "kind": "thumbnail"})
	ruled := mintFor(t, c, jwt.MapClaims{"sub": "videos/abc", "exp": soon, "accessRules": []any{map[string]any{"type": "any", "action": "block"}}})
	for path, want := range map[string]int{
		"/" + segment: 401, "/t/" + expired + "/" + segment: 401, "/" + segment + "?token=" + expired: 401,
		"/t/" + strange + "/" + segment: 403, "/t/" + narrow + "/" + segment: 403, "/t/" + ruled + "/" + segment: 403,
		"/t/" + strange + "/" + playlist: 403, "/" + playlist + "?token=" + strange: 403,
		"/.objects/" + segment: 404, "/" + strings.ReplaceAll(segment, "/", "%2F"): 404, "/t/" + good + "/" + strings.ReplaceAll(segment, "/", "%2F"): 404,
	} {
		for _, method := range []string{"GET", "HEAD"} {
			resp, body := sendTo(t, c, method, path, nil)
			if resp.StatusCode != want || strings.Contains(body, "0123456789") || resp.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s %s: %d %q", method, path, resp.StatusCode, body)
			}
		}
	}

	// A playlist that grows is no older than a second.
	deadline := time.Now().Add(5 * time.Second)
	for {
		if _, body := sendTo(t, c, "GET", "/t/"+good+"/"+growing, nil); strings.Contains(body, "segment_2") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a playlist that grows stays as it was")
		}
		time.Sleep(50 * time.Millisecond)
	}

	// What was missing, or refused, is not remembered.
	const late = "videos/abc/hls/720p/segment_2_b.m4s"
	if resp, _ := sendTo(t, c, "GET", "/t/"+good+"/"+late, nil); resp.StatusCode != 404 {
		t.Errorf("before it is there: %d", resp.StatusCode)
	}
	put(t, c, late, "late", "public, max-age=31536000, immutable")
	if resp, body := sendTo(t, c, "GET", "/t/"+good+"/"+late, nil); resp.StatusCode != 200 || body != "late" {
		t.Errorf("when it is there: %d %q", resp.StatusCode, body)
	}
	// A part alone is not kept: nobody takes it for the whole.
	const parts = "videos/abc/hls/720p/segment_3_c.m4s"
	put(t, c, parts, "0123456789", "public, max-age=31536000, immutable")
	for range 3 {
		if resp, body := sendTo(t, c, "GET", "/t/"+good+"/"+parts, headers{"Range": "bytes=0-1"}); resp.StatusCode != 206 || body != "01" || strings.Contains(timing(resp), "hit") {
			t.Errorf("a part: %d %q %s", resp.StatusCode, body, timing(resp))
		}
	}
	if resp, body := sendTo(t, c, "GET", "/t/"+good+"/"+parts, nil); resp.StatusCode != 200 || body != "0123456789" {
		t.Errorf("the whole after parts: %d %q", resp.StatusCode, body)
	}
	testKeys(t, c, good)
}

// The key of a video is what the README says, and of another video another.
func testKeys(t *testing.T, c *local.Cloud, good string) {
	t.Helper()
	put(t, c, "videos/abc/hls/master.m3u8", "#EXTM3U\n", "")
	secret, err := base64.RawURLEncoding.DecodeString(master)
	if err != nil {
		t.Fatal(err)
	}
	want, err := hkdf.Expand(sha256.New, secret, "weir aes-128 abc", 16)
	if err != nil {
		t.Fatal(err)
	}
	resp, got := sendTo(t, c, "GET", "/t/"+good+"/keys/abc", nil)
	if resp.StatusCode != 200 || got != string(want) || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("the key: %d %x, want %x", resp.StatusCode, got, want)
	}
	nobody := mintFor(t, c, jwt.MapClaims{"sub": "videos/nobody", "exp": time.Now().Add(time.Hour).Unix()})
	if resp, _ := sendTo(t, c, "GET", "/t/"+nobody+"/keys/nobody", nil); resp.StatusCode != 404 {
		t.Errorf("the key of a video that is not there: %d", resp.StatusCode)
	}
}

// Workers Cache runs nowhere but at Cloudflare. What can be tested here is that the Worker answers as it does without, through the
// entrypoint that the cache stands before.
func TestTheEntrypointBehindWorkersCache(t *testing.T) {
	c := withCache(t, "workers-cache")
	const segment = "videos/abc/hls/720p/segment_1_a.m4s"
	put(t, c, segment, "0123456789", "public, max-age=31536000, immutable")
	token := mintFor(t, c, jwt.MapClaims{"sub": "videos/abc", "exp": time.Now().Add(time.Hour).Unix()})
	for _, r := range []struct {
		path   string
		send   headers
		status int
		body   string
	}{
		{"/t/" + token + "/" + segment, nil, 200, "0123456789"},
		{"/t/" + token + "/" + segment, headers{"Range": "bytes=2-4"}, 206, "234"},
		{"/t/" + token + "/" + segment, headers{"Range": "bytes=10-"}, 416, ""},
		{"/" + segment, nil, 401, ""},
		{"/t/" + token + "/videos/abc/none.m4s", nil, 404, ""},
	} {
		resp, body := sendTo(t, c, "GET", r.path, r.send)
		if resp.StatusCode != r.status || r.body != "" && body != r.body {
			t.Errorf("%s %v: %d %q", r.path, r.send, resp.StatusCode, body)
		}
	}
	resp, body := sendTo(t, c, "GET", "/t/"+token+"/"+segment, nil)
	if !strings.Contains(resp.Header.Get("Server-Timing"), "cache;desc=hit") || body != "0123456789" {
		t.Errorf("it did not come through the entrypoint: %s", resp.Header.Get("Server-Timing"))
	}
}

// As long as the cache stood before the entrypoint that checks tokens, it would answer everybody.
func TestTheCacheIsNotBeforeTheCheck(t *testing.T) {
	text, err := os.ReadFile("../wrangler.toml")
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"[cache]", "[exports.default.cache]"} {
		if !strings.Contains(string(text), fmt.Sprintf("\n%s\nenabled = false\n", table)) {
			t.Errorf("wrangler.toml does not say that %s is not enabled", table)
		}
	}
	if strings.Count(string(text), "enabled = true") != 1 || !strings.Contains(string(text), "\n[exports.Objects.cache]\nenabled = true\n") {
		t.Error("wrangler.toml enables a cache that is not before Objects")
	}
}

package gate_test

import (
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"weir/edge-auth/internal/gate"
)

// browser is what browsers say that they take.
const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

func TestThePageIsForThoseWhoMayWatch(t *testing.T) {
	good := mint(t, "videos/abc")
	revoked := with(t, jwt.MapClaims{"iat": now - 10})
	for _, c := range []struct {
		name   string
		r      gate.Request
		epoch  gate.Epoch
		status int
		says   string // on the page
	}{
		{"token in the path", gate.Request{URL: "http://h/t/" + good + "/watch/abc"}, gate.Epoch{}, 200, "/player/watch.js"},
		{"token in the query", gate.Request{URL: "http://h/watch/abc?token=" + good}, gate.Epoch{}, 200, "/player/watch.js"},
		{"token in the cookie", gate.Request{URL: "http://h/watch/abc", Cookie: "weir_token=" + good}, gate.Epoch{}, 200, "/player/watch.js"},
		{"a bearer, which the player could not send on", gate.Request{URL: "http://h/watch/abc", Authorization: "Bearer " + good}, gate.Epoch{}, 401, "does not work"},
		{"no token", gate.Request{URL: "http://h/watch/abc"}, gate.Epoch{}, 401, "does not work"},
		{"a token that is none", gate.Request{URL: "http://h/t/x/watch/abc"}, gate.Epoch{}, 401, "does not work"},
		{"an expired token", gate.Request{URL: "http://h/t/" + with(t, jwt.MapClaims{"exp": now - 60}) + "/watch/abc"}, gate.Epoch{}, 401, "has expired. Ask"},
		{"a token that is not valid yet", gate.Request{URL: "http://h/t/" + with(t, jwt.MapClaims{"nbf": now + 50}) + "/watch/abc"}, gate.Epoch{}, 401, "does not work"},
		{"a revoked token", gate.Request{URL: "http://h/t/" + revoked + "/watch/abc"}, gate.Epoch{Outcome: gate.Found, Text: "1900000000"}, 401, "has expired. Ask"},
		{"a token for another video", gate.Request{URL: "http://h/t/" + good + "/watch/abcd"}, gate.Epoch{}, 403, "does not open this video"},
		{"a token for a part", gate.Request{URL: "http://h/t/" + mint(t, "videos/abc/hls") + "/watch/abc"}, gate.Epoch{}, 403, "does not open this video"},
		{"a token of a kind", gate.Request{URL: "http://h/t/" + with(t, jwt.MapClaims{"kind": "playlist"}) + "/watch/abc"}, gate.Epoch{}, 403, "does not open this video"},
		{"a token for another place", gate.Request{URL: "http://h/t/" + with(t, jwt.MapClaims{"accessRules": []any{map[string]any{"type": "any", "action": "block"}}}) + "/watch/abc"},
			gate.Epoch{}, 403, "from here"},
		{"a video that is not there", gate.Request{URL: "http://h/t/" + mint(t, "videos/gone") + "/watch/gone"}, gate.Epoch{}, 404, "no video here"},
		{"no video", gate.Request{URL: "http://h/t/" + good + "/watch/"}, gate.Epoch{}, 404, "no video here"},
		{"more than a video", gate.Request{URL: "http://h/t/" + good + "/watch/abc/hls"}, gate.Epoch{}, 404, "no video here"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, accept := range []string{browser, "*/*"} {
				c.r.Accept = accept
				b := &bucket{key: playlistKey, body: content, epoch: c.epoch}
				c.r.Method = "GET"
				got := exchange(t, open(t, gate.Config{}), b, c.r)
				if got.status != c.status || got.header["Cache-Control"] != "no-store" {
					t.Errorf("%s: %+v", accept, got)
				}
				if challenge := got.header["WWW-Authenticate"]; (challenge != "") != (got.status == 401) {
					t.Errorf("%s: %d with WWW-Authenticate: %q", accept, got.status, challenge)
				}
				if accept == browser || c.status == 200 {
					if got.header["Content-Type"] != "text/html; charset=utf-8" || got.header["X-Robots-Tag"] != "noindex" || got.header["Referrer-Policy"] != "same-origin" ||
						!strings.Contains(got.body, c.says) {
						t.Errorf("%s: %s %q", accept, got.header["Content-Type"], got.body)
					}
				} else if !strings.HasPrefix(got.body, `{"error":`) {
					t.Errorf("%s: %q", accept, got.body)
				}
				c.r.Method = "HEAD"
				if head := exchange(t, open(t, gate.Config{}), b, c.r); head.status != got.status || head.body != "" || head.header["Content-Length"] != got.header["Content-Length"] {
					t.Errorf("HEAD: %+v", head)
				}
			}
		})
	}
}

// An object may be called as the page is; and errors of objects are for programs, whatever these take.
func TestObjectsAreNoPages(t *testing.T) {
	const like = "videos/abc/watch"
	token := mint(t, "videos/abc")
	got := exchange(t, open(t, gate.Config{}), &bucket{key: like, body: content}, gate.Request{Method: "GET", URL: "http://h/t/" + token + "/" + like, Accept: browser})
	if got.status != 200 || got.body != content || got.header["Content-Security-Policy"] != "" {
		t.Errorf("got %+v", got)
	}
	got = exchange(t, open(t, gate.Config{}), &bucket{key: like, body: content}, gate.Request{Method: "GET", URL: "http://h/" + like, Accept: browser})
	if got.status != 401 || !strings.HasPrefix(got.body, `{"error":`) {
		t.Errorf("got %+v", got)
	}
}

func TestThePageSaysWhoMayEmbedIt(t *testing.T) {
	for setting, want := range map[string]string{
		"":  "frame-ancestors *",
		"*": "frame-ancestors *",
		"https://example.com\thttp://localhost:8080": "frame-ancestors 'self' https://example.com http://localhost:8080",
	} {
		for _, token := range []string{mint(t, "videos/abc"), "x"} {
			got := exchange(t, open(t, gate.Config{AllowedOrigins: setting}), &bucket{key: playlistKey, body: content},
				gate.Request{Method: "GET", URL: "http://h/t/" + token + "/watch/abc", Accept: browser})
			policy := got.header["Content-Security-Policy"]
			if !strings.HasPrefix(policy, "default-src 'none'; script-src 'self';") || !strings.HasSuffix(policy, "; "+want) {
				t.Errorf("ALLOWED_ORIGINS=%q: %s", setting, policy)
			}
		}
	}
}

// What is wrong with a setting is for programs; people are told to come back.
func TestThePageOfAGateThatIsNotSetUp(t *testing.T) {
	got := exchange(t, gate.New(gate.Config{}), &bucket{}, gate.Request{Method: "GET", URL: "http://h/watch/abc", Accept: browser})
	if got.status != 500 || !strings.Contains(got.body, "cannot be shown just now") {
		t.Errorf("got %+v", got)
	}
}

package gate_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"weir/edge-auth/internal/gate"
)

const (
	playlistKey = "videos/abc/hls/master.m3u8"
	manifestKey = "videos/abc/dash/manifest.mpd"
	posterKey   = "videos/abc/poster.jpg"
	storyKey    = "videos/abc/storyboard/storyboard.vtt"
	captionsKey = "videos/abc/captions/en.vtt"
)

// with signs a token for videos/abc with more claims.
func with(t testing.TB, claims jwt.MapClaims) string {
	t.Helper()
	all := jwt.MapClaims{"sub": "videos/abc", "exp": now + 60}
	for name, value := range claims {
		all[name] = value
	}
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, all)
	token.Header["kid"] = "k1"
	compact, err := token.SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func open(t testing.TB, c gate.Config) *gate.Gate {
	t.Helper()
	c.TokenKeys = tokenKeys
	return gate.New(c)
}

func TestAKindOpensNothingElse(t *testing.T) {
	opened := map[string][]string{
		"playlist": {playlistKey, manifestKey}, "thumbnail": {posterKey, storyKey}, "key": nil,
	}
	for kind, keys := range opened {
		token := with(t, jwt.MapClaims{"kind": kind})
		for _, k := range []string{key, playlistKey, manifestKey, posterKey, storyKey, captionsKey} {
			want := 403
			if strings.Contains(strings.Join(keys, " "), k) {
				want = 200
			}
			got := exchange(t, open(t, gate.Config{}), &bucket{key: k, body: content}, gate.Request{Method: "GET", URL: "http://h/t/" + token + "/" + k})
			if got.status != want || want == 403 && !strings.Contains(got.body, `"other_kind"`) {
				t.Errorf("kind %s, %s: %d %s", kind, k, got.status, got.body)
			}
		}
	}
}

// Access rules are asked for each request, also of a token that is known; and no cache that many share may keep the answer.
func TestAccessRules(t *testing.T) {
	token := with(t, jwt.MapClaims{"accessRules": []any{
		map[string]any{"type": "ip.src", "action": "allow", "ip": []string{"192.0.2.0/24"}},
		map[string]any{"type": "ip.geoip.country", "action": "allow", "country": []string{"DE"}},
		map[string]any{"type": "origin", "action": "allow", "origin": []string{"https://example.com"}},
		map[string]any{"type": "any", "action": "block"},
	}})
	g, b := open(t, gate.Config{}), &bucket{key: key, body: content}
	for range 2 {
		for _, c := range []struct {
			r    gate.Request
			want int
		}{
			{gate.Request{}, 403},
			{gate.Request{IP: "192.0.2.7"}, 200},
			{gate.Request{IP: "198.51.100.7", Country: "DE"}, 200},
			{gate.Request{IP: "198.51.100.7", Country: "FR"}, 403},
			{gate.Request{Origin: "https://example.com"}, 200},
			{gate.Request{Referer: "https://example.com/page?x"}, 200},
			{gate.Request{Referer: "https://example.com.evil.test/"}, 403},
			{gate.Request{Origin: "https://evil.test", Referer: "https://example.com/"}, 403},
			{gate.Request{Origin: "null", Referer: "https://example.com/"}, 403},
		} {
			c.r.Method, c.r.URL = "GET", "http://h/t/"+token+"/"+key
			got := exchange(t, g, b, c.r)
			if got.status != c.want {
				t.Errorf("%+v: %d %s", c.r, got.status, got.body)
			}
			if got.status == 200 && !strings.HasPrefix(got.header["Cache-Control"], "private") {
				t.Errorf("%+v: Cache-Control: %s", c.r, got.header["Cache-Control"])
			}
		}
	}
}

func TestACookieIsForItsOwner(t *testing.T) {
	r := gate.Request{Method: "GET", URL: "http://h/" + key, Cookie: "weir_token=" + mint(t, "videos/abc")}
	got := exchange(t, open(t, gate.Config{}), &bucket{key: key, body: content}, r)
	if got.status != 200 || !strings.HasPrefix(got.header["Cache-Control"], "private") || got.header["Vary"] != "Cookie" {
		t.Errorf("got %+v", got)
	}
}

func TestOriginsAreThoseThatTheOperatorNames(t *testing.T) {
	const named = "https://example.com http://localhost:8080"
	for _, c := range []struct{ setting, origin, allow, credentials, vary string }{
		{"", "https://any.test", "*", "", ""},
		{"*", "https://any.test", "*", "", ""},
		{named, "https://example.com", "https://example.com", "true", "Origin"},
		{named, "http://localhost:8080", "http://localhost:8080", "true", "Origin"},
		{named, "https://example.com.evil.test", "", "", "Origin"},
		{named, "", "", "", "Origin"},
	} {
		g := open(t, gate.Config{AllowedOrigins: c.setting})
		for _, r := range []gate.Request{
			{Method: "GET", URL: "http://h/t/" + mint(t, "videos/abc") + "/" + key},
			{Method: "GET", URL: "http://h/" + key},
			{Method: "OPTIONS", URL: "http://h/" + key},
		} {
			r.Origin = c.origin
			got := exchange(t, g, &bucket{key: key, body: content}, r)
			if h := got.header; h["Access-Control-Allow-Origin"] != c.allow || h["Access-Control-Allow-Credentials"] != c.credentials || h["Vary"] != c.vary {
				t.Errorf("%q, %s from %q: %+v", c.setting, r.Method, c.origin, h)
			}
		}
	}
	for _, setting := range []string{"example.com", "https://example.com/", "https://Example.com", "* https://example.com", "https://a@b"} {
		got := exchange(t, open(t, gate.Config{AllowedOrigins: setting}), &bucket{}, gate.Request{Method: "GET", URL: "http://h/" + key})
		if got.status != 500 || !strings.Contains(got.body, "ALLOWED_ORIGINS") {
			t.Errorf("%q: %d %s", setting, got.status, got.body)
		}
	}
}

// A token that is remembered expires all the same, and so many others do not make a gate forget what a token opens.
func TestATokenThatIsKnownExpires(t *testing.T) {
	g, first := open(t, gate.Config{}), gate.Request{Method: "GET", URL: "http://h/t/" + mint(t, "videos/abc") + "/" + key}
	if g.Decide(first, now).Fetch == nil {
		t.Fatal("the token is refused")
	}
	for at, want := range map[int64]bool{now + 89: true, now + 90: false} {
		if got := g.Decide(first, at).Fetch != nil; got != want {
			t.Errorf("%d s later it is taken: %v", at-now, got)
		}
	}
	for i := range 2000 {
		video := fmt.Sprintf("v%d", i%700)
		r := gate.Request{Method: "GET", URL: "http://h/t/" + mint(t, "videos/"+video) + "/videos/" + video + "/a.mp4"}
		step := g.Decide(r, now)
		if step.Fetch == nil || step.Fetch.Key != "videos/"+video+"/a.mp4" {
			t.Fatalf("%s: %+v", video, step)
		}
		r.URL = strings.Replace(r.URL, "/videos/"+video, "/videos/abc", 1)
		if g.Decide(r, now).Fetch != nil {
			t.Fatalf("the token for %s opens another video", video)
		}
	}
}

// An epoch revokes the tokens that were issued before it, within a minute, and is asked for once a minute and video.
func TestAnEpochRevokesOlderTokens(t *testing.T) {
	older, newer, undated := with(t, jwt.MapClaims{"iat": now - 10}), with(t, jwt.MapClaims{"iat": now - 5}), with(t, nil)
	r := func(token string) gate.Request {
		return gate.Request{Method: "GET", URL: "http://h/t/" + token + "/" + key}
	}
	g, b := open(t, gate.Config{}), &bucket{key: key, body: content}
	for _, token := range []string{older, newer, undated, older} {
		if got := exchange(t, g, b, r(token)); got.status != 200 {
			t.Errorf("without an epoch: %d %s", got.status, got.body)
		}
	}
	if b.epochs != 1 {
		t.Errorf("the epoch was asked for %d times", b.epochs)
	}
	b.epoch = gate.Epoch{Outcome: gate.Found, Text: fmt.Sprint(now - 5)}
	if got := exchange(t, g, b, r(older)); got.status != 200 {
		t.Errorf("within the minute: %d", got.status)
	}
	g = open(t, gate.Config{})
	for range 2 { // when it is asked for, and when it is known
		for token, want := range map[string]int{older: 401, newer: 200, undated: 401} {
			got := exchange(t, g, b, r(token))
			if got.status != want || want == 401 && (!strings.Contains(got.body, "token_revoked") || got.header["WWW-Authenticate"] == "") {
				t.Errorf("%d %s, want %d", got.status, got.body, want)
			}
		}
	}
	if step := g.Decide(r(newer), now+59); step.Fetch == nil || step.Fetch.Epoch != "" || step.Fetch.Token != "" {
		t.Errorf("59 s later: %+v", step)
	}
	if step := g.Decide(r(newer), now+60); step.Fetch == nil || step.Fetch.Epoch != "epochs/abc" {
		t.Errorf("60 s later: %+v", step)
	}
	for _, broken := range []gate.Epoch{{Outcome: gate.Failed}, {Outcome: gate.Found, Text: "yesterday"}, {Outcome: gate.Found}, {Outcome: "?"}} {
		b.epoch = broken
		if got := exchange(t, open(t, gate.Config{}), b, r(newer)); got.status != 502 {
			t.Errorf("%+v: %d, nobody may be let in", broken, got.status)
		}
	}
}

func BenchmarkDecideAndRespond(b *testing.B) {
	r := gate.Request{Method: "GET", URL: "https://weir.example/t/" + mint(b, "videos/abc") + "/" + key, IP: "192.0.2.1", Country: "DE"}
	o := gate.Object{Outcome: gate.Found, Size: 10, ETag: etag, Modified: modified * 1000, Epoch: gate.Epoch{Outcome: gate.Missing}}
	for name, known := range map[string]bool{"first seen": false, "remembered": true} {
		b.Run(name, func(b *testing.B) {
			g := open(b, gate.Config{})
			b.ReportAllocs()
			for b.Loop() {
				if !known {
					g = open(b, gate.Config{})
				}
				step := g.Decide(r, now)
				if step = g.Respond(r, *step.Fetch, o, now); step.Answer.Status != 200 {
					b.Fatal(step.Answer)
				}
			}
		})
	}
}

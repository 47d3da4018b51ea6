package api_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"weir/transcoder/internal/api"
	"weir/transcoder/internal/job"
)

func TestAVideoCanBePlayedWhileSomethingOfItIsPublished(t *testing.T) {
	fail := func(j *job.Job) { j.Fail(job.Failure{Code: job.SourceNotFound}, now) }
	again := func(j *job.Job) { j.State, j.Version = job.Queued, j.Version+1 }
	for _, c := range []struct {
		name   string
		steps  []func(*job.Job)
		status int
		whole  bool // there is an MPD too
	}{
		{"queued", nil, 409, false},
		{"processing", []func(*job.Job){(*job.Job).Begin}, 409, false},
		{"playable", []func(*job.Job){publish}, 200, false},
		{"processed", []func(*job.Job){publish, finish}, 200, true},
		{"failed", []func(*job.Job){fail}, 409, false},
		{"failed after it was playable", []func(*job.Job){publish, fail}, 409, false},
		{"being replaced", []func(*job.Job){publish, finish, again}, 200, true},
		{"replaced in vain", []func(*job.Job){publish, finish, again, fail}, 200, true},
		{"deleted", []func(*job.Job){publish, finish, func(j *job.Job) { j.Delete(now) }}, 409, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := setup(t)
			f.do("POST", "/transcode", good)
			for _, step := range c.steps {
				f.set(step)
			}
			w := f.do("GET", "/videos/intro/playback", "")
			if c.status == http.StatusOK && w.Code != http.StatusOK {
				t.Errorf("answered %d: %s", w.Code, w.Body)
			}
			var p api.Playback
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || (p.URLs.DASH != "") != c.whole {
				t.Errorf("the MPD is at %q, and %v", p.URLs.DASH, err)
			}
			if c.status != http.StatusOK {
				refused(t, c.name, w, c.status, "not_playable")
			}
		})
	}
}

func TestATokenLivesLongerThanTheVideo(t *testing.T) {
	for _, c := range []struct {
		name  string
		steps []func(*job.Job)
		want  time.Duration
	}{
		{"a short one", []func(*job.Job){func(j *job.Job) { j.Duration = 60 }, publish}, time.Hour},
		{"a long one, planned", []func(*job.Job){func(j *job.Job) { j.Duration = 7200 }, publish}, 2*time.Hour + 15*time.Minute},
		{"a long one, processed", []func(*job.Job){publish, finish}, 2*time.Hour + 15*time.Minute},
	} {
		f := setup(t)
		f.do("POST", "/transcode", good)
		for _, step := range c.steps {
			f.set(step)
		}
		var p api.Playback
		if err := json.Unmarshal(f.do("GET", "/videos/intro/playback", "").Body.Bytes(), &p); err != nil || !p.ExpiresAt.Equal(now.Truncate(time.Second).Add(c.want)) {
			t.Errorf("%s: expires at %v, want %v later than %v: %v", c.name, p.ExpiresAt, c.want, now, err)
		}
	}
}

func publish(j *job.Job) { j.Publish(now) }
func finish(j *job.Job)  { j.Finish(result, now) }

func TestAPlaybackTokenOpensOneVideo(t *testing.T) {
	f := setup(t)
	f.do("POST", "/transcode", good)
	f.set(func(j *job.Job) { j.Finish(result, now) })
	w := f.do("GET", "/videos/intro/playback", "")
	var p api.Playback
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != http.StatusOK {
		t.Fatalf("answered %d: %s", w.Code, w.Body)
	}
	claims := jwt.RegisteredClaims{}
	token, err := jwt.ParseWithClaims(p.Token, &claims, func(*jwt.Token) (any, error) { return []byte("secretsecretsecretsecretsecretse"), nil },
		jwt.WithTimeFunc(func() time.Time { return now }))
	if err != nil || claims.Subject != "videos/intro" || token.Header["kid"] != "k1" {
		t.Errorf("the token is for %q, kid %v: %v", claims.Subject, token.Header["kid"], err)
	}
	if want := now.Truncate(time.Second).Add(2*time.Hour + 15*time.Minute); !p.ExpiresAt.Equal(want) || !claims.ExpiresAt.Equal(want) {
		t.Errorf("the token of a two-hour video expires at %v and %v, want %v", p.ExpiresAt, claims.ExpiresAt, want)
	}
	const host, master, mpd = "https://video.example.com", "/videos/intro/hls/master.m3u8", "/videos/intro/dash/manifest.mpd"
	if want := (api.PlaybackURLs{
		HLS: host + "/t/" + p.Token + master, HLSQuery: host + master + "?token=" + p.Token, HLSBearer: host + master,
		DASH: host + "/t/" + p.Token + mpd, DASHQuery: host + mpd + "?token=" + p.Token, DASHBearer: host + mpd,
	}); p.URLs != want {
		t.Errorf("URLs %+v, want %+v", p.URLs, want)
	}
	if p.URLs.Poster != "" || p.URLs.Storyboard != "" {
		t.Errorf("a video of old has pictures: %+v", p.URLs)
	}
}

func TestPlaybackLeadsToThePosterAndTheStoryboard(t *testing.T) {
	f := setup(t)
	f.do("POST", "/transcode", good)
	pictures := result
	pictures.Poster, pictures.Storyboard = "videos/intro/poster.jpg", "videos/intro/storyboard/storyboard.vtt"
	f.set(func(j *job.Job) { j.Finish(pictures, now) })
	var p api.Playback
	if err := json.Unmarshal(f.do("GET", "/videos/intro/playback", "").Body.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	if want := "https://video.example.com/t/" + p.Token + "/videos/intro/poster.jpg"; p.URLs.Poster != want {
		t.Errorf("URL %s, want %s", p.URLs.Poster, want)
	}
	if want := "https://video.example.com/t/" + p.Token + "/videos/intro/storyboard/storyboard.vtt"; p.URLs.Storyboard != want {
		t.Errorf("URL %s, want %s", p.URLs.Storyboard, want)
	}
	if v := f.show(f.do("GET", "/videos/intro", "")); v["poster"] != pictures.Poster || v["storyboard"] != pictures.Storyboard {
		t.Errorf("the video is %v", v)
	}
}

func TestTheTokensOfAVideoAreRevoked(t *testing.T) {
	f := setup(t)
	refused(t, "no video", f.do("POST", "/videos/intro/revoke", ""), http.StatusNotFound, "video_not_found")
	f.do("POST", "/transcode", good)
	w := f.do("POST", "/videos/intro/revoke", "")
	if got := f.show(w); w.Code != http.StatusOK || got["video_id"] != "intro" || got["revoked_before"] != "2026-01-02T03:04:06Z" {
		t.Errorf("answered %d: %s", w.Code, w.Body)
	}
}

// The key pair of RFC 8037, appendix A.
const (
	publicKey  = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
	privateKey = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
)

func TestATokenMayBeSignedWithEd25519(t *testing.T) {
	key, err := api.ParseKey(`{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"ed","x":"` + publicKey + `","d":"` + privateKey + `"}`)
	if err != nil {
		t.Fatal(err)
	}
	p, err := api.Minter{Key: key, TTL: time.Hour, PublicURL: "https://video.example.com", Now: func() time.Time { return now }}.Mint(job.Job{Spec: job.Spec{VideoID: "intro"}})
	if err != nil {
		t.Fatal(err)
	}
	public, err := base64.RawURLEncoding.DecodeString(publicKey)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Parse(p.Token, func(*jwt.Token) (any, error) { return ed25519.PublicKey(public), nil },
		jwt.WithValidMethods([]string{"EdDSA"}), jwt.WithTimeFunc(func() time.Time { return now }))
	if err != nil || token.Header["kid"] != "ed" {
		t.Errorf("kid %v: %v", token.Header["kid"], err)
	}
}

func TestTokenKeys(t *testing.T) {
	for _, bad := range []string{
		``, `{}`, `secret`, `{"kty":"RSA","alg":"HS256","kid":"a","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U"}`,
		`{"kty":"oct","alg":"HS512","kid":"a","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U"}`,
		`{"kty":"oct","alg":"HS256","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U"}`,
		`{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"a","x":"` + publicKey + `"}`,
		`{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"a","x":"` + publicKey + `","d":"c2hvcnQ"}`,
		`{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"a","x":"` + privateKey + `","d":"` + privateKey + `"}`,
		`{"kty":"OKP","crv":"X25519","alg":"EdDSA","kid":"a","x":"` + publicKey + `","d":"` + privateKey + `"}`,
		`{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","x":"` + publicKey + `","d":"` + privateKey + `"}`,
		`{"kty":"oct","alg":"HS256","kid":"a","k":"c2hvcnQ"}`, `{"kty":"oct","alg":"HS256","kid":"a","k":"!!"}`,
	} {
		if _, err := api.ParseKey(bad); err == nil {
			t.Errorf("accepted %s", bad)
		}
	}
}

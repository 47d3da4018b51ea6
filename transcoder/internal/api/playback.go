package api

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"weir/transcoder/internal/job"
	"weir/transcoder/internal/publish"
)

// minKey is the least number of bytes of an HS256 key (RFC 7518, section 3.2).
const minKey = 32

// watchSlack is how much longer than the video a token lives at least: for pauses.
const watchSlack = 15 * time.Minute

// backdate allows for a Worker's clock that is a little behind.
const backdate = 5 * time.Second

// Key signs playback tokens. It does not show itself.
type Key struct {
	id     string
	method jwt.SigningMethod
	key    any // as the method wants it
}

// ParseKey reads a JSON Web Key (RFC 7517): a symmetric one for HS256, {"kty":"oct","alg":"HS256","kid":"…","k":"…"}, or a
// private one for EdDSA (RFC 8037), {"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"…","x":"…","d":"…"}, of which the Worker
// gets all but "d" and can make no token.
func ParseKey(text string) (Key, error) {
	const want = `must be a JSON Web Key like {"kty":"oct","alg":"HS256","kid":"k1","k":"…"}, one of those in the Worker's TOKEN_KEYS, ` +
		`or {"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"k1","x":"…","d":"…"}, which is there without its "d"`
	var k struct{ Kty, Crv, Alg, Kid, K, X, D string }
	if err := json.Unmarshal([]byte(text), &k); err != nil || k.Kid == "" {
		return Key{}, errors.New(want)
	}
	switch k.Kty + " " + k.Crv + " " + k.Alg {
	case "oct  HS256":
		secret, err := base64.RawURLEncoding.DecodeString(k.K)
		if err != nil || len(secret) < minKey {
			return Key{}, fmt.Errorf("its \"k\" must be base64url, without padding, of at least %d random bytes", minKey)
		}
		return Key{id: k.Kid, method: jwt.SigningMethodHS256, key: secret}, nil
	case "OKP Ed25519 EdDSA":
		seed, err := base64.RawURLEncoding.DecodeString(k.D)
		if err != nil || len(seed) != ed25519.SeedSize {
			return Key{}, fmt.Errorf("its \"d\" must be base64url, without padding, of %d bytes", ed25519.SeedSize)
		}
		private := ed25519.NewKeyFromSeed(seed)
		if public := private.Public().(ed25519.PublicKey); base64.RawURLEncoding.EncodeToString(public) != k.X {
			return Key{}, errors.New(`its "x" must be the public key that belongs to "d", base64url without padding`)
		}
		return Key{id: k.Kid, method: jwt.SigningMethodEdDSA, key: private}, nil
	}
	return Key{}, errors.New(want)
}

func (Key) String() string   { return "***" }
func (Key) GoString() string { return "***" }

// Minter makes the tokens that the Worker at the edge accepts.
type Minter struct {
	Key Key
	// TTL is how long a token lives; longer where the video is.
	TTL time.Duration
	// PublicURL is the Worker's base URL.
	PublicURL string
	Now       func() time.Time
}

// Playback is what a player needs.
type Playback struct {
	VideoID   string       `json:"video_id"`
	Token     string       `json:"token"`
	ExpiresAt time.Time    `json:"expires_at"`
	URLs      PlaybackURLs `json:"urls"`
}

// PlaybackURLs are the URLs of the master playlist, and of the MPD once all of the video is there, one for each way to carry the
// token; and those of the video's pictures.
type PlaybackURLs struct {
	// HLS has the token in the path: every relative URI inherits it, in every player.
	HLS string `json:"hls"`
	// HLSQuery has it in the query; the Worker rewrites the playlists.
	HLSQuery string `json:"hls_query"`
	// HLSBearer has none: send it as "Authorization: Bearer".
	HLSBearer string `json:"hls_bearer"`

	DASH       string `json:"dash,omitempty"`
	DASHQuery  string `json:"dash_query,omitempty"`
	DASHBearer string `json:"dash_bearer,omitempty"`
	// Poster is a picture of the video, and Storyboard a WebVTT file with pictures along its time line. They have the token
	// in the path, and are there once the video is processed.
	Poster     string `json:"poster,omitempty"`
	Storyboard string `json:"storyboard,omitempty"`
}

// Mint makes a token for one video. Its subject is the path prefix that it opens.
func (m Minter) Mint(j job.Job) (Playback, error) {
	ttl := m.TTL
	if d := duration(j); d > 0 {
		ttl = max(ttl, time.Duration(d*float64(time.Second))+watchSlack)
	}
	now := m.Now().UTC().Truncate(time.Second)
	expires := now.Add(ttl)
	t := jwt.NewWithClaims(m.Key.method, jwt.RegisteredClaims{
		Subject:   "videos/" + j.VideoID,
		IssuedAt:  jwt.NewNumericDate(now),
		NotBefore: jwt.NewNumericDate(now.Add(-backdate)),
		ExpiresAt: jwt.NewNumericDate(expires),
	})
	t.Header["kid"] = m.Key.id
	token, err := t.SignedString(m.Key.key)
	if err != nil {
		return Playback{}, fmt.Errorf("mint a token: %w", err)
	}
	base := strings.TrimSuffix(m.PublicURL, "/")
	urls := func(key string) (path, query, bearer string) {
		bearer = base + "/" + key
		return base + "/t/" + token + "/" + key, bearer + "?token=" + token, bearer
	}
	p := Playback{VideoID: j.VideoID, Token: token, ExpiresAt: expires}
	p.URLs.HLS, p.URLs.HLSQuery, p.URLs.HLSBearer = urls(publish.MasterKey(j.VideoID))
	if j.HasMPD() {
		p.URLs.DASH, p.URLs.DASHQuery, p.URLs.DASHBearer = urls(publish.MPDKey(j.VideoID))
	}
	if r := j.Result; r != nil && r.Poster != "" {
		p.URLs.Poster, _, _ = urls(r.Poster)
	}
	if r := j.Result; r != nil && r.Storyboard != "" {
		p.URLs.Storyboard, _, _ = urls(r.Storyboard)
	}
	return p, nil
}

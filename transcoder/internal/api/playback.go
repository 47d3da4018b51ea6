package api

import (
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
	secret []byte
}

// ParseKey reads a symmetric JSON Web Key (RFC 7517) for HS256: {"kty":"oct","alg":"HS256","kid":"…","k":"…"}.
func ParseKey(text string) (Key, error) {
	const want = `must be a JSON Web Key like {"kty":"oct","alg":"HS256","kid":"k1","k":"…"}, one of those in the Worker's TOKEN_KEYS`
	var k struct{ Kty, Alg, Kid, K string }
	if err := json.Unmarshal([]byte(text), &k); err != nil {
		return Key{}, errors.New(want)
	}
	secret, err := base64.RawURLEncoding.DecodeString(k.K)
	switch {
	case k.Kty != "oct" || k.Alg != "HS256" || k.Kid == "":
		return Key{}, errors.New(want)
	case err != nil || len(secret) < minKey:
		return Key{}, fmt.Errorf("its \"k\" must be base64url, without padding, of at least %d random bytes", minKey)
	}
	return Key{id: k.Kid, secret: secret}, nil
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

// PlaybackURLs are the master playlist's URLs, one for each way to carry the token.
type PlaybackURLs struct {
	// HLS has the token in the path: every relative URI inherits it, in every player.
	HLS string `json:"hls"`
	// HLSQuery has it in the query; the Worker rewrites the playlists.
	HLSQuery string `json:"hls_query"`
	// HLSBearer has none: send it as "Authorization: Bearer".
	HLSBearer string `json:"hls_bearer"`
}

// Mint makes a token for one video. Its subject is the path prefix that it opens.
func (m Minter) Mint(j job.Job) (Playback, error) {
	ttl := m.TTL
	if d := duration(j); d > 0 {
		ttl = max(ttl, time.Duration(d*float64(time.Second))+watchSlack)
	}
	now := m.Now().UTC().Truncate(time.Second)
	expires := now.Add(ttl)
	t := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.RegisteredClaims{
		Subject:   "videos/" + j.VideoID,
		IssuedAt:  jwt.NewNumericDate(now),
		NotBefore: jwt.NewNumericDate(now.Add(-backdate)),
		ExpiresAt: jwt.NewNumericDate(expires),
	})
	t.Header["kid"] = m.Key.id
	token, err := t.SignedString(m.Key.secret)
	if err != nil {
		return Playback{}, fmt.Errorf("mint a token: %w", err)
	}
	base, master := strings.TrimSuffix(m.PublicURL, "/"), "/"+publish.MasterKey(j.VideoID)
	return Playback{VideoID: j.VideoID, Token: token, ExpiresAt: expires, URLs: PlaybackURLs{
		HLS:       base + "/t/" + token + master,
		HLSQuery:  base + master + "?token=" + token,
		HLSBearer: base + master,
	}}, nil
}

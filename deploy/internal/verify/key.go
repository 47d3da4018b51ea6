package verify

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Key signs tokens. It does not show itself.
type Key struct {
	id     string
	method jwt.SigningMethod
	secret any // as the method wants it
}

func (Key) String() string   { return "***" }
func (Key) GoString() string { return "***" }

// ParseKey reads a JSON Web Key (RFC 7517) that signs, as the transcoder's TOKEN_KEY is: {"kty":"oct","alg":"HS256","kid":"…",
// "k":"…"}, or {"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"…","d":"…"} (RFC 8037).
func ParseKey(text string) (Key, error) {
	var k struct{ Kty, Crv, Alg, Kid, K, D string }
	err := json.Unmarshal([]byte(text), &k)
	secret, errK := base64.RawURLEncoding.DecodeString(k.K)
	seed, errD := base64.RawURLEncoding.DecodeString(k.D)
	switch {
	case err != nil, k.Kid == "", errK != nil, errD != nil:
	case k.Kty == "oct" && k.Alg == "HS256" && len(secret) >= 32:
		return Key{k.Kid, jwt.SigningMethodHS256, secret}, nil
	case k.Kty == "OKP" && k.Crv == "Ed25519" && k.Alg == "EdDSA" && len(seed) == ed25519.SeedSize:
		return Key{k.Kid, jwt.SigningMethodEdDSA, ed25519.NewKeyFromSeed(seed)}, nil
	}
	return Key{}, errors.New("must be a JSON Web Key that signs, one of those that the Worker's TOKEN_KEYS has: " +
		`{"kty":"oct","alg":"HS256","kid":"…","k":"…"} or {"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"…","x":"…","d":"…"}`)
}

// claims are a token to be made.
type claims struct {
	signer string
	json   string // with words
}

// validate says what is wrong with claims before the script runs.
func (c claims) validate() error {
	if !slices.Contains(signers, c.signer) {
		return fmt.Errorf("there is no way %q to sign: choose from %s", c.signer, strings.Join(signers, ", "))
	}
	if !json.Valid([]byte(word.ReplaceAllString(c.json, "0"))) {
		return errors.New("its claims are no JSON object")
	}
	return nil
}

// signers are the ways to sign a token: as it should be; with a key that the Worker does not have; with the signature of other
// claims; with another algorithm under the key's name, for Ed25519 with the public key as HS256's secret (RFC 8725 section 2.1); and
// not at all.
var signers = []string{"signed", "stranger", "altered", "confused", "unsigned"}

func (k Key) sign(signer, text string) (string, error) {
	var c jwt.MapClaims
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return "", fmt.Errorf("make a token: %w", err)
	}
	switch signer {
	case "signed":
		return k.token(c)
	case "stranger":
		return Key{"verify-stranger", jwt.SigningMethodHS256, random()}.token(c)
	case "confused":
		if private, ok := k.secret.(ed25519.PrivateKey); ok {
			return Key{k.id, jwt.SigningMethodHS256, []byte(private.Public().(ed25519.PublicKey))}.token(c)
		}
		return Key{k.id, jwt.SigningMethodEdDSA, ed25519.NewKeyFromSeed(random())}.token(c)
	case "unsigned":
		return Key{k.id, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType}.token(c)
	}
	wanted, err := k.token(c)
	if err != nil {
		return "", err
	}
	c["sub"] = "videos/other"
	other, err := k.token(c)
	return wanted[:strings.LastIndexByte(wanted, '.')] + other[strings.LastIndexByte(other, '.'):], err
}

// Token is a token of the key that opens what is under a path, as videos/intro, from now on for as long as it lives.
func (k Key) Token(path string, now time.Time, life time.Duration) (string, error) {
	return k.token(jwt.MapClaims{"sub": path, "iat": now.Unix(), "exp": now.Add(life).Unix()})
}

func (k Key) token(c jwt.MapClaims) (string, error) {
	t := jwt.NewWithClaims(k.method, c)
	t.Header["kid"] = k.id
	compact, err := t.SignedString(k.secret)
	if err != nil {
		return "", fmt.Errorf("make a token: %w", err)
	}
	return compact, nil
}

// random is 32 bytes: a secret of HS256, or a seed of Ed25519.
func random() []byte {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return b
}

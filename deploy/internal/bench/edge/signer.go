package edge

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// tokenTTL outlasts every run.
const tokenTTL = 12 * time.Hour

// signer signs tokens as a backend does, with keys made for this run.
type signer struct {
	secret  []byte
	private ed25519.PrivateKey
}

func newSigner() (signer, error) {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return signer{}, fmt.Errorf("make keys: %w", err)
	}
	return signer{secret, private}, nil
}

// keySet is TOKEN_KEYS of the Workers (RFC 7517).
func (s signer) keySet() string {
	text := base64.RawURLEncoding.EncodeToString
	public := s.private.Public().(ed25519.PublicKey)
	return fmt.Sprintf(`{"keys":[{"kty":"oct","alg":"HS256","kid":"hs256","k":"%s"},`+
		`{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"eddsa","x":"%s"}]}`, text(s.secret), text(public))
}

// tokens are n tokens with HS256, or with Ed25519; subject gives what each opens. No two are the same.
func (s signer) tokens(n int, eddsa bool, subject func(i int) string) ([]string, error) {
	method, kid, key := jwt.SigningMethod(jwt.SigningMethodHS256), "hs256", any(s.secret)
	if eddsa {
		method, kid, key = jwt.SigningMethodEdDSA, "eddsa", s.private
	}
	now := time.Now()
	tokens := make([]string, 0, n)
	for i := range n {
		t := jwt.NewWithClaims(method, jwt.MapClaims{
			"sub": subject(i), "iat": now.Unix(), "exp": now.Add(tokenTTL).Unix(), "jti": rand.Text()[:12],
		})
		t.Header["kid"] = kid
		token, err := t.SignedString(key)
		if err != nil {
			return nil, fmt.Errorf("sign a token: %w", err)
		}
		tokens = append(tokens, token)
	}
	return tokens, nil
}

package token

import (
	"encoding/base64"
	"errors"

	"weir/edge-auth/internal/decimal"
	"weir/edge-auth/internal/signature"
)

// minSecret is the size of an HS256 key in bytes: RFC 7518 section 3.2 wants at least that of the hash.
const minSecret = 32

// The algorithms: HMAC with SHA-256 (RFC 7518 section 3.2), and Ed25519 (RFC 8037 section 3.1), with which the edge can
// verify tokens and not make them.
const (
	algHS256 = "HS256"
	algEdDSA = "EdDSA"
)

// Keys are the keys that may sign tokens, by their ID. Several of them serve rotation: the edge accepts the old key and the
// new one until the last token of the old one has expired.
type Keys struct {
	keys []key
}

// key is one of them; one of the last two is set.
type key struct {
	id     string
	alg    string // the one algorithm that this key may be used with
	secret *signature.MAC
	public *signature.PublicKey
}

// ParseKeys reads a JWK Set (RFC 7517):
//
//	{"keys":[{"kty":"oct","alg":"HS256","kid":"k1","k":"<base64url, at least 32 bytes>"},
//	         {"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"k2","x":"<base64url, 32 bytes>"}]}
//
// Every key must be usable: a set with a key of another kind is an error, not a smaller set, so that a typing error is seen
// when it is made. So is one with a private key of Ed25519 in it, which has no business at the edge. Errors name the key's
// position and never repeat its value.
func ParseKeys(set string) (Keys, error) {
	members, ok := parseObject([]byte(set))
	if !ok {
		return Keys{}, errors.New("it is not a JSON object")
	}
	list := members.member("keys").elements()
	if len(list) == 0 {
		return Keys{}, errors.New(`it has no "keys" array with at least one key`)
	}
	var keys Keys
	for i := range list {
		k, err := parseKey(&list[i])
		if err == nil && keys.find(k.id) != nil {
			err = errors.New(`its "kid" is taken by an earlier key`)
		}
		if err != nil {
			return Keys{}, errors.New("keys[" + decimal.Text(int64(i)) + "]: " + err.Error())
		}
		keys.keys = append(keys.keys, k)
	}
	return keys, nil
}

func parseKey(jwk *value) (key, error) {
	text := func(name string) string { return jwk.member(name).string() }
	k := key{id: text("kid"), alg: text("alg")}
	switch text("kty") + " " + k.alg {
	case "oct " + algHS256:
		secret, usable := decode(text("k"))
		if !usable || len(secret) < minSecret {
			return k, errors.New(`"k" must be base64url without padding, of at least 32 bytes`)
		}
		k.secret = signature.NewMAC(secret)
	case "OKP " + algEdDSA:
		if jwk.member("d") != nil {
			return k, errors.New(`it is a private key: leave out "d", which the edge must not know`)
		}
		public, usable := decode(text("x"))
		if text("crv") != "Ed25519" || !usable || len(public) != signature.PublicKeySize {
			return k, errors.New(`"crv" must be "Ed25519", and "x" base64url without padding, of 32 bytes`)
		}
		var err error
		if k.public, err = signature.NewPublicKey(public); err != nil {
			return k, errors.New(`"x" is not a public key`)
		}
	default:
		return k, errors.New(`"kty" and "alg" must be "oct" and "HS256", or "OKP" and "EdDSA"`)
	}
	if jwk.member("use") != nil && text("use") != "sig" {
		return k, errors.New(`"use" must be "sig" or left out`)
	}
	if k.id == "" {
		return k, errors.New(`"kid" must be a string that is not empty`)
	}
	return k, nil
}

func (k Keys) find(id string) *key {
	for i := range k.keys {
		if k.keys[i].id == id {
			return &k.keys[i]
		}
	}
	return nil
}

// signed reports whether a signature is this key's.
func (k *key) signed(text string, sign []byte) bool {
	if k.alg == algEdDSA {
		return k.public.Verify(bytesOf(text), sign)
	}
	return k.secret.Verify(bytesOf(text), sign)
}

// base64url is as JWS writes it (RFC 7515 section 2): no padding, no bits that mean nothing, so that a token has one spelling.
var base64url = base64.RawURLEncoding.Strict()

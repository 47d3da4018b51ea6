package token

import (
	"encoding/base64"
	"errors"
	"strconv"

	"github.com/valyala/fastjson"
)

// minSecret is the size of an HS256 key in bytes: RFC 7518 section 3.2 wants at least that of the hash.
const minSecret = 32

// algHS256 is the one algorithm: HMAC with SHA-256 (RFC 7518 section 3.2).
const algHS256 = "HS256"

// Keys are the keys that may sign tokens, by their ID. Several of them serve rotation: the edge accepts the
// old key and the new one until the last token of the old one has expired.
type Keys struct {
	keys []key
}

type key struct {
	id     string
	alg    string // the one algorithm that this key may be used with
	secret []byte
}

// ParseKeys reads a JWK Set (RFC 7517):
//
//	{"keys":[{"kty":"oct","alg":"HS256","kid":"k1","k":"<base64url, at least 32 bytes>"}]}
//
// Every key must be usable: a set with a key of another kind is an error, not a smaller set, so that a typing
// error is seen when it is made. Errors name the key's position and never repeat its value.
func ParseKeys(set string) (Keys, error) {
	members, ok := parseObject(set)
	if !ok {
		return Keys{}, errors.New("it is not a JSON object")
	}
	list := members.Get("keys").GetArray()
	if len(list) == 0 {
		return Keys{}, errors.New(`it has no "keys" array with at least one key`)
	}
	var keys Keys
	for i, jwk := range list {
		k, err := parseKey(jwk)
		if err == nil && keys.find(k.id) != nil {
			err = errors.New(`its "kid" is taken by an earlier key`)
		}
		if err != nil {
			return Keys{}, errors.New("keys[" + strconv.Itoa(i) + "]: " + err.Error())
		}
		keys.keys = append(keys.keys, k)
	}
	return keys, nil
}

func parseKey(jwk *fastjson.Value) (key, error) {
	text := func(name string) string { return string(jwk.GetStringBytes(name)) }
	if text("kty") != "oct" {
		return key{}, errors.New(`"kty" must be "oct"`)
	}
	if text("alg") != algHS256 {
		return key{}, errors.New(`"alg" must be "HS256"`)
	}
	if jwk.Exists("use") && text("use") != "sig" {
		return key{}, errors.New(`"use" must be "sig" or left out`)
	}
	if text("kid") == "" {
		return key{}, errors.New(`"kid" must be a string that is not empty`)
	}
	secret, err := base64.RawURLEncoding.Strict().DecodeString(text("k"))
	if err != nil || len(secret) < minSecret {
		return key{}, errors.New(`"k" must be base64url without padding, of at least 32 bytes`)
	}
	return key{id: text("kid"), alg: algHS256, secret: secret}, nil
}

func (k Keys) find(id string) *key {
	for i := range k.keys {
		if k.keys[i].id == id {
			return &k.keys[i]
		}
	}
	return nil
}

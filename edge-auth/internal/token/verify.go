package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/valyala/fastjson"
)

const (
	// MaxSize bounds a token in bytes. A playback token has about 200.
	MaxSize = 4096

	// ClockSkew is by how many seconds the issuer's clock may be ahead of the edge's: nbf and iat may lie
	// that far in the future, or a token that was just minted could be refused. It does not lengthen a
	// token's life: exp is exact, and an issuer that wants slack there adds it.
	ClockSkew = 30

	// maxDate is the last NumericDate that is taken: beyond 2⁵³−1 JSON readers disagree about integers
	// (RFC 8259 section 6).
	maxDate = 1<<53 - 1
)

// Claims are what a valid token says. Times are in Unix seconds; NotBefore and IssuedAt are 0 when absent.
type Claims struct {
	Subject   string // the path prefix that the token opens, "videos/abc"
	Expires   int64
	NotBefore int64
	IssuedAt  int64
}

// Verify checks a token in compact form at the time now, in Unix seconds. The error is an [*Error].
func (k Keys) Verify(compact string, now int64) (Claims, error) {
	if len(compact) > MaxSize {
		return Claims{}, refuse(ErrMalformed, "it is longer than 4096 bytes")
	}
	if strings.Count(compact, ".") != 2 {
		return Claims{}, refuse(ErrMalformed, "it does not have three parts")
	}
	end := strings.LastIndexByte(compact, '.')
	signed, signature := compact[:end], compact[end+1:]
	header, payload, _ := strings.Cut(signed, ".")

	key, err := k.choose(header)
	if err != nil {
		return Claims{}, err
	}
	mac, ok := decode(signature)
	if !ok {
		return Claims{}, refuse(ErrMalformed, "its signature is not base64url")
	}
	if !hmac.Equal(mac, key.sign(signed)) {
		return Claims{}, refuse(ErrSignature, "its signature does not match")
	}
	claims, err := parseClaims(payload)
	if err == nil {
		err = claims.check(now)
	}
	if err != nil {
		return Claims{}, err
	}
	return claims, nil
}

// choose reads the header and gives the key that it names, if the header asks for nothing else.
func (k Keys) choose(segment string) (*key, error) {
	text, ok := decode(segment)
	if !ok {
		return nil, refuse(ErrMalformed, "its header is not base64url")
	}
	header, ok := parseObject(string(text))
	if !ok {
		return nil, refuse(ErrMalformed, "its header is not a JSON object with distinct names")
	}
	if header.Get("crit") != nil {
		return nil, refuse(ErrMalformed, `its header has "crit"`) // RFC 7515 section 4.1.11: none is understood
	}
	if header.Get("b64") != nil {
		return nil, refuse(ErrMalformed, `its header has "b64"`) // RFC 7797: would change what is signed
	}
	if typ := header.Get("typ"); typ != nil && !strings.EqualFold(stringOf(typ), "JWT") {
		return nil, refuse(ErrMalformed, `its header's "typ" is not "JWT"`) // RFC 8725 section 3.11
	}
	kid := header.Get("kid")
	if kid == nil || kid.Type() != fastjson.TypeString {
		return nil, refuse(ErrMalformed, `its header has no "kid"`)
	}
	key := k.find(stringOf(kid))
	if key == nil {
		return nil, refuse(ErrUnknownKey, `its "kid" is not a configured key`)
	}
	if stringOf(header.Get("alg")) != key.alg {
		return nil, refuse(ErrMalformed, `its "alg" is not that of its key`) // RFC 8725 section 3.1
	}
	return key, nil
}

func (k *key) sign(signed string) []byte {
	mac := hmac.New(sha256.New, k.secret)
	mac.Write([]byte(signed))
	return mac.Sum(nil)
}

func parseClaims(segment string) (Claims, error) {
	text, ok := decode(segment)
	if !ok {
		return Claims{}, refuse(ErrMalformed, "its payload is not base64url")
	}
	object, ok := parseObject(string(text))
	if !ok {
		return Claims{}, refuse(ErrMalformed, "its payload is not a JSON object with distinct names")
	}
	claims := Claims{Subject: stringOf(object.Get("sub"))}
	if claims.Subject == "" || strings.Contains(claims.Subject, `\`) {
		return Claims{}, refuse(ErrMalformed, `its "sub" is not a path`)
	}
	if object.Get("exp") == nil {
		return Claims{}, refuse(ErrMalformed, `it has no "exp"`)
	}
	var okExp, okNbf, okIat bool
	claims.Expires, okExp = numericDate(object.Get("exp"))
	claims.NotBefore, okNbf = numericDate(object.Get("nbf"))
	claims.IssuedAt, okIat = numericDate(object.Get("iat"))
	if !okExp || !okNbf || !okIat {
		return Claims{}, refuse(ErrMalformed, `its "exp", "nbf" or "iat" is not a whole number of seconds`)
	}
	return claims, nil
}

func (c Claims) check(now int64) error {
	if now >= c.Expires {
		return refuse(ErrExpired, "it has expired")
	}
	if now < c.NotBefore-ClockSkew || now < c.IssuedAt-ClockSkew {
		return refuse(ErrNotYetValid, "it is not valid yet")
	}
	return nil
}

// numericDate reads a NumericDate (RFC 7519 section 2) that is a plain whole number, or 0 if there is none.
// The RFC also allows fractions and exponents, which no issuer needs and libraries round in different ways.
func numericDate(value *fastjson.Value) (int64, bool) {
	if value == nil {
		return 0, true
	}
	if value.Type() != fastjson.TypeNumber {
		return 0, false
	}
	seconds, err := strconv.ParseInt(value.String(), 10, 64)
	return seconds, err == nil && 0 <= seconds && seconds <= maxDate
}

// decode reads base64url as JWS writes it (RFC 7515 section 2): no padding, no line breaks, no bits that mean
// nothing, so that a token has one spelling.
func decode(segment string) ([]byte, bool) {
	if strings.ContainsAny(segment, "\r\n") { // which the standard library would skip
		return nil, false
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(segment)
	return data, err == nil
}

// stringOf is the string that value holds, or "" if it holds something else.
func stringOf(value *fastjson.Value) string {
	return string(value.GetStringBytes())
}

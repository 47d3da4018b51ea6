package token

import (
	"strings"
	"unsafe"
)

const (
	// MaxSize bounds a token in bytes. A playback token has about 200.
	MaxSize = 4096

	// ClockSkew is by how many seconds the clocks of the issuer and the edge may differ, either way.
	ClockSkew = 30

	// maxDate is the last NumericDate that is taken: beyond 2⁵³−1 JSON readers disagree about integers
	// (RFC 8259 section 6).
	maxDate = 1<<53 - 1
)

// Claims are what a valid token says. Times are in Unix seconds; NotBefore and IssuedAt are 0 when absent.
type Claims struct {
	Subject   string // the path prefix that the token opens, "videos/abc"
	Kind      Kind   // what it opens of that
	Expires   int64
	NotBefore int64
	IssuedAt  int64
	Rules     []Rule // who may use it
}

// Kind narrows a token to one kind of object.
type Kind string

// The kinds.
const (
	All       Kind = ""          // all of a video, its key too
	Playlist  Kind = "playlist"  // playlists and manifests
	Thumbnail Kind = "thumbnail" // pictures
	Key       Kind = "key"       // the keys of encrypted segments
)

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
	if !key.signed(signed, mac) {
		return Claims{}, refuse(ErrSignature, "its signature does not match")
	}
	claims, err := parseClaims(payload)
	if err == nil {
		err = claims.Check(now)
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
	header, ok := parseObject(text)
	if !ok {
		return nil, refuse(ErrMalformed, "its header is not a JSON object that all readers read alike")
	}
	if header.member("crit") != nil {
		return nil, refuse(ErrMalformed, `its header has "crit"`) // RFC 7515 section 4.1.11: none is understood
	}
	if header.member("b64") != nil {
		return nil, refuse(ErrMalformed, `its header has "b64"`) // RFC 7797: would change what is signed
	}
	if typ := header.member("typ"); typ != nil && !strings.EqualFold(typ.string(), "JWT") {
		return nil, refuse(ErrMalformed, `its header's "typ" is not "JWT"`) // RFC 8725 section 3.11
	}
	kid := header.member("kid")
	if kid == nil || kid.kind != isString {
		return nil, refuse(ErrMalformed, `its header has no "kid"`)
	}
	key := k.find(kid.text)
	if key == nil {
		return nil, refuse(ErrUnknownKey, `its "kid" is not a configured key`)
	}
	if header.member("alg").string() != key.alg {
		return nil, refuse(ErrMalformed, `its "alg" is not that of its key`) // RFC 8725 section 3.1
	}
	return key, nil
}

func parseClaims(segment string) (Claims, error) {
	text, ok := decode(segment)
	if !ok {
		return Claims{}, refuse(ErrMalformed, "its payload is not base64url")
	}
	members, ok := parseObject(text)
	if !ok {
		return Claims{}, refuse(ErrMalformed, "its payload is not a JSON object that all readers read alike")
	}
	claims := Claims{Subject: members.member("sub").string()}
	if claims.Subject == "" || strings.Contains(claims.Subject, `\`) {
		return Claims{}, refuse(ErrMalformed, `its "sub" is not a path`)
	}
	if members.member("exp") == nil {
		return Claims{}, refuse(ErrMalformed, `it has no "exp"`)
	}
	var okExp, okNbf, okIat bool
	claims.Expires, okExp = numericDate(members.member("exp"))
	claims.NotBefore, okNbf = numericDate(members.member("nbf"))
	claims.IssuedAt, okIat = numericDate(members.member("iat"))
	if !okExp || !okNbf || !okIat {
		return Claims{}, refuse(ErrMalformed, `its "exp", "nbf" or "iat" is not a whole number of seconds`)
	}
	if kind := members.member("kind"); kind != nil {
		claims.Kind = Kind(kind.string())
		if claims.Kind != Playlist && claims.Kind != Thumbnail && claims.Kind != Key {
			return Claims{}, refuse(ErrMalformed, `its "kind" is not one that the edge knows`)
		}
	}
	if claims.Rules, ok = parseRules(members.member("accessRules")); !ok {
		return Claims{}, refuse(ErrMalformed, `its "accessRules" are not rules that the edge knows`)
	}
	return claims, nil
}

// Check tells whether a token is valid at the time now, in Unix seconds. The error is an [*Error].
func (c Claims) Check(now int64) error {
	if now >= c.Expires+ClockSkew {
		return refuse(ErrExpired, "it has expired")
	}
	if now < c.NotBefore-ClockSkew || now < c.IssuedAt-ClockSkew {
		return refuse(ErrNotYetValid, "it is not valid yet")
	}
	return nil
}

// numericDate reads a NumericDate (RFC 7519 section 2) that is a plain whole number, or 0 if there is none. The RFC also
// allows fractions and exponents, which no issuer needs and libraries round in different ways.
func numericDate(v *value) (seconds int64, ok bool) {
	switch {
	case v == nil:
		return 0, true
	case v.kind != isNumber || len(v.text) > len("9007199254740991"):
		return 0, false
	case v.text == "-0":
		return 0, true
	}
	for _, c := range []byte(v.text) {
		if c < '0' || c > '9' {
			return 0, false
		}
		seconds = seconds*10 + int64(c-'0')
	}
	return seconds, seconds <= maxDate
}

// decode reads base64url. The standard library would skip line breaks.
func decode(segment string) ([]byte, bool) {
	if strings.ContainsAny(segment, "\r\n") {
		return nil, false
	}
	data := make([]byte, base64url.DecodedLen(len(segment)))
	n, err := base64url.Decode(data, bytesOf(segment))
	return data[:n], err == nil
}

// bytesOf is text to be read, and not copied: nobody writes to it.
func bytesOf(text string) []byte {
	return unsafe.Slice(unsafe.StringData(text), len(text)) //nolint:gosec // as its comment says
}

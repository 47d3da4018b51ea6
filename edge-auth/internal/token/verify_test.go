package token_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"weir/edge-auth/internal/token"
)

const header = `{"alg":"HS256","typ":"JWT","kid":"k1"}`

// compactOf signs a token with this header and payload.
func compactOf(header, payload string) string {
	return signed(encode(header)+"."+encode(payload), secrets["k1"])
}

func TestVerify(t *testing.T) {
	valid := compactOf(header, `{"sub":"videos/abc","exp":1800000001}`)
	for _, c := range []struct {
		name    string
		compact string
		want    error // nil for a valid token
	}{
		{"the smallest valid token", valid, nil},
		{"exp as long ago as a clock may be late", compactOf(header, `{"sub":"a","exp":1799999971}`), nil},
		{"the other key", signed(encode(`{"alg":"HS256","kid":"k2"}`)+"."+encode(`{"sub":"a","exp":1800000001}`), secrets["k2"]), nil},
		{"no typ", compactOf(`{"alg":"HS256","kid":"k1"}`, `{"sub":"videos/abc","exp":1800000001}`), nil},
		{"claims of others", compactOf(header, `{"sub":"a","exp":1800000001,"aud":["x"],"ext":{"a":[1.5]}}`), nil},
		{"white space around JSON", compactOf(" "+header+"\n", ` { "sub" : "a" , "exp" : 1800000001 } `), nil},
		{"nbf and iat as far ahead as a clock may be", compactOf(header, `{"sub":"a","exp":1800009999,"nbf":1800000030,"iat":1800000030}`), nil},

		{"nothing", "", token.ErrMalformed},
		{"two parts", strings.Join(strings.Split(valid, ".")[:2], "."), token.ErrMalformed},
		{"four parts", valid + ".", token.ErrMalformed},
		{"padding", valid + "=", token.ErrMalformed},
		{"a line break", valid + "\n", token.ErrMalformed},
		{"4097 bytes", valid + strings.Repeat("A", 4097-len(valid)), token.ErrMalformed},
		{"a payload that is a list", compactOf(header, `["videos/abc"]`), token.ErrMalformed},
		{"JSON with a tail", compactOf(header, `{"sub":"a","exp":1800000001}{}`), token.ErrMalformed},
		{"alg none", encode(`{"alg":"none","kid":"k1"}`) + "." + encode(`{"sub":"a","exp":1800000001}`) + ".", token.ErrMalformed},
		{"alg of another key kind", compactOf(`{"alg":"RS256","kid":"k1"}`, `{"sub":"a","exp":1800000001}`), token.ErrMalformed},
		{"no kid", compactOf(`{"alg":"HS256"}`, `{"sub":"a","exp":1800000001}`), token.ErrMalformed},
		{"crit", compactOf(`{"alg":"HS256","kid":"k1","crit":["b64"]}`, `{"sub":"a","exp":1800000001}`), token.ErrMalformed},
		{"b64", compactOf(`{"alg":"HS256","kid":"k1","b64":true}`, `{"sub":"a","exp":1800000001}`), token.ErrMalformed},
		{"another typ", compactOf(`{"alg":"HS256","kid":"k1","typ":"at+jwt"}`, `{"sub":"a","exp":1800000001}`), token.ErrMalformed},
		{"two algs", compactOf(`{"alg":"none","alg":"HS256","kid":"k1"}`, `{"sub":"a","exp":1800000001}`), token.ErrMalformed},
		{"two subs", compactOf(header, `{"sub":"a","sub":"b","exp":1800000001}`), token.ErrMalformed},
		{"two subs, one of them escaped", compactOf(header, `{"sub":"a","\u0073ub":"b","exp":1800000001}`), token.ErrMalformed},
		{"no sub", compactOf(header, `{"exp":1800000001}`), token.ErrMalformed},
		{"no exp", compactOf(header, `{"sub":"a"}`), token.ErrMalformed},
		{"exp as text", compactOf(header, `{"sub":"a","exp":"1800000001"}`), token.ErrMalformed},
		{"exp with a fraction", compactOf(header, `{"sub":"a","exp":1800000001.0}`), token.ErrMalformed},
		{"exp beyond exact integers", compactOf(header, `{"sub":"a","exp":9007199254740992}`), token.ErrMalformed},
		{"a negative exp", compactOf(header, `{"sub":"a","exp":-1}`), token.ErrMalformed},
		{"JSON as deep as the stack", compactOf(strings.Repeat("[", 3000), `{}`), token.ErrMalformed},
		{"a control character in front of an escape", compactOf(header, "{\"sub\":\"\x01\\n\",\"exp\":1800000001}"), token.ErrMalformed},

		{"a key that is not configured", compactOf(`{"alg":"HS256","kid":"k3"}`, `{"sub":"a","exp":1800000001}`), token.ErrUnknownKey},
		{"a key by its path", compactOf(`{"alg":"HS256","kid":"../k1"}`, `{"sub":"a","exp":1800000001}`), token.ErrUnknownKey},

		{"another signature", valid[:len(valid)-4] + "AAAA", token.ErrSignature},
		{"no signature", valid[:strings.LastIndexByte(valid, '.')+1], token.ErrSignature},
		{"half a signature", valid[:len(valid)-19], token.ErrSignature},
		{"the signature of another key", signed(encode(header)+"."+encode(`{"sub":"a","exp":1800000001}`), secrets["k2"]), token.ErrSignature},
		{"claims are not read before the signature is checked", encode(header) + "." + encode(`{"exp":1}`) + "." + encode("x"), token.ErrSignature},

		{"exp longer ago than a clock may be late", compactOf(header, `{"sub":"a","exp":1799999970}`), token.ErrExpired},
		{"long after exp", compactOf(header, `{"sub":"a","exp":0}`), token.ErrExpired},
		{"exp counts before nbf", compactOf(header, `{"sub":"a","exp":1,"nbf":1900000000}`), token.ErrExpired},

		{"nbf further ahead than a clock may be", compactOf(header, `{"sub":"a","exp":1800009999,"nbf":1800000031}`), token.ErrNotYetValid},
		{"iat further ahead than a clock may be", compactOf(header, `{"sub":"a","exp":1800009999,"iat":1800000031}`), token.ErrNotYetValid},
	} {
		t.Run(c.name, func(t *testing.T) {
			claims, err := keys(t).Verify(c.compact, now)
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if err != nil && (!reflect.DeepEqual(claims, token.Claims{}) || token.Reason(err) == "") {
				t.Errorf("a refusal gives %+v, for the reason %q", claims, token.Reason(err))
			}
		})
	}
}

func TestClaims(t *testing.T) {
	got, err := keys(t).Verify(compactOf(header, `{"sub":"videos\/\u0061bc","exp":1800000001,"nbf":2,"iat":3}`), now)
	want := token.Claims{Subject: "videos/abc", Expires: 1_800_000_001, NotBefore: 2, IssuedAt: 3}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestParseKeysRefuses(t *testing.T) {
	const secret = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY" // 32 bytes
	good := `{"kty":"oct","alg":"HS256","kid":"k1","k":"` + secret + `"}`
	if _, err := token.ParseKeys(`{"keys":[` + strings.Replace(good, `"kty"`, `"use":"sig","kty"`, 1) + `]}`); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ set, want string }{
		"nothing":            {``, "not a JSON object"},
		"text":               {`hello`, "not a JSON object"},
		"a key, not a set":   {good, `no "keys"`},
		"keys of no kind":    {`{"keys":1}`, `no "keys"`},
		"no keys":            {`{"keys":[]}`, `no "keys"`},
		"a key of no kind":   {`{"keys":[1]}`, `keys[0]: "kty" and "alg"`},
		"an RSA key":         {`{"keys":[{"kty":"RSA","n":"x","e":"AQAB"}]}`, `keys[0]: "kty" and "alg"`},
		"no alg":             {`{"keys":[{"kty":"oct","kid":"k1","k":"` + secret + `"}]}`, `keys[0]: "kty" and "alg"`},
		"another alg":        {strings.ReplaceAll(`{"keys":[`+good+`]}`, "HS256", "HS512"), `keys[0]: "kty" and "alg"`},
		"an alg of others":   {strings.ReplaceAll(`{"keys":[`+good+`]}`, "HS256", "EdDSA"), `keys[0]: "kty" and "alg"`},
		"another curve":      {`{"keys":[{"kty":"OKP","crv":"X25519","alg":"EdDSA","kid":"k1","x":"` + secret + `"}]}`, `keys[0]: "crv"`},
		"a short point":      {`{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"k1","x":"` + secret[:42] + `"}]}`, `keys[0]: "crv"`},
		"a private key":      {`{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"k1","x":"` + secret + `","d":"` + secret + `"}]}`, `keys[0]: it is a private key`},
		"for encryption":     {`{"keys":[` + strings.Replace(good, `"kty"`, `"use":"enc","kty"`, 1) + `]}`, `keys[0]: "use"`},
		"no kid":             {strings.ReplaceAll(`{"keys":[`+good+`]}`, "kid", "id"), `keys[0]: "kid"`},
		"a 31-byte secret":   {`{"keys":[` + strings.Replace(good, secret, secret[:41]+"A", 1) + `]}`, `keys[0]: "k"`},
		"a secret in base64": {`{"keys":[` + strings.Replace(good, secret, secret+"=", 1) + `]}`, `keys[0]: "k"`},
		"a kid twice":        {`{"keys":[` + good + `,` + good + `]}`, `keys[1]: its "kid" is taken`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := token.ParseKeys(c.set)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if strings.Contains(err.Error(), secret[:8]) {
				t.Errorf("the error tells the secret: %v", err)
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	k := keys(b)
	compact := compactOf(header, `{"sub":"videos/abc","exp":1800003600,"nbf":1800000000,"iat":1800000000}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Verify(compact, now); err != nil {
			b.Fatal(err)
		}
	}
}

package token_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// A draft is a token while it is being made: JSON members as they will be written, in order.
type draft struct {
	header, claims []string
	secret         []byte
	segments       []func(string) string
	compact        []func(string) string
}

// mutant makes a valid token, with up to three changes before or after it is signed.
func mutant(r *rand.Rand) string {
	d := &draft{
		header: []string{`"alg":"HS256"`, `"typ":"JWT"`, `"kid":"k1"`},
		claims: []string{`"sub":"videos/abc"`, fmt.Sprintf(`"exp":%d`, now+3600), fmt.Sprintf(`"iat":%d`, now), fmt.Sprintf(`"nbf":%d`, now)},
		secret: secrets["k1"],
	}
	for range r.IntN(4) {
		mutations[r.IntN(len(mutations))](r, d)
	}
	input := encode(object(d.header)) + "." + encode(object(d.claims))
	for _, change := range d.segments {
		input = change(input)
	}
	compact := signed(input, d.secret)
	for _, change := range d.compact {
		compact = change(compact)
	}
	return compact
}

var (
	algs  = []string{`"none"`, `"None"`, `"nOnE"`, `"HS384"`, `"HS512"`, `"RS256"`, `"hs256"`, `"HS256 "`, `""`, `null`, `256`, `["HS256"]`, `"HS256"`}
	kids  = []string{`"k2"`, `"k3"`, `"../k1"`, `"k1\u0000"`, `"\u006b1"`, `"' OR 1=1 --"`, `""`, `null`, `1`, `["k1"]`, `"K1"`}
	typs  = []string{`"jwt"`, `"JWS"`, `"at+jwt"`, `""`, `null`, `1`, `["JWT"]`}
	subs  = []string{`""`, `null`, `1`, `["videos/abc"]`, `{}`, `"videos\/abc"`, `"videos/\u00fc"`, `"videos/ü"`, `"\ud83d\ude00"`, `"\ud800"`, `"a\\b"`, `"\u0000"`, "\"\xff\"", "\"\x01\"", "\"\x01\\n\"", `"\q"`, `"\u12"`}
	dates = []string{`0`, `-0`, `-1`, `0.5`, `1e300`, `1e999`, `1.8e9`, `1800000000.5`, `1800003600.0`, `1800003600E0`, `9007199254740991`, `9007199254740992`, `9223372036854775807`, `9223372036854775808`, `18446744073709551616`, `01800003600`, `+1800003600`, `"1800003600"`, `null`, `true`, `[1800003600]`, `{}`, `NaN`, `Infinity`, `-`, `.5`, `1.`, `1e`}
	other = []string{`"jti":"x"`, `"aud":["a","b"]`, `"aud":1`, `"iss":{"a":[1,{"b":null}]}`, `"x":1e999`, `"x":[1e-999]`, `"x":[1E+400]`, `"x":{"y":{"y":{"y":{"y":{"y":{"y":{"y":{"y":1}}}}}}}}`, `"x":[[[[[[[]]]]]]]`, `"x":true`, `"x":tru`, `"x":`, `"":""`, `"x":"\u000"`, `"jku":"https://example.com"`, `"jwk":{"kty":"oct"}`, `"crit":["exp"]`, `"crit":[]`, `"b64":false`, `"b64":true`, `"EXP":1`, `"Alg":"none"`, `"x":"` + "\t" + `"`, `"x":"` + "\xc3" + `"`, "\n\"x\" :\r\n 1\t", `"a":1,`, `,`}
)

// mutations change a draft. Numbers around the present are drawn, so that both sides of each bound are met.
var mutations = []func(*rand.Rand, *draft){
	func(r *rand.Rand, d *draft) { set(d.header, "alg", one(r, algs)) },
	func(r *rand.Rand, d *draft) { set(d.header, "typ", one(r, typs)) },
	func(r *rand.Rand, d *draft) { set(d.header, "kid", one(r, kids)) },
	func(_ *rand.Rand, d *draft) { set(d.header, "kid", `"k2"`); d.secret = secrets["k2"] },
	func(_ *rand.Rand, d *draft) { d.secret = secrets["k2"] },
	func(_ *rand.Rand, d *draft) { d.secret = nil },
	func(r *rand.Rand, d *draft) { set(d.claims, "sub", one(r, subs)) },
	func(r *rand.Rand, d *draft) { set(d.claims, one(r, []string{"exp", "nbf", "iat"}), one(r, dates)) },
	func(r *rand.Rand, d *draft) { set(d.claims, "exp", fmt.Sprint(now-40+r.IntN(50))) },
	func(r *rand.Rand, d *draft) { set(d.claims, "nbf", fmt.Sprint(now+25+r.IntN(10))) },
	func(r *rand.Rand, d *draft) { set(d.claims, "iat", fmt.Sprint(now+25+r.IntN(10))) },
	func(r *rand.Rand, d *draft) { d.header = drop(r, d.header) },
	func(r *rand.Rand, d *draft) { d.claims = drop(r, d.claims) },
	func(r *rand.Rand, d *draft) { d.header = insert(r, d.header, one(r, d.header)) }, // twice the same
	func(r *rand.Rand, d *draft) { d.claims = insert(r, d.claims, one(r, d.claims)) },
	func(r *rand.Rand, d *draft) { d.claims = insert(r, d.claims, `"\u0065xp":9999999999`) }, // the same, escaped
	func(r *rand.Rand, d *draft) { d.header = insert(r, d.header, one(r, other)) },
	func(r *rand.Rand, d *draft) { d.claims = insert(r, d.claims, one(r, other)) },
	func(_ *rand.Rand, d *draft) {
		d.claims = append(d.claims, `"pad":"`+strings.Repeat("x", 3000)+`"`)
	},
	func(r *rand.Rand, d *draft) { d.segments = append(d.segments, spliced(r, "\n\r =.+/-_A")) }, // then signed
	func(r *rand.Rand, d *draft) { d.compact = append(d.compact, spliced(r, "\n\r =.+/-_A\x00é")) },
	func(r *rand.Rand, d *draft) { d.compact = append(d.compact, spliced(r, "\n")) },
	func(r *rand.Rand, d *draft) { d.compact = append(d.compact, flipped(r)) },
	func(r *rand.Rand, d *draft) {
		d.compact = append(d.compact, func(s string) string { return s[:r.IntN(len(s))] })
	},
	func(_ *rand.Rand, d *draft) { // other trailing bits, which mean nothing
		d.compact = append(d.compact, func(s string) string {
			const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
			last := strings.IndexByte(alphabet, s[len(s)-1])
			return s[:len(s)-1] + string(alphabet[(last+1)%64])
		})
	},
	func(_ *rand.Rand, d *draft) {
		d.compact = append(d.compact, func(s string) string { return s[:strings.LastIndexByte(s, '.')+1] })
	},
}

func one(r *rand.Rand, list []string) string { return list[r.IntN(len(list))] }

func set(members []string, name, value string) {
	for i, m := range members {
		if strings.HasPrefix(m, `"`+name+`":`) {
			members[i] = `"` + name + `":` + value
		}
	}
}

func drop(r *rand.Rand, members []string) []string {
	i := r.IntN(len(members))
	return append(slices.Clone(members[:i]), members[i+1:]...)
}

func insert(r *rand.Rand, members []string, m string) []string {
	return slices.Insert(slices.Clone(members), r.IntN(len(members)+1), m)
}

func spliced(r *rand.Rand, characters string) func(string) string {
	return func(s string) string {
		at, c := r.IntN(len(s)+1), []rune(characters)
		return s[:at] + string(c[r.IntN(len(c))]) + s[at:]
	}
}

func flipped(r *rand.Rand) func(string) string {
	return func(s string) string {
		b := []byte(s)
		b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		return string(b)
	}
}

func object(members []string) string { return "{" + strings.Join(members, ",") + "}" }
func encode(text string) string      { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

func signed(input string, secret []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

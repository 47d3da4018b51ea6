package token_test

import (
	"crypto/ed25519"
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
	secret         []byte // or the private key of EdDSA

	// What is done to it afterwards: to the JSON of the header and of the claims, to both as they will be signed, to the token.
	headerJSON, claimsJSON, segments, compact []func(string) string
}

// mutant makes a valid token, with up to three changes before or after it is signed, and tells which.
func mutant(r *rand.Rand) (compact string, changes []mutation) {
	for range r.IntN(4) {
		changes = append(changes, mutations[r.IntN(len(mutations))])
	}
	return mutated(r, changes), changes
}

func mutated(r *rand.Rand, changes []mutation) string {
	d := &draft{
		header: []string{`"alg":"HS256"`, `"typ":"JWT"`, `"kid":"k1"`},
		claims: []string{fmt.Sprintf(`"sub":"videos/%x"`, r.Uint32()), fmt.Sprintf(`"exp":%d`, now+1+r.IntN(100_000)), fmt.Sprintf(`"iat":%d`, now), fmt.Sprintf(`"nbf":%d`, now)},
		secret: secrets["k1"],
	}
	for _, c := range changes {
		c.change(r, d)
	}
	input := rewritten(object(d.header), d.headerJSON) + "." + rewritten(object(d.claims), d.claimsJSON)
	for _, change := range d.segments {
		input = change(input)
	}
	compact := signed(input, d.secret)
	for _, change := range d.compact {
		if compact != "" { // an earlier change may have left nothing
			compact = change(compact)
		}
	}
	return compact
}

func rewritten(text string, changes []func(string) string) string {
	for _, change := range changes {
		text = change(text)
	}
	return encode(text)
}

var (
	algs  = []string{`"none"`, `"None"`, `"nOnE"`, `"HS384"`, `"HS512"`, `"RS256"`, `"hs256"`, `"HS256 "`, `""`, `null`, `256`, `["HS256"]`, `"HS256"`}
	kids  = []string{`"k2"`, `"k3"`, `"../k1"`, `"k1\u0000"`, `"\u006b1"`, `"' OR 1=1 --"`, `""`, `null`, `1`, `["k1"]`, `"K1"`}
	typs  = []string{`"jwt"`, `"JWS"`, `"at+jwt"`, `""`, `null`, `1`, `["JWT"]`}
	subs  = []string{`""`, `null`, `1`, `["videos/abc"]`, `{}`, `"videos\/abc"`, `"videos/\u00fc"`, `"videos/ü"`, `"\ud83d\ude00"`, `"\ud800"`, `"a\\b"`, `"\u0000"`, "\"\xff\"", "\"\x01\"", "\"\x01\\n\"", `"\q"`, `"\u12"`}
	kinds = []string{`"playlist"`, `"thumbnail"`, `"key"`, `"Playlist"`, `"segment"`, `""`, `null`, `["key"]`, `"key"`}
	rules = []string{`[]`, `null`, `{}`, `[1]`, `[{"type":"any","action":"allow"}]`, `[{"type":"any","action":"deny"}]`, `[{"type":"ip.src","action":"block","ip":["10.0.0.0/8"]}]`, `[{"type":"ip.src","action":"block","ip":["10.0.0.1/8"]}]`, `[{"type":"ip.src","action":"block","country":["DE"]}]`}
	dates = []string{`0`, `-0`, `-1`, `0.5`, `1e300`, `1e999`, `1.8e9`, `1800000000.5`, `1800003600.0`, `1800003600E0`, `9007199254740991`, `9007199254740992`, `9223372036854775807`, `9223372036854775808`, `18446744073709551616`, `01800003600`, `+1800003600`, `"1800003600"`, `null`, `true`, `[1800003600]`, `{}`, `NaN`, `Infinity`, `-`, `.5`, `1.`, `1e`}
	other = []string{`"jti":"x"`, `"aud":["a","b"]`, `"aud":1`, `"iss":{"a":[1,{"b":null}]}`, `"x":1e999`, `"x":[1e-999]`, `"x":[1E+400]`, `"x":{"y":{"y":{"y":{"y":{"y":{"y":{"y":{"y":1}}}}}}}}`, `"x":[[[[[[[]]]]]]]`, `"x":{"a":1,"a":1}`, `"x":1e99`, `"x":1e-100`, `"x":1` + strings.Repeat("0", 80), `"x":"\udc00"`, `"x":"\ud83d\ude00"`, `"x":"\ufffd\ud800"`, `"x":true`, `"x":tru`, `"x":`, `"":""`, `"x":"\u000"`, `"jku":"https://example.com"`, `"jwk":{"kty":"oct"}`, `"crit":["exp"]`, `"crit":[]`, `"b64":false`, `"b64":true`, `"EXP":1`, `"Alg":"none"`, `"x":"` + "\t" + `"`, `"x":"` + "\xc3" + `"`, "\n\"x\" :\r\n 1\t", `"a":1,`, `,`}
)

// A mutation is a change of a draft, and what comes of a token that is valid but for it: each of these, and nothing else.
type mutation struct {
	name   string
	comes  []verdict
	change func(*rand.Rand, *draft)
}

var (
	harmless = []verdict{bothAccept}
	fatal    = []verdict{bothRefuse}
	either   = []verdict{bothAccept, bothRefuse}
	narrowed = []verdict{bothAccept, onlyWeRefuse}
	refused  = []verdict{bothRefuse, onlyWeRefuse}
	any3     = []verdict{bothAccept, bothRefuse, onlyWeRefuse}
)

// mutations change a draft. Numbers around the present are drawn, so that both sides of each bound are met.
var mutations = []mutation{
	{"alg: another", either, func(r *rand.Rand, d *draft) { set(d.header, "alg", one(r, algs)) }},
	{"typ: another", narrowed, func(r *rand.Rand, d *draft) { set(d.header, "typ", one(r, typs)) }},
	{"kid: another", either, func(r *rand.Rand, d *draft) { set(d.header, "kid", one(r, kids)) }},
	{"kid: the other key, which signs", harmless, func(_ *rand.Rand, d *draft) { set(d.header, "kid", `"k2"`); d.secret = secrets["k2"] }},
	{"signer: the other key", fatal, func(_ *rand.Rand, d *draft) { d.secret = secrets["k2"] }},
	{"signer: none", fatal, func(_ *rand.Rand, d *draft) { d.secret = nil }},
	{"signer: EdDSA", harmless, func(_ *rand.Rand, d *draft) {
		set(d.header, "alg", `"EdDSA"`)
		set(d.header, "kid", `"ed"`)
		d.secret = private
	}},
	{"signer: HS256 with the public key", fatal, func(_ *rand.Rand, d *draft) { // a secret that everybody knows
		set(d.header, "kid", `"ed"`)
		d.secret = public
	}},
	{"signer: any, under any alg and kid", either, func(r *rand.Rand, d *draft) {
		set(d.header, "alg", one(r, []string{`"HS256"`, `"EdDSA"`, `"none"`}))
		set(d.header, "kid", one(r, []string{`"k1"`, `"k2"`, `"ed"`}))
		d.secret = [][]byte{secrets["k1"], secrets["k2"], private, public, nil}[r.IntN(5)]
	}},
	{"signature: none", fatal, func(_ *rand.Rand, d *draft) {
		d.compact = append(d.compact, func(s string) string { return s[:strings.LastIndexByte(s, '.')+1] })
	}},
	{"signature: extended", fatal, func(r *rand.Rand, d *draft) {
		d.compact = append(d.compact, func(s string) string { return s + strings.Repeat("A", 1+r.IntN(90)) })
	}},
	{"kind", narrowed, func(r *rand.Rand, d *draft) { d.claims = insert(r, d.claims, `"kind":`+one(r, kinds)) }},
	{"access rules", narrowed, func(r *rand.Rand, d *draft) { d.claims = insert(r, d.claims, `"accessRules":`+one(r, rules)) }},
	{"sub: another", any3, func(r *rand.Rand, d *draft) { set(d.claims, "sub", one(r, subs)) }},
	{"date: of a list", any3, func(r *rand.Rand, d *draft) { set(d.claims, one(r, dateNames), one(r, dates)) }},
	{"date: in an odd spelling", any3, func(r *rand.Rand, d *draft) { set(d.claims, one(r, dateNames), number(r)) }},
	{"exp around now", either, func(r *rand.Rand, d *draft) { set(d.claims, "exp", fmt.Sprint(now-35+r.IntN(10))) }},
	{"nbf around now", either, func(r *rand.Rand, d *draft) { set(d.claims, "nbf", fmt.Sprint(now+25+r.IntN(10))) }},
	{"iat around now", either, func(r *rand.Rand, d *draft) { set(d.claims, "iat", fmt.Sprint(now+25+r.IntN(10))) }},
	{"a member less in the header", either, func(r *rand.Rand, d *draft) { d.header = drop(r, d.header) }},
	{"a member less in the claims", any3, func(r *rand.Rand, d *draft) { d.claims = drop(r, d.claims) }},
	{"a member twice in the header", []verdict{onlyWeRefuse}, func(r *rand.Rand, d *draft) { d.header = insert(r, d.header, one(r, d.header)) }},
	{"a member twice in the claims", []verdict{onlyWeRefuse}, func(r *rand.Rand, d *draft) { d.claims = insert(r, d.claims, one(r, d.claims)) }},
	{"exp twice, once escaped", []verdict{onlyWeRefuse}, func(r *rand.Rand, d *draft) { d.claims = insert(r, d.claims, `"\u0065xp":9999999999`) }},
	{"alg or kid twice, with another value", refused, func(r *rand.Rand, d *draft) {
		d.header = insert(r, d.header, one(r, []string{`"alg":"none"`, `"kid":"k2"`, `"\u0061lg":"none"`, `"ki\u0064":"k1"`}))
	}},
	{"members in another order", harmless, func(r *rand.Rand, d *draft) {
		for _, m := range [][]string{d.header, d.claims} {
			r.Shuffle(len(m), func(i, j int) { m[i], m[j] = m[j], m[i] })
		}
	}},
	{"a member more in the header", any3, func(r *rand.Rand, d *draft) { d.header = insert(r, d.header, one(r, other)) }},
	{"a member more in the claims", any3, func(r *rand.Rand, d *draft) { d.claims = insert(r, d.claims, one(r, other)) }},
	{"a name in look-alike letters", any3, func(r *rand.Rand, d *draft) {
		alike := strings.NewReplacer("s", "ſ", "a", "а", "e", "е", "k", "K", "i", "ı")
		m := [][]string{d.header, d.claims}[r.IntN(2)]
		i := r.IntN(len(m))
		name, value, _ := strings.Cut(m[i], ":")
		m[i] = alike.Replace(name) + ":" + value
	}},
	{"a value in other Unicode", any3, func(r *rand.Rand, d *draft) {
		m := [][]string{d.header, d.claims}[r.IntN(2)]
		i := r.IntN(len(m))
		at, added := r.IntN(len(m[i])+1), one(r, []string{"\u200b", "\ufeff", "\u0301", "１", "\u2028", "\x00", "\xed\xa0\x80", "\xc0\xaf", "😀"})
		m[i] = m[i][:at] + added + m[i][at:]
	}},
	{"long", narrowed, func(r *rand.Rand, d *draft) {
		d.claims = append(d.claims, `"pad":"`+strings.Repeat("x", 2600+r.IntN(400))+`"`)
	}},
	{"deep", narrowed, func(r *rand.Rand, d *draft) {
		depth := 1 + r.IntN(12)
		d.claims = append(d.claims, `"x":`+strings.Repeat("[", depth)+strings.Repeat("]", depth))
	}},
	{"space around the JSON", either, func(r *rand.Rand, d *draft) {
		pad := func(s string) string { return one(r, spaces) + s + one(r, spaces) }
		d.headerJSON, d.claimsJSON = append(d.headerJSON, pad), append(d.claimsJSON, pad)
	}},
	{"a bit of the header, then signed", any3, func(r *rand.Rand, d *draft) { d.headerJSON = append(d.headerJSON, flipped(r)) }},
	{"a bit of the claims, then signed", any3, func(r *rand.Rand, d *draft) { d.claimsJSON = append(d.claimsJSON, flipped(r)) }},
	{"the JSON cut short, then signed", fatal, func(r *rand.Rand, d *draft) { d.claimsJSON = append(d.claimsJSON, cut(r)) }},
	{"random bytes, then signed", fatal, func(r *rand.Rand, d *draft) { d.claimsJSON = append(d.claimsJSON, noise(r)) }},
	{"a token within a token", fatal, func(_ *rand.Rand, d *draft) {
		d.claimsJSON = append(d.claimsJSON, func(s string) string { return signed(encode(header)+"."+encode(s), secrets["k1"]) })
	}},
	{"base64: a character more, then signed", refused, func(r *rand.Rand, d *draft) { d.segments = append(d.segments, spliced(r, "\n\r =.+/-_A")) }},
	{"base64: padded, then signed", fatal, func(_ *rand.Rand, d *draft) {
		d.segments = append(d.segments, func(s string) string {
			head, claims, _ := strings.Cut(s, ".")
			return padded(head) + "." + padded(claims)
		})
	}},
	{"base64: a line break", refused, func(r *rand.Rand, d *draft) { d.compact = append(d.compact, spliced(r, "\n\r")) }},
	{"base64: padded", fatal, func(_ *rand.Rand, d *draft) { d.compact = append(d.compact, padded) }},
	{"base64: the other alphabet", either, func(_ *rand.Rand, d *draft) {
		d.compact = append(d.compact, strings.NewReplacer("-", "+", "_", "/").Replace)
	}},
	{"base64: bits that mean nothing", fatal, func(_ *rand.Rand, d *draft) {
		d.compact = append(d.compact, func(s string) string {
			const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
			last := strings.IndexByte(alphabet, s[len(s)-1])
			return s[:len(s)-1] + string(alphabet[(last+1)%64])
		})
	}},
	{"a letter in the other case", fatal, func(r *rand.Rand, d *draft) {
		d.compact = append(d.compact, func(s string) string {
			b, i := []byte(s), r.IntN(len(s))
			for range b {
				if i = (i + 1) % len(b); 'a' <= b[i]|0x20 && b[i]|0x20 <= 'z' {
					b[i] ^= 0x20
					break
				}
			}
			return string(b)
		})
	}},
	{"a character more", refused, func(r *rand.Rand, d *draft) { d.compact = append(d.compact, spliced(r, "\n\r =.+/-_A\x00é")) }},
	{"a bit", fatal, func(r *rand.Rand, d *draft) { d.compact = append(d.compact, flipped(r)) }},
	{"cut short", fatal, func(r *rand.Rand, d *draft) { d.compact = append(d.compact, cut(r)) }},
	{"a segment more", fatal, func(r *rand.Rand, d *draft) {
		d.compact = append(d.compact, func(s string) string { return s + "." + one(r, append(strings.Split(s, "."), "")) })
	}},
	{"two segments swapped", fatal, func(r *rand.Rand, d *draft) {
		d.compact = append(d.compact, func(s string) string {
			parts := strings.Split(s, ".")
			i := r.IntN(len(parts))
			j := (i + 1) % len(parts)
			parts[i], parts[j] = parts[j], parts[i]
			return strings.Join(parts, ".")
		})
	}},
	{"a segment of another valid token", fatal, func(r *rand.Rand, d *draft) {
		d.compact = append(d.compact, func(s string) string {
			parts, others := strings.Split(s, "."), strings.Split(otherToken, ".")
			i := r.IntN(len(parts))
			parts[i] = others[min(i, len(others)-1)]
			return strings.Join(parts, ".")
		})
	}},
}

// otherToken is valid, and no segment of it is one of a draft's.
var otherToken = signed(encode(`{"alg":"HS256","kid":"k2"}`)+"."+encode(`{"sub":"videos/other","exp":1800003600}`), secrets["k2"])

var (
	dateNames = []string{"exp", "nbf", "iat"}
	spaces    = []string{"", " ", "\t", "\r\n", "\n \n", "\v", "\f", "\u00a0", "\ufeff", "\x00"}
)

// number writes a number around the present in the ways in which JSON, or what is nearly JSON, writes numbers.
func number(r *rand.Rand) string {
	sometimes := func(list ...string) string {
		if r.IntN(3) > 0 {
			return ""
		}
		return one(r, list)
	}
	text := fmt.Sprint(now + r.IntN(7200) - 3600)
	if r.IntN(5) == 0 {
		text = strings.Repeat("9", 1+r.IntN(80))
	}
	return sometimes("-", "+", "0", "0x", " ") + text + sometimes(".", ".0", ".5", ".000", "_0", "n") +
		sometimes("e0", "E+0", "e-0", "e1", "e-1", "e00", "e", "e400", "e-400", " ")
}

func padded(s string) string {
	return s + strings.Repeat("=", (4-len(s[strings.LastIndexByte(s, '.')+1:])%4)%4)
}

func cut(r *rand.Rand) func(string) string {
	return func(s string) string { return s[:r.IntN(max(1, len(s)))] }
}

func noise(r *rand.Rand) func(string) string {
	return func(string) string {
		b := make([]byte, r.IntN(100))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return string(b)
	}
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
		if len(b) > 0 { // an earlier change may have left nothing
			b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		}
		return string(b)
	}
}

func object(members []string) string { return "{" + strings.Join(members, ",") + "}" }
func encode(text string) string      { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

func signed(input string, secret []byte) string {
	if len(secret) == ed25519.PrivateKeySize {
		return input + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(secret, []byte(input)))
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

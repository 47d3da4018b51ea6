package token_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"weir/edge-auth/internal/token"
)

// strictProfile lists every reason for which the edge refuses what golang-jwt takes, each with a witness: what
// must be true of the token, found without the code that is tested.
var strictProfile = map[string]func(compact string) bool{
	"it is longer than 4096 bytes":                               func(c string) bool { return len(c) > 4096 },
	"its header is not base64url":                                hasLineBreak,
	"its payload is not base64url":                               hasLineBreak,
	"its signature is not base64url":                             hasLineBreak,
	"its header is not a JSON object with distinct names":        func(c string) bool { return ambiguous(segment(c, 0)) },
	"its payload is not a JSON object with distinct names":       func(c string) bool { return ambiguous(segment(c, 1)) },
	`its header has "crit"`:                                      func(c string) bool { return member(c, 0, "crit") != "" },
	`its header has "b64"`:                                       func(c string) bool { return member(c, 0, "b64") != "" },
	`its header's "typ" is not "JWT"`:                            func(c string) bool { return !strings.EqualFold(member(c, 0, "typ"), `"jwt"`) },
	`its "sub" is not a path`:                                    func(c string) bool { return !pathLike(member(c, 1, "sub")) },
	`its "exp", "nbf" or "iat" is not a whole number of seconds`: hasOddDate,
	"it has expired": func(c string) bool { // golang-jwt has one leeway for all; here exp is exact
		var claims struct{ Exp int64 }
		return json.Unmarshal(segment(c, 1), &claims) == nil && claims.Exp <= now && now < claims.Exp+token.ClockSkew
	},
}

const now = 1_800_000_000

var secrets = map[string][]byte{
	"k1": []byte("the first secret, of 32 bytes ok"),
	"k2": []byte("the other secret, of 32 bytes ok"),
}

func keys(t testing.TB) token.Keys {
	t.Helper()
	k, err := token.ParseKeys(fmt.Sprintf(`{"keys":[%s,%s]}`, jwk("k1"), jwk("k2")))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func jwk(kid string) string {
	return fmt.Sprintf(`{"kty":"oct","alg":"HS256","kid":%q,"k":%q}`, kid,
		base64.RawURLEncoding.EncodeToString(secrets[kid]))
}

// oracle is golang-jwt with everything it has for strictness.
var oracle = jwt.NewParser(
	jwt.WithValidMethods([]string{"HS256"}),
	jwt.WithExpirationRequired(),
	jwt.WithIssuedAt(),
	jwt.WithStrictDecoding(),
	jwt.WithLeeway(token.ClockSkew*time.Second),
	jwt.WithTimeFunc(func() time.Time { return time.Unix(now, 0) }),
)

func oracleKey(t *jwt.Token) (any, error) {
	kid, _ := t.Header["kid"].(string)
	if secret, ok := secrets[kid]; ok {
		return secret, nil
	}
	return nil, errors.New("no such key")
}

type verifier func(compact string) (token.Claims, error)

// compare holds a verifier to golang-jwt's verdict on one token. It may only be stricter, and only for a
// reason of the strict profile that is true of the token; that reason is returned.
func compare(verify verifier, compact string) (stricter string, disagreement error) {
	got, err := verify(compact)
	claims := jwt.MapClaims{}
	_, oracleErr := oracle.ParseWithClaims(compact, claims, oracleKey)
	reason := token.Reason(err)

	switch witness := strictProfile[reason]; {
	case err == nil && oracleErr != nil:
		return "", fmt.Errorf("accepted, but golang-jwt says %w", oracleErr)
	case err == nil:
		if sub, _ := claims.GetSubject(); sub != got.Subject {
			return "", fmt.Errorf("subject %q, but golang-jwt reads %q", got.Subject, sub)
		}
		if exp, _ := claims.GetExpirationTime(); exp.Unix() != got.Expires {
			return "", fmt.Errorf("exp %d, but golang-jwt reads %d", got.Expires, exp.Unix())
		}
		return "", nil
	case witness != nil && witness(compact):
		if oracleErr == nil {
			return reason, nil
		}
		return "", nil
	case oracleErr == nil:
		return "", fmt.Errorf("refused (%w), but golang-jwt accepts", err)
	case onlyExpired(oracleErr) && !errors.Is(err, token.ErrExpired):
		return "", fmt.Errorf("refused (%w), but golang-jwt says expired", err)
	case onlyEarly(oracleErr) && !errors.Is(err, token.ErrNotYetValid):
		return "", fmt.Errorf("refused (%w), but golang-jwt says not yet valid", err)
	}
	return "", nil
}

// onlyExpired and onlyEarly say that time is all that golang-jwt has against a token.
func onlyExpired(err error) bool {
	return errors.Is(err, jwt.ErrTokenExpired) && !errors.Is(err, jwt.ErrInvalidType)
}

func onlyEarly(err error) bool {
	early := errors.Is(err, jwt.ErrTokenNotValidYet) || errors.Is(err, jwt.ErrTokenUsedBeforeIssued)
	return early && !errors.Is(err, jwt.ErrTokenExpired) && !errors.Is(err, jwt.ErrInvalidType) &&
		!errors.Is(err, jwt.ErrTokenRequiredClaimMissing)
}

// Ten thousand mutants of valid tokens from a fixed seed: no verdict differs, and every reason of the strict
// profile is met, so that the list has no entry too many.
func TestVerdictsEqualGolangJWT(t *testing.T) {
	verify, random := ours(t), rand.New(rand.NewPCG(1, 2))
	met, accepted := map[string]int{}, 0
	for range 10_000 {
		compact := mutant(random)
		reason, err := compare(verify, compact)
		if err != nil {
			t.Fatalf("%v\ntoken  %q\nheader %s\nclaims %s", err, compact, segment(compact, 0), segment(compact, 1))
		}
		if _, err := verify(compact); err == nil {
			accepted++
		}
		met[reason]++
	}
	for reason := range strictProfile {
		if met[reason] == 0 {
			t.Errorf("no mutant is refused because %s", reason)
		}
	}
	if accepted < 500 || accepted > 9_500 {
		t.Errorf("%d of 10,000 mutants were accepted: the mutations are too harsh or too mild", accepted)
	}
	t.Logf("%d accepted; stricter than golang-jwt: %v", accepted, met)
}

// The comparison is worth something only if it notices a verifier that is wrong.
func TestComparisonCatchesWrongVerifiers(t *testing.T) {
	right := ours(t)
	forgive := func(forgivable func(error) bool) verifier {
		return func(compact string) (token.Claims, error) {
			claims, err := right(compact)
			if err == nil || !forgivable(err) {
				return claims, err
			}
			var c struct {
				Sub string
				Exp int64
			}
			if err := json.Unmarshal(segment(compact, 1), &c); err != nil {
				return claims, err
			}
			return token.Claims{Subject: c.Sub, Expires: c.Exp}, nil
		}
	}
	kind := func(kind error) func(error) bool { return func(err error) bool { return errors.Is(err, kind) } }
	reason := func(part string) func(error) bool {
		return func(err error) bool { return strings.Contains(token.Reason(err), part) }
	}
	for name, wrong := range map[string]verifier{
		"exp is not checked":           forgive(kind(token.ErrExpired)),
		"nbf and iat are not checked":  forgive(kind(token.ErrNotYetValid)),
		"the signature is not checked": forgive(kind(token.ErrSignature)),
		"alg is not checked":           forgive(reason(`"alg"`)),
		"a token needs no exp":         forgive(reason(`no "exp"`)),
		"a reason that is not in the profile": func(compact string) (token.Claims, error) {
			if claims, err := right(compact); err != nil || claims.NotBefore == 0 {
				return claims, err
			}
			return token.Claims{}, &token.Error{Kind: token.ErrMalformed, Reason: "it has nbf"}
		},
		"a reason that is not true": func(string) (token.Claims, error) {
			return token.Claims{}, &token.Error{Kind: token.ErrMalformed, Reason: `its header has "crit"`}
		},
	} {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			for range 10_000 {
				if _, err := compare(wrong, mutant(random)); err != nil {
					return
				}
			}
			t.Error("10,000 mutants did not show it")
		})
	}
}

// FuzzVerdictEqualsGolangJWT looks for a token on which the two differ. With an empty signature the first two
// arguments are JSON, which is encoded and signed, so that changes of it get past the signature; else they
// are segments as they are.
func FuzzVerdictEqualsGolangJWT(f *testing.F) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		parts := strings.SplitN(mutant(random), ".", 3)
		if len(parts) == 3 {
			f.Add(parts[0], parts[1], parts[2])
			f.Add(string(segment(parts[0], 0)), string(segment("."+parts[1], 1)), "")
		}
	}
	f.Fuzz(func(t *testing.T, header, payload, signature string) {
		compact := header + "." + payload + "." + signature
		if signature == "" {
			compact = signed(encode(header)+"."+encode(payload), secrets["k1"])
		}
		if _, err := compare(ours(t), compact); err != nil {
			t.Errorf("%v\ntoken  %q\nheader %s\nclaims %s", err, compact, segment(compact, 0), segment(compact, 1))
		}
	})
}

func ours(t testing.TB) verifier {
	k := keys(t)
	return func(compact string) (token.Claims, error) { return k.Verify(compact, now) }
}

// segment decodes a part of a token as leniently as golang-jwt does, or gives nil.
func segment(compact string, i int) []byte {
	parts := strings.Split(compact, ".")
	if i >= len(parts) {
		return nil
	}
	data, err := base64.RawURLEncoding.DecodeString(parts[i])
	if err != nil {
		return nil
	}
	return data
}

// member is a member of a token's header (0) or payload (1) as it is written, or "".
func member(compact string, part int, name string) string {
	var members map[string]json.RawMessage
	if json.Unmarshal(segment(compact, part), &members) != nil {
		return ""
	}
	return string(members[name])
}

func hasLineBreak(compact string) bool { return strings.ContainsAny(compact, "\r\n") }

func pathLike(sub string) bool {
	var text string
	return json.Unmarshal([]byte(sub), &text) == nil && text != "" && !strings.ContainsAny(text, "\\\uFFFD")
}

var wholeNumber = regexp.MustCompile(`^(-?0|[1-9][0-9]{0,15})$`)

func hasOddDate(compact string) bool {
	for _, name := range []string{"exp", "nbf", "iat"} {
		text := member(compact, 1, name)
		if text != "" && (!wholeNumber.MatchString(text) || len(text) == 16 && text > "9007199254740991") {
			return true
		}
	}
	return false
}

// ambiguous reports whether a JSON object repeats a name, is nested deeper than eight levels, or is no UTF-8.
func ambiguous(text []byte) bool {
	decoder, depth, deepest := json.NewDecoder(bytes.NewReader(text)), 0, 0
	names, isName := map[string]bool{}, false
	for {
		t, err := decoder.Token()
		if err == io.EOF {
			return deepest > 8 || !utf8.Valid(text)
		}
		if err != nil {
			return false
		}
		if delim, ok := t.(json.Delim); ok {
			if delim == '{' || delim == '[' {
				depth++
			} else {
				depth--
			}
			deepest, isName = max(deepest, depth), depth == 1
			continue
		}
		if depth != 1 {
			continue
		}
		if name, ok := t.(string); ok && isName {
			if names[name] {
				return true
			}
			names[name] = true
		}
		isName = !isName
	}
}

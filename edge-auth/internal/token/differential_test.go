package token_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"weir/edge-auth/campaign"
	"weir/edge-auth/internal/token"
)

// strictProfile lists every reason for which the edge refuses what golang-jwt takes, each with a witness: what
// must be true of the token, found without the code that is tested.
var strictProfile = map[string]func(compact string) bool{
	"it is longer than 4096 bytes":                                 func(c string) bool { return len(c) > 4096 },
	"its header is not base64url":                                  hasLineBreak,
	"its payload is not base64url":                                 hasLineBreak,
	"its signature is not base64url":                               hasLineBreak,
	"its header is not a JSON object that all readers read alike":  func(c string) bool { return ambiguous(segment(c, 0)) },
	"its payload is not a JSON object that all readers read alike": func(c string) bool { return ambiguous(segment(c, 1)) },
	`its "kind" is not one that the edge knows`: func(c string) bool {
		return !slices.Contains([]string{`"playlist"`, `"thumbnail"`, `"key"`}, member(c, 1, "kind"))
	},
	`its "accessRules" are not rules that the edge knows`:        func(c string) bool { return member(c, 1, "accessRules") != "[]" },
	`its header has "crit"`:                                      func(c string) bool { return member(c, 0, "crit") != "" },
	`its header has "b64"`:                                       func(c string) bool { return member(c, 0, "b64") != "" },
	`its header's "typ" is not "JWT"`:                            func(c string) bool { return !strings.EqualFold(member(c, 0, "typ"), `"jwt"`) },
	`its "sub" is not a path`:                                    func(c string) bool { return !pathLike(member(c, 1, "sub")) },
	`its "exp", "nbf" or "iat" is not a whole number of seconds`: hasOddDate,
}

const now = 1_800_000_000

var secrets = map[string][]byte{
	"k1": []byte("the first secret, of 32 bytes ok"),
	"k2": []byte("the other secret, of 32 bytes ok"),
}

// private and public are a key pair for EdDSA, with the ID "ed".
var private = ed25519.NewKeyFromSeed(secrets["k1"])
var public = private.Public().(ed25519.PublicKey)

func keys(t testing.TB) token.Keys {
	t.Helper()
	k, err := token.ParseKeys(fmt.Sprintf(`{"keys":[%s,%s,{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"ed","x":%q}]}`,
		jwk("k1"), jwk("k2"), base64.RawURLEncoding.EncodeToString(public)))
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
	jwt.WithValidMethods([]string{"HS256", "EdDSA"}),
	jwt.WithExpirationRequired(),
	jwt.WithIssuedAt(),
	jwt.WithStrictDecoding(),
	jwt.WithLeeway(token.ClockSkew*time.Second),
	jwt.WithTimeFunc(func() time.Time { return time.Unix(now, 0) }),
)

func oracleKey(t *jwt.Token) (any, error) {
	kid, _ := t.Header["kid"].(string)
	if kid == "ed" {
		return public, nil
	}
	if secret, ok := secrets[kid]; ok {
		return secret, nil
	}
	return nil, errors.New("no such key")
}

type verifier func(compact string) (token.Claims, error)

// verdict is what the edge and golang-jwt make of one token.
type verdict string

const (
	bothAccept   verdict = "accepted by both"
	bothRefuse   verdict = "refused by both"
	onlyWeRefuse verdict = "refused only by us"
	onlyWeAccept verdict = "accepted only by us"
	disagree     verdict = "read differently"
)

// compare holds a verifier to golang-jwt's verdict on one token. It may only be stricter, and only for a
// reason of the strict profile that is true of the token. The reason is that of the refusal, if there is one.
func compare(verify verifier, compact string) (v verdict, reason string, disagreement error) {
	got, err := verify(compact)
	claims := jwt.MapClaims{}
	_, oracleErr := oracle.ParseWithClaims(compact, claims, oracleKey)
	reason = token.Reason(err)

	switch witness := strictProfile[reason]; {
	case err == nil && oracleErr != nil:
		return onlyWeAccept, "", fmt.Errorf("accepted, but golang-jwt says %w", oracleErr)
	case err == nil:
		if sub, _ := claims.GetSubject(); sub != got.Subject {
			return disagree, "", fmt.Errorf("subject %q, but golang-jwt reads %q", got.Subject, sub)
		}
		if exp, _ := claims.GetExpirationTime(); exp.Unix() != got.Expires {
			return disagree, "", fmt.Errorf("exp %d, but golang-jwt reads %d", got.Expires, exp.Unix())
		}
		return bothAccept, "", nil
	case witness != nil && witness(compact):
		if oracleErr == nil {
			return onlyWeRefuse, reason, nil
		}
		return bothRefuse, reason, nil
	case oracleErr == nil:
		return disagree, reason, fmt.Errorf("refused (%w), but golang-jwt accepts", err)
	case onlyExpired(oracleErr) && !errors.Is(err, token.ErrExpired):
		return disagree, reason, fmt.Errorf("refused (%w), but golang-jwt says expired", err)
	case onlyEarly(oracleErr) && !errors.Is(err, token.ErrNotYetValid):
		return disagree, reason, fmt.Errorf("refused (%w), but golang-jwt says not yet valid", err)
	}
	return bothRefuse, reason, nil
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

// A campaign of mutants of valid tokens: no verdict differs; each mutation alone comes to all that it can come to and to nothing
// else; and every reason of the strict profile is met, so that the list has no entry too many.
func TestCampaignVerdictsEqualGolangJWT(t *testing.T) {
	counts := campaign.Run(t, "tokens", *campaign.Tokens, mutants(ours(t)))
	for _, m := range mutations {
		var columns []string
		for _, v := range m.comes {
			columns = append(columns, string(v))
		}
		counts.Require(t, "change: "+m.name, columns...)
	}
	counts.Require(t, "change: none", string(bothAccept))
	for reason := range strictProfile {
		if counts["reason: "+reason][string(onlyWeRefuse)] == 0 {
			t.Errorf("no mutant is refused because %s", reason)
		}
	}
}

// mutants makes trials of a verifier.
func mutants(verify verifier) func() campaign.Trial {
	return func() campaign.Trial {
		return func(r *rand.Rand, counts campaign.Table) error {
			compact, changes := mutant(r)
			v, reason, err := compare(verify, compact)

			row := fmt.Sprintf("changes: %d", len(changes))
			switch len(changes) {
			case 0:
				row = "change: none"
			case 1:
				row = "change: " + changes[0].name
			}
			counts.Count(row, string(v))
			counts.Count("all", string(v))
			counts.Add("all", string(onlyWeAccept), 0)
			if reason != "" {
				counts.Count("reason: "+reason, string(v))
			}
			if err != nil {
				return fmt.Errorf("%w\ntoken  %q\nheader %s\nclaims %s", err, compact, segment(compact, 0), segment(compact, 1))
			}
			return nil
		}
	}
}

// The comparison is worth something only if it notices a verifier that is wrong.
func TestCampaignCatchesWrongVerifiers(t *testing.T) {
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
	within := func(change func(compact string) string) verifier {
		return func(compact string) (token.Claims, error) { return right(change(compact)) }
	}
	for name, wrong := range map[string]verifier{
		"exp is not checked":                forgive(kind(token.ErrExpired)),
		"nbf and iat are not checked":       forgive(kind(token.ErrNotYetValid)),
		"the signature is not checked":      forgive(kind(token.ErrSignature)),
		"alg is not checked":                forgive(reason(`"alg"`)),
		"a token needs no exp":              forgive(reason(`no "exp"`)),
		"padding is cut off":                within(func(c string) string { return strings.TrimRight(c, "=") }),
		"what follows a fourth part is cut": within(func(c string) string { return strings.Join(strings.SplitN(c+"...", ".", 4)[:3], ".") }),
		"a token may be in any alphabet":    within(strings.NewReplacer("+", "-", "/", "_").Replace),
		"a NUL in a token is left out":      within(func(c string) string { return strings.Replace(c, "\x00", "", 1) }),
		"exp is right but for the last second": func(compact string) (token.Claims, error) {
			claims, err := right(compact)
			if err == nil && claims.Expires == now-token.ClockSkew+1 {
				err = &token.Error{Kind: token.ErrExpired, Reason: "it has expired"}
			}
			return claims, err
		},
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
			if !campaign.Catches(*campaign.Tokens, mutants(wrong)) {
				t.Errorf("%d mutants did not show it", *campaign.Tokens)
			}
		})
	}
}

// FuzzVerdictEqualsGolangJWT looks for a token on which the two differ. With an empty signature the first two
// arguments are JSON, which is encoded and signed, so that changes of it get past the signature; else they
// are segments as they are.
func FuzzVerdictEqualsGolangJWT(f *testing.F) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		compact, _ := mutant(random)
		parts := strings.SplitN(compact, ".", 3)
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
		if _, _, err := compare(ours(t), compact); err != nil {
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
	return json.Unmarshal([]byte(sub), &text) == nil && text != "" && !strings.Contains(text, "\\")
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

// replaced is how encoding/json reads half of a surrogate pair.
const replaced = "\uFFFD"

// ambiguous reports whether JSON repeats a name in an object, is nested deeper than eight levels, is no UTF-8, has a number
// of more than 64 bytes or with an exponent of more than two digits, or half of a surrogate pair.
func ambiguous(text []byte) bool {
	decoder, depth, deepest := json.NewDecoder(bytes.NewReader(text)), 0, 0
	decoder.UseNumber()
	written := bytes.Count(text, []byte(replaced)) + bytes.Count(bytes.ToLower(text), []byte(`\ufffd`))
	type level struct {
		names  map[string]bool // nil in an array
		isName bool
	}
	levels := []level{{}}
	for {
		t, err := decoder.Token()
		if err == io.EOF {
			return deepest > 8 || !utf8.Valid(text) || written < 0
		}
		if err != nil {
			return false
		}
		now := &levels[len(levels)-1]
		switch t := t.(type) {
		case json.Delim:
			if t == '{' || t == '[' {
				depth++
				deepest = max(deepest, depth)
				now.isName = now.names != nil // after the value that begins
				next := level{}
				if t == '{' {
					next = level{names: map[string]bool{}, isName: true}
				}
				levels = append(levels, next)
			} else {
				depth--
				levels = levels[:len(levels)-1]
			}
			continue
		case json.Number:
			_, exponent, _ := strings.Cut(strings.ToLower(t.String()), "e")
			if len(t) > 64 || len(strings.TrimLeft(exponent, "+-")) > 2 {
				return true
			}
		case string:
			written -= strings.Count(t, replaced)
			if now.isName {
				if now.names[t] {
					return true
				}
				now.names[t] = true
			}
		}
		now.isName = now.names != nil && !now.isName
	}
}

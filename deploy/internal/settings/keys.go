package settings

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Keys are the keys of tokens, oldest first: the Worker takes all of them, and transcoders sign with one.
//
// A key is changed in three steps, in each of which every viewer's token is good: [File.AddKey], then the Worker is told;
// [File.SignWithNewest], then transcoders are told; and, when no token of an old key lives any more, [File.RetireOlder], and the Worker
// is told. Where it stands, the settings say.
type Keys struct {
	IDs   []string
	Signs string    // the ID of the one that signs
	Since time.Time // when it began to; zero is not known
}

// Newest is the ID of the newest key.
func (k Keys) Newest() string { return k.IDs[len(k.IDs)-1] }

// Keys reads the keys and what they are for. It is an error if a token of TOKEN_KEY would not be taken, or one of nobody's.
func (f *File) Keys() (Keys, error) {
	set, signs, err := f.keySet()
	if err != nil {
		return Keys{}, fmt.Errorf("%s: %w", f.name, err)
	}
	k := Keys{Signs: signs.ID}
	k.Since, _ = time.Parse(time.RFC3339, f.Get("TOKEN_KEY_SINCE"))
	for _, key := range set {
		k.IDs = append(k.IDs, key.ID)
	}
	return k, nil
}

// AddKey makes a key that the Worker takes and nobody signs with yet. It is of the kind of the one that signs.
func (f *File) AddKey(now time.Time) error {
	set, signs, err := f.keySet()
	if err != nil {
		return err
	}
	key := newKey(signs.Alg, now)
	if slices.ContainsFunc(set, func(k jwk) bool { return k.ID == key.ID }) {
		return fmt.Errorf("there is a key %s already: wait a second", key.ID)
	}
	return f.Set(Value{"TOKEN_KEYS", append(set, key).public()}, Value{"TOKEN_KEY_NEXT", key.String()})
}

// SignWithNewest makes the newest key the one that signs.
func (f *File) SignWithNewest(now time.Time) error {
	set, _, err := f.keySet()
	if err != nil {
		return err
	}
	next, err := parseKey(f.Get("TOKEN_KEY_NEXT"))
	if err != nil || next.ID != set[len(set)-1].ID {
		return errors.New("TOKEN_KEY_NEXT must be the last one of TOKEN_KEYS, as it was made")
	}
	return f.Set(Value{"TOKEN_KEY", next.String()}, Value{"TOKEN_KEY_NEXT", ""}, Value{"TOKEN_KEY_SINCE", now.UTC().Format(time.RFC3339)})
}

// RetireOlder forgets all keys but the one that signs.
func (f *File) RetireOlder() error {
	_, signs, err := f.keySet()
	if err != nil {
		return err
	}
	return f.Set(Value{"TOKEN_KEYS", keySet{signs}.public()}, Value{"TOKEN_KEY_NEXT", ""})
}

const hs256, edDSA = "HS256", "EdDSA"

// jwk is a JSON Web Key (RFC 7517): of HS256, or of Ed25519 (RFC 8037).
type jwk struct {
	Type    string `json:"kty"`
	Curve   string `json:"crv,omitempty"`
	Alg     string `json:"alg"`
	ID      string `json:"kid"`
	Secret  string `json:"k,omitempty"` // HS256
	Public  string `json:"x,omitempty"` // Ed25519
	Private string `json:"d,omitempty"` // Ed25519; a public key is without it
}

// newKey makes a key that signs. Its ID is when that was.
func newKey(alg string, now time.Time) jwk {
	id := now.UTC().Format("2006-01-02T15:04:05Z")
	if alg == edDSA {
		seed := chance()
		public := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
		return jwk{Type: "OKP", Curve: "Ed25519", Alg: edDSA, ID: id, Public: encode(public), Private: encode(seed)}
	}
	return jwk{Type: "oct", Alg: hs256, ID: id, Secret: random()}
}

// parseKey reads a key; one that anybody could guess is none.
func parseKey(text string) (jwk, error) {
	var k jwk
	if err := json.Unmarshal([]byte(text), &k); err != nil {
		return k, errors.New("it is no JSON Web Key")
	}
	return k, k.check()
}

func (k jwk) check() error {
	secret, errK := base64.RawURLEncoding.DecodeString(k.Secret)
	public, errX := base64.RawURLEncoding.DecodeString(k.Public)
	seed, errD := base64.RawURLEncoding.DecodeString(k.Private)
	hmac := k.Type == "oct" && k.Alg == hs256 && len(secret) >= secretBytes
	pair := k.Type == "OKP" && k.Curve == "Ed25519" && k.Alg == edDSA && len(public) == ed25519.PublicKeySize &&
		(k.Private == "" || len(seed) == ed25519.SeedSize && bytes.Equal(public, ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)))
	if k.ID == "" || errors.Join(errK, errX, errD) != nil || !hmac && !pair {
		return errors.New(`it must be a key of HS256 with a "k" of at least 32 bytes, or of Ed25519, with a "kid"`)
	}
	return nil
}

func (k jwk) String() string { return text(k) }

// public is what the Worker has of a key.
func (k jwk) public() jwk {
	k.Private = ""
	return k
}

// keySet is a JWK Set, oldest key first.
type keySet []jwk

// public is the set as the Worker has it.
func (s keySet) public() string {
	var keys []jwk
	for _, k := range s {
		keys = append(keys, k.public())
	}
	return text(map[string][]jwk{"keys": keys})
}

func (f *File) keySet() (set keySet, signs jwk, err error) {
	var all struct{ Keys keySet }
	if err := json.Unmarshal([]byte(f.Get("TOKEN_KEYS")), &all); err != nil || len(all.Keys) == 0 {
		return nil, signs, errors.New(`TOKEN_KEYS must be {"keys":[…]}, with a key at least`)
	}
	ids := map[string]bool{}
	for i, k := range all.Keys {
		err := k.check()
		switch {
		case err == nil && k.Private != "":
			err = errors.New(`it is a private key: leave out "d", which the Worker must not have`)
		case err == nil && ids[k.ID]:
			err = errors.New(`its "kid" is that of another`)
		}
		if err != nil {
			return nil, signs, fmt.Errorf("TOKEN_KEYS, key %d: %w", i+1, err)
		}
		ids[k.ID] = true
	}
	if signs, err = parseKey(f.Get("TOKEN_KEY")); err != nil {
		return nil, signs, fmt.Errorf("TOKEN_KEY: %w", err)
	}
	if signs.Alg == edDSA && signs.Private == "" || !slices.Contains(all.Keys, signs.public()) {
		return nil, signs, errors.New("TOKEN_KEY does not sign what TOKEN_KEYS takes: it must be one of them, and have a private half if it is of Ed25519")
	}
	return all.Keys, signs, nil
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings alone
	}
	return string(b)
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

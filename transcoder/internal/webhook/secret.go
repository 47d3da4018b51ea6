package webhook

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// minSecret and maxSecret are the sizes of a secret in bytes that the specification recommends.
const minSecret, maxSecret = 24, 64

// Secret is a key that signs webhooks. It does not show itself.
type Secret []byte

func (Secret) String() string   { return "***" }
func (Secret) GoString() string { return "***" }

// ParseSecrets reads one or more secrets, each in the form whsec_ and base64, separated by white space, the newest first. To
// change a secret without losing an event, put the new one in front, give it to the receivers, and drop the old one then.
func ParseSecrets(text string) ([]Secret, error) {
	words := strings.Fields(text)
	var secrets []Secret
	for i, word := range words {
		encoded, ok := strings.CutPrefix(word, "whsec_")
		raw, err := base64.StdEncoding.DecodeString(encoded)
		if !ok || err != nil || len(raw) < minSecret || len(raw) > maxSecret {
			return nil, malformed(fmt.Sprintf("secret %d of %d", i+1, len(words)))
		}
		secrets = append(secrets, raw)
	}
	if len(secrets) == 0 {
		return nil, malformed("it")
	}
	return secrets, nil
}

// malformed says which secret is wrong, and never what it is.
func malformed(which string) error {
	return fmt.Errorf("%s must be whsec_ and the base64 of %d to %d random bytes: make one with: echo whsec_$(openssl rand -base64 32)",
		which, minSecret, maxSecret)
}

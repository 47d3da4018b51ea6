package gate

import (
	"strings"
	"sync"

	"weir/edge-auth/internal/scan"
	"weir/edge-auth/internal/token"
)

// maxKnown is how many tokens are remembered: each viewer has one, and an isolate has 128 MB for everything.
const maxKnown = 512

// memory remembers tokens that were verified, so that their signatures are checked once a viewer and not once a segment. What
// depends on the time or on the client is checked every time. Each token has its place; the last one that came there is the
// one that is remembered.
type memory struct {
	mu    sync.Mutex
	known []known
}

type known struct {
	compact string
	claims  token.Claims
}

// place is where a token is remembered, by the last characters of its signature, which nobody chooses.
func place(compact string) int {
	n := uint32(0)
	for _, c := range []byte(compact[max(0, len(compact)-8):]) {
		n = n*31 + uint32(c)
	}
	return int(n % maxKnown)
}

// verify is [token.Keys.Verify] with a memory.
func (m *memory) verify(keys token.Keys, compact string, now int64) (token.Claims, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil {
		m.known = make([]known, maxKnown)
	}
	k := &m.known[place(compact)]
	if scan.Equal(k.compact, compact) {
		return k.claims, k.claims.Check(now)
	}
	claims, err := keys.Verify(compact, now)
	if err == nil {
		*k = known{strings.Clone(compact), claims}
	}
	return claims, err
}

package gate

import (
	"strings"
	"sync"

	"weir/edge-auth/internal/decimal"
	"weir/edge-auth/internal/object"
)

const (
	// epochLife is how long an epoch is believed, in seconds: a token may be good for so long after it was revoked.
	epochLife = 60
	// maxEpochs is of how many videos the epoch is remembered.
	maxEpochs = 1024
)

// epochKey is the key of the object that revokes a video's tokens. It is beside the tree, where no token leads.
func epochKey(videoID string) string { return "epochs/" + videoID }

// epochs remembers when the tokens of a video were revoked last.
type epochs struct {
	mu  sync.Mutex
	all map[string]epoch
}

type epoch struct {
	since int64 // tokens that were issued before are revoked; 0 is none
	asked int64
}

// of is a video's epoch, if it was learnt lately.
func (e *epochs) of(videoID string, now int64) (since int64, known bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	found, ok := e.all[videoID]
	return found.since, ok && now < found.asked+epochLife
}

func (e *epochs) learn(videoID string, since, now int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.all == nil {
		e.all = make(map[string]epoch, maxEpochs) // all at once: among small things that stay, there is soon no room for large ones
	}
	if len(e.all) >= maxEpochs { // to forget all of them costs a read of each that is asked for again
		clear(e.all)
	}
	e.all[strings.Clone(videoID)] = epoch{since, now}
}

// learn takes in what the bucket said of a video's epoch. It answers if the request's token is revoked, or if that cannot be
// told.
func (g *Gate) learn(r Request, f Fetch, e Epoch, now int64) Step {
	since := int64(0)
	switch e.Outcome {
	case Found:
		n, ok := decimal.Parse(e.Text)
		if !ok {
			return answer(storageFailed(r))
		}
		since = n
	case Missing:
	default:
		return answer(storageFailed(r))
	}
	g.epochs.learn(object.VideoID(f.Key), since, now)
	// The token was verified a moment ago. One that has expired since is not revoked.
	if claims, err := g.known.verify(g.keys, f.Token, now); err == nil && claims.IssuedAt < since {
		return answer(tokenRevoked(r))
	}
	return Step{}
}

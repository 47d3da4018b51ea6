package gate

import (
	"strings"

	"weir/edge-auth/internal/object"
)

// Decide admits a request at the time now, in Unix seconds, or answers why not.
func (g *Gate) Decide(r Request, now int64) Step {
	if r.Method == "OPTIONS" { // before anything else: a preflight carries no token
		return answer(preflight())
	}
	if g.problem != nil {
		return answer(misconfigured(r, g.problem))
	}
	if r.Method != "GET" && r.Method != "HEAD" {
		return answer(methodNotAllowed(r))
	}
	t := locate(r)
	if t.key == "" {
		return answer(noSuchPath(r))
	}
	if t.token == "" {
		return answer(tokenMissing(r))
	}
	claims, err := g.keys.Verify(t.token, now)
	if err != nil {
		return answer(tokenRefused(r, err))
	}
	if !object.Under(t.key, claims.Subject) {
		return answer(forbidden(r, t.key))
	}
	return Step{Fetch: t.fetch(r)}
}

// target is what a request is about, as its URL and Authorization say it.
type target struct {
	key   string // "" if the path names no object
	class object.Class
	token string // "" if there is none
	via   via
}

// via is the way in which a token came.
type via int

const (
	viaPath   via = iota // /t/{token}/videos/…
	viaQuery             // ?token={token}
	viaBearer            // Authorization: Bearer {token}
)

// locate reads a request's target. The token in the path wins over the one in the query, and that over the
// one in the header, because a URL is what somebody chose to hand out.
func locate(r Request) target {
	path, query := splitURL(r.URL)
	var t target
	if rest, ok := strings.CutPrefix(path, "/t/"); ok {
		t.token, path = cutBefore(rest, '/')
	} else if value, ok := parameter(query, "token"); ok {
		t.token, t.via = value, viaQuery
	} else {
		t.token, t.via = bearer(r.Authorization), viaBearer
	}
	if key, ok := object.Key(path); ok {
		t.key, t.class = key, object.ClassOf(key)
	}
	return t
}

// rewrites reports whether the answer is a playlist with a token in its URIs.
func (t target) rewrites() bool { return t.class.Playlist && t.via == viaQuery }

// private reports whether the answer is for this client only: its URL alone does not open it, or it has the
// token in it.
func (t target) private() bool { return t.via == viaBearer || t.rewrites() }

// fetch is the one call of the bucket that answers most requests.
func (t target) fetch(r Request) *Fetch {
	switch {
	case t.rewrites(): // for HEAD too, which must tell the length that GET has
		return &Fetch{Key: t.key, Op: Get, Part: Part{Length: maxPlaylist}, Use: Rewrite}
	case r.Method == "HEAD":
		return &Fetch{Key: t.key, Op: Head, Use: Pass}
	default:
		part, _ := parseRange(r.Range)
		return &Fetch{Key: t.key, Op: Get, Part: part, Use: Pass}
	}
}

// splitURL gives a URL's path and query as they were sent.
func splitURL(url string) (path, query string) {
	_, rest, _ := strings.Cut(url, "://")
	rest, _, _ = strings.Cut(rest, "#")
	rest, query, _ = strings.Cut(rest, "?")
	_, path = cutBefore(rest, '/')
	return path, query
}

// cutBefore cuts text in front of the first separator, which stays with what follows.
func cutBefore(text string, separator byte) (before, after string) {
	i := strings.IndexByte(text, separator)
	if i < 0 {
		return text, ""
	}
	return text[:i], text[i:]
}

// parameter gives the first value of a query parameter. It is not decoded: no character of a token is ever
// escaped.
func parameter(query, name string) (string, bool) {
	for pair := range strings.SplitSeq(query, "&") {
		if key, value, _ := strings.Cut(pair, "="); key == name {
			return value, true
		}
	}
	return "", false
}

// bearer gives the token of an Authorization header (RFC 6750 section 2.1), or "".
func bearer(authorization string) string {
	scheme, token, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

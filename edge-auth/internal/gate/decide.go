package gate

import (
	"strings"

	"weir/edge-auth/internal/cmcd"
	"weir/edge-auth/internal/object"
	"weir/edge-auth/internal/playlist"
	"weir/edge-auth/internal/scan"
	"weir/edge-auth/internal/token"
)

// Decide admits a request at the time now, in Unix seconds, or answers why not.
func (g *Gate) Decide(r Request, now int64) Step {
	t := locate(r)
	r.page = t.what == aPage
	if isAPI(t.path) {
		return g.forward(r, t.path)
	}
	return g.share(r, g.decide(r, t, now))
}

func (g *Gate) decide(r Request, t target, now int64) Step {
	if r.Method == "OPTIONS" { // before anything else: a preflight carries no token
		return answer(preflight(t))
	}
	if len(g.problems) > 0 {
		return answer(misconfigured(r, g.problems[0]))
	}
	if !t.takes(r.Method) {
		return answer(methodNotAllowed(r, t))
	}
	if t.key == "" {
		return answer(noSuchPath(r))
	}
	if t.token == "" {
		return answer(tokenMissing(r))
	}
	claims, err := g.known.verify(g.keys, t.token, now)
	switch {
	case err != nil:
		return answer(tokenRefused(r, err))
	case !object.Under(t.scope(), claims.Subject):
		return answer(otherVideo(r, t.key))
	case !t.opens(claims.Kind):
		return answer(otherKind(r, claims.Kind))
	case len(claims.Rules) > 0 && !claims.Admits(token.Client{IP: r.IP, Country: r.Country, Origin: page(r)}):
		return answer(notAdmitted(r))
	}
	epoch, known := g.epochs.of(object.VideoID(t.key), now)
	if known && claims.IssuedAt < epoch {
		return answer(tokenRevoked(r))
	}
	fetch := t.fetch(r)
	if !known {
		fetch.Epoch = epochKey(object.VideoID(t.key))
	}
	if !known || fetch.Use == Rewrite {
		fetch.Token = t.token
	}
	fetch.Private = t.via.header() != "" || len(claims.Rules) > 0
	fetch.Vary = t.via.header()
	if fetch.Op == Get {
		fetch.Cache = g.cache
	}
	if fetch.CMCD = r.CMCD; fetch.CMCD == "" {
		fetch.CMCD = cmcd.Query(t.query)
	}
	return Step{Fetch: fetch}
}

// scope is what a token has to open: the object; or all of the video, if the target is none.
func (t target) scope() string {
	if t.what == anObject {
		return t.key
	}
	return object.Root + object.VideoID(t.key)
}

// opens reports whether tokens of a kind open the target. A beacon is open to all.
func (t target) opens(kind token.Kind) bool {
	switch {
	case kind == token.All || t.what == aBeacon:
		return true
	case t.what != anObject:
		return t.what == aKey && kind == token.Key
	case kind == token.Playlist:
		return t.class.Format == playlist.HLS || t.class.Format == playlist.DASH
	case kind == token.Thumbnail:
		return t.class.Thumbnail
	}
	return false
}

// takes reports whether the target knows a method, and methods names those that it knows.
func (t target) takes(method string) bool {
	if t.what == aBeacon {
		return method == "POST"
	}
	return method == "GET" || method == "HEAD"
}

func (t target) methods() string {
	if t.what == aBeacon {
		return "POST, OPTIONS"
	}
	return "GET, HEAD, OPTIONS"
}

// page is the origin of the page that a request comes from, or "". Browsers leave out Origin where a page shows a picture or
// a video of another site.
func page(r Request) string {
	if r.Origin != "" {
		return originOf(r.Origin)
	}
	return originOf(r.Referer)
}

// originOf is the origin that a URL begins with, or "".
func originOf(url string) string {
	scheme, rest, ok := strings.Cut(url, "://")
	host, _, _ := strings.Cut(rest, "/")
	origin := scheme + "://" + host
	if !ok || scheme == "" || host == "" || strings.ContainsAny(host, "?#@ ") || origin != strings.ToLower(origin) {
		return ""
	}
	return origin
}

// target is what a request is about, as its URL and Authorization say it.
type target struct {
	what  what
	path  string // as it was sent
	key   string // "" if the path names no object; of what is none, the video's
	query string
	class object.Class
	token string // "" if there is none
	via   via
}

// what is a kind of target.
type what int

const (
	anObject what = iota
	aKey          // /keys/{id}: that of the video's encrypted segments
	aBeacon       // /beacon/{id}: where players report what happens
	aPage         // /watch/{id}: for people
)

// endpoint tells what a path is of, and gives the path of an object of the same video if it is none itself: that says whose
// video it is, and whether there is one.
func endpoint(path string) (what, string) {
	first, id, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	var kind what
	switch first {
	case "keys":
		kind = aKey
	case "beacon":
		kind = aBeacon
	case "watch":
		kind = aPage
	default:
		return anObject, path
	}
	if strings.Contains(id, "/") || !strings.HasPrefix(path, "/") {
		return kind, ""
	}
	return kind, "/" + object.Root + id + "/hls/master.m3u8"
}

// via is the way in which a token came.
type via int

const (
	viaPath   via = iota // /t/{token}/videos/…
	viaQuery             // ?token={token}
	viaBearer            // Authorization: Bearer {token}
	viaCookie            // Cookie: weir_token={token}
)

// header is the header that a token came in, or "" if it came in the URL.
func (v via) header() string {
	switch v {
	case viaBearer:
		return "Authorization"
	case viaCookie:
		return "Cookie"
	}
	return ""
}

// cookieName is that of the cookie with a token.
const cookieName = "weir_token"

// locate reads a request's target. The token in the path wins over the one in the query, and that over those in headers,
// because a URL is what somebody chose to hand out; the cookie comes last, because browsers send it along unasked.
func locate(r Request) target {
	var t target
	path, query := splitURL(r.URL)
	t.path, t.query = path, query
	inside, inPath := strings.CutPrefix(path, "/t/")
	if inPath {
		t.token, path = cutBefore(inside, '/')
	}
	if t.what, path = endpoint(path); inPath {
		t.via = viaPath
	} else if value, ok := parameter(query, "token"); ok {
		t.token, t.via = value, viaQuery
	} else if value := bearer(r.Authorization); value != "" && t.what != aPage {
		t.token, t.via = value, viaBearer
	} else {
		t.token, t.via = cookie(r.Cookie), viaCookie
	}
	if key, ok := object.Key(path); ok {
		t.key, t.class = key, object.ClassOf(key)
	}
	return t
}

// rewrites reports whether the answer is a playlist, a manifest or a storyboard with a token in its URIs.
func (t target) rewrites() bool {
	return t.what == anObject && t.class.Format != playlist.None && t.via == viaQuery
}

// fetch is the one call of the bucket that answers most requests.
func (t target) fetch(r Request) *Fetch {
	switch {
	case t.what == aBeacon:
		return &Fetch{Key: t.key, Op: Said, Part: Part{Length: maxSaid}, Use: Report}
	case t.what == aKey:
		return &Fetch{Key: t.key, Op: Head, Use: Unlock}
	case t.what == aPage:
		return &Fetch{Key: t.key, Op: Head, Use: Show}
	case t.rewrites(): // for HEAD too, which must tell the length that GET has
		return &Fetch{Key: t.key, Op: Get, Part: Part{Length: maxPlaylist}, Use: Rewrite}
	case r.Method == "HEAD":
		return &Fetch{Key: t.key, Op: Head, Use: Pass}
	default:
		part, _ := parseRange(r.Range)
		return &Fetch{Key: t.key, Op: Get, Part: part, Use: Pass}
	}
}

// splitURL gives the path and query of an absolute URL as they were sent.
func splitURL(url string) (path, query string) {
	scheme, rest, _ := strings.Cut(url, "://")
	if scheme == "" || strings.ContainsAny(scheme, ":/?#") { // what was cut is in a path or a query (RFC 3986 section 3.1)
		return "", ""
	}
	if i := scan.Index(rest, '#'); i >= 0 {
		rest = rest[:i]
	}
	if i := scan.Index(rest, '?'); i >= 0 {
		rest, query = rest[:i], rest[i+1:]
	}
	_, path = cutBefore(rest, '/')
	return path, query
}

// cutBefore cuts text in front of the first separator, which stays with what follows.
func cutBefore(text string, separator byte) (before, after string) {
	i := scan.Index(text, separator)
	if i < 0 {
		return text, ""
	}
	return text[:i], text[i:]
}

// parameter gives the first value of a query parameter. It is not decoded: no character of a token is ever
// escaped.
func parameter(query, name string) (string, bool) {
	for query != "" {
		pair, rest, _ := strings.Cut(query, "&")
		if key, value, _ := strings.Cut(pair, "="); key == name {
			return value, true
		}
		query = rest
	}
	return "", false
}

// cookie gives the token of a Cookie header (RFC 6265 section 4.2.1), or "".
func cookie(header string) string {
	for header != "" {
		pair, rest, _ := strings.Cut(header, ";")
		if name, value, _ := strings.Cut(strings.TrimSpace(pair), "="); name == cookieName {
			return value
		}
		header = rest
	}
	return ""
}

// bearer gives the token of an Authorization header (RFC 6750 section 2.1), or "".
func bearer(authorization string) string {
	scheme, token, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

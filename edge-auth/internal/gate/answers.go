package gate

import (
	"errors"
	"slices"
	"strings"

	"weir/edge-auth/internal/decimal"
	"weir/edge-auth/internal/object"
	"weir/edge-auth/internal/playlist"
	"weir/edge-auth/internal/token"
)

// share adds to an answer who may use it: every page, because what protects a video is its token; or, if the operator names
// origins, their pages alone, which may then send a cookie. It is on errors too, or a page could not tell an expired token
// from a broken network.
func (g *Gate) share(r Request, s Step) Step {
	if s.Answer == nil {
		return s
	}
	a := s.Answer
	if a.page {
		a.Headers = append(a.Headers, g.pageHeaders()...)
	}
	switch {
	case g.origins == nil:
		a.Headers = append(a.Headers, Header{"Access-Control-Allow-Origin", "*"})
	case slices.Contains(g.origins, r.Origin):
		a.Headers = append(a.Headers, Header{"Access-Control-Allow-Origin", r.Origin}, Header{"Access-Control-Allow-Credentials", "true"})
		fallthrough
	default:
		a.vary("Origin")
	}
	a.Headers = append(a.Headers,
		Header{"Access-Control-Expose-Headers", "Content-Length, Content-Range, ETag, Accept-Ranges, Server-Timing"},
		Header{"Cross-Origin-Resource-Policy", "cross-origin"},
		Header{"X-Content-Type-Options", "nosniff"})
	return s
}

// vary says that the answer depends on a header of the request.
func (a *Answer) vary(header string) {
	for i := range a.Headers {
		if a.Headers[i].Name == "Vary" {
			a.Headers[i].Value = vary(a.Headers[i].Value, header)
			return
		}
	}
	a.Headers = append(a.Headers, Header{"Vary", header})
}

// vary adds a header to those that an answer depends on.
func vary(headers, header string) string {
	if headers == "" {
		return header
	}
	return headers + ", " + header
}

func answer(a Answer) Step { return Step{Answer: &a} }

func preflight(t target) Answer {
	return Answer{Status: 204, Body: NoBody, Headers: []Header{
		{"Allow", t.methods()},
		{"Access-Control-Allow-Methods", t.methods()},
		{"Access-Control-Allow-Headers", "Authorization, Range, If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since, " +
			"If-Range, Content-Type, CMCD-Request, CMCD-Object, CMCD-Status, CMCD-Session"},
		{"Access-Control-Max-Age", "86400"},
	}}
}

func misconfigured(r Request, p problem) Answer {
	return failure(r, 500, "misconfigured", "The Worker's "+p.String())
}

func methodNotAllowed(r Request, t target) Answer {
	return failure(r, 405, "method_not_allowed", "Use one of "+t.methods()+".", Header{"Allow", t.methods()})
}

func noSuchPath(r Request) Answer {
	return failure(r, 404, "not_found", "No object can have this path. Use /videos/{id}/… in its plain spelling, "+
		"or /t/{token}/videos/{id}/….")
}

// tokenMissing answers a request without a token. The challenge has no error code then (RFC 6750 section 3.1).
func tokenMissing(r Request) Answer {
	return failure(r, 401, "token_missing", "A token is needed: in the path (/t/{token}/videos/…), as ?token=, "+
		"as Authorization: Bearer, or in the cookie "+cookieName+".", Header{"WWW-Authenticate", `Bearer realm="weir"`})
}

// tokenRefused answers a request whose token is not valid (now).
func tokenRefused(r Request, err error) Answer {
	code, advice := "token_malformed", "Use the token exactly as it was issued."
	switch {
	case errors.Is(err, token.ErrExpired):
		code, advice = "token_expired", "Ask the backend for a new one."
	case errors.Is(err, token.ErrNotYetValid):
		code, advice = "token_not_yet_valid", "Wait, or set the clock of whoever issued it."
	case errors.Is(err, token.ErrUnknownKey):
		code, advice = "token_unknown_key", "Sign it with a key of the Worker's TOKEN_KEYS."
	case errors.Is(err, token.ErrSignature):
		code = "token_bad_signature"
	}
	reason := "The token is refused: " + token.Reason(err) + "."
	challenge := `Bearer realm="weir", error="invalid_token", error_description="` +
		strings.ReplaceAll(reason, `"`, "'") + `"`
	return failure(r, 401, code, reason+" "+advice, Header{"WWW-Authenticate", challenge})
}

func tokenRevoked(r Request) Answer {
	return failure(r, 401, "token_revoked", "The token was issued before all tokens of the video were revoked. Ask the backend for a new one.",
		Header{"WWW-Authenticate", `Bearer realm="weir", error="invalid_token", error_description="The token is revoked."`})
}

func storageFailed(r Request) Answer {
	return failure(r, 502, "storage_error", "The bucket did not answer. Try again.", Header{"Retry-After", "1"})
}

func otherVideo(r Request, key string) Answer {
	return failure(r, 403, "forbidden", "The token is valid, but not for video "+object.VideoID(key)+
		". Ask the backend for one that is.")
}

func otherKind(r Request, kind token.Kind) Answer {
	return failure(r, 403, "other_kind", "The token is valid, but for objects of kind "+string(kind)+" only. Ask the backend for another one.")
}

func notAdmitted(r Request) Answer {
	return failure(r, 403, "not_admitted", "The token is valid, but its access rules do not let this client in.")
}

// failure is an error: JSON that says what to do, or a page that does, and that no cache keeps. Codes and messages are our own
// words and nothing that a client sent but video IDs, so Go's quoting of them is JSON's.
func failure(r Request, status int, code, message string, more ...Header) Answer {
	if takesPage(r) {
		a := written(r, status, typeHTML, pageHead+"<main><p>"+advice(status, code)+"</main>\n", more...)
		a.Code = code
		return a
	}
	text := `{"error":{"code":"` + code + `","message":"` + strings.ReplaceAll(message, `"`, `\"`) + "\"}}\n"
	a := written(r, status, "application/json", text, more...)
	a.Code = code
	return a
}

// written is an answer with a text that no cache keeps.
func written(r Request, status int, mediaType, text string, more ...Header) Answer {
	a := Answer{Status: status, Body: TextBody, Text: []byte(text), page: mediaType == typeHTML, Headers: append(more,
		Header{"Content-Type", mediaType},
		Header{"Content-Length", decimal.Text(int64(len(text)))},
		Header{"Cache-Control", "no-store"},
	)}
	return a.withoutBodyIf(r.Method == "HEAD")
}

// withoutBodyIf is the answer to HEAD: all that GET has but the body (RFC 9110 section 9.3.2).
func (a Answer) withoutBodyIf(head bool) Answer {
	if head {
		a.Body, a.Text, a.Format, a.Token, a.Gzip = NoBody, nil, playlist.None, "", false
	}
	return a
}

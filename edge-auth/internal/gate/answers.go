package gate

import (
	"errors"
	"strconv"
	"strings"

	"weir/edge-auth/internal/object"
	"weir/edge-auth/internal/token"
)

// methods are those that the edge knows.
const methods = "GET, HEAD, OPTIONS"

// cors lets every page use a video: what protects it is its token, and no cookie is ever looked at. It is on
// errors too, or a page could not tell an expired token from a broken network.
var cors = []Header{
	{"Access-Control-Allow-Origin", "*"},
	{"Access-Control-Expose-Headers", "Content-Length, Content-Range, ETag, Accept-Ranges"},
	{"Cross-Origin-Resource-Policy", "cross-origin"},
	{"X-Content-Type-Options", "nosniff"},
}

func answer(a Answer) Step { return Step{Answer: &a} }

func preflight() Answer {
	return Answer{Status: 204, Body: NoBody, Headers: headers(
		Header{"Allow", methods},
		Header{"Access-Control-Allow-Methods", methods},
		Header{"Access-Control-Allow-Headers", "Authorization, Range, If-Match, If-None-Match, " +
			"If-Modified-Since, If-Unmodified-Since, If-Range"},
		Header{"Access-Control-Max-Age", "86400"},
	)}
}

func misconfigured(r Request, problem error) Answer {
	return failure(r, 500, "misconfigured", "The Worker's secret TOKEN_KEYS cannot be used: "+problem.Error()+
		`. Set it to a JWK Set: {"keys":[{"kty":"oct","alg":"HS256","kid":"k1","k":"<base64url>"}]}.`)
}

func methodNotAllowed(r Request) Answer {
	return failure(r, 405, "method_not_allowed", "Use GET or HEAD.", Header{"Allow", methods})
}

func noSuchPath(r Request) Answer {
	return failure(r, 404, "not_found", "No object can have this path. Use /videos/{id}/… in its plain spelling, "+
		"or /t/{token}/videos/{id}/….")
}

// tokenMissing answers a request without a token. The challenge has no error code then (RFC 6750 section 3.1).
func tokenMissing(r Request) Answer {
	return failure(r, 401, "token_missing", "A token is needed: in the path (/t/{token}/videos/…), as ?token=, "+
		"or as Authorization: Bearer.", Header{"WWW-Authenticate", `Bearer realm="weir"`})
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

func forbidden(r Request, key string) Answer {
	return failure(r, 403, "forbidden", "The token is valid, but not for video "+object.VideoID(key)+
		". Ask the backend for one that is.")
}

// failure is an error: JSON that says what to do, and that no cache keeps. Codes and messages are our own
// words and nothing that a client sent but video IDs, so Go's quoting of them is JSON's.
func failure(r Request, status int, code, message string, more ...Header) Answer {
	text := `{"error":{"code":` + strconv.Quote(code) + `,"message":` + strconv.Quote(message) + "}}\n"
	a := Answer{Status: status, Body: TextBody, Text: []byte(text), Headers: headers(append(more,
		Header{"Content-Type", "application/json"},
		Header{"Content-Length", strconv.Itoa(len(text))},
		Header{"Cache-Control", "no-store"},
	)...)}
	return a.withoutBodyIf(r.Method == "HEAD")
}

// withoutBodyIf is the answer to HEAD: all that GET has but the body (RFC 9110 section 9.3.2).
func (a Answer) withoutBodyIf(head bool) Answer {
	if head {
		a.Body, a.Text, a.Token = NoBody, nil, ""
	}
	return a
}

func headers(own ...Header) []Header {
	return append(own, cors...)
}

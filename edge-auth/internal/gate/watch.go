package gate

import "strings"

// The page for people, /watch/{id}: a player, or one sentence that says what to do. Both are constant texts. The player's
// script (edge-auth/watch) finds out from the page's own address which video it is to show, and with which token.
const (
	typeHTML = "text/html; charset=utf-8"
	pageHead = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Video</title>
<link rel="icon" href="/player/icon.svg">
<link rel="stylesheet" href="/player/watch.css">
`
	playerBody = `<noscript><main><h1>The player needs JavaScript.</h1><p>Allow it for this page, and load the page again.</p></main></noscript>
<script src="/player/watch.js" defer></script>
`
)

// advice is for people what an error's status and code are for programs: what is wrong, and what to do.
func advice(status int, code string) string {
	switch {
	case code == "token_expired" || code == "token_revoked":
		return "This link has expired. Ask for a new one where you got it."
	case code == "not_admitted":
		return "This video may not be watched from here. Ask where you got the link."
	case status == 401:
		return "This link does not work. Use all of it, as you got it, or ask for a new one there."
	case status == 403:
		return "This link does not open this video. Ask for a new one where you got it."
	case status == 404:
		return "There is no video here, or not yet. Check the link, or try again in a few minutes."
	default:
		return "The video cannot be shown just now. Try again in a few minutes."
	}
}

// takesPage reports whether an error is to be a page: browsers say that they take HTML, programs do not.
func takesPage(r Request) bool { return r.page && strings.Contains(r.Accept, "text/html") }

// pageHeaders are those of a page, in addition to what every answer has.
func (g *Gate) pageHeaders() []Header {
	embedders := "*"
	if g.origins != nil {
		embedders = "'self'"
		for _, o := range g.origins {
			embedders += " " + o
		}
	}
	return []Header{
		{"Content-Security-Policy", policy + embedders},
		// To no other site, which would learn the token; to the Worker itself, whose rules of type origin look at it.
		{"Referrer-Policy", "same-origin"},
		{"X-Robots-Tag", "noindex"},
	}
}

// policy lets the page load what this host serves and nothing else. The player's elements carry their styles with them; hls.js
// hands the video to the browser as a blob, and an empty list of captions as data.
const policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self'; connect-src 'self'; " +
	"media-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors "

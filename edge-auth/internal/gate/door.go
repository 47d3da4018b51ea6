package gate

import (
	"errors"
	"strings"

	"weir/edge-auth/internal/object"
)

// Forward hands a request to the transcoder's API: method, path, query, headers and body as they were sent.
type Forward struct {
	URL   string
	Limit int64 // how long the answer may take, to its end, in milliseconds; 0 is as long as it goes on
}

// apiLimit is more than the 20 s within which the API answers, also while its bucket does not.
const apiLimit = 25_000

// isAPI reports whether a path is one of the transcoder's API, in its one plain spelling. Of what it takes, only
// /videos/{id}/events and its like could name objects; Weir writes none there.
//
// /healthz, /readyz, /work and /metrics are not among them: they are for whoever runs the transcoder, and ask for no key.
func isAPI(path string) bool {
	first, rest, more := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	id, last, deeper := strings.Cut(rest, "/")
	switch {
	case !strings.HasPrefix(path, "/") || more && !isWord(id):
		return false
	case first == "transcode":
		return !more
	case first == "videos":
		return !deeper || last == "events" || last == "playback" || last == "revoke"
	case first == "webhooks":
		return more && (!deeper || isWord(last))
	}
	return false
}

// isWord reports whether a part of a path is what the API's words and ids are made of.
func isWord(part string) bool {
	for _, c := range []byte(part) {
		if !object.InID(c) {
			return false
		}
	}
	return part != ""
}

// forward hands a request for the API on. No answer on these paths says that pages may read it: the API is for backends.
func (g *Gate) forward(r Request, path string) Step {
	switch {
	case len(g.problems) > 0:
		return answer(misconfigured(r, g.problems[0]))
	case g.transcoder == "":
		// Not 404: to a backend that would say that its video is not there.
		return answer(failure(r, 503, "no_transcoder", "The Worker does not know where the transcoder is. Set its variable "+
			"TRANSCODER_URL to the origin of the transcoder's API, or bind it as TRANSCODER."))
	}
	_, rest, _ := strings.Cut(r.URL, "://")
	rest, _, _ = strings.Cut(rest, "#")
	_, sent := cutBefore(rest, '/')
	f := &Forward{URL: g.transcoder + sent, Limit: apiLimit}
	if strings.HasSuffix(path, "/events") {
		f.Limit = 0
	}
	return Step{Forward: f}
}

// Unanswered answers a request that the transcoder did not, be it that it cannot be reached or that it took too long.
func Unanswered(r Request) Step {
	return answer(failure(r, 503, "transcoder_unavailable", "The transcoder did not answer. Send the request again in a "+
		"moment: what it did already, it does not do twice.", Header{"Retry-After", "5"}))
}

// Transcoder is the origin of the transcoder's API, or "" if it is not known, whatever else cannot be used.
func (g *Gate) Transcoder() string { return g.transcoder }

func parseTranscoder(setting string) (string, error) {
	if setting == "" {
		return "", nil
	}
	web := strings.HasPrefix(setting, "https://") || strings.HasPrefix(setting, "http://")
	if !web || originOf(setting) != setting {
		return "", errors.New("it is not a scheme and a host in lower case, and nothing else")
	}
	return setting, nil
}

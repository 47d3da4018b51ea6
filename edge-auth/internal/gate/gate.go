// Package gate decides what the edge does with a request: all of HTTP's semantics (RFC 9110), and who may read
// what.
//
// Start at [Gate.Decide]: it gives the first [Step], which is an answer, something to fetch from the
// bucket, or that the request is the transcoder's. What was fetched goes to [Respond], which gives the next step. One fetch is enough for nearly every
// request, two for all, unless the object is replaced meanwhile. Everything is a function from values to
// values, so a request that is waiting for the bucket holds nothing here.
//
// [Gate.Decide] alone lets a request in. The package never sees the body of an object but for playlists,
// manifests and storyboards that are rewritten, reads no clock and does no IO.
package gate

import (
	"errors"
	"slices"
	"strings"

	"weir/edge-auth/internal/decimal"
	"weir/edge-auth/internal/playlist"
	"weir/edge-auth/internal/signature"
	"weir/edge-auth/internal/token"
)

// Request is what the edge looks at in a request. A header that was not sent is empty.
type Request struct {
	// What is asked for, and by whom: only [Gate.Decide] looks at these.

	URL           string // as it was sent, not normalised
	Authorization string
	Cookie        string
	Referer       string
	IP            string // of the client, as the network knows it
	CMCD          string // the four CMCD headers, with commas between them

	// How it is to be answered.

	Method            string
	Country           string // of the client's address, ISO 3166-1 alpha-2
	Origin            string
	Range             string
	IfRange           string
	IfMatch           string
	IfNoneMatch       string
	IfModifiedSince   string
	IfUnmodifiedSince string
	Accept            string
	AcceptEncoding    string

	page bool // it is for the page for people: noted by Decide and Respond
}

// Step is what to do next: one of the three is set.
type Step struct {
	Fetch   *Fetch
	Answer  *Answer
	Forward *Forward
}

// Fetch asks for an object of the bucket.
type Fetch struct {
	Key  string
	Op   Op
	Part Part // with Get, Range or the zero value for all of it
	Use  Use

	Cache   Cache  // where to look first
	Private bool   // whether the token is not for everyone who has it, so that no shared cache may keep the answer
	Vary    string // the header of the request that the answer depends on, or ""
	CMCD    string // what the player says of itself

	// Epoch is the key of the object that says which tokens of the video are revoked, to be read at the same time; "" if that
	// is known.
	Epoch string
	// Token is the request's, if its epoch is to be read, or if it is to go into URIs.
	Token string
}

// Op is a call of the bucket.
type Op string

// The calls: Head gives an object's metadata, Get its body too. Said is none: it asks for the body of the request itself. If that
// has more bytes than the part's length, the outcome is [NoSuchPart].
const (
	Head Op = "head"
	Get  Op = "get"
	Said Op = "said"
)

// Cache is a cache between the gate and the bucket. It holds whole objects, under their keys, for as long as their class
// allows; nobody reaches it but through [Gate.Decide].
type Cache string

// The caches: none, the data centre's (the Cache API, which a custom domain has), and Workers Cache in front of an entrypoint
// of its own.
const (
	NoCache      Cache = ""
	CacheAPI     Cache = "cache-api"
	WorkersCache Cache = "workers-cache"
)

// Use is what the body that is fetched is for.
type Use string

// The uses: Pass hands it to the client, Rewrite gives it to [Gate.Respond] first. Report is the body that [Said] asks for. With
// the others, that the object is there is all that counts: the video's key is given, or its page shown.
const (
	Pass    Use = "pass"
	Rewrite Use = "rewrite"
	Report  Use = "report"
	Unlock  Use = "unlock"
	Show    Use = "show"
)

// Object is what the bucket said to a [Fetch].
type Object struct {
	Outcome      Outcome
	Size         int64  // of the whole object
	ETag         string // strong, in its quotes
	Modified     int64  // Unix milliseconds
	CacheControl string // as it was stored
	Body         []byte // with Rewrite or Said

	Epoch Epoch // with Fetch.Epoch
}

// Epoch is what the bucket said of an object that revokes tokens: the Unix time, in seconds and in decimal, before which they
// were issued.
type Epoch struct {
	Outcome Outcome
	Text    string
}

// Outcome is how a fetch ended.
type Outcome string

// The outcomes. NoSuchPart is the bucket's refusal of a range that the object does not have.
const (
	Found      Outcome = "found"
	Missing    Outcome = "missing"
	NoSuchPart Outcome = "no-such-part"
	Failed     Outcome = "failed"
)

// Answer is a response.
type Answer struct {
	Status  int
	Headers []Header
	Body    Body
	Text    []byte // with TextBody

	// Token goes into the URIs of Text, which is of this format, when it is written out; "" if none does.
	Token  string
	Format playlist.Format

	Gzip   bool    // the body is to be compressed, and its length told in Content-Length
	Key    string  // of the object that it is about, for the log
	Code   string  // of an error, for the log
	Points []Point // to be recorded
	page   bool    // whether Text is a page for people
}

// Header is one header field of an answer.
type Header struct{ Name, Value string }

// Body is where an answer's body comes from.
type Body string

// The bodies: none, the text in the answer, or the body of the object that was fetched.
const (
	NoBody     Body = "none"
	TextBody   Body = "text"
	ObjectBody Body = "object"
)

// Config is what an operator sets.
type Config struct {
	TokenKeys string // the secret TOKEN_KEYS, a JWK Set; see [token.ParseKeys]
	// AllowedOrigins is the variable ALLOWED_ORIGINS: the origins whose pages may use the videos, separated by spaces, and
	// may send a cookie with their requests. "" or "*" is all of them, without cookies.
	AllowedOrigins string
	// EncryptionKey is the secret ENCRYPTION_KEY, from which the keys of encrypted videos are derived: base64url of at least 32
	// bytes. "" is none: there are no such videos.
	EncryptionKey string
	// Cache is the variable CACHE: "none", "cache-api" or "workers-cache". "" is none.
	Cache string
	// LogSample is the variable LOG_SAMPLE: of how many requests one is logged; 0, or "", is none but those that fail.
	LogSample string
	// TranscoderURL is the variable TRANSCODER_URL: the origin of the transcoder's API. "" is none.
	TranscoderURL string
}

// Gate is the edge with its keys. It may be used by several goroutines.
type Gate struct {
	keys     token.Keys
	origins  []string // nil is all
	known    memory
	epochs   epochs
	master   *signature.MAC // from which the keys of encrypted videos are derived; nil is none
	cache    Cache
	problems []problem // in the order in which they are to be mended

	transcoder string // origin of its API
}

// problem is a setting that cannot be used.
type problem struct{ setting, reason, remedy string }

func (p problem) String() string { return p.setting + " cannot be used: " + p.reason + ". " + p.remedy }

// New makes a gate. If the configuration cannot be used, the gate answers everything with 500 and what to set first; Problems tells
// all of it.
func New(c Config) *Gate {
	g := &Gate{}
	var err error
	if g.transcoder, err = parseTranscoder(c.TranscoderURL); err != nil {
		g.blame("variable TRANSCODER_URL", err.Error(), `Set it to an origin such as "https://transcoder.example.com".`)
	}
	if g.keys, err = token.ParseKeys(c.TokenKeys); err != nil {
		g.blame("secret TOKEN_KEYS", err.Error(), `Set it to a JWK Set: {"keys":[{"kty":"oct","alg":"HS256","kid":"k1","k":"<base64url>"}]}.`)
	}
	if g.origins, err = parseOrigins(c.AllowedOrigins); err != nil {
		g.blame("variable ALLOWED_ORIGINS", err.Error(), `Set it to origins such as "https://example.com", separated by spaces, or to "*".`)
	}
	if g.master, err = parseMaster(c.EncryptionKey); err != nil {
		g.blame("secret ENCRYPTION_KEY", err.Error(), "Set it as openssl rand 32 | basenc --base64url | tr -d = does.")
	}
	switch c.Cache {
	case "cache-api":
		g.cache = CacheAPI
	case "workers-cache":
		g.cache = WorkersCache
	case "none", "":
	default:
		g.blame("variable CACHE", "it is none of them", `Set it to "none", "cache-api" or "workers-cache".`)
	}
	if _, ok := decimal.Parse(c.LogSample); !ok && c.LogSample != "" {
		g.blame("variable LOG_SAMPLE", "it is not a whole number", `Set it to "100", say, to log one request of a hundred.`)
	}
	return g
}

// blame notes a setting that cannot be used.
func (g *Gate) blame(setting, reason, remedy string) {
	g.problems = append(g.problems, problem{setting, reason, remedy})
}

// Problems says of each setting that cannot be used why, and what to set. No secret is in it.
func (g *Gate) Problems() []string {
	var all []string
	for _, p := range g.problems {
		all = append(all, p.String())
	}
	return all
}

func parseOrigins(setting string) ([]string, error) {
	list := strings.Fields(setting)
	if len(list) == 0 || slices.Equal(list, []string{"*"}) {
		return nil, nil
	}
	for _, o := range list {
		if o == "*" {
			return nil, errors.New(`"*" stands beside others`)
		}
		if originOf(o) != o {
			return nil, errors.New("one of them is not a scheme and a host in lower case, and nothing else")
		}
	}
	return list, nil
}

// Package gate decides what the edge does with a request: all of HTTP's semantics (RFC 9110), and who may read
// what.
//
// Start at [Gate.Decide]: it gives the first [Step], which is an answer or something to fetch from the
// bucket. What was fetched goes to [Respond], which gives the next step. One fetch is enough for nearly every
// request, two for all, unless the object is replaced meanwhile. Everything is a function from values to
// values, so a request that is waiting for the bucket holds nothing here.
//
// [Gate.Decide] alone lets a request in. The package never sees the body of an object but for playlists that
// are rewritten, reads no clock and does no IO.
package gate

import "weir/edge-auth/internal/token"

// Request is what the edge looks at in a request. A header that was not sent is empty.
type Request struct {
	Method string
	URL    string // as it was sent, not normalised

	Authorization     string
	Range             string
	IfRange           string
	IfMatch           string
	IfNoneMatch       string
	IfModifiedSince   string
	IfUnmodifiedSince string
}

// Step is what to do next: one of the two is set.
type Step struct {
	Fetch  *Fetch
	Answer *Answer
}

// Fetch asks for an object of the bucket.
type Fetch struct {
	Key  string
	Op   Op
	Part Part // with Get, Range or the zero value for all of it
	Use  Use
}

// Op is a call of the bucket.
type Op string

// The calls: Head gives an object's metadata, Get its body too.
const (
	Head Op = "head"
	Get  Op = "get"
)

// Use is what the body that is fetched is for.
type Use string

// The uses: Pass hands it to the client, Rewrite gives it to [Respond] first.
const (
	Pass    Use = "pass"
	Rewrite Use = "rewrite"
)

// Object is what the bucket said to a [Fetch].
type Object struct {
	Outcome      Outcome
	Size         int64  // of the whole object
	ETag         string // strong, in its quotes
	Modified     int64  // Unix milliseconds
	CacheControl string // as it was stored
	Body         []byte // with Rewrite
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
	Token   string // with TextBody, if Text is a playlist: goes into its URIs when it is written out
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

// Gate is the edge with its keys.
type Gate struct {
	keys    token.Keys
	problem error // why there are no keys
}

// New makes a gate from the secret TOKEN_KEYS. If that cannot be used, the gate answers everything with 500
// and what to set.
func New(tokenKeys string) *Gate {
	keys, err := token.ParseKeys(tokenKeys)
	return &Gate{keys: keys, problem: err}
}

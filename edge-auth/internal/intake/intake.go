// Package intake turns R2's notification of an upload into the request that transcodes it, so that putting a file under
// uploads/ is all that it takes to make a video.
//
// Start at [Next], which is called until it says what becomes of the message. It is a function from values to values: no IO,
// no clock. What Weir itself writes lies elsewhere in the bucket and is never taken in.
//
// # Which video
//
// The file's name without its extension, if that is a valid id: uploads/intro.mp4 is the video "intro". The id may belong to
// another upload, as with uploads/a/intro.mp4 and uploads/b/intro.mp4. The API then answers 409, and the id is derived: the
// name and a hash of the key, always the same for that key. So is that of a file whose name is no id.
//
// # Which upload
//
// A notification may come twice, and a key may be put again. A job that was accepted after the event covers it: it reads what is
// there. An older job is to be replaced, which the API does once that has ended; until then the message waits. Replacing is only
// ever asked for after the API has said that the id stands for this very key. The clocks compared are R2's and the
// transcoder's: where they differ by seconds, a video may be encoded once more.
package intake

import (
	"strings"

	"weir/edge-auth/internal/decimal"
	"weir/edge-auth/internal/object"
	"weir/edge-auth/internal/sha2"
)

// Root is where uploads lie. Nothing else is taken in.
const Root = "uploads/"

// Notification is R2's message about an object, as far as it matters, and how often it was delivered.
type Notification struct {
	Action   string
	Key      string
	Time     int64 // of the event, Unix milliseconds
	Attempts int64 // deliveries of the message, this one included
}

// Settings are what an operator sets. They are asked for when the first upload comes, and not before.
type Settings struct {
	Transcoder string // origin of the transcoder's API
	WebhookURL string // the variable WEBHOOK_URL: who is told of the videos
	APIKey     string // the secret API_KEY of the transcoder
}

// Bearer is what requests carry: of several keys the first.
func (s Settings) Bearer() string {
	key, _, _ := strings.Cut(s.APIKey, " ")
	return key
}

// Request is one POST /transcode.
type Request struct {
	VideoID string
	Replace bool
}

// Reply is how a request was answered.
type Reply struct {
	Status     int64 // 0 is no answer
	RetryAfter string
	Created    int64  // when the job was accepted, Unix milliseconds; 0 if the answer does not say
	Code       string // of the error
}

// Step is what to do next with a message: to send a request, if there is one, or what it comes to.
type Step struct {
	Request *Request
	Outcome Outcome
	Delay   int64 // with Retry, in seconds
	Reason  string
}

// Outcome is what becomes of a message.
type Outcome string

// The outcomes. Done needs it no more, Retry wants it again, and Dead puts it aside for a person, because time alone will not
// help.
const (
	Done  Outcome = "done"
	Retry Outcome = "retry"
	Dead  Outcome = "dead"
)

// Next says how to go on after sent was answered; before the first request both are zero. At most four requests are sent.
func Next(n Notification, s Settings, sent Request, r Reply) Step {
	switch n.Action {
	case "PutObject", "CopyObject", "CompleteMultipartUpload":
	case "DeleteObject", "LifecycleDeletion": // the video does not go with its upload
		return Step{Outcome: Done}
	default:
		return dead("it is no notification of R2")
	}
	name, inside := strings.CutPrefix(n.Key, Root)
	if n.Key == "" || n.Time <= 0 {
		return dead("it has no key or no time")
	}
	if !inside || name == "" || strings.HasSuffix(name, "/") { // the last is how consoles make a folder
		return Step{Outcome: Done}
	}
	if missing := s.missing(); missing != "" {
		return retry(n, r, missing)
	}
	plain, derived := ids(name, n.Key)
	if sent.VideoID == "" {
		return post(plain, false)
	}
	switch {
	case r.Status == 202 && r.Created >= n.Time:
		return Step{Outcome: Done}
	case r.Status == 202 && r.Created > 0 && !sent.Replace:
		return post(sent.VideoID, true)
	case r.Status == 202 && r.Created > 0:
		return retry(n, r, "an earlier upload of the same key is still being worked on")
	case r.Status == 409 && r.Code == "video_id_taken" && sent.VideoID != derived:
		return post(derived, false)
	case r.Status == 409 && r.Code == "video_id_taken":
		return dead("the id " + derived + " stands for another request: post it to /transcode with another one")
	case r.Status == 400 || r.Status == 413:
		return dead("the transcoder refuses its key, or WEBHOOK_URL: upload it under another name, or mend the variable")
	case r.Status == 401 || r.Status == 403:
		return retry(n, r, "the transcoder refuses the secret API_KEY: set it to the transcoder's")
	}
	return retry(n, r, "the transcoder did not take the request: see its log, and that TRANSCODER_URL is its origin")
}

// missing says which setting is needed and cannot be used, or "".
func (s Settings) missing() string {
	switch {
	case s.Transcoder == "":
		return "TRANSCODER_URL is needed: set the variable to the origin of the transcoder's API"
	case !strings.HasPrefix(s.WebhookURL, "https://") && !strings.HasPrefix(s.WebhookURL, "http://"):
		return "WEBHOOK_URL is needed: set the variable to the http(s) URL that is to be told of the videos"
	case s.Bearer() == "" || strings.ContainsFunc(s.Bearer(), func(c rune) bool { return c <= ' ' || c > '~' }):
		return "API_KEY is needed: set the secret to that of the transcoder"
	}
	return ""
}

func post(videoID string, replace bool) Step {
	return Step{Request: &Request{VideoID: videoID, Replace: replace}}
}

func dead(reason string) Step { return Step{Outcome: Dead, Reason: reason} }

// The delays, in seconds: they double from the first to the longest, so that some thirty attempts take a day. A queue takes no
// longer one than maxDelay.
const firstDelay, longDelay, maxDelay = 5, 60 * 60, 12 * 60 * 60

func retry(n Notification, r Reply, reason string) Step {
	delay := int64(firstDelay)
	for i := int64(1); i < n.Attempts && delay < longDelay; i++ {
		delay *= 2
	}
	return Step{Outcome: Retry, Delay: max(min(delay, longDelay), seconds(r.RetryAfter)), Reason: reason}
}

// seconds reads a Retry-After header that is a number (RFC 9110 section 10.2.3); one that is a date is 0, as is none.
func seconds(header string) int64 {
	n, _ := decimal.Parse(header)
	return min(n, maxDelay)
}

// maxID is the longest video id.
const maxID = 128

// ids gives the ids that an upload's video may have: the plain one, which is the file's name where that is an id, and the one
// that is derived from its key.
func ids(name, key string) (plain, derived string) {
	name = name[strings.LastIndexByte(name, '/')+1:]
	if dot := strings.LastIndexByte(name, '.'); dot >= 0 {
		name = name[:dot]
	}
	word := []byte(name)
	for i, c := range word {
		if !object.InID(c) {
			word[i] = '-'
		}
	}
	derived = string(word[:min(len(word), maxID-1-hashSize)]) + "-" + hash(key)
	if name == "" || len(name) > maxID || string(word) != name {
		return derived, derived
	}
	return name, derived
}

// hashSize is how many hexadecimal digits of a hash keep the keys of a bucket apart.
const hashSize = 12

func hash(key string) string {
	sum := sha2.New256().Sum([]byte(key))
	digits := make([]byte, hashSize)
	for i := range digits {
		digits[i] = "0123456789abcdef"[sum[i/2]>>(4-i%2*4)&15]
	}
	return string(digits)
}

package job

import (
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Spec is what a backend asks for: make the video VideoID out of the object Key and tell WebhookURL.
type Spec struct {
	VideoID    string `json:"video_id"`
	Key        string `json:"key"`
	WebhookURL string `json:"webhook_url"`
	// Priority is 0 to 100: where work waits, that of a higher priority is done first.
	Priority int `json:"priority"`
	// PosterAt is the position of the poster in seconds; nil leaves the choice to Weir.
	PosterAt   *float64   `json:"poster_at_s,omitempty"`
	Storyboard Storyboard `json:"storyboard,omitzero"`
	// SegmentFormat is what the segments are written in, and Encrypt wants them encrypted with AES-128.
	SegmentFormat SegmentFormat `json:"segment_format,omitempty"`
	Encrypt       bool          `json:"encrypt,omitempty"`
	// Codecs are those of the pictures.
	Codecs Codecs `json:"codecs,omitempty"`
}

// Same tells whether another request asks for the same video to be made. How urgent it is is no part of that.
func (s Spec) Same(other Spec) bool {
	other.Priority = s.Priority
	if s.SegmentFormat.Stream() == other.SegmentFormat.Stream() {
		other.SegmentFormat = s.SegmentFormat // said or not
	}
	s.Codecs, other.Codecs = s.Codecs.sorted(), other.Codecs.sorted()
	return reflect.DeepEqual(s, other)
}

// DefaultPriority is that of a request that names none.
const DefaultPriority, maxPriority = 50, 100

// maxKey is the longest key that R2 and S3 take, in bytes.
const maxKey = 1024

// maxURL bounds the webhook URL, in bytes: far beyond what servers accept, far below what would weigh on the record.
const maxURL = 2048

var videoID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// Validate reports every problem of the spec at once; the error wraps [ErrInvalid] and each line says what to do.
func (s Spec) Validate() error {
	err := errors.Join(ValidateVideoID(s.VideoID), validateKey(s.Key), validateWebhookURL(s.WebhookURL), validatePriority(s.Priority),
		validatePosterAt(s.PosterAt), s.Storyboard.Validate(), s.Codecs.Validate(), validatePackaging(s))
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrInvalid, err)
}

// ValidateVideoID tells what is wrong with a video's id. The id is part of bucket keys, URLs and queue subjects, so it is
// kept to characters that mean nothing in any of them.
func ValidateVideoID(id string) error {
	switch {
	case id == "":
		return errors.New("video_id is missing: choose an id for the video, such as \"intro-2024\"")
	case !videoID.MatchString(id):
		return errors.New("video_id must be 1 to 128 letters, digits, \"_\" or \"-\"")
	}
	return nil
}

func validatePriority(p int) error {
	if p < 0 || p > maxPriority {
		return fmt.Errorf("priority is %d: it must be a number from 0, which can wait, to %d; %d is usual", p, maxPriority, DefaultPriority)
	}
	return nil
}

func validateKey(key string) error {
	switch {
	case key == "":
		return errors.New("key is missing: give the key of the uploaded object, such as \"uploads/intro.mp4\"")
	case len(key) > maxKey:
		return fmt.Errorf("key has %d bytes: a bucket takes at most %d", len(key), maxKey)
	case !utf8.ValidString(key):
		return errors.New("key must be UTF-8")
	case strings.ContainsFunc(key, unicode.IsControl):
		return errors.New("key must not contain NUL or other control characters")
	}
	for part := range strings.SplitSeq(key, "/") {
		if part == "" || part == "." || part == ".." {
			return errors.New("key must not start or end with \"/\" or contain \"//\", \"/./\" or \"..\" as a part: give it exactly as it was uploaded")
		}
	}
	return nil
}

func validateWebhookURL(raw string) error {
	if raw == "" {
		return errors.New("webhook_url is missing: give the http(s) URL to call when the video is processed or has failed")
	}
	if len(raw) > maxURL {
		return fmt.Errorf("webhook_url has %d bytes: at most %d are accepted", len(raw), maxURL)
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return errors.New("webhook_url must be an absolute URL, such as \"https://example.com/hooks/weir\"")
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("webhook_url must start with http:// or https://")
	case u.User != nil:
		return errors.New("webhook_url must not carry a user name or password: verify the signature of the call instead")
	}
	return nil
}

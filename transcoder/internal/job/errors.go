package job

import "errors"

// The error kinds. Everything else is a fault of Weir itself, and is tried again, but not for ever.
var (
	ErrInvalid     = errors.New("invalid request")
	ErrNotFound    = errors.New("not found")
	ErrConflict    = errors.New("conflict")
	ErrBusy        = errors.New("busy")        // the video is being worked on, or its remains are being removed
	ErrUnavailable = errors.New("unavailable") // the bucket does not answer, or does not let us in: work waits until it does
)

// A Code names, for programs, why a video failed.
type Code string

// The codes of a failed video.
const (
	SourceNotFound    Code = "source_not_found"   // no object under the key
	SourceChanged     Code = "source_changed"     // the object was replaced or deleted while it was read
	SourceTruncated   Code = "source_truncated"   // the file ends before its own headers say it does
	SourceEmpty       Code = "source_empty"       // the object has no bytes
	UnsupportedFormat Code = "unsupported_format" // no video that can be decoded
	EncodingFailed    Code = "encoding_failed"    // the encoder failed on it again and again
	CodecUnavailable  Code = "codec_unavailable"  // the transcoder has no encoder for a codec that was asked for
	Internal          Code = "internal"           // Weir failed on it for hours
)

// Failure is the permanent kind of error: trying again cannot help until somebody changes something. Message is a
// sentence for the backend's developer; it says what to do and never carries an internal error's text.
type Failure struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
}

func (f *Failure) Error() string { return string(f.Code) + ": " + f.Message }

// Package wire is the language that the shim and the Wasm module speak: a message is a list of fields, a field
// is its length in four bytes, little end first, and that many bytes. Numbers are in decimal.
//
//	to configure: TOKEN_KEYS
//	to decide:    now, method, URL, Authorization, Range, If-Range, If-Match, If-None-Match,
//	              If-Modified-Since, If-Unmodified-Since
//	to respond:   the same, then the step's fields after "fetch", then
//	              outcome, size, ETag, modified, Cache-Control, body
//	a step:       "fetch", key, op, offset, length, suffix, use
//	or:           "answer", status, body, text, then name and value of each header
//
// Start at [ReadRequest], [ReadReply] and [AppendStep]. No bytes make them panic: a message that is not one of
// these is reported.
package wire

import (
	"encoding/binary"
	"strconv"

	"weir/edge-auth/internal/gate"
	"weir/edge-auth/internal/playlist"
)

// ReadSecret reads the message to configure.
func ReadSecret(message []byte) (secret string, ok bool) {
	f := fields{rest: message}
	secret = f.text()
	return secret, f.ended()
}

// ReadRequest reads the message to decide: a request, and the time in Unix seconds.
func ReadRequest(message []byte) (r gate.Request, now int64, ok bool) {
	f := fields{rest: message}
	r, now = f.request()
	return r, now, f.ended()
}

// ReadReply reads the message to respond: a request, what was fetched for it, and what the bucket said. The
// object's body is not copied out of the message.
func ReadReply(message []byte) (r gate.Request, fetch gate.Fetch, o gate.Object, ok bool) {
	f := fields{rest: message}
	r, _ = f.request()
	fetch = gate.Fetch{
		Key:  f.text(),
		Op:   gate.Op(f.text()),
		Part: gate.Part{Offset: f.number(), Length: f.number(), Suffix: f.number()},
		Use:  gate.Use(f.text()),
	}
	o = gate.Object{
		Outcome:      gate.Outcome(f.text()),
		Size:         f.number(),
		ETag:         f.text(),
		Modified:     f.number(),
		CacheControl: f.text(),
		Body:         f.bytes(),
	}
	return r, fetch, o, f.ended()
}

// AppendStep appends the message of a step.
func AppendStep(to []byte, s gate.Step) []byte {
	if s.Fetch != nil {
		to = appendField(to, "fetch")
		to = appendField(to, s.Fetch.Key)
		to = appendField(to, string(s.Fetch.Op))
		to = appendNumber(to, s.Fetch.Part.Offset)
		to = appendNumber(to, s.Fetch.Part.Length)
		to = appendNumber(to, s.Fetch.Part.Suffix)
		return appendField(to, string(s.Fetch.Use))
	}
	to = appendField(to, "answer")
	to = appendNumber(to, int64(s.Answer.Status))
	to = appendField(to, string(s.Answer.Body))
	to = appendText(to, s.Answer)
	for _, h := range s.Answer.Headers {
		to = appendField(to, h.Name)
		to = appendField(to, h.Value)
	}
	return to
}

func appendText(to []byte, a *gate.Answer) []byte {
	if a.Token == "" {
		return appendField(to, string(a.Text))
	}
	at := len(to)
	to = append(to, 0, 0, 0, 0) // its length, which is known afterwards
	to = playlist.Append(to, a.Text, a.Token)
	binary.LittleEndian.PutUint32(to[at:], uint32(len(to)-at-4))
	return to
}

func appendField(to []byte, field string) []byte {
	to = binary.LittleEndian.AppendUint32(to, uint32(len(field)))
	return append(to, field...)
}

func appendNumber(to []byte, n int64) []byte {
	return appendField(to, strconv.FormatInt(n, 10))
}

// fields reads a message field by field. After the first that is not there, or not of its kind, all are empty.
type fields struct {
	rest   []byte
	broken bool
}

// request reads what both messages begin with. Go evaluates the calls in the order in which they are written.
func (f *fields) request() (gate.Request, int64) {
	now := f.number()
	return gate.Request{
		Method:            f.text(),
		URL:               f.text(),
		Authorization:     f.text(),
		Range:             f.text(),
		IfRange:           f.text(),
		IfMatch:           f.text(),
		IfNoneMatch:       f.text(),
		IfModifiedSince:   f.text(),
		IfUnmodifiedSince: f.text(),
	}, now
}

func (f *fields) bytes() []byte {
	if f.broken || len(f.rest) < 4 {
		f.broken = true
		return nil
	}
	length := uint64(binary.LittleEndian.Uint32(f.rest))
	rest := f.rest[4:]
	if length > uint64(len(rest)) {
		f.broken = true
		return nil
	}
	f.rest = rest[length:]
	return rest[:length:length]
}

func (f *fields) text() string { return string(f.bytes()) }

func (f *fields) number() int64 {
	n, err := strconv.ParseInt(f.text(), 10, 64)
	if err != nil {
		f.broken = true
	}
	return n
}

// ended reports whether the message was all there, and nothing else.
func (f *fields) ended() bool { return !f.broken && len(f.rest) == 0 }

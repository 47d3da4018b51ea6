// Package wire is the language that the shim and the Wasm module speak: a message is a list of fields, each with a zero byte
// behind it, which is in no URL, no header and no setting. What follows the last field is bytes. Numbers are in decimal.
//
//	to configure: TOKEN_KEYS, ALLOWED_ORIGINS, ENCRYPTION_KEY, CACHE, LOG_SAMPLE, TRANSCODER_URL
//	to decide:    URL, Authorization, Cookie, Referer, IP, CMCD, then the terms
//	the terms:    now, method, country, Origin, Range, If-Range, If-Match, If-None-Match, If-Modified-Since,
//	              If-Unmodified-Since, Accept, Accept-Encoding
//	to respond:   the terms, then the step's, then outcome, size, ETag, modified, Cache-Control, the epoch's outcome and
//	              text; behind them the body
//	unanswered:   the terms
//	to keep:      the key of an object, and the Cache-Control that it was stored with
//	a step:       "fetch", key, op, offset, length, suffix, use, cache, "1" if it is private, the header that it depends on,
//	              CMCD, the epoch's key, the token
//	or:           "answer", status, body, "1" if it is to be compressed, key, code, the number of points, the points, then name
//	              and value of each header; behind them the text
//	or:           "forward", URL, limit
//	or:           "keep", Cache-Control
//	a point:      video, status, country, session, content, object, format, stream, event, bitrate, top, duration, buffer,
//	              throughput, deadline, starved, startup
//
// Start at [ReadRequest], [ReadReply] and [AppendStep]. No bytes make them panic: a message that is not one of these is
// reported. What is read is not copied: it is good until the bytes of the message change.
package wire

import (
	"unsafe"

	"weir/edge-auth/internal/decimal"
	"weir/edge-auth/internal/gate"
	"weir/edge-auth/internal/playlist"
	"weir/edge-auth/internal/scan"
)

// The kinds of a step.
const (
	fetchStep   = "fetch"
	answerStep  = "answer"
	forwardStep = "forward"
	keepStep    = "keep"
)

// ReadConfig reads the message to configure, and copies it: settings last.
func ReadConfig(message []byte) (c gate.Config, ok bool) {
	f := fields{rest: string(message)}
	c = gate.Config{TokenKeys: f.text(), AllowedOrigins: f.text(), EncryptionKey: f.text(), Cache: f.text(), LogSample: f.text(), TranscoderURL: f.text()}
	return c, f.ended()
}

// ReadRequest reads the message to decide: a request, and the time in Unix seconds.
func ReadRequest(message []byte) (r gate.Request, now int64, ok bool) {
	f := read(message)
	r = gate.Request{URL: f.text(), Authorization: f.text(), Cookie: f.text(), Referer: f.text(), IP: f.text(), CMCD: f.text()}
	now = f.terms(&r)
	return r, now, f.ended()
}

// ReadTerms reads the terms of a request that was not answered.
func ReadTerms(message []byte) (r gate.Request, ok bool) {
	f := read(message)
	f.terms(&r)
	return r, f.ended()
}

// ReadReply reads the message to respond: the terms of a request, what was fetched for it, and what the bucket said.
func ReadReply(message []byte) (r gate.Request, fetch gate.Fetch, o gate.Object, now int64, ok bool) {
	f := read(message)
	now = f.terms(&r)
	if f.text() != fetchStep {
		return r, fetch, o, now, false
	}
	fetch = gate.Fetch{
		Key:     f.text(),
		Op:      gate.Op(f.text()),
		Part:    gate.Part{Offset: f.number(), Length: f.number(), Suffix: f.number()},
		Use:     gate.Use(f.text()),
		Cache:   gate.Cache(f.text()),
		Private: f.text() == set,
		Vary:    f.text(),
		CMCD:    f.text(),
		Epoch:   f.text(),
		Token:   f.text(),
	}
	o = gate.Object{
		Outcome:      gate.Outcome(f.text()),
		Size:         f.number(),
		ETag:         f.text(),
		Modified:     f.number(),
		CacheControl: f.text(),
		Epoch:        gate.Epoch{Outcome: gate.Outcome(f.text()), Text: f.text()},
	}
	o.Body = message[len(message)-len(f.rest):] // not above: in which order it would be read there is not said
	return r, fetch, o, now, !f.broken
}

// ReadKeep reads the message to keep.
func ReadKeep(message []byte) (key, stored string, ok bool) {
	f := read(message)
	key, stored = f.text(), f.text()
	return key, stored, f.ended()
}

// AppendKeep appends the answer to it.
func AppendKeep(to []byte, cacheControl string) []byte {
	return appendField(appendField(to, keepStep), cacheControl)
}

// set is what stands for true.
const set = "1"

// AppendStep appends the message of a step. The last bytes of it, so many as text says, are the answer's text.
func AppendStep(to []byte, s gate.Step) (message []byte, text int) {
	if s.Fetch != nil {
		to = appendField(to, fetchStep)
		to = appendField(to, s.Fetch.Key)
		to = appendField(to, string(s.Fetch.Op))
		to = appendNumber(to, s.Fetch.Part.Offset)
		to = appendNumber(to, s.Fetch.Part.Length)
		to = appendNumber(to, s.Fetch.Part.Suffix)
		to = appendField(to, string(s.Fetch.Use))
		to = appendField(to, string(s.Fetch.Cache))
		to = appendFlag(to, s.Fetch.Private)
		to = appendField(to, s.Fetch.Vary)
		to = appendField(to, s.Fetch.CMCD)
		to = appendField(to, s.Fetch.Epoch)
		return appendField(to, s.Fetch.Token), 0
	}
	if s.Forward != nil {
		to = appendField(to, forwardStep)
		to = appendField(to, s.Forward.URL)
		return appendNumber(to, s.Forward.Limit), 0
	}
	to = appendField(to, answerStep)
	to = appendNumber(to, int64(s.Answer.Status))
	to = appendField(to, string(s.Answer.Body))
	to = appendFlag(to, s.Answer.Gzip)
	to = appendField(to, s.Answer.Key)
	to = appendField(to, s.Answer.Code)
	to = appendNumber(to, int64(len(s.Answer.Points)))
	for i := range s.Answer.Points {
		to = appendPoint(to, &s.Answer.Points[i])
	}
	for _, h := range s.Answer.Headers {
		to = appendField(to, h.Name)
		to = appendField(to, h.Value)
	}
	head := len(to)
	if s.Answer.Token != "" {
		to = playlist.Append(to, s.Answer.Text, s.Answer.Format, s.Answer.Token)
	} else {
		to = append(to, s.Answer.Text...)
	}
	return to, len(to) - head
}

func appendPoint(to []byte, p *gate.Point) []byte {
	to = appendField(to, p.VideoID)
	to = appendNumber(to, int64(p.Status))
	for _, text := range []string{p.Country, p.Session, p.Content, p.Object, p.Format, p.Stream, p.Event} {
		to = appendField(to, text)
	}
	for _, n := range []int64{p.Bitrate, p.Top, p.Duration, p.Buffer, p.Throughput, p.Deadline, p.Starved, p.Startup} {
		if n < 0 { // it was not said
			to = append(to, '-', '1', 0)
		} else {
			to = appendNumber(to, n)
		}
	}
	return to
}

func appendFlag(to []byte, flag bool) []byte {
	if flag {
		to = append(to, set...)
	}
	return append(to, 0)
}

func appendField(to []byte, field string) []byte {
	return append(append(to, field...), 0)
}

func appendNumber(to []byte, n int64) []byte {
	return append(decimal.Append(to, n), 0)
}

// fields are read from the front of a message one by one. After one that is not there or not of its kind, the message is
// broken.
type fields struct {
	rest   string
	broken bool
}

// read begins to read a message, and does not copy it: see the package's comment.
func read(message []byte) fields {
	return fields{rest: unsafe.String(unsafe.SliceData(message), len(message))} //nolint:gosec // as its comment says
}

// terms reads what the messages about a request have in common, and gives the time.
func (f *fields) terms(r *gate.Request) (now int64) {
	now = f.number()
	r.Method = f.text()
	r.Country = f.text()
	r.Origin = f.text()
	r.Range = f.text()
	r.IfRange = f.text()
	r.IfMatch = f.text()
	r.IfNoneMatch = f.text()
	r.IfModifiedSince = f.text()
	r.IfUnmodifiedSince = f.text()
	r.Accept = f.text()
	r.AcceptEncoding = f.text()
	return now
}

func (f *fields) text() string {
	i := scan.Index(f.rest, 0)
	if i < 0 {
		f.rest, f.broken = "", true
		return ""
	}
	field := f.rest[:i]
	f.rest = f.rest[i+1:]
	return field
}

func (f *fields) number() int64 {
	n, ok := decimal.Parse(f.text())
	f.broken = f.broken || !ok
	return n
}

// ended reports whether the message was all there, and nothing else.
func (f *fields) ended() bool { return !f.broken && len(f.rest) == 0 }

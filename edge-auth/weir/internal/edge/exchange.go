package edge

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"weir/edge-auth/internal/gate"
	"weir/edge-auth/internal/playlist"
)

const (
	// maxFetches is how often an object may be replaced while it is being asked for.
	maxFetches = 4
	// maxEpoch bounds the text of an epoch, which is a number.
	maxEpoch = 64
)

// exchange is a request and its answer.
type exchange struct {
	*Server
	w       *writer
	r       *http.Request
	control *http.ResponseController
	request gate.Request
	began   time.Time
	timing  []string // of Server-Timing
}

// serve is the read line: decide, fetch, respond, and answer.
func (x *exchange) serve() {
	now := x.began.Unix()
	step := x.Gate.Decide(x.request, now)
	if step.Forward != nil {
		x.forward(*step.Forward)
		return
	}
	var object *body
	for fetches := 0; step.Fetch != nil && fetches < maxFetches; fetches++ {
		object.discard()
		fetch := *step.Fetch
		var o gate.Object
		o, object = x.fetch(fetch)
		step = x.Gate.Respond(x.request, fetch, o, now)
		if a := step.Answer; a != nil && a.Gzip && a.Body == gate.ObjectBody {
			// It is compressed before anything is said, because its length is.
			text, err := object.read(o.Size)
			if err != nil {
				x.failed(err)
				step = x.Gate.Respond(x.request, fetch, gate.Object{Outcome: gate.Failed}, now)
			} else {
				a.Body, a.Text = gate.TextBody, text
			}
		}
	}
	defer object.discard()
	if step.Answer == nil {
		x.Log.Error("the request was refused: the object keeps changing", "key", step.Fetch.Key)
		x.refuse()
		return
	}
	x.answer(*step.Answer, object)
}

// fetch makes the calls that a step asks for, side by side, and tells how they ended. There is a body if it is not read here.
func (x *exchange) fetch(f gate.Fetch) (o gate.Object, b *body) {
	began := x.Now()
	epoch := make(chan gate.Epoch, 1)
	if f.Epoch != "" {
		go func() { epoch <- x.epoch(f.Epoch) }()
	} else {
		epoch <- gate.Epoch{}
	}
	switch {
	case f.Op == gate.Said:
		o = x.said(f.Part.Length)
	case f.Op == gate.Head:
		var err error
		if o, err = x.Bucket.Head(x.r.Context(), f.Key); err != nil {
			x.failed(err)
		}
	default:
		o, b = x.get(f)
	}
	o.Epoch = <-epoch
	if f.Op != gate.Said {
		x.timing = append(x.timing, fmt.Sprintf("bucket;dur=%d", x.Now().Sub(began).Milliseconds()))
	}
	return o, b
}

// get reads an object, or begins to.
func (x *exchange) get(f gate.Fetch) (gate.Object, *body) {
	o, b, err := x.open(f.Key, f.Part)
	if err == nil && o.Outcome == gate.Found && f.Use == gate.Rewrite {
		o.Body, err = b.read(min(o.Size, f.Part.Length))
		b.discard()
		b = nil
	}
	if err != nil {
		x.failed(err)
		return gate.Object{Outcome: gate.Failed}, nil
	}
	return o, b
}

func (x *exchange) open(key string, part gate.Part) (gate.Object, *body, error) {
	ctx, cancel := context.WithCancel(x.r.Context())
	o, b, err := x.Bucket.Get(ctx, key, part)
	if b == nil {
		cancel()
		return o, nil, err
	}
	return o, newBody(b, cancel), nil
}

// epoch reads the object that says which tokens of a video are revoked.
func (x *exchange) epoch(key string) gate.Epoch {
	o, b, err := x.open(key, gate.Part{})
	defer b.discard()
	var text []byte
	if o.Outcome == gate.Found {
		text, err = b.read(min(o.Size, maxEpoch))
	}
	if err != nil {
		x.failed(err)
		return gate.Epoch{Outcome: gate.Failed}
	}
	return gate.Epoch{Outcome: o.Outcome, Text: string(text)}
}

// said reads what a player reports, and no more of it than there may be.
func (x *exchange) said(most int64) gate.Object {
	text, err := io.ReadAll(io.LimitReader(x.r.Body, most+1))
	switch {
	case err != nil:
		return gate.Object{Outcome: gate.Failed}
	case int64(len(text)) > most:
		return gate.Object{Outcome: gate.NoSuchPart}
	}
	return gate.Object{Outcome: gate.Found, Body: text}
}

// answer writes the answer. A body that cannot be had to its end breaks the connection, or the client would take a part for all.
func (x *exchange) answer(a gate.Answer, object *body) {
	header := x.w.Header()
	for _, h := range a.Headers {
		header[h.Name] = append(header[h.Name], h.Value) // as it is spelled
	}
	if len(x.timing) > 0 {
		header["Server-Timing"] = []string{strings.Join(x.timing, ", ")}
	}
	text := a.Text
	if a.Token != "" {
		text = playlist.Append(nil, text, a.Format, a.Token)
	}
	if a.Gzip {
		text = x.pack(text)
		header["Content-Length"] = []string{strconv.Itoa(len(text))}
	}
	x.log(a.Status, a.Key, a.Code)
	x.report(a.Points)
	x.w.WriteHeader(a.Status)
	if a.Body == gate.TextBody {
		_, _ = x.w.Write(text) // whoever went away needs no answer
	}
	if a.Body != gate.ObjectBody {
		return
	}
	if err := x.stream(object); err != nil {
		if !errors.Is(err, errClient) {
			x.failed(fmt.Errorf("the answer was broken off: read %q: %w", a.Key, err))
		}
		panic(http.ErrAbortHandler)
	}
}

func newPacker() any { return gzip.NewWriter(nil) }

// refuse answers when the gate cannot: nobody gets in.
func (x *exchange) refuse() {
	header := x.w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Set("Access-Control-Allow-Origin", "*")
	x.w.WriteHeader(http.StatusInternalServerError)
	_, _ = io.WriteString(x.w, `{"error":{"code":"internal","message":"The edge failed. Try again."}}`)
}

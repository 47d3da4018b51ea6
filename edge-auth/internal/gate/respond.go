package gate

import (
	"weir/edge-auth/internal/decimal"
	"weir/edge-auth/internal/object"
	"weir/edge-auth/internal/playlist"
)

// maxPlaylist bounds a playlist that is rewritten, in bytes, before and after: a two-hour video in segments
// of six seconds has 60 KB, and 400 KB with tokens. An isolate has 128 MB for everything.
const maxPlaylist = 4 << 20

// Respond goes on after a fetch that [Gate.Decide] or an earlier Respond asked for. Of the request it looks at how it is to be
// answered. now is as with Decide.
func (g *Gate) Respond(r Request, f Fetch, o Object, now int64) Step {
	r.page = f.Use == Show
	if f.Epoch != "" {
		if s := g.learn(r, f, o.Epoch, now); s.Answer != nil {
			return g.share(r, s)
		}
	}
	s := g.respond(r, f, o)
	if s.Answer != nil {
		s.Answer.Key = f.Key
		s.Answer.record(r, f, object.VideoID(f.Key))
	}
	return g.share(r, s)
}

func (g *Gate) respond(r Request, f Fetch, o Object) Step {
	if f.Use == Report {
		return answer(beacon(r, o, object.VideoID(f.Key)))
	}
	switch o.Outcome {
	case Found:
		switch f.Use {
		case Unlock:
			return answer(g.keyAnswer(r, object.VideoID(f.Key)))
		case Show:
			return answer(written(r, 200, typeHTML, pageHead+playerBody))
		}
		return found(r, f, o)
	case NoSuchPart: // only the size is missing for the answer
		return again(f, Head, Part{})
	case Missing:
		return answer(failure(r, 404, "not_found", "There is no such object. A video can be watched when its "+
			"state is playable: ask the transcoder."))
	default:
		return answer(storageFailed(r))
	}
}

// again is one more fetch for the same answer.
func again(f Fetch, op Op, part Part) Step {
	f.Op, f.Part, f.Epoch = op, part, ""
	return Step{Fetch: &f}
}

func found(r Request, f Fetch, o Object) Step {
	d := describe(r, f, o)
	switch d.evaluate(r) {
	case preconditionFailed:
		return answer(failure(r, 412, "precondition_failed", "The object is not the one that If-Match or "+
			"If-Unmodified-Since asks for. Ask for it without them."))
	case notModified:
		return answer(Answer{Status: 304, Body: NoBody, Headers: d.validators()})
	}
	if f.Use == Rewrite {
		return rewritten(r, f, d, o)
	}
	part, ranged := parseRange(r.Range)
	if r.Method == "HEAD" || !ranged || d.gzip || o.Size == 0 || !d.ifRange(r.IfRange) {
		return whole(r, f, d)
	}
	first, length, ok := part.of(o.Size)
	if !ok {
		return answer(failure(r, 416, "range_not_satisfiable", "The object has "+decimal.Text(o.Size)+
			" bytes. Ask for a range within them.", Header{"Content-Range", "bytes */" + decimal.Text(o.Size)}))
	}
	if f.Op != Get { // the object was replaced while it was being asked for
		return again(f, Get, part)
	}
	return answer(Answer{Status: 206, Body: ObjectBody, Headers: append(d.all(length),
		Header{"Content-Range", contentRange(first, length, o.Size)})})
}

// whole answers with all of the object, which is fetched again if only a part of it is at hand (If-Range).
func whole(r Request, f Fetch, d description) Step {
	a := Answer{Status: 200, Body: ObjectBody, Headers: d.all(d.size), Gzip: d.gzip}
	switch {
	case r.Method == "HEAD" || d.size == 0:
		return answer(a.withoutBodyIf(true))
	case f.Op != Get || f.Part != Part{}:
		return again(f, Get, Part{})
	}
	return answer(a)
}

// rewritten answers with a playlist, or what is like one, that has the token in its URIs. Range is not for these bytes.
func rewritten(r Request, f Fetch, d description, o Object) Step {
	if o.Size <= maxPlaylist && o.Size != int64(len(o.Body)) { // it was replaced while it was being asked for
		return again(f, Get, f.Part)
	}
	format := object.ClassOf(f.Key).Format
	length := playlist.Size(o.Body, format, f.Token)
	if max(o.Size, length) > maxPlaylist {
		return answer(failure(r, 500, "playlist_too_large", "The playlist is too large to carry a token in every "+
			"URI. Put the token in the path: /t/{token}/videos/…."))
	}
	a := Answer{Status: 200, Body: TextBody, Text: o.Body, Format: format, Token: f.Token, Headers: d.all(length), Gzip: d.gzip}
	return answer(a.withoutBodyIf(r.Method == "HEAD"))
}

// description is what an answer says about the object.
type description struct {
	size         int64
	etag         string
	modified     int64 // Unix seconds, which is what HTTP dates have
	contentType  string
	cacheControl string
	vary         string // the header that the answer depends on
	ranges       bool
	gzip         bool // it is compressed, so that its length is not known here
}

func describe(r Request, f Fetch, o Object) description {
	class, rewrites := object.ClassOf(f.Key), f.Use == Rewrite
	d := description{
		size:         o.Size,
		etag:         o.ETag,
		modified:     o.Modified / 1000,
		contentType:  class.Type,
		cacheControl: class.CacheControl(o.CacheControl, f.Private || rewrites),
		vary:         f.Vary,
		gzip:         class.Text && o.Size > 0 && o.Size <= maxPlaylist && takesGzip(r.AcceptEncoding),
	}
	if class.Text {
		d.vary = vary(d.vary, "Accept-Encoding")
	}
	if d.ranges = !rewrites && !d.gzip; !d.ranges {
		d.etag = "W/" + d.etag // the same playlist, in other bytes than those the bucket has
	}
	return d
}

// mostHeaders is how many headers an answer with an object has at most, those of share included.
const mostHeaders = 14

// validators are the headers of a 304: those that a cache renews (RFC 9110 section 15.4.5).
func (d description) validators() []Header {
	list := append(make([]Header, 0, mostHeaders),
		Header{"ETag", d.etag},
		Header{"Last-Modified", httpDate(d.modified)},
		Header{"Cache-Control", d.cacheControl},
	)
	if d.vary != "" {
		list = append(list, Header{"Vary", d.vary})
	}
	return list
}

// all are the headers of an answer with length bytes of body.
func (d description) all(length int64) []Header {
	acceptRanges := "none"
	if d.ranges {
		acceptRanges = "bytes"
	}
	list := append(d.validators(),
		Header{"Content-Type", d.contentType},
		Header{"Accept-Ranges", acceptRanges},
	)
	if d.gzip {
		return append(list, Header{"Content-Encoding", "gzip"})
	}
	return append(list, Header{"Content-Length", decimal.Text(length)})
}

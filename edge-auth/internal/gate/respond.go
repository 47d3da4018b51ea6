package gate

import (
	"strconv"

	"weir/edge-auth/internal/playlist"
)

// maxPlaylist bounds a playlist that is rewritten, in bytes, before and after: a two-hour video in segments
// of six seconds has 60 KB, and 400 KB with tokens. An isolate has 128 MB for everything.
const maxPlaylist = 4 << 20

// Respond goes on after a fetch that [Gate.Decide] or an earlier Respond asked for.
func Respond(r Request, f Fetch, o Object) Step {
	switch o.Outcome {
	case Found:
		return found(r, f, o)
	case NoSuchPart: // only the size is missing for the answer
		return Step{Fetch: &Fetch{Key: f.Key, Op: Head, Use: Pass}}
	case Missing:
		return answer(failure(r, 404, "not_found", "There is no such object. A video can be watched when its "+
			"state is playable: ask the transcoder."))
	default:
		return answer(failure(r, 502, "storage_error", "The bucket did not answer. Try again.",
			Header{"Retry-After", "1"}))
	}
}

func found(r Request, f Fetch, o Object) Step {
	t := locate(r)
	d := describe(t, o)
	switch d.evaluate(r) {
	case preconditionFailed:
		return answer(failure(r, 412, "precondition_failed", "The object is not the one that If-Match or "+
			"If-Unmodified-Since asks for. Ask for it without them."))
	case notModified:
		return answer(Answer{Status: 304, Body: NoBody, Headers: headers(d.validators()...)})
	}
	if t.rewrites() {
		return rewritten(r, t, d, o)
	}
	part, ranged := parseRange(r.Range)
	if r.Method == "HEAD" || !ranged || o.Size == 0 || !d.ifRange(r.IfRange) {
		return whole(r, f, d)
	}
	first, length, ok := part.of(o.Size)
	if !ok {
		return answer(failure(r, 416, "range_not_satisfiable", "The object has "+strconv.FormatInt(o.Size, 10)+
			" bytes. Ask for a range within them.", Header{"Content-Range", "bytes */" + strconv.FormatInt(o.Size, 10)}))
	}
	if f.Op != Get { // the object was replaced while it was being asked for
		return Step{Fetch: &Fetch{Key: f.Key, Op: Get, Part: part, Use: Pass}}
	}
	return answer(Answer{Status: 206, Body: ObjectBody, Headers: headers(append(d.all(length),
		Header{"Content-Range", contentRange(first, length, o.Size)})...)})
}

// whole answers with all of the object, which is fetched again if only a part of it is at hand (If-Range).
func whole(r Request, f Fetch, d description) Step {
	a := Answer{Status: 200, Body: ObjectBody, Headers: headers(d.all(d.size)...)}
	switch {
	case r.Method == "HEAD" || d.size == 0:
		return answer(a.withoutBodyIf(true))
	case f.Op != Get || f.Part != Part{}:
		return Step{Fetch: &Fetch{Key: f.Key, Op: Get, Use: Pass}}
	}
	return answer(a)
}

// rewritten answers with a playlist that has the token in its URIs. Range is not for these bytes.
func rewritten(r Request, t target, d description, o Object) Step {
	if o.Size <= maxPlaylist && o.Size != int64(len(o.Body)) { // it was replaced while it was being asked for
		return Step{Fetch: t.fetch(r)}
	}
	length := playlist.Size(o.Body, t.token)
	if max(o.Size, length) > maxPlaylist {
		return answer(failure(r, 500, "playlist_too_large", "The playlist is too large to carry a token in every "+
			"URI. Put the token in the path: /t/{token}/videos/…."))
	}
	a := Answer{Status: 200, Body: TextBody, Text: o.Body, Token: t.token, Headers: headers(d.all(length)...)}
	return answer(a.withoutBodyIf(r.Method == "HEAD"))
}

// description is what an answer says about the object.
type description struct {
	size         int64
	etag         string
	modified     int64 // Unix seconds, which is what HTTP dates have
	contentType  string
	cacheControl string
	vary         bool // the answer depends on the Authorization header
	ranges       bool
}

func describe(t target, o Object) description {
	d := description{
		size:         o.Size,
		etag:         o.ETag,
		modified:     o.Modified / 1000,
		contentType:  t.class.Type,
		cacheControl: t.class.CacheControl(o.CacheControl, t.private()),
		vary:         t.via == viaBearer,
		ranges:       !t.rewrites(),
	}
	if t.rewrites() {
		d.etag = "W/" + d.etag // the same playlist, in other bytes than those the bucket has
	}
	return d
}

// validators are the headers of a 304: those that a cache renews (RFC 9110 section 15.4.5).
func (d description) validators() []Header {
	list := []Header{
		{"ETag", d.etag},
		{"Last-Modified", httpDate(d.modified)},
		{"Cache-Control", d.cacheControl},
	}
	if d.vary {
		list = append(list, Header{"Vary", "Authorization"})
	}
	return list
}

// all are the headers of an answer with length bytes of body.
func (d description) all(length int64) []Header {
	acceptRanges := "none"
	if d.ranges {
		acceptRanges = "bytes"
	}
	return append(d.validators(),
		Header{"Content-Type", d.contentType},
		Header{"Content-Length", strconv.FormatInt(length, 10)},
		Header{"Accept-Ranges", acceptRanges},
	)
}

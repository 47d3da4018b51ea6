package gate_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"weir/edge-auth/campaign"
	"weir/edge-auth/internal/gate"
)

// A difference is a way in which the edge differs from net/http on purpose: what net/http must be asked instead, and how its
// answer must be read, so that the two are equal. One that changes nothing in a whole campaign is a fault of this list.
type difference struct {
	section, reason string // of RFC 9110
	ask             func(r *gate.Request, size int)
	read            func(want *answer, got answer)
}

const noOneHasIt = `"nobody"`

var (
	byteRange = regexp.MustCompile(`^(?i:bytes)=[ \t]*([0-9]+-[0-9]*|-[0-9]+)[ \t]*$`)
	digits    = regexp.MustCompile(`[0-9]{16,}`)
	firstLast = regexp.MustCompile(`=[ \t]*([0-9]+)-([0-9]+)`)
	noBytes   = regexp.MustCompile(`=[ \t]*-0+[ \t]*$`)
	oneTag    = regexp.MustCompile(`^(W/)?"[^"]*"$`)
	anyTag    = regexp.MustCompile(`(W/)?"[^"]*"`)
	tagList   = regexp.MustCompile(`^([ \t,]*(W/)?"[^"]*")*[ \t,]*`)
	httpDate  = regexp.MustCompile(strings.NewReplacer("{month}", "(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)", "{time}", `\d\d:\d\d:\d\d`).Replace(
		`^(\w{3}, \d\d {month} \d{4} {time} GMT|(Sun|Mon|Tues|Wednes|Thurs|Fri|Satur)day, \d\d-{month}-\d\d {time} GMT|\w{3} {month} [ \d]\d {time} \d{4})$`))
)

// number reads a number; those beyond what net/http can count to are the largest that a range of a test has.
func number(digits string) int64 {
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 1e15
	}
	return min(n, 1e15)
}

// differences are all that there are, in the order in which they are made.
var differences = []difference{
	{"14.2", "Range is for GET", func(r *gate.Request, _ int) {
		if r.Method == "HEAD" {
			r.Range = ""
		}
	}, nil},
	{"14.2", "Range in another unit is ignored", func(r *gate.Request, _ int) {
		if unit, _, _ := strings.Cut(r.Range, "="); !strings.EqualFold(unit, "bytes") {
			r.Range = ""
		}
	}, nil},
	{"14.1", "a unit's name is in any case", func(r *gate.Request, _ int) {
		if _, set, ok := strings.Cut(r.Range, "="); ok {
			r.Range = "bytes=" + set
		}
	}, nil},
	{"14.2", "several ranges are answered with everything", func(r *gate.Request, _ int) {
		if strings.Contains(r.Range, ",") {
			r.Range = ""
		}
	}, nil},
	{"14.2", "Range that is not valid is ignored", func(r *gate.Request, _ int) {
		if !byteRange.MatchString(r.Range) && !strings.Contains(r.Range, ",") {
			r.Range = ""
		}
	}, nil},
	{"14.1.2", "a position may be beyond counting", func(r *gate.Request, _ int) {
		r.Range = digits.ReplaceAllStringFunc(r.Range, func(n string) string { return fmt.Sprint(number(n)) })
	}, nil},
	{"14.1.1", "Range that goes backwards is ignored", func(r *gate.Request, _ int) {
		if m := firstLast.FindStringSubmatch(r.Range); m != nil && number(m[1]) > number(m[2]) {
			r.Range = ""
		}
	}, nil},
	{"14.2", "Range of an object without bytes is ignored", func(r *gate.Request, size int) {
		if size == 0 {
			r.Range = ""
		}
	}, nil},
	{"14.1.2", "the last no bytes are of no object", func(r *gate.Request, _ int) {
		if noBytes.MatchString(r.Range) {
			r.Range = "bytes=1000000000000000-"
		}
	}, nil},
	{"13.1.5", "If-Range is one entity tag, or a date", func(r *gate.Request, _ int) {
		if r.IfRange != "" && !oneTag.MatchString(r.IfRange) && !httpDate.MatchString(r.IfRange) {
			r.IfRange = noOneHasIt
		}
	}, nil},
	{"13.1.1", `"*" stands alone`, func(r *gate.Request, _ int) {
		for _, h := range []*string{&r.IfMatch, &r.IfNoneMatch} {
			if strings.TrimSpace(*h) != "*" && strings.Contains(*h, "*") {
				*h = tagList.FindString(*h) + noOneHasIt
			}
		}
	}, nil},
	{"8.8.3", "a tag that is not valid does not end a list", func(r *gate.Request, _ int) {
		for _, h := range []*string{&r.IfMatch, &r.IfNoneMatch} {
			*h = anyTag.ReplaceAllStringFunc(*h, func(tag string) string {
				if strings.ContainsAny(tag, " \t") { // which none of a tag's characters is
					return noOneHasIt
				}
				return tag
			})
		}
	}, nil},
	{"5.6.7", "a date has one of three forms, in GMT", func(r *gate.Request, _ int) {
		for _, h := range []*string{&r.IfModifiedSince, &r.IfUnmodifiedSince} {
			if !httpDate.MatchString(*h) {
				*h = ""
			}
		}
	}, nil},
	{"15.4.5", "304 tells Last-Modified, which a cache may renew", nil, func(want *answer, _ answer) {
		if want.status == 304 {
			want.header["Last-Modified"] = same
		}
	}},
	{"15.5", "an error tells what it is about, in JSON, and nothing of the object", nil, func(want *answer, got answer) {
		if want.status < 400 || got.body != "" && !json.Valid([]byte(got.body)) {
			return
		}
		want.body = got.body
		delete(want.header, "ETag")
		delete(want.header, "Last-Modified")
		want.header["Content-Length"] = got.header["Content-Length"]
	}},
}

// compared are the headers that must be equal.
var compared = []string{"Content-Range", "Content-Length", "ETag", "Last-Modified"}

// equal reports whether two answers are, and how they differ.
func equal(got, want answer) (difference string, ok bool) {
	switch {
	case got.status != want.status:
		return fmt.Sprintf("status %d, want %d", got.status, want.status), false
	case got.body != want.body:
		return fmt.Sprintf("body %.80q, want %.80q", got.body, want.body), false
	}
	for _, name := range compared {
		if got.header[name] != want.header[name] {
			return fmt.Sprintf("%s %q, want %q", name, got.header[name], want.header[name]), false
		}
	}
	return "", true
}

// ask gives net/http's answer.
func ask(r gate.Request, body string) answer {
	w := httptest.NewRecorder()
	w.Header().Set("ETag", etag)
	w.Header().Set("Content-Type", "video/iso.segment")
	request := httptest.NewRequest(r.Method, "/", nil)
	for name, value := range map[string]string{"Range": r.Range, "If-Range": r.IfRange, "If-Match": r.IfMatch,
		"If-None-Match": r.IfNoneMatch, "If-Modified-Since": r.IfModifiedSince, "If-Unmodified-Since": r.IfUnmodifiedSince} {
		if value != "" {
			request.Header.Set(name, value)
		}
	}
	http.ServeContent(w, request, "x", time.Unix(modified, 999e6), bytes.NewReader([]byte(body)))
	a := answer{status: w.Code, header: map[string]string{}, body: w.Body.String()}
	for _, name := range compared {
		if value := w.Header().Get(name); value != "" {
			a.header[name] = value
		}
	}
	return a
}

// model is what the edge must answer: what net/http does, but for the differences. made are those that made one.
func model(list []difference, r gate.Request, body string, got answer) (a answer, made []difference) {
	a = ask(r, body)
	for _, d := range list {
		if d.ask != nil {
			before := r
			if d.ask(&r, len(body)); r == before {
				continue
			}
			other := ask(r, body)
			if _, ok := equal(other, a); !ok {
				made = append(made, d)
			}
			a = other
		}
	}
	for _, d := range list {
		if d.read != nil {
			before := answer{a.status, map[string]string{}, a.body}
			for name, value := range a.header {
				before.header[name] = value
			}
			d.read(&a, got)
			if _, ok := equal(a, before); !ok {
				made = append(made, d)
			}
		}
	}
	return a, made
}

// A form is a kind of value of a header, and the statuses to which a request with it comes.
type form struct {
	name     string
	statuses string
	value    func(r *rand.Rand, size int) string
}

func oneOf(list ...string) func(*rand.Rand, int) string {
	return func(r *rand.Rand, _ int) string { return list[r.IntN(len(list))] }
}

// dated gives dates so many seconds from when the object was modified, in the forms of time's layouts.
func dated(layout string, from, to int) func(*rand.Rand, int) string {
	return func(r *rand.Rand, _ int) string {
		return time.Unix(int64(modified+from+r.IntN(to-from+1)), 0).UTC().Format(layout)
	}
}

const rfc850 = "Monday, 02-Jan-06 15:04:05 GMT"

const all = "200 206 304 412 416"

var ranges = []form{
	{"from and to", all, func(r *rand.Rand, size int) string {
		first := r.IntN(size + 2)
		return fmt.Sprintf("bytes=%d-%d", first, first+r.IntN(size+2))
	}},
	{"open", all, func(r *rand.Rand, size int) string { return fmt.Sprintf("bytes=%d-", r.IntN(size+2)) }},
	{"suffix", all, func(r *rand.Rand, size int) string { return fmt.Sprintf("bytes=-%d", r.IntN(size+3)) }},
	{"behind the end", "200 304 412 416", func(r *rand.Rand, size int) string { return fmt.Sprintf("bytes=%d-%d", size+r.IntN(9), size+9) }},
	{"huge", all, oneOf("bytes=0-99999999999999999999999", "bytes=99999999999999999999-", "bytes=-99999999999999999999", "bytes=9007199254740991-",
		"bytes=9007199254740992-9223372036854775808", "bytes=0-9223372036854775807", "bytes=18446744073709551616-18446744073709551617", "bytes=00000000000000000000-1")},
	{"several", "200 304 412", func(r *rand.Rand, size int) string {
		return fmt.Sprintf("bytes=%d-%d,%d-,-%d", r.IntN(size+1), r.IntN(size+1)+size, r.IntN(size+1), r.IntN(size+1)) + []string{"", ",", " , 0-0", ",x"}[r.IntN(4)]
	}},
	{"a list of one", "200 304 412", oneOf("bytes=0-0,", "bytes=,0-0", "bytes= ,0-", "bytes=-1 , ")},
	{"backwards", "200 304 412", oneOf("bytes=5-4", "bytes=1-0", "bytes=99-98")},
	{"another unit", "200 304 412", oneOf("seconds=0-1", "byte=0-1", "bytes =0-1", "=0-1", "0-1", "bytes", "items=0-", "bytes:0-1")},
	{"the unit in other letters", all, oneOf("Bytes=0-0", "BYTES=-1", "bYtEs=3-")},
	{"with space", all, oneOf("bytes= 0-0", "bytes=\t-1 ", "bytes=3- ")},
	{"broken", "200 304 412", oneOf("bytes=", "bytes=-", "bytes=a-b", "bytes=+1-2", "bytes=1-+2", "bytes=-+1", "bytes=1-2-3", "bytes=--1", "bytes=1 -2", "bytes=1- 2",
		"bytes=0x1-0x2", "bytes=1.0-2", "bytes==0-1", "bytes=0-1;x", "bytes=٠-١", "bytes=0")},
}

var ifRanges = []form{
	{"the tag", all, oneOf(etag)},
	{"the date", all, dated(http.TimeFormat, 0, 0)},
	{"the date in an old form", all, oneOf("Tuesday, 14-Nov-23 22:13:20 GMT", "Tue Nov 14 22:13:20 2023")},
	{"another", "200 304 412", oneOf(`"e2"`, "W/"+etag, `""`, `"e1x"`, before, after)},
	{"broken", "200 304 412", oneOf("e1", `"e1`, `e1"`, "*", etag+`, "e2"`, etag+"x", `W/ "e1"`, "yesterday", "tue, 14 nov 2023 22:13:20 gmt", same+" ")},
}

// tags are the forms of If-Match and If-None-Match, which take the same.
var tags = struct{ same, weak, other, list, broken func(*rand.Rand, int) string }{
	oneOf(etag, "*", " * ", " "+etag+"\t"),
	oneOf("W/"+etag, `"x", W/`+etag),
	oneOf(`"e2"`, `""`, `"e"`, `"E1"`, `"e1 "`, `W/"e2"`, `"a","b" , W/"c"`, `"x`+"`"+`e1"`, strings.Repeat(`"a",`, 300)+`"b"`),
	oneOf(`"a", `+etag, `,, `+etag+" ,", etag+`"a"`, `"a,b" ,`+"\t"+etag, `"a b", `+etag, `"a`+"\t"+`", `+etag, etag+", *", `"ü", `+etag, etag+", broken"),
	oneOf("e1", `"e1`, `e1"`, "'e1'", "W/", "w/"+etag, "**", "*, "+etag, `"a", *`, "broken, "+etag, `"x`+etag+`x"`, ",", `"`),
}

var ifMatches = []form{
	{"the same", "200 206 304 416", tags.same},
	{"weak", "412", tags.weak},
	{"another", "412", tags.other},
	{"in a list", "200 206 304 416", tags.list},
	{"broken", "412", tags.broken},
}

var ifNoneMatches = []form{
	{"the same", "304 412", tags.same},
	{"weak", "304 412", tags.weak},
	{"another", "200 206 412 416", tags.other},
	{"in a list", "304 412", tags.list},
	{"broken", "200 206 412 416", tags.broken},
}

// dates are the forms of If-Modified-Since and If-Unmodified-Since. Each comes to all, because tags go before dates.
var dates = []form{
	{"the date", all, dated(http.TimeFormat, 0, 0)},
	{"later", all, dated(http.TimeFormat, 1, 1e8)},
	{"earlier", all, dated(http.TimeFormat, -1e8, -1)},
	{"later, as in RFC 850", all, dated(rfc850, 0, 1e8)},
	{"earlier, as in RFC 850", all, dated(rfc850, -1e8, -1)},
	{"later, as asctime has it", all, dated(time.ANSIC, 0, 1e8)},
	{"earlier, as asctime has it", all, dated(time.ANSIC, -1e8, -1)},
	{"of another century", all, oneOf("Fri, 31 Dec 9999 23:59:59 GMT", "Monday, 01-Jan-68 00:00:00 GMT", "Thu, 29 Feb 2400 00:00:00 GMT")},
	{"broken", all, oneOf("yesterday", "0", "1700000000", "Tue, 14 Nov 2023 22:13:20", "Tue, 14 Nov 2023 22:13:20 PST", "Tuesday, 14-Nov-23 22:13:20 PST",
		"Tue, 31 Feb 2023 22:13:20 GMT", "Tue, 14 Nov 2023 24:00:00 GMT", "tue, 14 nov 2023 22:13:20 GMT", "Tue, 14 Nov 2023 22:13:20.5 GMT", "Tue, 4 Nov 2023 22:13:20 GMT", etag,
		"2023-11-14T22:13:20Z", "Tue, 14 Nov 23 22:13:20 GMT", "Tue, 14 Nov 2023 22:13:60 GMT", " ")},
}

// server is what is compared with net/http.
type server func(r gate.Request, body string) answer

// conversations makes trials of a server against net/http with the differences of a list.
func conversations(serve server, list []difference) func() campaign.Trial {
	large := strings.Repeat(content, 1000)
	headers := []struct {
		name  string
		forms []form
		field func(*gate.Request) *string
	}{
		{"Range", ranges, func(r *gate.Request) *string { return &r.Range }},
		{"If-Range", ifRanges, func(r *gate.Request) *string { return &r.IfRange }},
		{"If-Match", ifMatches, func(r *gate.Request) *string { return &r.IfMatch }},
		{"If-None-Match", ifNoneMatches, func(r *gate.Request) *string { return &r.IfNoneMatch }},
		{"If-Modified-Since", dates, func(r *gate.Request) *string { return &r.IfModifiedSince }},
		{"If-Unmodified-Since", dates, func(r *gate.Request) *string { return &r.IfUnmodifiedSince }},
	}
	return func() campaign.Trial {
		return func(random *rand.Rand, counts campaign.Table) error {
			body := []string{content, content, "", content[:1], large}[random.IntN(5)]
			r := gate.Request{Method: []string{"GET", "GET", "GET", "HEAD"}[random.IntN(4)]}
			var rows []string
			for i, h := range headers {
				if random.IntN(3) > 0 && i > 0 || random.IntN(4) == 0 {
					continue
				}
				f := h.forms[random.IntN(len(h.forms))]
				*h.field(&r) = f.value(random, len(body))
				rows = append(rows, h.name+": "+f.name)
			}
			got := serve(r, body)
			want, made := model(list, r, body, got)
			status := fmt.Sprint(got.status)
			for _, row := range append(rows, "all", "method: "+r.Method, fmt.Sprintf("size: %d", len(body))) {
				counts.Count(row, status)
			}
			for _, d := range made {
				counts.Count("difference: "+d.reason+" ("+d.section+")", status)
			}
			if what, ok := equal(got, want); !ok {
				return fmt.Errorf("%+v of %d bytes: %s", r, len(body), what)
			}
			return nil
		}
	}
}

// The comparison is worth something only if it notices a server that is wrong.
func TestCampaignCatchesWrongSemantics(t *testing.T) {
	right := through(t)
	asked := func(change func(r *gate.Request)) server {
		return func(r gate.Request, body string) answer {
			change(&r)
			return right(r, body)
		}
	}
	answered := func(change func(r gate.Request, a *answer)) server {
		return func(r gate.Request, body string) answer {
			a := right(r, body)
			change(r, &a)
			return a
		}
	}
	for name, wrong := range map[string]server{
		"If-Range is not looked at":              asked(func(r *gate.Request) { r.IfRange = "" }),
		"If-Match takes weak tags":               asked(func(r *gate.Request) { r.IfMatch = strings.ReplaceAll(r.IfMatch, "W/", "") }),
		"If-None-Match of another hides no date": asked(func(r *gate.Request) { r.IfNoneMatch = strings.TrimPrefix(r.IfNoneMatch, `"e2"`) }),
		"a date as in RFC 850 is not read":       asked(func(r *gate.Request) { r.IfModifiedSince = strings.ReplaceAll(r.IfModifiedSince, "day, ", "") }),
		"a later date is as good for parts":      asked(func(r *gate.Request) { r.IfRange = strings.Replace(r.IfRange, after, same, 1) }),
		"HEAD is answered like GET":              asked(func(r *gate.Request) { r.Method = "GET" }),
		"If-Unmodified-Since is not looked at":   asked(func(r *gate.Request) { r.IfUnmodifiedSince = "" }),
		"the first of several ranges":            asked(func(r *gate.Request) { r.Range, _, _ = strings.Cut(r.Range, ",") }),
		"a range that ends a byte later": answered(func(_ gate.Request, a *answer) {
			a.header["Content-Range"] = strings.Replace(a.header["Content-Range"], "-9/", "-10/", 1)
		}),
		"416 without the size": answered(func(_ gate.Request, a *answer) {
			if a.status == 416 {
				delete(a.header, "Content-Range")
			}
		}),
		"a part with the length of the whole": answered(func(_ gate.Request, a *answer) {
			if a.status == 206 {
				a.header["Content-Length"] = "10"
			}
		}),
		"304 with a body's length": answered(func(_ gate.Request, a *answer) {
			if a.status == 304 {
				a.header["Content-Length"] = "10"
			}
		}),
	} {
		t.Run(name, func(t *testing.T) {
			if !campaign.Catches(*campaign.Headers, conversations(wrong, differences)) {
				t.Errorf("%d requests did not show it", *campaign.Headers)
			}
		})
	}
	for i, d := range differences {
		t.Run("without the difference that "+d.reason, func(t *testing.T) {
			if !campaign.Catches(*campaign.Headers, conversations(right, slices.Delete(slices.Clone(differences), i, i+1))) {
				t.Errorf("%d requests did not show it", *campaign.Headers)
			}
		})
	}
}

// through serves by a gate and a bucket.
func through(t *testing.T) server {
	g, url := open(t, gate.Config{}), get(t, "/"+key).URL
	return func(r gate.Request, body string) answer {
		r.URL = url
		got := exchange(t, g, &bucket{key: key, body: body}, r)
		check(t, r, got)
		return got
	}
}

// A campaign of requests with conditions and ranges: each gets what net/http gives for the same object, but for the differences
// that are listed, each of which is met; and each form of each header comes to all that it can come to.
func TestCampaignSemanticsEqualNetHTTP(t *testing.T) {
	counts := campaign.Run(t, "headers", *campaign.Headers, conversations(through(t), differences))
	for _, d := range differences {
		if len(counts["difference: "+d.reason+" ("+d.section+")"]) == 0 {
			t.Errorf("no request shows that %s (section %s)", d.reason, d.section)
		}
	}
	for name, forms := range map[string][]form{"Range": ranges, "If-Range": ifRanges, "If-Match": ifMatches, "If-None-Match": ifNoneMatches,
		"If-Modified-Since": dates, "If-Unmodified-Since": dates} {
		for _, f := range forms {
			counts.Require(t, name+": "+f.name, strings.Fields(f.statuses)...)
		}
	}
}

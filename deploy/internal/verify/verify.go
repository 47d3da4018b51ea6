// Package verify holds the HTTP script that a live deployment must pass: edge.http, the specification of the Worker.
//
// The script is a text of lines, close to what Hurl and .http files look like:
//
//	## Heading                        begins a section
//	# A sentence.                     what the exchange right below it specifies; elsewhere, a remark
//	GET /t/{good}/videos/{video}/a    an exchange: what is sent, byte for byte, and a header a line
//	Range: bytes=2-4                  and the lines of a body, if it has one, as below
//	HTTP 206                          what must come back: the status, the headers that matter, and the body
//	Content-Range: bytes 2-4/{number}
//	| 234                             a line of it; the lines are joined by line breaks, and one at its end does not count
//	EVERY HTTP 4{any}                 holds for all answers with such a status, but for what an exchange says itself
//	OBJECT videos/{video}/a           is in the bucket while the script runs, with headers and a body
//	TOKEN good signed {"sub":"videos/{video}","exp":{now+3600}}    signs claims; the ways to sign are in key.go
//
// Words in braces stand for something: {video} for a video ID that is new in each run, {now+60} for a Unix time, {good} for a
// token. In what must come back, {any} is any text, {number} a number, {date} an HTTP date, {tag=any} any text that is {tag}
// from there on, {absent} a header that is not there, and {or} stands between values that are all right.
//
// Start at [Run]. [Command] is `deploy verify`; the tests run the script against the real workerd.
package verify

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

//go:embed edge.http
var edge string

// cleanTimeout is for removing the objects, also after an interrupt.
const cleanTimeout = 30 * time.Second

// Target is a deployment.
type Target struct {
	URL    string // of the Worker: scheme and host
	Bucket Bucket // the one that the Worker reads
	Key    Key    // one of those that the Worker takes tokens of
}

// Bucket is where the script's objects are. After Put, and after Delete, every reader knows. To delete what is not there is no
// error.
type Bucket interface {
	Put(ctx context.Context, key string, header http.Header, body string) error
	Delete(ctx context.Context, key string) error
}

// Edge is the specification of the Worker.
func Edge() (Script, error) { return Parse("edge.http", edge) }

// Result is how an exchange went.
type Result struct {
	Section string
	Name    string // its sentence
	Failure string // what was sent, expected and got, for people; "" if all was as specified
}

// Run puts the script's objects into the bucket, makes its exchanges one after another, reports each, and removes the objects,
// also when it is interrupted. The error is about what kept it from running, as a Worker that cannot be reached.
func Run(ctx context.Context, target Target, script Script, report func(Result)) (err error) {
	w := &words{video: NewID(), key: target.Key, tokens: script.tokens, values: map[string]string{}}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
		defer cancel()
		for _, o := range script.objects {
			err = errors.Join(err, target.Bucket.Delete(ctx, w.mustExpand(o.key)))
		}
	}()
	for _, o := range script.objects {
		header := http.Header{}
		for _, f := range o.headers {
			header.Add(f.name, w.mustExpand(f.value))
		}
		if err := target.Bucket.Put(ctx, w.mustExpand(o.key), header, w.mustExpand(o.text())); err != nil {
			return err
		}
	}
	for _, s := range script.sections {
		for _, e := range s.exchanges {
			failure, err := e.run(ctx, target.URL, script.rules, w)
			if err != nil {
				return err
			}
			report(Result{Section: s.heading, Name: e.sentence, Failure: failure})
		}
	}
	return nil
}

// run makes an exchange and compares. The error is for what makes all others pointless.
func (e exchange) run(ctx context.Context, base string, rules []rule, w *words) (failure string, err error) {
	path, err := w.expand(e.path)
	if err != nil {
		return e.failure(w, answer{}, []string{err.Error()}), nil
	}
	var sent []field
	for _, f := range e.send.headers {
		value, err := w.expand(f.value)
		if err != nil {
			return e.failure(w, answer{}, []string{err.Error()}), nil
		}
		sent = append(sent, field{name: f.name, value: value})
	}
	body, err := w.expand(e.send.text())
	if err != nil {
		return e.failure(w, answer{}, []string{err.Error()}), nil
	}
	got, err := send(ctx, base, e.method, path, sent, body)
	var unreachable *net.OpError
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case errors.As(err, &unreachable) && unreachable.Op == "dial":
		return "", fmt.Errorf("reach the Worker: %w", err)
	case err != nil && got.status == "":
		return e.failure(w, got, []string{"no answer: " + err.Error()}), nil
	}
	wrong := e.compare(got, rules, w)
	if err != nil {
		wrong = append(wrong, err.Error())
	}
	if len(wrong) == 0 {
		return "", nil
	}
	return e.failure(w, got, wrong), nil
}

// compare names what is wrong with an answer, and keeps what the script wants to know of it.
func (e exchange) compare(got answer, rules []rule, w *words) (wrong []string) {
	want := e.want
	for _, r := range rules {
		if w.matches(r.status, got.status) {
			want = want.and(r.message)
		}
	}
	check := func(what, pattern string, got string, present bool) {
		if problem := w.check(pattern, got, present); problem != "" {
			wrong = append(wrong, what+": "+problem)
		}
	}
	check("the status", e.status, got.status, true)
	for _, f := range want.headers {
		values := got.header.Values(f.name)
		check(f.name, f.value, strings.Join(values, ", "), len(values) > 0)
	}
	if want.body != nil && e.method != http.MethodHead {
		check("the body", strings.TrimSuffix(want.text(), "\n"), strings.TrimSuffix(got.body, "\n"), true)
	}
	return wrong
}

// failure shows an exchange as the script has it, beside what came back. No token is in it: it is a word again.
func (e exchange) failure(w *words, got answer, wrong []string) string {
	var s strings.Builder
	show := func(title string, lines ...string) {
		for i, line := range lines {
			if i > 0 {
				title = ""
			}
			fmt.Fprintf(&s, "  %-9s %s\n", title, line)
		}
	}
	fmt.Fprintf(&s, "%s:%d: %s\n", e.file, e.line, e.sentence)
	show("sent", append([]string{e.method + " " + e.path}, e.send.lines()...)...)
	show("expected", append([]string{"HTTP " + e.status}, e.want.lines()...)...)
	if got.status != "" {
		show("got", got.lines(w)...)
	}
	for _, problem := range wrong {
		show("wrong", w.redact(problem))
	}
	return s.String()
}

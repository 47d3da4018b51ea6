package verify

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Script is a text in the format of this package, read.
type Script struct {
	objects  []object
	tokens   map[string]claims
	rules    []rule
	sections []section
}

type section struct {
	heading   string
	exchanges []exchange
}

// exchange is a request and the answer that it must get.
type exchange struct {
	file     string
	line     int
	sentence string

	method, path string
	send         message

	status string
	want   message
}

// object is put into the bucket.
type object struct {
	key string
	message
}

// rule is what all answers with such a status must have.
type rule struct {
	status string
	message
}

// message is the headers and the body of something.
type message struct {
	headers []field
	body    []string // its lines; nil if nothing is said about it
}

type field struct{ name, value string }

func (m message) text() string { return strings.Join(m.body, "\n") }

// and adds what a rule says where m says nothing itself.
func (m message) and(rule message) message {
	all := message{headers: append([]field(nil), m.headers...), body: m.body}
	for _, f := range rule.headers {
		if !m.names(f.name) {
			all.headers = append(all.headers, f)
		}
	}
	if m.body == nil {
		all.body = rule.body
	}
	return all
}

func (m message) names(header string) bool {
	for _, f := range m.headers {
		if strings.EqualFold(f.name, header) {
			return true
		}
	}
	return false
}

// lines are the message as the script has it.
func (m message) lines() (lines []string) {
	for _, f := range m.headers {
		lines = append(lines, f.name+": "+f.value)
	}
	for _, line := range m.body {
		lines = append(lines, "| "+line)
	}
	return lines
}

var (
	requestLine = regexp.MustCompile(`^([A-Z]+) (/\S*)$`)
	statusLine  = regexp.MustCompile(`^HTTP (\S.*)$`)
	headerLine  = regexp.MustCompile(`^([A-Za-z0-9-]+):\s+(\S.*)$`)
	objectLine  = regexp.MustCompile(`^OBJECT (\S.*)$`)
	tokenLine   = regexp.MustCompile(`^TOKEN ([a-z][a-z0-9]*)\s+([a-z]+)\s+(\{.*\})$`)
)

// parser reads a script line by line. What it reads belongs to what is open: the message that the last line began.
type parser struct {
	script   Script
	file     string
	line     int
	comment  []string  // right above
	exchange *exchange // until its status is read
	open     *message
	words    func(text string) // checks the words in the open message
	sending  bool              // the open message is a request
	known    map[string]bool
	problems []error
}

// Parse reads a script. The error names every line that cannot be meant, and why.
func Parse(file, text string) (Script, error) {
	p := &parser{file: file, known: map[string]bool{"video": true, "now": true}}
	p.script.tokens = map[string]claims{}
	for line := range strings.SplitSeq(text, "\n") {
		p.line++
		p.read(line)
	}
	p.endRequest()
	if len(p.script.sections) == 0 {
		p.fail("there is no exchange")
	}
	return p.script, errors.Join(p.problems...)
}

func (p *parser) fail(format string, args ...any) {
	p.problems = append(p.problems, fmt.Errorf("%s:%d: %s", p.file, p.line, fmt.Sprintf(format, args...)))
}

func (p *parser) read(line string) {
	comment := p.comment
	p.comment = nil
	trimmed := strings.TrimRight(line, " \t")
	first, _, _ := strings.Cut(trimmed, " ")
	switch {
	case strings.HasPrefix(line, "|"):
		p.body(line)
	case trimmed == "":
	case first == "##":
		p.endRequest()
		p.script.sections = append(p.script.sections, section{heading: strings.TrimSpace(trimmed[2:])})
	case first == "#":
		p.comment = append(comment, strings.TrimSpace(trimmed[1:]))
	case first == "OBJECT":
		p.object(trimmed)
	case first == "TOKEN":
		p.token(trimmed)
	case first == "EVERY":
		p.every(trimmed)
	case first == "HTTP":
		p.status(trimmed)
	case headerLine.MatchString(trimmed):
		p.header(trimmed)
	case requestLine.MatchString(trimmed):
		p.request(trimmed, strings.Join(comment, " "))
	default:
		p.fail("%q is no line of a script: neither a request (GET /path), a header (Name: value), HTTP and a status, a line of a body "+
			"(| text), a comment (# text), a heading (## text), OBJECT, TOKEN nor EVERY HTTP", trimmed)
	}
}

func (p *parser) body(line string) {
	if p.open == nil {
		p.fail("this body belongs to nothing")
		return
	}
	line = strings.TrimPrefix(line[1:], " ")
	p.words(line)
	p.open.body = append(p.open.body, line)
}

func (p *parser) header(line string) {
	if p.open == nil {
		p.fail("this header belongs to nothing")
		return
	}
	parts := headerLine.FindStringSubmatch(line)
	if p.open.names(parts[1]) && !p.sending {
		p.fail("%s is there twice: the values of one that comes twice are joined by commas", parts[1])
	}
	p.words(parts[2])
	p.open.headers = append(p.open.headers, field{parts[1], parts[2]})
}

func (p *parser) object(line string) {
	p.endRequest()
	parts := objectLine.FindStringSubmatch(line)
	if parts == nil {
		p.fail("write OBJECT and a key")
		return
	}
	if !strings.Contains(parts[1], "{video}") {
		p.fail("the key needs {video} in it, or the script might overwrite what somebody else put there")
	}
	p.fixed(parts[1])
	p.script.objects = append(p.script.objects, object{key: parts[1], message: message{body: []string{}}})
	p.open, p.words = &p.script.objects[len(p.script.objects)-1].message, p.fixed
}

func (p *parser) token(line string) {
	p.endRequest()
	parts := tokenLine.FindStringSubmatch(line)
	if parts == nil {
		p.fail("write TOKEN, a name of small letters, how it is signed, and its claims as a JSON object")
		return
	}
	name, c := parts[1], claims{signer: parts[2], json: parts[3]}
	if p.known[name] || kinds[name] != "" {
		p.fail("{%s} stands for something already", name)
	}
	p.fixed(c.json)
	if err := c.validate(); err != nil {
		p.fail("token {%s}: %v", name, err)
	}
	p.known[name] = true
	p.script.tokens[name] = c
}

func (p *parser) every(line string) {
	p.endRequest()
	parts := statusLine.FindStringSubmatch(strings.TrimPrefix(line, "EVERY "))
	if parts == nil {
		p.fail("write EVERY HTTP and a status, such as 404 or 4{any}")
		return
	}
	p.expected(parts[1])
	p.script.rules = append(p.script.rules, rule{status: parts[1]})
	p.open, p.words = &p.script.rules[len(p.script.rules)-1].message, p.expected
}

func (p *parser) request(line, sentence string) {
	p.endRequest()
	parts := requestLine.FindStringSubmatch(line)
	switch n := len(p.script.sections); {
	case n == 0:
		p.fail("a heading (## text) must come before the first request")
		return
	case sentence == "":
		p.fail("the request needs a sentence right above it: # What it shows.")
	default:
		for _, e := range p.script.sections[n-1].exchanges {
			if e.sentence == sentence {
				p.fail("line %d of this section has the same sentence", e.line)
			}
		}
	}
	p.sent(parts[2])
	p.exchange = &exchange{file: p.file, line: p.line, sentence: sentence, method: parts[1], path: parts[2]}
	p.open, p.words, p.sending = &p.exchange.send, p.sent, true
}

func (p *parser) status(line string) {
	parts := statusLine.FindStringSubmatch(line)
	switch {
	case p.exchange == nil:
		p.fail("there is no request for this answer")
		return
	case parts == nil:
		p.fail("write HTTP and a status, such as HTTP 200")
		return
	}
	p.expected(parts[1])
	p.exchange.status = parts[1]
	s := &p.script.sections[len(p.script.sections)-1]
	s.exchanges = append(s.exchanges, *p.exchange)
	p.exchange, p.sending = nil, false
	p.open, p.words = &s.exchanges[len(s.exchanges)-1].want, p.expected
}

// endRequest is called where no answer can follow any more.
func (p *parser) endRequest() {
	if p.exchange != nil {
		p.fail("the request on line %d has no answer: HTTP and a status", p.exchange.line)
	}
	p.exchange, p.open, p.sending = nil, nil, false
}

// fixed, sent and expected check the words in a text: of an object or a token, of a request, and of what must come back.

func (p *parser) fixed(text string) {
	for _, parts := range word.FindAllStringSubmatch(text, -1) {
		if name := parts[1]; name != "now" && (name != "video" || parts[2] != "") {
			p.fail("%s: objects and claims may have {video} and {now}, no other words", parts[0])
		}
	}
}

func (p *parser) sent(text string) {
	for _, parts := range word.FindAllStringSubmatch(text, -1) {
		if _, isKind := kinds[parts[1]]; isKind || strings.HasPrefix(parts[2], "=") {
			p.fail("%s belongs into what must come back", parts[0])
			continue
		}
		p.standsFor(parts)
	}
}

func (p *parser) expected(text string) {
	for _, parts := range word.FindAllStringSubmatch(text, -1) {
		name := parts[1]
		_, isKind := kinds[name]
		kind, keeps := strings.CutPrefix(parts[2], "=")
		switch {
		case keeps && kinds[kind] == "":
			p.fail("%s: a value to keep is any, number or date", parts[0])
		case keeps && (isKind || p.known[name] && !p.kept(name)):
			p.fail("{%s} stands for something already", name)
		case keeps:
			p.known[name] = true
		case !isKind || parts[2] != "":
			p.standsFor(parts)
		}
	}
	for alternative := range strings.SplitSeq(text, or) {
		if strings.Contains(alternative, absent) && alternative != absent || strings.Contains(alternative, "{or}") {
			p.fail("{absent} and {or} are words of their own, between spaces")
		}
	}
}

// standsFor fails for a word that stands for nothing.
func (p *parser) standsFor(parts []string) {
	switch {
	case !p.known[parts[1]]:
		p.fail("%s stands for nothing: no token and no kept value above has the name", parts[0])
	case parts[2] != "" && parts[1] != "now":
		p.fail("%s: only {now} can be counted from", parts[0])
	}
}

// kept tells whether a known word stands for a value that an answer had; a later answer may change it.
func (p *parser) kept(name string) bool {
	_, token := p.script.tokens[name]
	return !token && name != "video" && name != "now"
}

package verify

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// word is a word in braces, with what is counted from it ({now+60}) or of which kind the value is that it keeps ({tag=any}).
var word = regexp.MustCompile(`\{([a-z][a-z0-9]*)(=[a-z]+|[+-][0-9]+)?\}`)

// kinds are the words that match, with the regular expressions for it; absent and or are dealt with before.
var kinds = map[string]string{
	"any":    `.+`,
	"number": `[0-9]+`,
	"date":   `[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT`, // RFC 9110 section 5.6.7
	"absent": "",
	"or":     "",
}

const (
	absent = "{absent}"
	or     = " {or} "
)

// words knows what the words of a script stand for while it runs.
type words struct {
	video  string
	key    Key
	tokens map[string]claims
	values map[string]string // the tokens that were made, and the values that were kept
}

// expand replaces the words in a text. It fails for one that stands for nothing yet, because the exchange that had to bring its
// value failed.
func (w *words) expand(text string) (string, error) {
	var err error
	expanded := word.ReplaceAllStringFunc(text, func(found string) string {
		value, problem := w.value(found)
		if err == nil {
			err = problem
		}
		return value
	})
	return expanded, err
}

// mustExpand is for the texts of objects: Parse has seen to it that their words always stand for something.
func (w *words) mustExpand(text string) string {
	expanded, err := w.expand(text)
	if err != nil {
		panic(err)
	}
	return expanded
}

func (w *words) value(found string) (string, error) {
	parts := word.FindStringSubmatch(found)
	name := parts[1]
	if value, ok := w.values[name]; ok {
		return value, nil
	}
	switch c, isToken := w.tokens[name]; {
	case name == "video":
		return w.video, nil
	case name == "now":
		offset, _ := strconv.ParseInt(parts[2], 10, 64) // "" is 0
		return strconv.FormatInt(time.Now().Unix()+offset, 10), nil
	case isToken: // made when it is needed: {now} is then
		text, err := w.expand(c.json)
		if err != nil {
			return "", err
		}
		token, err := w.key.sign(c.signer, text)
		w.values[name] = token
		return token, err
	}
	return "", fmt.Errorf("%s stands for nothing: the exchange that had to bring it has failed", found)
}

// redact puts the words back for tokens.
func (w *words) redact(text string) string {
	for name := range w.tokens {
		if value := w.values[name]; value != "" {
			text = strings.ReplaceAll(text, value, "{"+name+"}")
		}
	}
	return text
}

// check compares a value with what is expected, keeps what is to be kept, and says what is wrong.
func (w *words) check(want, got string, present bool) (problem string) {
	for alternative := range strings.SplitSeq(want, or) {
		if alternative == absent || !present {
			if !present && alternative == absent {
				return ""
			}
			continue
		}
		pattern, err := w.pattern(alternative)
		if err != nil {
			return err.Error()
		}
		if found := pattern.FindStringSubmatch(got); found != nil {
			for i, name := range pattern.SubexpNames() {
				if name != "" {
					w.values[name] = found[i]
				}
			}
			return ""
		}
	}
	if !present {
		return "is not there, expected " + want
	}
	return fmt.Sprintf("got %s, expected %s", shorten(got), want)
}

func (w *words) matches(want, got string) bool { return w.check(want, got, true) == "" }

// pattern is the regular expression that a value must match as a whole.
func (w *words) pattern(want string) (*regexp.Regexp, error) {
	var expression strings.Builder
	rest := want
	for {
		at := word.FindStringSubmatchIndex(rest)
		if at == nil {
			break
		}
		expression.WriteString(regexp.QuoteMeta(rest[:at[0]]))
		found := rest[at[0]:at[1]]
		parts := word.FindStringSubmatch(found)
		if kind, keeps := strings.CutPrefix(parts[2], "="); keeps {
			expression.WriteString("(?P<" + parts[1] + ">" + kinds[kind] + ")")
		} else if kind := kinds[parts[1]]; kind != "" {
			expression.WriteString(kind)
		} else {
			value, err := w.value(found)
			if err != nil {
				return nil, err
			}
			expression.WriteString(regexp.QuoteMeta(value))
		}
		rest = rest[at[1]:]
	}
	expression.WriteString(regexp.QuoteMeta(rest))
	return regexp.Compile("(?s)^(?:" + expression.String() + ")$") // . is any byte of a body, line breaks included
}

// shorten quotes a value for a message.
func shorten(text string) string {
	const most = 500
	if len(text) > most {
		return fmt.Sprintf("%q… (%d bytes)", text[:most], len(text))
	}
	return strconv.Quote(text)
}

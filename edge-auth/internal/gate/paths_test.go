package gate_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"weir/edge-auth/campaign"
	"weir/edge-auth/internal/gate"
)

// subs are what tokens open, by name; few of them are what a backend would write.
var subs = map[string]string{
	"abc": "videos/abc", "ab": "videos/ab", "abcd": "videos/abcd", "ABC": "videos/ABC", "folder": "videos/abc/hls",
	"object": key, "all": "videos", "part of a word": "vid", "slash behind": "videos/abc/", "slash before": "/videos/abc",
	"slash": "/", "dot": ".", "dots": "..", "up": "videos/../jobs", "up and down": "videos/abd/../abc", "two slashes": "videos//abc",
	"star": "videos/*", "escaped": "videos/%61bc", "NUL": "videos/abc\x00", "query": "videos/abc?", "jobs": "jobs", "epochs": "epochs/abc",
	"one ü": "videos/abc/\u00fc", "u and dots": "videos/abc/u\u0308", "nothing": "", "backslash": `videos\abc`,
}

// parts are of what paths are put together.
var parts = []string{"videos", "videos", "abc", "abc", "ab", "abcd", "ABC", "hls", "a.m4s", "a.m3u8", "jobs", "epochs", "t", "\x00TOKEN",
	".", "..", "...", "", "%2e", "%2E%2e", ".%2e", "%2f", "..%2f", "%5c", `\`, `..\`, "%252e%252e", "%252f", "%00", "\x00", "%0a", "\n", "%7f",
	"%c0%ae%c0%ae", "%c0%af", "\xc0\xaf", "%e0%80%af", "%ef%bc%8f", "%ff", "%ed%a0%80", "%u002e", "%", "%2", "%zz", "%61bc", "%76ideos", "abc;x=1", "abc%3f", "abc%23",
	"abc%20", "abc ", "+", "*", "ü", "%C3%BC", "u\u0308", "%EF%BB%BFabc", "http:", "http://h/videos/abd/a.m4s", "@", ":80", strings.Repeat("x", 128),
	strings.Repeat("x", 129), strings.Repeat("%61", 1100)}

// address is a URL while it is being made. In each of its texts, a name of subs in braces stands for a token.
type address struct {
	scheme, authority, token, query, fragment string
	path                                      []string
	bearer, cookie                            string
}

func (a address) request() gate.Request {
	r := gate.Request{Method: "GET", URL: a.scheme + a.authority}
	if a.token != "" {
		r.URL += "/t/" + a.token
	}
	r.URL += "/" + strings.Join(a.path, "/") + a.query + a.fragment
	if a.bearer != "" {
		r.Authorization = "Bearer " + a.bearer
	}
	if a.cookie != "" {
		r.Cookie = "a=b; weir_token=" + a.cookie
	}
	return r
}

// twist is a change of an address, and what comes of an address that is good but for it.
type twist struct {
	name   string
	comes  []string
	change func(r *rand.Rand, a *address, token func() string)
}

const (
	fetches = "fetches"
	unknown = "401"
	foreign = "403"
	nowhere = "404"
	handed  = "handed on" // to the transcoder's API
)

var twists = []twist{
	{"none", []string{fetches}, func(*rand.Rand, *address, func() string) {}},
	{"a part more", []string{fetches, foreign, nowhere}, func(r *rand.Rand, a *address, _ func() string) {
		a.path = slices.Insert(slices.Clone(a.path), r.IntN(len(a.path)+1), parts[r.IntN(len(parts))])
	}},
	{"another part", []string{fetches, foreign, nowhere}, func(r *rand.Rand, a *address, _ func() string) {
		a.path = slices.Clone(a.path)
		a.path[r.IntN(len(a.path))] = parts[r.IntN(len(parts))]
	}},
	{"a part less", []string{fetches, foreign, nowhere}, func(r *rand.Rand, a *address, _ func() string) {
		i := r.IntN(len(a.path))
		a.path = slices.Delete(slices.Clone(a.path), i, i+1)
	}},
	{"a part that grows", []string{fetches, foreign, nowhere}, func(r *rand.Rand, a *address, _ func() string) {
		a.path = slices.Clone(a.path)
		a.path[r.IntN(len(a.path))] += parts[r.IntN(len(parts))]
	}},
	{"parts of a list", []string{fetches, foreign, nowhere}, func(r *rand.Rand, a *address, _ func() string) {
		a.path = []string{"videos", "abc"}[:r.IntN(3)]
		for range 1 + r.IntN(4) {
			a.path = append(a.path, parts[r.IntN(len(parts))])
		}
	}},
	{"a key about as long as may be", []string{fetches, nowhere}, func(r *rand.Rand, a *address, _ func() string) {
		a.path = []string{"videos", "abc", strings.Repeat("x", 1022+r.IntN(5)-len("videos/abc/"))}
	}},
	{"characters escaped", []string{fetches, nowhere}, func(r *rand.Rand, a *address, _ func() string) {
		a.path = []string{escaped(r, strings.Join(a.path, "/"), 1)}
	}},
	{"characters escaped twice", []string{fetches, nowhere}, func(r *rand.Rand, a *address, _ func() string) {
		a.path = []string{escaped(r, strings.Join(a.path, "/"), 2)}
	}},
	{"a token for something else", []string{fetches, unknown, foreign}, func(_ *rand.Rand, a *address, token func() string) { a.token = token() }},
	{"no token", []string{unknown}, func(_ *rand.Rand, a *address, _ func() string) { a.token = "" }},
	{"a broken token", []string{unknown, nowhere}, func(r *rand.Rand, a *address, _ func() string) {
		i := r.IntN(len(a.token) + 1)
		a.token = a.token[:i] + parts[r.IntN(len(parts))] + "!" + a.token[i:]
	}},
	{"a token in the query", []string{fetches, unknown, foreign}, func(r *rand.Rand, a *address, token func() string) {
		a.token, a.query = "", []string{"?token=", "?x&token=", "?token=x&token=", "?Token=", "?x?token=", "?%74oken=", "?token=%20"}[r.IntN(7)]+token()
	}},
	{"a token in a header", []string{fetches, unknown, foreign}, func(r *rand.Rand, a *address, token func() string) {
		if a.token = ""; r.IntN(2) == 0 {
			a.bearer = token()
		} else {
			a.cookie = token()
		}
	}},
	{"a token in the query and in headers", []string{fetches}, func(_ *rand.Rand, a *address, token func() string) {
		a.query, a.bearer, a.cookie = "?token="+token(), token(), token()
	}},
	{"a token deeper in the path", []string{foreign, nowhere}, func(r *rand.Rand, a *address, token func() string) {
		a.path = append([]string{[]string{"", "t", "T", "%74", "videos", "."}[r.IntN(6)], "t", token()}, a.path...)
	}},
	{"a token in the fragment", []string{unknown}, func(_ *rand.Rand, a *address, token func() string) {
		a.token, a.fragment = "", "#?token="+token()
	}},
	{"a query", []string{fetches}, func(r *rand.Rand, a *address, _ func() string) {
		a.query = "?" + []string{"", "/videos/abd/a.m4s", "/../..", "://h/videos/abd/a.m4s", "a=%zz", "\x00", "x#y", "token"}[r.IntN(8)]
	}},
	{"a fragment", []string{fetches}, func(r *rand.Rand, a *address, _ func() string) {
		a.fragment = "#" + []string{"", "/videos/abd/a.m4s", "?token=x", "://h/videos/abd/a.m4s", "%zz"}[r.IntN(5)]
	}},
	{"an authority", []string{fetches, nowhere}, func(r *rand.Rand, a *address, _ func() string) {
		a.authority = []string{"", "h:80", "[::1]", "u:p@h", "u%2fp@h", "t@h", "h?", "h#", "h/", "h/.", "h\\", "h@h@h", "é", "h://h"}[r.IntN(14)]
	}},
	{"a token as user", []string{fetches, unknown}, func(r *rand.Rand, a *address, token func() string) {
		if a.authority = token() + "@h"; r.IntN(2) == 0 {
			a.token = ""
		}
	}},
	{"another scheme", []string{fetches, nowhere}, func(r *rand.Rand, a *address, _ func() string) {
		a.scheme = []string{"http://", "HTTPS://", "x://", "", "//", "http:", "http:/", "/", "://"}[r.IntN(9)]
	}},
	{"no scheme, and one in the query", []string{nowhere}, func(_ *rand.Rand, a *address, _ func() string) {
		a.scheme, a.authority, a.query = "", "", "?http://h/"+strings.Join(a.path, "/")
	}},
}

// escaped percent-encodes some characters, so many times.
func escaped(r *rand.Rand, text string, times int) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		switch {
		case r.IntN(4) > 0 || c == '/' && r.IntN(8) > 0:
			b.WriteByte(c)
		case times == 2:
			fmt.Fprintf(&b, "%%25%02x", c)
		default:
			fmt.Fprintf(&b, []string{"%%%02x", "%%%02X"}[r.IntN(2)], c)
		}
	}
	return b.String()
}

// components is the expression of RFC 3986, appendix B.
var components = regexp.MustCompile(`(?s)^(([^:/?#]+):)(//([^/?#]*))([^?#]*)(\?([^#]*))?(#(.*))?$`)

var (
	inPath = regexp.MustCompile(`(?s)^/t/([^/]*)(.*)$`)
	inList = regexp.MustCompile(`^(?:[^&]*&)*?token(?:=([^&]*))?(?:&|$)`)
	id     = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
	theAPI = regexp.MustCompile(`^/(?:transcode|videos|videos/[\w-]+(?:/(?:events|playback|revoke))?|webhooks/[\w-]+(?:/[\w-]+)?)$`)
)

// reference tells what comes of a request, by net/url and without the code that is tested: the key that it fetches, or why not.
// tokens gives what a token opens.
func reference(r gate.Request, tokens map[string]string) (key, outcome string) {
	c := components.FindStringSubmatch(r.URL)
	if c == nil {
		return "", nowhere
	}
	path, token := c[5], ""
	if theAPI.MatchString(path) {
		return "", handed
	}
	if m := inPath.FindStringSubmatch(path); m != nil {
		token, path = m[1], m[2]
	} else if m := inList.FindStringSubmatch(c[7]); m != nil {
		token = m[1]
	} else {
		token = cmp.Or(strings.TrimPrefix(r.Authorization, "Bearer "), strings.TrimPrefix(r.Cookie, "a=b; weir_token="))
	}
	key, ok := named(path)
	if !ok {
		return "", nowhere
	}
	sub, ok := tokens[token]
	if !ok || sub == "" || strings.Contains(sub, `\`) {
		return "", unknown
	}
	opened, segments := strings.Split(sub, "/"), strings.Split(key, "/")
	if len(opened) > len(segments) || !slices.Equal(opened, segments[:len(opened)]) {
		return "", foreign
	}
	return key, fetches
}

// named is the key that a path names, if it names one in its plain spelling.
func named(path string) (key string, ok bool) {
	if _, err := url.Parse("http://h" + path); err != nil {
		return "", false
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		plain, err := url.PathUnescape(s)
		if err != nil || strings.ContainsAny(plain, `/\`) || !utf8.ValidString(plain) || strings.ContainsFunc(plain, func(c rune) bool { return c < ' ' || c == 0x7f }) ||
			i > 0 && (plain == "" || plain == "." || plain == "..") {
			return "", false
		}
		segments[i] = plain
	}
	key = strings.Join(segments[1:], "/")
	return key, len(segments) > 3 && segments[0] == "" && segments[1] == "videos" && id.MatchString(segments[2]) && len(key) <= 1024
}

// decider is what is compared with the reference: the key that is fetched, or "" and the status.
type decider func(r gate.Request) (key, outcome string)

// deciding is a gate as decider.
func deciding(g *gate.Gate) decider {
	return func(r gate.Request) (key, outcome string) {
		step := g.Decide(r, now)
		if step.Fetch != nil {
			return step.Fetch.Key, fetches
		}
		if step.Forward != nil {
			return "", handed
		}
		return "", fmt.Sprint(step.Answer.Status)
	}
}

// addresses makes trials of what wrong makes of a gate, with tokens for all subs.
func addresses(t testing.TB, wrong func(decider, map[string]string) decider) func() campaign.Trial {
	tokens, names := map[string]string{}, []string{}
	for _, sub := range subs {
		tokens[mint(t, sub)] = sub
	}
	for token := range tokens {
		names = append(names, token)
	}
	slices.Sort(names)
	good := mint(t, "videos/abc")
	return func() campaign.Trial {
		decide := wrong(deciding(open(t, gate.Config{TranscoderURL: "http://transcoder"})), tokens)
		return func(r *rand.Rand, counts campaign.Table) error {
			anyToken := func() string { return names[r.IntN(len(names))] }
			a := address{scheme: "https://", authority: "h", token: good, path: []string{"videos", "abc", "hls", "a.m4s"}}
			n := 1 + r.IntN(3)
			row := fmt.Sprintf("twists: %d", n)
			for range n {
				if len(a.path) == 0 {
					a.path = []string{""}
				}
				w := twists[r.IntN(len(twists))]
				if w.change(r, &a, anyToken); n == 1 {
					row = "twist: " + w.name
				}
			}
			request := a.request()
			request.URL = strings.ReplaceAll(request.URL, "\x00TOKEN", anyToken())

			key, outcome := decide(request)
			wantKey, want := reference(request, tokens)
			counts.Count(row, outcome)
			counts.Count("all", outcome)
			if key != wantKey || outcome != want {
				return fmt.Errorf("%q\nand %q, %q\ngives key %q, %s\nwant key %q, %s", request.URL, request.Authorization, request.Cookie, key, outcome, wantKey, want)
			}
			return nil
		}
	}
}

// A campaign of URLs: what is fetched is what net/url says that the path names, below the videos, and under the token's sub in
// whole segments. Each twist alone comes to all that it can come to.
func TestCampaignOnlyWhatTheTokenOpensIsFetched(t *testing.T) {
	counts := campaign.Run(t, "paths", *campaign.Paths, addresses(t, func(d decider, _ map[string]string) decider { return d }))
	for _, w := range twists {
		counts.Require(t, "twist: "+w.name, w.comes...)
	}
}

// The comparison is worth something only if it notices a gate that is wrong.
func TestCampaignCatchesWrongPaths(t *testing.T) {
	through := func(change func(url string) string) func(decider, map[string]string) decider {
		return func(right decider, _ map[string]string) decider {
			return func(r gate.Request) (key, outcome string) {
				r.URL = change(r.URL)
				return right(r)
			}
		}
	}
	for name, wrong := range map[string]func(decider, map[string]string) decider{
		"a path is normalised": through(func(text string) string {
			scheme, rest, ok := strings.Cut(text, "://")
			if !ok || strings.ContainsAny(rest, "?#") {
				return text
			}
			return scheme + "://" + path.Clean(rest)
		}),
		"a path is decoded twice": through(func(text string) string {
			return strings.ReplaceAll(text, "%25", "%")
		}),
		"a backslash is a slash":     through(func(text string) string { return strings.ReplaceAll(text, `\`, "/") }),
		"a NUL is left out":          through(func(text string) string { return strings.ReplaceAll(text, "%00", "") }),
		"letters' case is forgotten": through(func(text string) string { return strings.Replace(text, "/ABC/", "/abc/", 1) }),
		"a fragment is part of it":   through(func(text string) string { return strings.ReplaceAll(text, "#", "") }),
		"a sub opens what begins like it": func(right decider, tokens map[string]string) decider {
			return func(r gate.Request) (key, outcome string) {
				if key, outcome = right(r); outcome != foreign {
					return key, outcome
				}
				for token, sub := range tokens {
					if _, path, ok := strings.Cut(r.URL, "/t/"+token+"/"); ok && strings.HasPrefix(path, sub) {
						return path, fetches
					}
				}
				return key, outcome
			}
		},
		"every token opens every video": func(right decider, _ map[string]string) decider {
			return func(r gate.Request) (key, outcome string) {
				if key, outcome = right(r); outcome == foreign {
					return key, fetches
				}
				return key, outcome
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			if !campaign.Catches(*campaign.Paths, addresses(t, wrong)) {
				t.Errorf("%d URLs did not show it", *campaign.Paths)
			}
		})
	}
}

// Package check holds a published HLS tree to the rules: those of Apple's HLS Authoring Specification (revision of May 2025), by
// their numbers, of RFC 8216, and a few of Weir's own. Start at [Run]; the rules are the table in rules.go.
//
// It knows a video by the URL of its multivariant playlist alone and reads all of it, every byte of every segment, as a
// player would. It shares no code with what wrote the tree. It reads video on demand with H.264, HEVC, AV1 and AAC in fragmented MP4, and
// with H.264 and AAC in transport streams, in the clear and encrypted with AES-128, whose keys it fetches as a player does,
// subtitles in WebVTT, and image playlists. In a folder like Weir's, it reads the manifest, the MPD and the poster as well, where they
// are. It does not judge what only people can (how the picture looks) nor which bit rates were chosen (1.25, 6.2, 6.5, 9.10).
package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
)

// Options are how the tree is asked for.
type Options struct {
	// Header goes with each request: a token that is not in the URL.
	Header http.Header
}

// Level is how bad a finding is.
type Level string

// The levels: what a rule says MUST be, and what it says SHOULD be.
const (
	Error   Level = "error"
	Warning Level = "warning"
)

// Finding is one place where the tree breaks a rule.
type Finding struct {
	Rule  string `json:"rule"` // its number in rules.go
	Level Level  `json:"level"`
	Where string `json:"where"` // the object, relative to the multivariant playlist, without what is secret in its URL
	Want  string `json:"want"`
	Found string `json:"found"`
}

func (f Finding) String() string {
	return fmt.Sprintf("%-7s %-14s %s: want %s, found %s", f.Level, f.Rule, f.Where, f.Want, f.Found)
}

// Report is what was read and found.
type Report struct {
	Playlists int       `json:"playlists"`
	Segments  int       `json:"segments"` // of all renditions, and their init segments
	Bytes     int64     `json:"bytes"`    // of these
	Errors    int       `json:"errors"`
	Warnings  int       `json:"warnings"`
	Findings  []Finding `json:"-"`
}

// Err is nil if the tree has no errors; warnings are none.
func (r Report) Err() error {
	var errs []error
	for _, f := range r.Findings {
		if f.Level == Error {
			errs = append(errs, errors.New(f.String()))
		}
	}
	return errors.Join(errs...)
}

// Run reads the tree below a multivariant playlist and holds it to the rules. It fails only if there is nothing to read: what
// is wrong with the tree is a finding.
func Run(ctx context.Context, master string, opts Options) (Report, error) {
	base, err := url.Parse(master)
	if err != nil || base.Host == "" {
		return Report{}, errors.New("the multivariant playlist's URL must be absolute")
	}
	c := &checker{fetcher: newFetcher(opts.Header), base: base, inits: map[string]*track{}, bodies: map[string]*media{}, vectors: map[string]string{}, secrets: map[string][]byte{}}
	r, err := c.get(ctx, base, "")
	if err != nil {
		return Report{}, fmt.Errorf("multivariant playlist: %w", err)
	}
	if r.status != http.StatusOK {
		return Report{}, fmt.Errorf("multivariant playlist: the server answers %d", r.status)
	}
	c.base = r.url
	t := &tree{}
	var multivariant bool
	if t.master, multivariant = c.readMaster(r); !multivariant {
		return Report{}, errors.New("multivariant playlist: it lists no variant")
	}
	if err := c.read(ctx, t); err != nil {
		return Report{}, err
	}
	c.judge(t)
	return c.report(), nil
}

// checker collects what is read and found.
type checker struct {
	*fetcher
	base *url.URL

	mu       sync.Mutex
	findings []Finding
	told     map[Finding]bool
	result   Report
	inits    map[string]*track // by URL
	bodies   map[string]*media
	vectors  map[string]string // objects by key and initialization vector
	begin    uint64            // where the picture of transport streams begins, in ticks
	begun    bool              // begin is known

	keys    sync.Mutex // one at a time fetches
	secrets map[string][]byte
}

// find reports that a rule is broken.
func (c *checker) find(rule, where, want, format string, args ...any) {
	level, ok := levels[rule]
	if !ok {
		panic("check: no rule " + rule)
	}
	c.findAs(level, rule, where, want, format, args...)
}

func (c *checker) findAs(level Level, rule, where, want, format string, args ...any) {
	f := Finding{Rule: rule, Level: level, Where: where, Want: want, Found: fmt.Sprintf(format, args...)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.told == nil {
		c.told = map[Finding]bool{}
	}
	if !c.told[f] {
		c.told[f] = true
		c.findings = append(c.findings, f)
	}
}

func (c *checker) report() Report {
	slices.SortStableFunc(c.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Level, b.Level), cmp.Compare(a.Where, b.Where), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Found, b.Found))
	})
	r := c.result
	r.Findings = c.findings
	for _, f := range r.Findings {
		if f.Level == Error {
			r.Errors++
		} else {
			r.Warnings++
		}
	}
	return r
}

// name is an object as reports name it.
func (c *checker) name(u *url.URL) string {
	dir := path.Dir(c.base.Path) + "/"
	if rest, ok := strings.CutPrefix(u.Path, dir); ok && u.Host == c.base.Host {
		return rest
	}
	if folder, like := strings.CutSuffix(c.base.Path, masterPath); like && u.Host == c.base.Host {
		if rest, ok := strings.CutPrefix(u.Path, folder+"/"); ok {
			return "../" + rest
		}
	}
	return u.Host + "/…/" + path.Base(u.Path)
}

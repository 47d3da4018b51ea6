package cf_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cloudflare/cloudflare-go/v7/option"

	"weir/deploy/internal/cf"
	"weir/deploy/internal/cf/cftest"
)

var site = cf.Site{Account: cftest.Account, Bucket: "videos", Origins: []string{"https://app.example.com"}, Uploads: "uploads", Dead: "uploads-dead"}

func apply(t *testing.T, c *cftest.Cloud, s cf.Site, options ...option.RequestOption) error {
	t.Helper()
	return cf.New(s, append(c.Options(), options...)...).Apply(t.Context(), func(cf.Step) {})
}

func mustApply(t *testing.T, c *cftest.Cloud, s cf.Site) {
	t.Helper()
	if err := apply(t, c, s); err != nil {
		t.Fatal(err)
	}
}

// done holds an account to what was asked for: nothing is left to do.
func done(t *testing.T, c *cftest.Cloud, s cf.Site) {
	t.Helper()
	steps, err := cf.New(s, c.Options()...).Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range steps {
		if !s.Done() {
			t.Errorf("%s: still without %q and with %q", s.What, s.Add, s.Drop)
		}
	}
}

func ids(rules []json.RawMessage) (all []string) {
	for _, r := range rules {
		var named struct{ ID string }
		_ = json.Unmarshal(r, &named)
		all = append(all, named.ID)
	}
	return all
}

func TestAnEmptyAccountGetsEverythingOnce(t *testing.T) {
	c := cftest.New(t)
	located := site
	located.Location = "weur"
	mustApply(t, c, located)
	b := c.Bucket("", "videos")
	if b == nil || b.Location != "weur" {
		t.Fatalf("the bucket is %+v", b)
	}
	if got := ids(b.Lifecycle); !reflect.DeepEqual(got, []string{"Default Multipart Abort Rule", "weir-abandoned-uploads", "weir-work"}) {
		t.Errorf("lifecycle %v", got)
	}
	if got := c.Queues(); !reflect.DeepEqual(got, []string{"uploads", "uploads-dead"}) {
		t.Errorf("queues %v", got)
	}
	if got := b.Told["queue0"]; len(got) != 1 || !strings.Contains(string(got[0]), `"prefix":"uploads/"`) {
		t.Errorf("notifications %s", got)
	}
	done(t, c, located)
	c.Changes()
	mustApply(t, c, located)
	if got := c.Changes(); got != nil {
		t.Errorf("the second time, it changed %v", got)
	}
}

func TestAPlanChangesNothing(t *testing.T) {
	c := cftest.New(t)
	steps, err := cf.New(site, c.Options()...).Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if wanted := cf.New(site).Wanted(); !reflect.DeepEqual(steps, wanted) {
		t.Errorf("of an empty account, it plans %+v, not all that is wanted, %+v", steps, wanted)
	}
	if got := c.Changes(); got != nil {
		t.Errorf("it changed %v", got)
	}
}

func TestWhatIsOthersStays(t *testing.T) {
	c := cftest.New(t)
	cors := json.RawMessage(`{"id":"site","allowed":{"origins":["https://example.com"],"methods":["GET"]},"maxAgeSeconds":7}`)
	nameless := json.RawMessage(`{"allowed":{"origins":["*"],"methods":["HEAD"]}}`)
	cold := json.RawMessage(`{"id":"cold","enabled":false,"conditions":{"prefix":"old/"},"storageClassTransitions":` +
		`[{"condition":{"type":"Date","date":"2030-01-01T00:00:00Z"},"storageClass":"InfrequentAccess"}]}`)
	told := json.RawMessage(`{"actions":["PutObject"],"prefix":"logs/"}`)
	c.Put("", "videos", &cftest.Bucket{
		CORS: []json.RawMessage{cors, nameless}, Lifecycle: []json.RawMessage{cold}, Told: map[string][]json.RawMessage{"other": {told}},
	})
	mustApply(t, c, site)
	b := c.Bucket("", "videos")
	if got, want := fmt.Sprintf("%s", b.CORS[:2]), fmt.Sprintf("%s", []json.RawMessage{cors, nameless}); got != want || len(b.CORS) != 3 {
		t.Errorf("CORS rules %s", b.CORS)
	}
	if string(b.Lifecycle[0]) != string(cold) || len(b.Lifecycle) != 3 {
		t.Errorf("lifecycle rules %s", b.Lifecycle)
	}
	if string(b.Told["other"][0]) != string(told) {
		t.Errorf("notifications %s", b.Told)
	}
	without := site
	without.Origins = nil
	mustApply(t, c, without)
	if got := ids(c.Bucket("", "videos").CORS); !reflect.DeepEqual(got, []string{"site", ""}) {
		t.Errorf("without pages that upload, the CORS rules are %v", got)
	}
	done(t, c, without)
}

func TestWhatWasChangedByHandIsChangedBack(t *testing.T) {
	for name, change := range map[string]func(*cftest.Bucket){
		"a lifecycle rule is disabled": func(b *cftest.Bucket) {
			b.Lifecycle[1] = json.RawMessage(strings.Replace(string(b.Lifecycle[1]), "true", "false", 1))
		},
		"work is deleted at once": func(b *cftest.Bucket) {
			b.Lifecycle[2] = json.RawMessage(strings.Replace(string(b.Lifecycle[2]), "604800", "60", 1))
		},
		"all lifecycle rules are gone": func(b *cftest.Bucket) { b.Lifecycle = nil },
		"any page may upload": func(b *cftest.Bucket) {
			b.CORS[0] = json.RawMessage(strings.Replace(string(b.CORS[0]), "https://app.example.com", "*", 1))
		},
		"a rule that Weir no longer has": func(b *cftest.Bucket) {
			b.CORS = append(b.CORS, json.RawMessage(`{"id":"weir-old","allowed":{"origins":["*"],"methods":["PUT"]}}`))
		},
		"notifications are gone": func(b *cftest.Bucket) { clear(b.Told) },
		"of other objects it is told": func(b *cftest.Bucket) {
			b.Told["queue0"] = []json.RawMessage{json.RawMessage(`{"actions":["PutObject"],"prefix":"videos/"}`)}
		},
		"of deletions it is told": func(b *cftest.Bucket) {
			b.Told["queue0"] = []json.RawMessage{json.RawMessage(`{"actions":["DeleteObject"],"prefix":"uploads/"}`)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := cftest.New(t)
			mustApply(t, c, site)
			change(c.Bucket("", "videos"))
			steps, err := cf.New(site, c.Options()...).Plan(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			left := 0
			for _, s := range steps {
				if !s.Done() {
					left++
				}
			}
			if left != 1 {
				t.Errorf("%d parts differ, want 1: %+v", left, steps)
			}
			mustApply(t, c, site)
			done(t, c, site)
		})
	}
}

// A run may break off at any request, before or after that took effect; the next one finishes it.
func TestARunThatBreaksOffIsFinished(t *testing.T) {
	for _, unheard := range []bool{false, true} {
		for at := 0; ; at++ {
			c, n := cftest.New(t), 0
			c.Fault = func(string, string) (int, bool) {
				n++
				if n-1 == at {
					return http.StatusInternalServerError, unheard
				}
				return 0, false
			}
			err := apply(t, c, site, option.WithMaxRetries(0))
			if n <= at {
				break // there is no such request
			}
			if err != nil && !strings.Contains(err.Error(), "500 Internal Server Error: injected") {
				t.Errorf("at request %d: %v", at, err)
			}
			c.Fault = nil
			mustApply(t, c, site)
			done(t, c, site)
			if got := c.Queues(); len(got) != 2 {
				t.Errorf("after a failure at request %d there are the queues %v", at, got)
			}
		}
	}
}

func TestCloudflareIsAskedAgain(t *testing.T) {
	c, asked := cftest.New(t), map[string]bool{}
	c.Fault = func(method, path string) (int, bool) {
		again := asked[method+path]
		asked[method+path] = !again
		if again {
			return 0, false
		}
		return http.StatusTooManyRequests, false
	}
	mustApply(t, c, site)
	c.Fault = nil
	done(t, c, site)
}

func TestAJurisdictionHasBucketsOfItsOwn(t *testing.T) {
	c := cftest.New(t)
	c.Put("", "videos", &cftest.Bucket{Public: true})
	eu := site
	eu.Jurisdiction = "eu"
	mustApply(t, c, eu)
	done(t, c, eu)
	if b := c.Bucket("", "videos"); b.CORS != nil || len(b.Told) > 0 {
		t.Errorf("the bucket elsewhere was changed: %+v", b)
	}
}

func TestAPublicBucketIsRefused(t *testing.T) {
	for where, b := range map[string]*cftest.Bucket{
		"pub-b.r2.dev": {Public: true}, "files.example.com": {Domains: []string{"files.example.com"}},
	} {
		c := cftest.New(t)
		c.Put("", "videos", b)
		err := apply(t, c, site)
		if !errors.Is(err, cf.ErrRefused) || !strings.Contains(err.Error(), "public at "+where) || !strings.Contains(err.Error(), "disable public access") {
			t.Errorf("it said %v", err)
		}
		if got := c.Changes(); got != nil {
			t.Errorf("it changed %v", got)
		}
	}
}

func TestAnErrorSaysWhatToDo(t *testing.T) {
	for status, want := range map[int][]string{
		http.StatusUnauthorized:        {"R2 bucket videos", "CLOUDFLARE_API_TOKEN"},
		http.StatusForbidden:           {"R2 bucket videos", "Workers R2 Storage Write"},
		http.StatusTooManyRequests:     {"five minutes"},
		http.StatusInternalServerError: {"500 Internal Server Error", "injected (10001)"},
	} {
		c := cftest.New(t)
		c.Fault = func(string, string) (int, bool) { return status, false }
		err := apply(t, c, site, option.WithMaxRetries(0))
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%d: it does not say %q: %v", status, w, err)
			}
		}
		if err != nil && strings.Contains(err.Error(), cftest.Token) {
			t.Errorf("it says the token: %v", err)
		}
	}
}

func TestEveryLocationIsTaken(t *testing.T) {
	for _, l := range cf.Locations {
		c, s := cftest.New(t), site
		s.Location = l
		mustApply(t, c, s)
		if got := c.Bucket("", "videos").Location; got != l {
			t.Errorf("the bucket is in %q, want %q", got, l)
		}
	}
	if !slices.IsSorted(cf.Locations) {
		t.Error("the locations are in no order")
	}
}

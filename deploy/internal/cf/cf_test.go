package cf_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cloudflare/cloudflare-go/v7/option"

	"weir/deploy/internal/cf"
	"weir/deploy/internal/cf/cftest"
	"weir/deploy/internal/settings"
)

var site = cf.Site{
	Account: cftest.Account, Bucket: "videos", Origins: []string{"https://app.example.com"}, Uploads: "uploads", Dead: "uploads-dead",
	Worker: "weir", Domain: "video.example.com",
}

// account is one, with what an operator has: settings, and a Worker to deploy.
type account struct {
	*cftest.Cloud
	settings *settings.File
	tag      string
	broken   error // how deploying ends, after the version is there
}

func newAccount(t *testing.T) *account {
	t.Helper()
	f, err := settings.Open(filepath.Join(t.TempDir(), "a.env"))
	if err != nil {
		t.Fatal(err)
	}
	return &account{Cloud: cftest.New(t), settings: f, tag: "a"}
}

func (c *account) Tag() (string, error) { return c.tag + c.settings.Get("R2_SECRET_ACCESS_KEY"), nil }

func (c *account) Deploy(_ context.Context, tag string) error {
	c.Cloud.Deploy("weir", tag)
	return c.broken
}

// deployment is a site in the account.
func (c *account) deployment(s cf.Site, options ...option.RequestOption) *cf.Deployment {
	s.Settings, s.Release, s.Secrets = c.settings, c, func() map[string]string { return nil }
	return cf.New(s, append(c.Options(), options...)...)
}

func apply(t *testing.T, c *account, s cf.Site, options ...option.RequestOption) error {
	t.Helper()
	return c.deployment(s, options...).Apply(t.Context(), func(cf.Step) {})
}

func mustApply(t *testing.T, c *account, s cf.Site) {
	t.Helper()
	if err := apply(t, c, s); err != nil {
		t.Fatal(err)
	}
}

// done holds an account to what was asked for: nothing is left to do.
func done(t *testing.T, c *account, s cf.Site) {
	t.Helper()
	steps, err := c.deployment(s).Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range steps {
		if !s.Done() {
			t.Errorf("%s: still without %q and with %q", s.What, s.Add, s.Drop)
		}
	}
}

// keyOf is the S3 secret that R2 makes of a token.
func keyOf(t *cftest.APIToken) string {
	sum := sha256.Sum256([]byte(t.Value))
	return hex.EncodeToString(sum[:])
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
	c := newAccount(t)
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
	if tokens := c.Tokens(); len(tokens) != 1 || tokens[0].ID != c.settings.Get("R2_ACCESS_KEY_ID") || keyOf(tokens[0]) != c.settings.Get("R2_SECRET_ACCESS_KEY") ||
		!reflect.DeepEqual(tokens[0].Policies[0].Resources, map[string]any{"com.cloudflare.edge.r2.bucket." + cftest.Account + "_default_videos": "*"}) {
		t.Errorf("tokens %+v", tokens)
	}
	if got := c.Hosts(); !reflect.DeepEqual(got, map[string]string{"video.example.com": "weir"}) {
		t.Errorf("hosts %v", got)
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
	c := newAccount(t)
	steps, err := c.deployment(site).Plan(t.Context())
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
	c := newAccount(t)
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
			c := newAccount(t)
			mustApply(t, c, site)
			change(c.Bucket("", "videos"))
			steps, err := c.deployment(site).Plan(t.Context())
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
			c, n := newAccount(t), 0
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
			if tokens := c.Tokens(); len(tokens) != 1 || keyOf(tokens[0]) != c.settings.Get("R2_SECRET_ACCESS_KEY") {
				t.Errorf("after a failure at request %d there are the tokens %+v, and the settings have others", at, tokens)
			}
		}
	}
}

func TestCloudflareIsAskedAgain(t *testing.T) {
	c, asked := newAccount(t), map[string]bool{}
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
	c := newAccount(t)
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
		c := newAccount(t)
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
		c := newAccount(t)
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

func TestCredentialsAreMendedInPlace(t *testing.T) {
	for name, change := range map[string]func(*account){
		"it is disabled": func(c *account) { c.Tokens()[0].Status = "disabled" },
		"it opens all buckets": func(c *account) {
			c.Tokens()[0].Policies[0].Resources = map[string]any{"com.cloudflare.api.account." + cftest.Account: "*"}
		},
		"it does nothing":              func(c *account) { c.Tokens()[0].Policies = nil },
		"the settings have lost it":    func(c *account) { _ = c.settings.Set(settings.Value{Name: "R2_ACCESS_KEY_ID"}) },
		"they have half of it":         func(c *account) { _ = c.settings.Set(settings.Value{Name: "R2_SECRET_ACCESS_KEY"}) },
		"they have another":            func(c *account) { _ = c.settings.Set(settings.Value{Name: "R2_ACCESS_KEY_ID", Text: "other"}) },
		"somebody deleted it":          func(c *account) { c.Forget(c.Tokens()[0]) },
		"there is another of its name": func(c *account) { c.Copy(c.Tokens()[0]) },
	} {
		t.Run(name, func(t *testing.T) {
			c := newAccount(t)
			mustApply(t, c, site)
			change(c)
			mustApply(t, c, site)
			done(t, c, site)
			tokens := c.Tokens()
			if len(tokens) != 1 || tokens[0].ID != c.settings.Get("R2_ACCESS_KEY_ID") || keyOf(tokens[0]) != c.settings.Get("R2_SECRET_ACCESS_KEY") {
				t.Errorf("tokens %+v", tokens)
			}
		})
	}
}

func TestAWorkerIsDeployedWhenItDiffers(t *testing.T) {
	c := newAccount(t)
	mustApply(t, c, site)
	c.Changes()
	c.tag = "b"
	mustApply(t, c, site)
	if got := c.Changes(); !reflect.DeepEqual(got, []string{"deploy weir"}) {
		t.Errorf("another Worker is deployed by %v", got)
	}
	if err := c.settings.Set(settings.Value{Name: "R2_SECRET_ACCESS_KEY"}); err != nil {
		t.Fatal(err)
	}
	mustApply(t, c, site)
	if got := c.Changes(); len(got) != 2 || got[1] != "deploy weir" {
		t.Errorf("with another secret, it is deployed by %v", got)
	}
	done(t, c, site)
	c.Script("weir").Secrets = map[string]string{"TRANSCODER_URL": "https://old.example.com"}
	c.Changes()
	mustApply(t, c, site)
	if got := c.Changes(); len(got) != 2 || !strings.HasPrefix(got[0], "DELETE") || got[1] != "deploy weir" || len(c.Script("weir").Secrets) > 0 {
		t.Errorf("of a secret that is no setting any more, it changed %v", got)
	}
	done(t, c, site)
}

// A version is there before its queue and its container are: it counts only when all is.
func TestAWorkerThatWasDeployedInPartIsDeployedAgain(t *testing.T) {
	c := newAccount(t)
	c.broken = errors.New("the queue has no consumer")
	if err := apply(t, c, site); err == nil || !strings.Contains(err.Error(), "no consumer") {
		t.Fatalf("it said %v", err)
	}
	c.broken = nil
	c.Changes()
	mustApply(t, c, site)
	if got := c.Changes(); !slices.Contains(got, "deploy weir") {
		t.Errorf("the next run changed %v", got)
	}
	done(t, c, site)
}

// Nor does it count that the same Worker was there before, to the end.
func TestAWorkerThatComesBackInPartIsDeployedAgain(t *testing.T) {
	c := newAccount(t)
	mustApply(t, c, site)
	c.broken = errors.New("the queue has no consumer")
	for _, tag := range []string{"b", "a"} {
		c.tag = tag
		if err := apply(t, c, site); err == nil || !strings.Contains(err.Error(), "no consumer") {
			t.Errorf("of %s, it said %v", tag, err)
		}
	}
	c.broken = nil
	c.Changes()
	mustApply(t, c, site)
	if got := c.Changes(); !slices.Contains(got, "deploy weir") {
		t.Errorf("the next run changed %v", got)
	}
}

func TestAnImageIsPushedOnce(t *testing.T) {
	c, pushes := newAccount(t), 0
	s := site
	s.Image = "registry.cloudflare.com/weir:1"
	away := errors.New("the registry is away")
	s.Push = func(context.Context) error {
		pushes++
		if pushes == 1 {
			return away
		}
		return nil
	}
	if err := apply(t, c, s); err == nil || !strings.Contains(err.Error(), away.Error()) || c.Script("weir") != nil {
		t.Errorf("without its image, the Worker is deployed: %v", err)
	}
	mustApply(t, c, s)
	mustApply(t, c, s)
	done(t, c, s)
	if pushes != 2 {
		t.Errorf("it was pushed %d times", pushes)
	}
	s.Image = "registry.cloudflare.com/weir:2"
	mustApply(t, c, s)
	if pushes != 3 {
		t.Error("another image is not pushed")
	}
}

func TestADomainIsNotTakenFromOthers(t *testing.T) {
	c := newAccount(t)
	c.Lead("video.example.com", "shop")
	err := apply(t, c, site)
	if !errors.Is(err, cf.ErrRefused) || !strings.Contains(err.Error(), "https://video.example.com leads to the Worker shop") {
		t.Errorf("it said %v", err)
	}
	if got := c.Hosts()["video.example.com"]; got != "shop" {
		t.Errorf("the domain leads to %s now", got)
	}
	if err := c.deployment(site).Destroy(t.Context(), func(cf.Step) {}); err != nil || c.Hosts()["video.example.com"] != "shop" {
		t.Errorf("taken down, the domain leads to %v: %v", c.Hosts(), err)
	}
	// Nor is a domain given up before there is another one.
	c = newAccount(t)
	mustApply(t, c, site)
	moved := site
	moved.Domain = "zoo.example.com"
	c.Lead(moved.Domain, "shop")
	if err := apply(t, c, moved); !errors.Is(err, cf.ErrRefused) || c.Hosts()["video.example.com"] != "weir" {
		t.Errorf("the domains lead to %v: %v", c.Hosts(), err)
	}
	c.Lead(moved.Domain, "")
	moved.Domain = "films.example.com"
	c.Fault = func(method, path string) (int, bool) {
		if method == http.MethodPut && strings.HasSuffix(path, "/workers/domains") {
			return http.StatusBadRequest, false
		}
		return 0, false
	}
	if err := apply(t, c, moved); err == nil || c.Hosts()["video.example.com"] != "weir" {
		t.Errorf("the domains lead to %v: %v", c.Hosts(), err)
	}
	c = newAccount(t)
	mustApply(t, c, site)
	c.Lead("other.example.com", "shop")
	mustApply(t, c, moved)
	if got := c.Hosts(); !reflect.DeepEqual(got, map[string]string{"films.example.com": "weir", "other.example.com": "shop"}) {
		t.Errorf("the domains lead to %v", got)
	}
	moved.Domain = ""
	mustApply(t, c, moved)
	if got := c.Hosts(); len(got) != 1 {
		t.Errorf("without a domain, there are %v", got)
	}
}

// Taking it down leaves what is others', and may break off at any request.
func TestDestroyedIsGone(t *testing.T) {
	for _, data := range []bool{false, true} {
		for at := -1; ; at++ {
			c := newAccount(t)
			mustApply(t, c, site)
			c.Put("", "others", &cftest.Bucket{})
			c.Cloud.Deploy("shop", "theirs")
			c.Lead("shop.example.com", "shop")
			c.Bucket("", "videos").Objects = 7
			s, n := site, 0
			if data {
				s.Empty = func(context.Context) error { c.Bucket("", "videos").Objects = 0; return nil }
			}
			if at >= 0 {
				c.Fault = func(string, string) (int, bool) {
					n++
					if n-1 == at {
						return http.StatusInternalServerError, at%2 == 0
					}
					return 0, false
				}
			}
			err := c.deployment(s, option.WithMaxRetries(0)).Destroy(t.Context(), func(cf.Step) {})
			c.Fault = nil
			if at < 0 && err != nil {
				t.Fatal(err)
			}
			if err := c.deployment(s).Destroy(t.Context(), func(cf.Step) {}); err != nil {
				t.Fatal(err)
			}
			if left, err := c.deployment(s).Standing(t.Context()); err != nil || len(left) > 0 {
				t.Errorf("after a failure at request %d, %+v is standing: %v", at, left, err)
			}
			left := c.Bucket("", "videos")
			if (left == nil) != data || c.Bucket("", "others") == nil {
				t.Errorf("after a failure at request %d, the buckets are %+v", at, left)
			}
			if left != nil && (left.Objects != 7 || len(left.Told) > 0 || len(left.Lifecycle) != 1 || len(left.CORS) != 0) {
				t.Errorf("after a failure at request %d, the bucket is %+v", at, left)
			}
			if len(c.Queues())+len(c.Tokens()) > 0 || len(c.Scripts()) != 1 || len(c.Hosts()) != 1 || c.settings.Get("R2_SECRET_ACCESS_KEY") != "" {
				t.Errorf("after a failure at request %d, there are %v, %v, %v, %v", at, c.Queues(), c.Tokens(), c.Scripts(), c.Hosts())
			}
			if at >= 0 && n <= at {
				break
			}
		}
	}
}

// A deployment without containers takes no permission for them, to take it down either.
func TestWithoutContainersNoPermissionForThemIsNeeded(t *testing.T) {
	c := newAccount(t)
	mustApply(t, c, site)
	c.Fault = func(_, path string) (int, bool) {
		if strings.Contains(path, "/containers/") {
			return http.StatusForbidden, false
		}
		return 0, false
	}
	if err := c.deployment(site).Destroy(t.Context(), func(cf.Step) {}); err != nil {
		t.Error(err)
	}
	s := site
	s.Image = "registry.cloudflare.com/weir:1"
	if _, err := c.deployment(s).Standing(t.Context()); err == nil || !strings.Contains(err.Error(), "Workers Containers Write") {
		t.Errorf("with containers, it said %v", err)
	}
}

func TestABucketWithVideosIsNotDeletedByMistake(t *testing.T) {
	c := newAccount(t)
	mustApply(t, c, site)
	c.Bucket("", "videos").Objects = 7
	s := site
	s.Empty = func(context.Context) error { return errors.New("the bucket does not answer") }
	if err := c.deployment(s).Destroy(t.Context(), func(cf.Step) {}); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("it said %v", err)
	}
	if c.Bucket("", "videos") == nil || len(c.Tokens()) != 1 {
		t.Error("the bucket is gone, or the keys with which it could be emptied")
	}
}

func TestAddressOfAWorkerWithoutADomain(t *testing.T) {
	c := newAccount(t)
	got, err := cf.Address(t.Context(), site, c.Options()...)
	if err != nil || got != "https://weir.example.workers.dev" {
		t.Errorf("%s, %v", got, err)
	}
	c.Subdomain = ""
	if _, err := cf.Address(t.Context(), site, c.Options()...); err == nil || !strings.Contains(err.Error(), "--domain") {
		t.Errorf("without one, it said %v", err)
	}
}

func TestEveryLocationIsTaken(t *testing.T) {
	for _, l := range cf.Locations {
		c, s := newAccount(t), site
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

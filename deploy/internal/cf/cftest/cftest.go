// Package cftest is Cloudflare's API for tests, on this machine and in memory.
//
// Each request is held to the shape that Cloudflare publishes (api.json): its path, its body, its token and the jurisdiction. What does
// not fit is a failure of the test, and answered as Cloudflare would. Faults can be injected: before a request takes effect, and after.
package cftest

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cloudflare/cloudflare-go/v7/option"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Account is the account that there is.
const Account = "0123456789abcdef0123456789abcdef"

// Token is its API token.
const Token = "token-of-the-test" //nolint:gosec // it opens nothing

// RegistryPassword opens the registry of its container images.
const RegistryPassword = "password-of-the-registry"

//go:embed api.json
var shapes []byte

// Cloud is an account.
type Cloud struct {
	URL string // of the API
	// Fault, if set, chooses what goes wrong with a request: an HTTP status, or 0. Unheard is for a request that takes effect all the same.
	Fault func(method, path string) (status int, unheard bool)
	// Subdomain is the account's, of workers.dev.
	Subdomain string

	t       testing.TB
	mu      sync.Mutex
	buckets map[string]*Bucket // by jurisdiction/name
	queues  []queue
	tokens  []*APIToken
	scripts map[string]*Script
	domains map[string]string // the Worker of each
	minted  int

	containers []map[string]any
	changes    []string
}

// Bucket is an R2 bucket, and what is set on it: as JSON, the lists of rules as they were sent.
type Bucket struct {
	Public    bool     // at r2.dev
	Domains   []string // custom ones
	CORS      []json.RawMessage
	Lifecycle []json.RawMessage
	Location  string
	Objects   int
	Told      map[string][]json.RawMessage // rules of notifications, by the queue's ID
}

type queue struct {
	id, name  string
	consumers []Consumer
}

// New starts an empty account, until the test ends.
func New(t testing.TB) *Cloud {
	c := &Cloud{t: t, Subdomain: "example", buckets: map[string]*Bucket{}, scripts: map[string]*Script{}, domains: map[string]string{}}
	mux := http.NewServeMux()
	var all struct {
		Operations map[string]json.RawMessage `json:"operations"`
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(shapes))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(shapes, &all); err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("api.json", document); err != nil {
		t.Fatal(err)
	}
	for operation, shape := range all.Operations {
		var body *jsonschema.Schema
		if string(shape) != "false" {
			pointer := strings.NewReplacer("~", "~0", "/", "~1", " ", "%20", "{", "%7B", "}", "%7D").Replace(operation)
			if body, err = compiler.Compile("api.json#/operations/" + pointer); err != nil {
				t.Fatal(err)
			}
		}
		do, ok := operations[operation]
		if !ok {
			t.Fatalf("api.json has %s, which nothing serves", operation)
		}
		mux.HandleFunc(operation, func(w http.ResponseWriter, r *http.Request) { c.serve(w, r, body, do) })
	}
	for operation, do := range ofWrangler {
		mux.HandleFunc(operation, func(w http.ResponseWriter, r *http.Request) { c.serve(w, r, anything, do) })
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("the API has no %s %s", r.Method, r.URL.Path)
		answer(w, http.StatusMethodNotAllowed, failed(10405, "Method not allowed"))
	})
	server := httptest.NewServer(http.StripPrefix("/client/v4", mux))
	t.Cleanup(server.Close)
	c.URL = server.URL + "/client/v4/"
	return c
}

// anything is the shape of a request that nobody has published.
var anything = &jsonschema.Schema{}

// Options lead a client here.
func (c *Cloud) Options() []option.RequestOption {
	return []option.RequestOption{option.WithBaseURL(c.URL), option.WithAPIToken(Token)}
}

// Put puts a bucket there, or takes one away.
func (c *Cloud) Put(jurisdiction, name string, b *Bucket) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b.Told == nil {
		b.Told = map[string][]json.RawMessage{}
	}
	c.buckets[jurisdiction+"/"+name] = b
}

// Bucket returns a bucket, or nil.
func (c *Cloud) Bucket(jurisdiction, name string) *Bucket {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buckets[jurisdiction+"/"+name]
}

// Queues returns the names of the queues.
func (c *Cloud) Queues() (names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, q := range c.queues {
		names = append(names, q.name)
	}
	return names
}

// Tokens returns the API tokens.
func (c *Cloud) Tokens() []*APIToken {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.tokens)
}

// Forget deletes an API token.
func (c *Cloud) Forget(t *APIToken) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tokens = slices.DeleteFunc(c.tokens, func(other *APIToken) bool { return other == t })
}

// Copy makes another API token of the same name.
func (c *Cloud) Copy(t *APIToken) {
	c.mu.Lock()
	defer c.mu.Unlock()
	other := *t
	other.ID = strings.Repeat("f", len(t.ID))
	c.tokens = slices.Insert(c.tokens, 0, &other)
}

// Deploy puts a version of a Worker there, as Wrangler does.
func (c *Cloud) Deploy(script, tag string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.scripts[script] = &Script{Tag: tag}
	c.changes = append(c.changes, "deploy "+script)
}

// Scripts returns the names of the Workers.
func (c *Cloud) Scripts() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.scripts))
}

// Lead leads a host to a Worker.
func (c *Cloud) Lead(host, script string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.domains[host] = script
}

// Hosts returns where each host leads.
func (c *Cloud) Hosts() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.domains)
}

// Changes returns the requests that have changed something, as "POST path", and forgets them.
func (c *Cloud) Changes() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	changes := c.changes
	c.changes = nil
	return changes
}

// call is a request whose shape is right.
type call struct {
	*Cloud
	r    *http.Request
	body []byte
}

// reply is the result of a call, or why there is none.
type reply struct {
	status int
	value  any
}

func ok(value any) reply { return reply{http.StatusOK, value} }

type problem struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func failed(code int, message string) problem { return problem{code, message} }

func (c *Cloud) serve(w http.ResponseWriter, r *http.Request, shape *jsonschema.Schema, do func(call) reply) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		c.t.Error(err)
		return
	}
	if status, wrong := c.misshapen(r, body, shape); wrong != "" {
		c.t.Errorf("%s %s: %s", r.Method, r.URL.Path, wrong)
		answer(w, status, failed(10000, wrong))
		return
	}
	status, unheard := 0, false
	if c.Fault != nil {
		status, unheard = c.Fault(r.Method, r.URL.Path)
	}
	if status != 0 && !unheard {
		answer(w, status, failed(10001, "injected"))
		return
	}
	c.mu.Lock()
	got := do(call{c, r, body})
	if r.Method != http.MethodGet && got.status == http.StatusOK {
		c.changes = append(c.changes, r.Method+" "+r.URL.Path)
	}
	c.mu.Unlock()
	if status != 0 {
		answer(w, status, failed(10001, "injected, after it was done"))
		return
	}
	answer(w, got.status, got.value)
}

func (c *Cloud) misshapen(r *http.Request, body []byte, shape *jsonschema.Schema) (status int, wrong string) {
	if r.Header.Get("Authorization") != "Bearer "+Token {
		return http.StatusUnauthorized, "not the account's token"
	}
	if r.PathValue("account") != Account {
		return http.StatusForbidden, "not the account"
	}
	if j := r.Header.Get("Cf-R2-Jurisdiction"); !slices.Contains([]string{"", "default", "eu", "fedramp"}, j) {
		return http.StatusBadRequest, "no jurisdiction: " + j
	}
	if shape == anything {
		return 0, ""
	}
	if shape == nil {
		if len(body) > 0 {
			return http.StatusBadRequest, "a body where none is expected"
		}
		return 0, ""
	}
	if got := r.Header.Get("Content-Type"); got != "application/json" {
		return http.StatusBadRequest, "Content-Type: " + got
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err == nil {
		err = shape.Validate(value)
	}
	if err != nil {
		return http.StatusBadRequest, fmt.Sprintf("%v, in %s", err, body)
	}
	return 0, ""
}

// answer writes the envelope of the API.
func answer(w http.ResponseWriter, status int, value any) {
	envelope := map[string]any{"success": status == http.StatusOK, "errors": []problem{}, "messages": []string{}, "result": value}
	if p, isProblem := value.(problem); isProblem {
		envelope["errors"], envelope["result"] = []problem{p}, nil
	}
	w.Header().Set("Content-Type", "application/json")
	if status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "0")
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(envelope)
}

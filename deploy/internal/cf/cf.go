// Package cf brings a Cloudflare account to the state that a deployment of Weir needs: read, compare, apply.
//
// A deployment is a list of parts, in the order in which they need each other. A part is told in lines of text, of what is there
// and of what should be alike: where the lines are the same, nothing is left to do. So running it again changes nothing, and a run
// that broke off is finished by the next. What is in the account and not Weir's is left alone.
//
// Start at [New]. [Deployment.Plan] reads, [Deployment.Apply] changes, [Deployment.Destroy] takes it down.
package cf

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/cloudflare/cloudflare-go/v7"
	"github.com/cloudflare/cloudflare-go/v7/option"

	"weir/deploy/internal/settings"
)

// ErrRefused is a state of the account that Weir does not deploy into.
var ErrRefused = errors.New("refused")

const (
	// requestTimeout is for one request; Cloudflare answers within seconds, or not at all.
	requestTimeout = 30 * time.Second
	// retries are those of a request that the API asks to be sent again (429) or fails with 5xx, with pauses up to eight seconds. The API
	// counts requests over five minutes.
	retries = 6
)

// Site is one deployment: its names, and what the operator chose.
type Site struct {
	Account      string // ID
	Bucket       string
	Jurisdiction string   // of the bucket: "", eu or fedramp
	Location     string   // hint of where the bucket is: "", or one of Locations
	Origins      []string // of pages that write into the bucket by presigned URLs
	Uploads      string   // queue
	Dead         string   // queue
	Worker       string
	Domain       string // host at which people watch; "" is none but workers.dev
	Image        string // of the container beside the Worker; "" is none

	// The rest is nil where only what is wanted is told.

	Settings *settings.File           // get the S3 credentials
	Secrets  func() map[string]string // of the Worker
	Release  Release
	Push     func(context.Context) error // builds Image and puts it into the account's registry
	// Empty deletes all objects of the bucket, when the deployment is destroyed. Without it, the bucket stays.
	Empty func(context.Context) error
}

// Locations are the hints of where a bucket is.
var Locations = []string{"apac", "eeur", "enam", "oc", "weur", "wnam"}

// Permissions are what an API token needs to bring a deployment about.
var Permissions = []string{r2Permission, queuesPermission, workersPermission, tokensPermission, containersPermission + " (with containers)", routesPermission + " (of the domain's zone)"}

// Deployment is a Site in an account.
type Deployment struct {
	parts    []part // in the order in which they need each other
	removals []part // in the order in which they can go
}

// part is one thing that Cloudflare keeps.
type part struct {
	what       string   // for people
	permission string   // what the API token needs for it
	want       []string // lines
	read       func(context.Context) ([]string, error)
	// bring makes it as wanted, after read and from what that found. Without it, only a person can.
	bring func(context.Context) error
	// advice is for where bring is missing.
	advice string
	// remove takes away what read found. Without it, the part goes with another one.
	remove func(context.Context) error
}

// New describes a deployment. The options lead to the API, and say who asks.
func New(site Site, options ...option.RequestOption) *Deployment {
	options = withDefaults(options)
	bucket, queues, credentials, worker := newBucket(site, options), newQueues(site, options), newCredentials(site, options), newWorker(site, options)
	d := &Deployment{parts: []part{
		bucket.exists(), bucket.doors(), bucket.cors(), bucket.lifecycle(),
		queues.exist(), queues.notification(), credentials.exist(),
	}}
	if site.Image != "" {
		d.parts = append(d.parts, worker.image())
	}
	d.parts = append(d.parts, worker.released(), worker.domain())
	// A domain that leads to another Worker stays, also if it is the one that was wanted.
	leaving := site
	leaving.Domain = ""
	d.removals = []part{newWorker(leaving, options).domain(), worker.released(), worker.containers(), queues.notification(), queues.exist(), bucket.lifecycle(), bucket.cors()}
	if site.Empty != nil {
		d.removals = append(d.removals, bucket.exists())
	}
	d.removals = append(d.removals, credentials.exist()) // they empty the bucket
	return d
}

// withDefaults has the caller's options after those of every request.
func withDefaults(options []option.RequestOption) []option.RequestOption {
	return append([]option.RequestOption{
		option.WithEnvironmentProduction(), option.WithRequestTimeout(requestTimeout), option.WithMaxRetries(retries),
		option.WithMiddleware(finalConflict),
	}, options...)
}

// Step is a part, and what is to be done about it.
type Step struct {
	What string
	Keep []string // lines that are there, as wanted
	Add  []string // lines that are wanted, and not there
	Drop []string // lines that are there, and not wanted
}

// Done tells that nothing is left to do.
func (s Step) Done() bool { return len(s.Add)+len(s.Drop) == 0 }

// Wanted returns the whole deployment, as it is for an empty account. It asks nobody.
func (d *Deployment) Wanted() []Step {
	var steps []Step
	for _, p := range d.parts {
		steps = append(steps, Step{What: p.what, Add: p.want})
	}
	return steps
}

// Plan reads the account and tells what Apply would do. It changes nothing.
func (d *Deployment) Plan(ctx context.Context) ([]Step, error) {
	var steps []Step
	for _, p := range d.parts {
		s, err := p.step(ctx)
		if err != nil {
			return nil, err
		}
		steps = append(steps, s)
	}
	return steps, nil
}

// Apply brings part after part to the wanted state, and reports each once the account says that it is as wanted. What failed, and
// what comes after it, is done by the next run.
func (d *Deployment) Apply(ctx context.Context, report func(Step)) error {
	for _, p := range d.parts {
		s, err := p.step(ctx)
		if err != nil {
			return err
		}
		if !s.Done() {
			if p.bring == nil {
				return fmt.Errorf("%w: %s: %s. %s", ErrRefused, p.what, strings.Join(s.Drop, "; "), p.advice)
			}
			// What was done counts, not what was answered: a request whose answer was lost is no failure.
			brought := p.bring(ctx)
			after, err := p.step(ctx)
			switch {
			case err == nil && after.Done():
			case brought != nil:
				return p.failed("change", brought)
			case err != nil:
				return err
			default:
				return fmt.Errorf("change %s: Cloudflare accepted it, but has %q still, and lacks %q: run this again", p.what, after.Drop, after.Add)
			}
		}
		report(s)
	}
	return nil
}

// Standing reads the account and tells, part by part, what Destroy would take away.
func (d *Deployment) Standing(ctx context.Context) ([]Step, error) {
	var steps []Step
	for _, p := range d.removals {
		have, err := p.read(ctx)
		if err != nil {
			return nil, p.failed("read", err)
		}
		if len(have) > 0 {
			steps = append(steps, Step{What: p.what, Drop: have})
		}
	}
	return steps, nil
}

// Destroy takes away, one after the other, what Standing finds of the deployment, and reports each part once it is gone.
// What failed, and what comes after it, is done by the next run.
func (d *Deployment) Destroy(ctx context.Context, report func(Step)) error {
	for _, p := range d.removals {
		there, err := p.read(ctx)
		if err != nil {
			return p.failed("read", err)
		}
		if len(there) == 0 {
			continue
		}
		removed := p.remove(ctx)
		left, err := p.read(ctx)
		switch {
		case err == nil && len(left) == 0:
			report(Step{What: p.what, Drop: there})
		case removed != nil:
			return p.failed("remove", removed)
		case err != nil:
			return p.failed("read", err)
		default:
			return fmt.Errorf("remove %s: Cloudflare accepted it, but has %q still: run this again", p.what, left)
		}
	}
	return nil
}

// step reads a part and compares.
func (p part) step(ctx context.Context) (Step, error) {
	have, err := p.read(ctx)
	if err != nil {
		return Step{}, p.failed("read", err)
	}
	s := Step{What: p.what}
	for _, line := range p.want {
		if slices.Contains(have, line) {
			s.Keep = append(s.Keep, line)
		} else {
			s.Add = append(s.Add, line)
		}
	}
	for _, line := range have {
		if !slices.Contains(p.want, line) {
			s.Drop = append(s.Drop, line)
		}
	}
	return s, nil
}

// failed says what an operator can do about an error of the API. The API's own text says the rest; no secret is in it.
func (p part) failed(verb string, err error) error {
	var e *cloudflare.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("%s %s: %w", verb, p.what, err)
	}
	var said []string
	for _, m := range e.Errors {
		said = append(said, fmt.Sprintf("%s (%d)", m.Message, m.Code))
	}
	text := fmt.Sprintf("%d %s", e.StatusCode, http.StatusText(e.StatusCode))
	if len(said) > 0 {
		text += ": " + strings.Join(said, "; ")
	}
	switch e.StatusCode {
	case http.StatusUnauthorized:
		text += ". Is CLOUDFLARE_API_TOKEN a token that exists, and has not expired?"
	case http.StatusForbidden:
		text += fmt.Sprintf(". The API token needs the permission %q for this account", p.permission)
	case http.StatusTooManyRequests:
		text += ". Cloudflare counts requests over five minutes: wait so long, and run this again"
	}
	return fmt.Errorf("%s %s: Cloudflare answered %s", verb, p.what, text)
}

// finalConflict keeps the library from sending again what Cloudflare answers with 409, "it is there already": it would not go away.
func finalConflict(req *http.Request, next option.MiddlewareNext) (*http.Response, error) {
	resp, err := next(req)
	if err == nil && resp.StatusCode == http.StatusConflict {
		resp.Header.Set("X-Should-Retry", "false")
	}
	return resp, err
}

// missing tells that what was asked for is not there.
func missing(err error) bool { return answered(err, http.StatusNotFound) }

// forbidden tells that the API token is not for what was asked for.
func forbidden(err error) bool { return answered(err, http.StatusForbidden) }

func answered(err error, status int) bool {
	var e *cloudflare.Error
	return errors.As(err, &e) && e.StatusCode == status
}

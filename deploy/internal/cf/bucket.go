package cf

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cloudflare/cloudflare-go/v7"
	"github.com/cloudflare/cloudflare-go/v7/option"
	"github.com/cloudflare/cloudflare-go/v7/r2"
)

const r2Permission = "Workers R2 Storage Write"

// bucket is the R2 bucket and what is set on it.
type bucket struct {
	site Site
	api  *r2.BucketService
}

// newBucket sends the jurisdiction with every request: the same name in another one is another bucket.
func newBucket(site Site, options []option.RequestOption) bucket {
	if site.Jurisdiction != "" {
		options = append(slices.Clip(options), option.WithHeader("cf-r2-jurisdiction", site.Jurisdiction))
	}
	return bucket{site: site, api: r2.NewBucketService(options...)}
}

func (b bucket) exists() part {
	in := "in the jurisdiction " + cmp.Or(b.site.Jurisdiction, "default")
	return part{
		what: "R2 bucket " + b.site.Bucket, permission: r2Permission, want: []string{in},
		read: func(ctx context.Context) ([]string, error) {
			_, err := b.api.Get(ctx, b.site.Bucket, r2.BucketGetParams{AccountID: cloudflare.F(b.site.Account)})
			if missing(err) {
				return nil, nil
			}
			return []string{in}, err
		},
		bring: func(ctx context.Context) error {
			params := r2.BucketNewParams{AccountID: cloudflare.F(b.site.Account), Name: cloudflare.F(b.site.Bucket)}
			if b.site.Location != "" {
				params.LocationHint = cloudflare.F(r2.BucketNewParamsLocationHint(b.site.Location))
			}
			_, err := b.api.New(ctx, params)
			return err
		},
		remove: func(ctx context.Context) error {
			if err := b.site.Empty(ctx); err != nil {
				return err
			}
			_, err := b.api.Delete(ctx, b.site.Bucket, r2.BucketDeleteParams{AccountID: cloudflare.F(b.site.Account)})
			return err
		},
	}
}

// doors are ways to the bucket that pass by the Worker, and so by its tokens. Weir does not close them: somebody may be on them.
func (b bucket) doors() part {
	return part{
		what: "ways past the Worker to " + b.site.Bucket, permission: r2Permission,
		advice: "Everybody could watch everything there: disable public access in the bucket's settings, then run this again",
		read: func(ctx context.Context) (open []string, err error) {
			managed, err := b.api.Domains.Managed.List(ctx, b.site.Bucket, r2.BucketDomainManagedListParams{AccountID: cloudflare.F(b.site.Account)})
			if missing(err) {
				return nil, nil // no bucket
			}
			if err != nil {
				return nil, err
			}
			if managed.Enabled {
				open = append(open, "the bucket is public at "+managed.Domain)
			}
			custom, err := b.api.Domains.Custom.List(ctx, b.site.Bucket, r2.BucketDomainCustomListParams{AccountID: cloudflare.F(b.site.Account)})
			if err != nil {
				return nil, err
			}
			for _, d := range custom.Domains {
				if d.Enabled {
					open = append(open, "the bucket is public at "+d.Domain)
				}
			}
			return open, nil
		},
	}
}

// Rules on a bucket that are Weir's have this in front of their ID; others are somebody else's.
const ours = "weir-"

type corsRule struct {
	ID      string `json:"id"`
	Allowed struct {
		Origins []string `json:"origins"`
		Methods []string `json:"methods"`
		Headers []string `json:"headers,omitempty"`
	} `json:"allowed"`
	ExposeHeaders []string `json:"exposeHeaders,omitempty"`
	MaxAgeSeconds float64  `json:"maxAgeSeconds,omitempty"`
}

func (r corsRule) String() string {
	return fmt.Sprintf("%s: pages of %s may send %s with %s and read %s, known for %v", r.ID, list(r.Allowed.Origins), list(r.Allowed.Methods),
		list(r.Allowed.Headers), list(r.ExposeHeaders), time.Duration(r.MaxAgeSeconds)*time.Second)
}

// cors lets pages upload into the bucket, where there are such. What people watch comes from the Worker, which answers for itself.
func (b bucket) cors() part {
	var want []corsRule
	if len(b.site.Origins) > 0 {
		r := corsRule{ID: ours + "uploads", ExposeHeaders: []string{"ETag"}, MaxAgeSeconds: time.Hour.Seconds()}
		r.Allowed.Origins, r.Allowed.Methods, r.Allowed.Headers = b.site.Origins, []string{"PUT"}, []string{"Content-Type", "If-None-Match"}
		want = append(want, r)
	}
	return rules(b, "CORS of ", want, func(ctx context.Context) (string, error) {
		got, err := b.api.CORS.Get(ctx, b.site.Bucket, r2.BucketCORSGetParams{AccountID: cloudflare.F(b.site.Account)})
		if err != nil {
			return "", err
		}
		return got.JSON.RawJSON(), nil
	}, func(ctx context.Context, body option.RequestOption) error {
		_, err := b.api.CORS.Update(ctx, b.site.Bucket, r2.BucketCORSUpdateParams{AccountID: cloudflare.F(b.site.Account)}, body)
		return err
	})
}

type lifecycleRule struct {
	ID         string `json:"id"`
	Enabled    bool   `json:"enabled"`
	Conditions struct {
		Prefix string `json:"prefix"`
	} `json:"conditions"`
	Abort   *transition  `json:"abortMultipartUploadsTransition,omitempty"`
	Delete  *transition  `json:"deleteObjectsTransition,omitempty"`
	Classes []transition `json:"storageClassTransitions,omitempty"`
}

type transition struct {
	Condition struct {
		Type   string `json:"type"`
		MaxAge int64  `json:"maxAge,omitempty"` // in seconds
		Date   string `json:"date,omitempty"`
	} `json:"condition"`
	StorageClass string `json:"storageClass,omitempty"`
}

func (r lifecycleRule) String() string {
	text := r.ID + ": "
	if !r.Enabled {
		text += "disabled: "
	}
	describe := func(verb string, t *transition) {
		if t == nil {
			return
		}
		when := "at " + t.Condition.Date
		if t.Condition.Type == "Age" {
			when = fmt.Sprintf("after %v", time.Duration(t.Condition.MaxAge)*time.Second)
		}
		text += fmt.Sprintf("%s %q %s ", verb, r.Conditions.Prefix+"…", when)
	}
	describe("aborts multipart uploads to", r.Abort)
	describe("deletes", r.Delete)
	for _, c := range r.Classes {
		describe("moves to "+c.StorageClass, &c)
	}
	return strings.TrimSpace(text)
}

const (
	// abandoned is when an upload in parts is taken for abandoned.
	abandoned = 24 * time.Hour
	// worked is when the records of a job's work are of no use: it has ended long before.
	worked = 7 * 24 * time.Hour
)

func age(d time.Duration) *transition {
	t := &transition{}
	t.Condition.Type, t.Condition.MaxAge = "Age", int64(d.Seconds())
	return t
}

// lifecycle removes what nobody comes back for.
func (b bucket) lifecycle() part {
	uploads := lifecycleRule{ID: ours + "abandoned-uploads", Enabled: true, Abort: age(abandoned)}
	work := lifecycleRule{ID: ours + "work", Enabled: true, Delete: age(worked)}
	work.Conditions.Prefix = "work/"
	return rules(b, "lifecycle of ", []lifecycleRule{uploads, work}, func(ctx context.Context) (string, error) {
		got, err := b.api.Lifecycle.Get(ctx, b.site.Bucket, r2.BucketLifecycleGetParams{AccountID: cloudflare.F(b.site.Account)})
		if err != nil {
			return "", err
		}
		return got.JSON.RawJSON(), nil
	}, func(ctx context.Context, body option.RequestOption) error {
		_, err := b.api.Lifecycle.Update(ctx, b.site.Bucket, r2.BucketLifecycleUpdateParams{AccountID: cloudflare.F(b.site.Account)}, body)
		return err
	})
}

// rules is a part that is a list of rules with IDs, written as a whole: those of others are written back as they were read.
func rules[R fmt.Stringer](
	b bucket, what string, want []R, get func(context.Context) (string, error), put func(context.Context, option.RequestOption) error,
) part {
	p := part{what: what + b.site.Bucket, permission: r2Permission}
	for _, r := range want {
		p.want = append(p.want, r.String())
	}
	var others []any
	p.read = func(ctx context.Context) ([]string, error) {
		others = nil
		text, err := get(ctx)
		if missing(err) {
			return nil, nil // no bucket, or no rules
		}
		if err != nil {
			return nil, err
		}
		var all struct {
			Rules []json.RawMessage `json:"rules"`
		}
		if err := json.Unmarshal([]byte(text), &all); err != nil {
			return nil, fmt.Errorf("the rules cannot be read: %w", err)
		}
		var lines []string
		for _, raw := range all.Rules {
			var named struct {
				ID string `json:"id"`
			}
			var rule R
			if err := json.Unmarshal(raw, &named); err != nil {
				return nil, fmt.Errorf("a rule cannot be read: %w", err)
			}
			if !strings.HasPrefix(named.ID, ours) {
				others = append(others, raw)
				continue
			}
			if err := json.Unmarshal(raw, &rule); err != nil {
				return nil, fmt.Errorf("the rule %s cannot be read: %w", named.ID, err)
			}
			lines = append(lines, rule.String())
		}
		return lines, nil
	}
	write := func(ctx context.Context, ours []R) error {
		all := struct {
			Rules []any `json:"rules"`
		}{Rules: append([]any{}, others...)}
		for _, r := range ours {
			all.Rules = append(all.Rules, r)
		}
		body, err := json.Marshal(all)
		if err != nil {
			return err
		}
		return put(ctx, option.WithRequestBody("application/json", body))
	}
	p.bring = func(ctx context.Context) error { return write(ctx, want) }
	p.remove = func(ctx context.Context) error { return write(ctx, nil) }
	return p
}

func list(words []string) string {
	if len(words) == 0 {
		return "nothing"
	}
	return strings.Join(words, ", ")
}

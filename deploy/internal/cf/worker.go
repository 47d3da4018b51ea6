package cf

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/cloudflare/cloudflare-go/v7"
	"github.com/cloudflare/cloudflare-go/v7/option"
	"github.com/cloudflare/cloudflare-go/v7/workers"

	"weir/deploy/internal/settings"
)

const (
	workersPermission    = "Workers Scripts Write"
	containersPermission = "Workers Containers Write"
	routesPermission     = "Workers Routes Write"
)

// deployed is the setting with the tag of the Worker that Wrangler was done with: a version is there before what comes after it, as the
// queue's consumer and the container.
const deployed = "WORKER_DEPLOYED"

// pushed is the setting with the image that was pushed last.
const pushed = "IMAGE_PUSHED"

// Release is a Worker as it is to be, with its settings. Wrangler puts it there; what the API knows of it is its tag.
type Release interface {
	// Tag is the same for the same Worker with the same settings, and for no other; it tells nothing of them. At most 100 bytes.
	Tag() (string, error)
	// Deploy puts it there, under the tag.
	Deploy(ctx context.Context, tag string) error
}

// worker is the Worker and where it is reached.
type worker struct {
	site    Site
	api     *cloudflare.Client
	scripts *workers.ScriptService
	domains *workers.DomainService
	// As read last: domains of the Worker, and the wanted one; and secrets that it should not have.
	there   []workers.DomainListResponse
	strange []string
}

func newWorker(site Site, options []option.RequestOption) *worker {
	return &worker{site: site, api: cloudflare.NewClient(options...), scripts: workers.NewScriptService(options...), domains: workers.NewDomainService(options...)}
}

// image is what the container beside the Worker starts. Its name has a version, which stands for what it is: another one is another name.
func (w *worker) image() part {
	want := w.site.Image + " is in the account's registry"
	return part{
		what: "container image", permission: containersPermission, want: []string{want},
		read: func(context.Context) ([]string, error) {
			if w.site.Settings.Get(pushed) != w.site.Image {
				return nil, nil
			}
			return []string{want}, nil
		},
		bring: func(ctx context.Context) error {
			if err := w.site.Push(ctx); err != nil {
				return err
			}
			return w.site.Settings.Set(settings.Value{Name: pushed, Text: w.site.Image})
		},
	}
}

// released is the version that gets the requests.
func (w *worker) released() part {
	want := "is that of this checkout, with these settings"
	return part{
		what: "Worker " + w.site.Worker, permission: workersPermission, want: []string{want},
		read: func(ctx context.Context) ([]string, error) {
			tags, err := w.tags(ctx)
			if missing(err) {
				return nil, nil
			}
			if err != nil {
				return nil, err
			}
			wanted, err := w.site.Release.Tag()
			if err != nil {
				return nil, err
			}
			var lines []string
			for _, tag := range tags {
				switch {
				case tag != wanted:
					lines = append(lines, fmt.Sprintf("is another one, tagged %q", tag))
				case w.site.Settings.Get(deployed) != tag:
					lines = append(lines, "is that of this checkout, but was not deployed to the end")
				default:
					lines = append(lines, want)
				}
			}
			if err := w.strangers(ctx); err != nil {
				return nil, err
			}
			for _, name := range w.strange {
				lines = append(lines, "has the secret "+name+", which the settings have not")
			}
			return lines, nil
		},
		bring: func(ctx context.Context) error {
			// Wrangler deletes no secrets. Cloudflare makes an untagged version when one goes, so this comes first.
			for _, name := range w.strange {
				_, err := w.scripts.Secrets.Delete(ctx, w.site.Worker, name, workers.ScriptSecretDeleteParams{AccountID: cloudflare.F(w.site.Account)})
				if err != nil && !missing(err) {
					return err
				}
			}
			tag, err := w.site.Release.Tag()
			if err != nil {
				return err
			}
			// The same Worker may have been deployed to the end before, and gone since.
			if err := w.site.Settings.Set(settings.Value{Name: deployed}); err != nil {
				return err
			}
			if err := w.site.Release.Deploy(ctx, tag); err != nil {
				return err
			}
			return w.site.Settings.Set(settings.Value{Name: deployed, Text: tag})
		},
		remove: func(ctx context.Context) error {
			_, err := w.scripts.Delete(ctx, w.site.Worker, workers.ScriptDeleteParams{AccountID: cloudflare.F(w.site.Account), Force: cloudflare.F(true)})
			return err
		},
	}
}

// tags are those of the versions that get requests: one, but for gradual deployments.
func (w *worker) tags(ctx context.Context) (tags []string, err error) {
	account := cloudflare.F(w.site.Account)
	got, err := w.scripts.Deployments.List(ctx, w.site.Worker, workers.ScriptDeploymentListParams{AccountID: account})
	if err != nil || len(got.Deployments) == 0 {
		return nil, err
	}
	for _, v := range got.Deployments[0].Versions {
		version, err := w.scripts.Versions.Get(ctx, w.site.Worker, v.VersionID, workers.ScriptVersionGetParams{AccountID: account})
		if err != nil {
			return nil, err
		}
		var annotated struct {
			Annotations struct {
				Tag string `json:"workers/tag"`
			} `json:"annotations"`
		}
		if err := json.Unmarshal([]byte(version.JSON.RawJSON()), &annotated); err != nil {
			return nil, fmt.Errorf("the version %s cannot be read: %w", v.VersionID, err)
		}
		tags = append(tags, annotated.Annotations.Tag)
	}
	return tags, nil
}

// containers are the applications of Cloudflare Containers that Wrangler has made for the Worker. The library does not know them yet.
func (w *worker) containers() part {
	path := "accounts/" + w.site.Account + "/containers/applications"
	var ids []string
	return part{
		what: "containers of " + w.site.Worker, permission: containersPermission,
		read: func(ctx context.Context) ([]string, error) {
			ids = nil
			var all struct {
				Result []struct{ ID, Name string }
			}
			if err := w.api.Get(ctx, path, nil, &all); err != nil {
				// Where there never was a container, nobody needs to be let to them.
				if missing(err) || w.site.Image == "" && forbidden(err) {
					return nil, nil
				}
				return nil, err
			}
			var lines []string
			for _, a := range all.Result {
				if strings.HasPrefix(a.Name, w.site.Worker+"-transcoder") {
					ids, lines = append(ids, a.ID), append(lines, a.Name)
				}
			}
			return lines, nil
		},
		remove: func(ctx context.Context) error {
			for _, id := range ids {
				if err := w.api.Delete(ctx, path+"/"+id, nil, nil); err != nil && !missing(err) {
					return err
				}
			}
			return nil
		},
	}
}

// strangers finds secrets of the Worker that are not in the settings: left from when they were.
func (w *worker) strangers(ctx context.Context) error {
	w.strange = nil
	ours := w.site.Secrets()
	pages := w.scripts.Secrets.ListAutoPaging(ctx, w.site.Worker, workers.ScriptSecretListParams{AccountID: cloudflare.F(w.site.Account)})
	for pages.Next() {
		if name := pages.Current().Name; ours[name] == "" {
			w.strange = append(w.strange, name)
		}
	}
	return pages.Err()
}

// domain is the host at which people watch. Without one, the Worker is reached at workers.dev.
func (w *worker) domain() part {
	var want []string
	if w.site.Domain != "" {
		want = append(want, w.leads(w.site.Domain, w.site.Worker))
	}
	return part{
		what: "custom domains", permission: routesPermission, want: want,
		read: func(ctx context.Context) ([]string, error) {
			w.there = nil
			var lines []string
			pages := w.domains.ListAutoPaging(ctx, workers.DomainListParams{AccountID: cloudflare.F(w.site.Account)})
			for pages.Next() {
				if d := pages.Current(); d.Service == w.site.Worker || d.Hostname == w.site.Domain {
					w.there = append(w.there, d)
					lines = append(lines, w.leads(d.Hostname, d.Service))
				}
			}
			return lines, pages.Err()
		},
		bring: func(ctx context.Context) error {
			led := w.site.Domain == ""
			for _, d := range w.there {
				if d.Service != w.site.Worker {
					return fmt.Errorf("%w: %s: choose another --domain, or take it from that Worker first", ErrRefused, w.leads(d.Hostname, d.Service))
				}
				led = led || d.Hostname == w.site.Domain
			}
			if !led {
				if _, err := w.domains.Update(ctx, workers.DomainUpdateParams{
					AccountID: cloudflare.F(w.site.Account), Hostname: cloudflare.F(w.site.Domain), Service: cloudflare.F(w.site.Worker),
				}); err != nil {
					return err
				}
			}
			// People watch there until they can watch here.
			for _, d := range w.there {
				if d.Hostname != w.site.Domain {
					if err := w.leave(ctx, d); err != nil {
						return err
					}
				}
			}
			return nil
		},
		remove: func(ctx context.Context) error {
			for _, d := range w.there {
				if d.Service == w.site.Worker {
					if err := w.leave(ctx, d); err != nil {
						return err
					}
				}
			}
			return nil
		},
	}
}

func (w *worker) leads(host, service string) string {
	return fmt.Sprintf("https://%s leads to the Worker %s", host, service)
}

func (w *worker) leave(ctx context.Context, d workers.DomainListResponse) error {
	_, err := w.domains.Delete(ctx, d.ID, workers.DomainDeleteParams{AccountID: cloudflare.F(w.site.Account)})
	if missing(err) {
		return nil
	}
	return err
}

// Address is where a Worker is reached without a domain of its own: https://WORKER.SUBDOMAIN.workers.dev.
func Address(ctx context.Context, site Site, options ...option.RequestOption) (string, error) {
	got, err := workers.NewSubdomainService(withDefaults(options)...).Get(ctx, workers.SubdomainGetParams{AccountID: cloudflare.F(site.Account)})
	p := part{what: "the account's subdomain of workers.dev", permission: workersPermission}
	if missing(err) || err == nil && got.Subdomain == "" {
		return "", errors.New("the account has no subdomain of workers.dev: open Workers in the dashboard once to get one, or give --domain")
	}
	if err != nil {
		return "", p.failed("read", err)
	}
	return "https://" + site.Worker + "." + got.Subdomain + ".workers.dev", nil
}

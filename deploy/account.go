package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/cloudflare/cloudflare-go/v7/option"

	"weir/deploy/internal/cf"
	"weir/deploy/internal/image"
	"weir/deploy/internal/settings"
	"weir/deploy/internal/wrangler"
	"weir/deploy/local"
)

// account is a deployment, and where it is, or will be.
type account struct {
	site     cf.Site
	release  wrangler.Release
	settings *settings.File
	options  []option.RequestOption
}

// accountFlags declares what an operator says of a deployment. What is not said is as it was said before, in the settings; names are in
// wrangler.toml.
func accountFlags(flags *flag.FlagSet) func() (*account, error) {
	environment, file := flags.String("env", "production", ""), flags.String("settings", "", "")
	location, domain := flags.String("location", "", ""), flags.String("domain", "", "")
	var origins, transcoders []string
	flags.Func("origin", "", origin(&origins))
	flags.Func("transcoder", "", origin(&transcoders))
	return func() (*account, error) {
		root, err := local.Root()
		if err != nil {
			return nil, err
		}
		c, err := wrangler.Read(filepath.Join(root, "wrangler.toml"), *environment)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errUsage, err)
		}
		f, err := openSettings(*environment, *file)
		if err != nil {
			return nil, err
		}
		said := []settings.Value{{Name: "BUCKET_LOCATION", Text: *location}, {Name: "UPLOAD_ORIGINS", Text: strings.Join(origins, " ")}}
		if *domain != "" {
			said = append(said, settings.Value{Name: "PUBLIC_URL", Text: "https://" + *domain})
		}
		if len(transcoders) > 0 {
			said = append(said, settings.Value{Name: "TRANSCODER_URL", Text: transcoders[len(transcoders)-1]})
		}
		said = slices.DeleteFunc(said, func(v settings.Value) bool { return v.Text == "" })
		if err := f.Suppose(said...); err != nil {
			return nil, fmt.Errorf("%w: %w", errUsage, err)
		}
		return newAccount(root, c, f)
	}
}

// newAccount makes of the settings what they mean.
func newAccount(root string, c wrangler.Config, f *settings.File) (*account, error) {
	s := cf.Site{
		Bucket: c.Bucket.Name, Jurisdiction: c.Bucket.Jurisdiction, Uploads: c.Uploads, Dead: c.Dead, Worker: c.Worker,
		Location: f.Get("BUCKET_LOCATION"),
		Origins:  strings.Fields(f.Get("UPLOAD_ORIGINS")),
		Settings: f,
	}
	if s.Location != "" && !slices.Contains(cf.Locations, s.Location) {
		return nil, fmt.Errorf("%w: there is no location %q: choose from %s", errUsage, s.Location, strings.Join(cf.Locations, ", "))
	}
	if host := strings.TrimPrefix(f.Get("PUBLIC_URL"), "https://"); host != "" && !strings.HasSuffix(host, ".workers.dev") {
		if !hostname.MatchString(host) {
			return nil, fmt.Errorf("%w: %q is no domain: write it as video.example.com", errUsage, host)
		}
		s.Domain = host
	}
	// Where the transcoder is said to be elsewhere, there is no container, and the Worker knows nothing that it does not need.
	container := c.Image != "" && f.Get("TRANSCODER_URL") == ""
	if container {
		s.Image = c.Image
	}
	s.Secrets = func() map[string]string { return f.Worker(container) }
	return &account{site: s, settings: f, release: wrangler.Release{Root: root, Config: c, Secrets: s.Secrets}}, nil
}

// origin takes an origin (RFC 6454) from the command line.
func origin(all *[]string) func(string) error {
	return func(text string) error {
		u, err := url.Parse(text)
		if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || text != u.Scheme+"://"+u.Host {
			return errors.New("write it as https://app.example.com, without a path")
		}
		*all = append(*all, text)
		return nil
	}
}

// openSettings opens a file of settings, or else that of an environment.
func openSettings(environment, file string) (*settings.File, error) {
	root, err := local.Root()
	if err != nil {
		return nil, err
	}
	f, err := settings.Open(cmp.Or(file, filepath.Join(root, ".weir", cmp.Or(environment, "production")+".env")))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	return f, nil
}

var (
	hostname  = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}$`)
	accountID = regexp.MustCompile(`^[0-9a-f]{32}$`)
)

// onAccount opens the account that the flags tell of, and calls do.
func onAccount(flags *flag.FlagSet, stdout io.Writer, do func(*account) error) func() error {
	account := accountFlags(flags)
	return func() error {
		a, err := account()
		if err == nil {
			err = a.open(stdout)
		}
		if err != nil {
			return err
		}
		return do(a)
	}
}

// open takes the account from the environment. API tokens come from there alone: arguments show in lists of processes.
func (a *account) open(stdout io.Writer) error {
	var problems []error
	if a.site.Account = os.Getenv("CLOUDFLARE_ACCOUNT_ID"); !accountID.MatchString(a.site.Account) {
		problems = append(problems, errors.New("CLOUDFLARE_ACCOUNT_ID must be the account's ID, 32 hexadecimal digits: the dashboard's address has it"))
	}
	token := os.Getenv("CLOUDFLARE_API_TOKEN")
	if token == "" {
		problems = append(problems, errors.New("CLOUDFLARE_API_TOKEN is missing: an API token with the permissions "+strings.Join(cf.Permissions, ", ")))
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("%w: which account is to be set in the environment (plan --offline needs none):\n%w", errUsage, err)
	}
	a.options = []option.RequestOption{option.WithAPIToken(token)}
	if base := os.Getenv("CLOUDFLARE_BASE_URL"); base != "" { // as the library calls it
		a.options = append(a.options, option.WithBaseURL(base))
		a.release.API = base
	}
	if theirs := a.settings.Get("R2_ENDPOINT"); theirs != "" && theirs != a.endpoint() {
		return fmt.Errorf("%w: the settings %s are of another account, with the bucket at %s: set CLOUDFLARE_ACCOUNT_ID to that, or give another file (--settings)",
			errUsage, a.settings.Name(), theirs)
	}
	a.release.Account, a.release.Token = a.site.Account, token
	a.site.Release = a.release
	a.site.Push = func(ctx context.Context) error { return a.push(ctx, stdout) }
	return nil
}

// endpoint is where the account's buckets are reached over S3.
func (a *account) endpoint() string {
	host := a.site.Account
	if a.site.Jurisdiction != "" {
		host += "." + a.site.Jurisdiction
	}
	return "https://" + host + ".r2.cloudflarestorage.com"
}

// push builds the image of the container beside the Worker, and puts it into the account's registry.
func (a *account) push(ctx context.Context, out io.Writer) error {
	docker, err := image.Docker(ctx)
	if err == nil {
		err = image.Build(ctx, a.site.Image, out)
	}
	if err != nil {
		return fmt.Errorf("%w\nOr, where a transcoder runs already: --transcoder URL", err)
	}
	return a.release.Push(ctx, docker, a.site.Image)
}

// remember makes the keys that are missing, and writes down what a transcoder has to know, and what was said on the command line.
func (a *account) remember(ctx context.Context, now time.Time) error {
	address := "https://" + a.site.Domain
	if a.site.Domain == "" {
		var err error
		if address, err = cf.Address(ctx, a.site, a.options...); err != nil {
			return err
		}
	}
	if err := a.settings.Complete(now); err != nil {
		return err
	}
	return a.settings.Set(
		settings.Value{Name: "PUBLIC_URL", Text: address},
		settings.Value{Name: "R2_ENDPOINT", Text: a.endpoint()},
		settings.Value{Name: "R2_BUCKET", Text: a.site.Bucket},
	)
}

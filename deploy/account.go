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

	transcoder string // its origin, if it was said
}

// accountFlags declares what an operator says of a deployment. What is not said is as it was said before, in the settings; names are in
// wrangler.toml.
func accountFlags(flags *flag.FlagSet) func() (*account, error) {
	environment := flags.String("env", "production", "")
	file := flags.String("settings", "", "")
	location := flags.String("location", "", "")
	domain := flags.String("domain", "", "")
	var origins, transcoder []string
	flags.Func("origin", "", origin(&origins))
	flags.Func("transcoder", "", origin(&transcoder))
	return func() (*account, error) {
		root, err := local.Root()
		if err != nil {
			return nil, err
		}
		c, err := wrangler.Read(filepath.Join(root, "wrangler.toml"), *environment)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errUsage, err)
		}
		f, err := settings.Open(cmp.Or(*file, settingsFile(root, *environment)))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errUsage, err)
		}
		s := cf.Site{
			Bucket: c.Bucket.Name, Jurisdiction: c.Bucket.Jurisdiction, Uploads: c.Uploads, Dead: c.Dead, Worker: c.Worker,
			Location: cmp.Or(*location, f.Get("BUCKET_LOCATION")),
			Origins:  origins,
			Domain:   *domain,
			Settings: f,
		}
		if s.Location != "" && !slices.Contains(cf.Locations, s.Location) {
			return nil, fmt.Errorf("%w: there is no location %q: choose from %s", errUsage, s.Location, strings.Join(cf.Locations, ", "))
		}
		if origins == nil {
			s.Origins = strings.Fields(f.Get("UPLOAD_ORIGINS"))
		}
		if u, err := url.Parse(f.Get("PUBLIC_URL")); s.Domain == "" && err == nil && !strings.HasSuffix(u.Host, ".workers.dev") {
			s.Domain = u.Host
		}
		if s.Domain != "" && !hostname.MatchString(s.Domain) {
			return nil, fmt.Errorf("%w: %q is no domain: write it as video.example.com", errUsage, s.Domain)
		}
		// Where the transcoder is said to be elsewhere, there is no container, and the Worker knows nothing that it does not need.
		s.Secrets = func() map[string]string { return f.Worker(c.Image != "" && f.Get("TRANSCODER_URL") == "") }
		if f.Get("TRANSCODER_URL") == "" && transcoder == nil {
			s.Image = c.Image
		}
		a := &account{site: s, settings: f, release: wrangler.Release{Root: root, Config: c, Secrets: s.Secrets}}
		if transcoder != nil {
			a.transcoder = transcoder[len(transcoder)-1]
		}
		return a, nil
	}
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

// settingsFile is where the settings of an environment are, if nothing else is said.
func settingsFile(root, environment string) string {
	return filepath.Join(root, ".weir", environment+".env")
}

var (
	hostname  = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}$`)
	accountID = regexp.MustCompile(`^[0-9a-f]{32}$`)
)

// open takes the account from the environment. API tokens come from there alone: arguments show in lists of processes.
func (a *account) open() error {
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
	a.release.Account, a.release.Token = a.site.Account, token
	a.site.Release = a.release
	return nil
}

// push builds the image of the container beside the Worker, and puts it into the account's registry.
func (a *account) push(ctx context.Context, out io.Writer) error {
	name := strings.TrimPrefix(a.site.Image, wrangler.Registry)
	docker, err := image.Docker(ctx)
	if err == nil {
		err = image.Build(ctx, name, out)
	}
	if err != nil {
		return fmt.Errorf("%w\nOr, where a transcoder runs already: --transcoder URL", err)
	}
	return a.release.Push(ctx, docker, name)
}

// remember writes down what a transcoder has to know, and what was said on the command line.
func (a *account) remember(ctx context.Context, now time.Time) error {
	address := "https://" + a.site.Domain
	if a.site.Domain == "" {
		var err error
		if address, err = cf.Address(ctx, a.site, a.options...); err != nil {
			return err
		}
	}
	host := a.site.Account + ".r2.cloudflarestorage.com"
	if a.site.Jurisdiction != "" {
		host = a.site.Account + "." + a.site.Jurisdiction + ".r2.cloudflarestorage.com"
	}
	if err := a.settings.Complete(now); err != nil {
		return err
	}
	return a.settings.Set(
		settings.Value{Name: "PUBLIC_URL", Text: address},
		settings.Value{Name: "R2_ENDPOINT", Text: "https://" + host},
		settings.Value{Name: "R2_BUCKET", Text: a.site.Bucket},
		settings.Value{Name: "BUCKET_LOCATION", Text: a.site.Location},
		settings.Value{Name: "UPLOAD_ORIGINS", Text: strings.Join(a.site.Origins, " ")},
		settings.Value{Name: "TRANSCODER_URL", Text: cmp.Or(a.transcoder, a.settings.Get("TRANSCODER_URL"))},
	)
}

// planCommand tells what is wanted of an account, and what it lacks.
func planCommand(ctx context.Context, flags *flag.FlagSet, stdout io.Writer) func() error {
	offline := flags.Bool("offline", false, "")
	account := accountFlags(flags)
	return func() error {
		a, err := account()
		if err != nil {
			return err
		}
		if *offline {
			printPlan(stdout, cf.New(a.site).Wanted())
			return nil
		}
		if err := a.open(); err != nil {
			return err
		}
		steps, err := cf.New(a.site, a.options...).Plan(ctx)
		if err != nil {
			return err
		}
		printPlan(stdout, steps)
		return nil
	}
}

// applyCommand brings an account to what is wanted.
func applyCommand(ctx context.Context, flags *flag.FlagSet, stdout io.Writer) func() error {
	account := accountFlags(flags)
	return func() error {
		a, err := account()
		if err != nil {
			return err
		}
		if err := a.open(); err != nil {
			return err
		}
		if err := a.remember(ctx, time.Now()); err != nil {
			return err
		}
		a.site.Push = func(ctx context.Context) error { return a.push(ctx, stdout) }
		changed, all := 0, 0
		if err := cf.New(a.site, a.options...).Apply(ctx, func(s cf.Step) {
			printStep(stdout, s)
			all++
			if !s.Done() {
				changed++
			}
		}); err != nil {
			return fmt.Errorf("%w\nwhat is listed above is done: once this is mended, run it again", err)
		}
		_, _ = fmt.Fprintf(stdout, "\nchanged: %d of %d parts. People watch at %s\n%s is the environment of a transcoder (--env-file): keep it as you keep keys\n",
			changed, all, a.settings.Get("PUBLIC_URL"), a.settings.Name())
		return nil
	}
}

// destroyCommand takes a deployment down, once its name was typed.
func destroyCommand(ctx context.Context, flags *flag.FlagSet, stdin io.Reader, stdout io.Writer) func() error {
	data := flags.Bool("data", false, "")
	account := accountFlags(flags)
	return func() error {
		a, err := account()
		if err != nil {
			return err
		}
		if err := a.open(); err != nil {
			return err
		}
		if *data {
			a.site.Empty = a.empty
		}
		d := cf.New(a.site, a.options...)
		steps, err := d.Plan(ctx)
		if err != nil {
			return err
		}
		there := 0
		for _, s := range steps {
			s.Drop, s.Keep, s.Add = slices.Concat(s.Keep, s.Drop), nil, nil
			if there += len(s.Drop); len(s.Drop) > 0 {
				printStep(stdout, s)
			}
		}
		if there == 0 {
			_, _ = fmt.Fprintln(stdout, "there is nothing to take down")
			return nil
		}
		word := a.site.Worker
		if *data {
			word = "all videos of " + a.site.Bucket
			_, _ = fmt.Fprintf(stdout, "\nAll of this goes, and EVERY OBJECT of the bucket %s: uploads, videos, records. It cannot be undone.\n", a.site.Bucket)
		} else {
			_, _ = fmt.Fprintf(stdout, "\nAll of this goes but the bucket %s with what is in it; with --data, that goes too.\n", a.site.Bucket)
		}
		_, _ = fmt.Fprintf(stdout, "Type %q to go on: ", word)
		if got, _ := readLine(stdin); got != word {
			return fmt.Errorf("%w: it was not typed: nothing was changed", errUsage)
		}
		if err := d.Destroy(ctx, func(s cf.Step) {
			if len(s.Drop) > 0 {
				_, _ = fmt.Fprintf(stdout, "gone: %s\n", s.What)
			}
		}); err != nil {
			return fmt.Errorf("%w\nwhat is listed above is gone: once this is mended, run it again", err)
		}
		_, _ = fmt.Fprintf(stdout, "it is taken down. %s has its keys still: delete it if it shall not come back\n", a.settings.Name())
		return nil
	}
}

// readLine reads a line, and no byte after it.
func readLine(r io.Reader) (string, error) {
	var line []byte
	for b := make([]byte, 1); ; line = append(line, b...) {
		if _, err := io.ReadFull(r, b); err != nil || b[0] == '\n' {
			return strings.TrimSuffix(string(line), "\r"), err
		}
	}
}

// printPlan prints the steps, and their sum.
func printPlan(w io.Writer, steps []cf.Step) {
	add, drop := 0, 0
	for _, s := range steps {
		printStep(w, s)
		add, drop = add+len(s.Add), drop+len(s.Drop)
	}
	if add+drop == 0 {
		_, _ = fmt.Fprintln(w, "\nall is as wanted")
	} else {
		_, _ = fmt.Fprintf(w, "\nto add: %d, to remove: %d\n", add, drop)
	}
}

// printStep prints a part and its lines: = is there, + is to come, or has come, - is to go, or has gone.
func printStep(w io.Writer, s cf.Step) {
	_, _ = fmt.Fprintln(w, s.What)
	for _, lines := range []struct {
		mark string
		text []string
	}{{"=", s.Keep}, {"-", s.Drop}, {"+", s.Add}} {
		for _, line := range lines.text {
			_, _ = fmt.Fprintf(w, "  %s %s\n", lines.mark, line)
		}
	}
	if len(s.Keep)+len(s.Drop)+len(s.Add) == 0 {
		_, _ = fmt.Fprintln(w, "    none")
	}
}

package main

import (
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

	"github.com/cloudflare/cloudflare-go/v7/option"

	"weir/deploy/internal/cf"
	"weir/deploy/internal/wrangler"
	"weir/deploy/local"
)

// planCommand declares the flags of plan, which tells what is wanted of a Cloudflare account and what it lacks.
func planCommand(ctx context.Context, flags *flag.FlagSet, stdout io.Writer) func() error {
	offline := flags.Bool("offline", false, "")
	site := siteFlags(flags)
	return func() error {
		s, err := site()
		if err != nil {
			return err
		}
		if *offline {
			printPlan(stdout, cf.New(s).Wanted())
			return nil
		}
		d, err := deployment(s)
		if err != nil {
			return err
		}
		steps, err := d.Plan(ctx)
		if err != nil {
			return err
		}
		printPlan(stdout, steps)
		return nil
	}
}

// siteFlags declares what an operator says of a deployment; wrangler.toml says the rest.
func siteFlags(flags *flag.FlagSet) func() (cf.Site, error) {
	environment := flags.String("env", "production", "")
	var origins []string
	flags.Func("origin", "", func(text string) error {
		u, err := url.Parse(text)
		if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || text != u.Scheme+"://"+u.Host {
			return errors.New("write it as https://app.example.com, without a path")
		}
		origins = append(origins, text)
		return nil
	})
	location := flags.String("location", "", "")
	return func() (cf.Site, error) {
		if *location != "" && !slices.Contains(cf.Locations, *location) {
			return cf.Site{}, fmt.Errorf("%w: there is no location %q: choose from %s", errUsage, *location, strings.Join(cf.Locations, ", "))
		}
		root, err := local.Root()
		if err != nil {
			return cf.Site{}, err
		}
		c, err := wrangler.Read(filepath.Join(root, "wrangler.toml"), *environment)
		if err != nil {
			return cf.Site{}, fmt.Errorf("%w: %w", errUsage, err)
		}
		return cf.Site{
			Bucket: c.Bucket.Name, Jurisdiction: c.Bucket.Jurisdiction, Location: *location, Origins: origins, Uploads: c.Uploads, Dead: c.Dead,
		}, nil
	}
}

var accountID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// deployment is a site in the account that the environment names. Tokens come from there alone: arguments show in lists of processes.
func deployment(s cf.Site) (*cf.Deployment, error) {
	var problems []error
	if s.Account = os.Getenv("CLOUDFLARE_ACCOUNT_ID"); !accountID.MatchString(s.Account) {
		problems = append(problems, errors.New("CLOUDFLARE_ACCOUNT_ID must be the account's ID, 32 hexadecimal digits: the dashboard's address has it"))
	}
	token := os.Getenv("CLOUDFLARE_API_TOKEN")
	if token == "" {
		problems = append(problems, errors.New("CLOUDFLARE_API_TOKEN is missing: an API token with the permissions Workers R2 Storage Write and Queues Write"))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("%w: which account is to be set in the environment (plan --offline needs none):\n%w", errUsage, err)
	}
	options := []option.RequestOption{option.WithAPIToken(token)}
	if base := os.Getenv("CLOUDFLARE_BASE_URL"); base != "" { // as the library calls it
		options = append(options, option.WithBaseURL(base))
	}
	return cf.New(s, options...), nil
}

// printPlan prints a part and its lines: = is there, + is to come, - is to go.
func printPlan(w io.Writer, steps []cf.Step) {
	add, drop := 0, 0
	for _, s := range steps {
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
		add, drop = add+len(s.Add), drop+len(s.Drop)
	}
	if add+drop == 0 {
		_, _ = fmt.Fprintln(w, "\nall is as wanted")
	} else {
		_, _ = fmt.Fprintf(w, "\nto add: %d, to remove: %d\n", add, drop)
	}
}

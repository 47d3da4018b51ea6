package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"weir/deploy/internal/cf"
)

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
		if err := a.open(stdout); err != nil {
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
	return onAccount(flags, stdout, func(a *account) error {
		if err := a.remember(ctx, time.Now()); err != nil {
			return err
		}
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
	})
}

// destroyCommand takes a deployment down, once its name was typed.
func destroyCommand(ctx context.Context, flags *flag.FlagSet, stdin io.Reader, stdout io.Writer) func() error {
	data := flags.Bool("data", false, "")
	return onAccount(flags, stdout, func(a *account) error {
		if *data {
			a.site.Empty = a.empty
		}
		d := cf.New(a.site, a.options...)
		standing, err := d.Standing(ctx)
		if err != nil {
			return err
		}
		if len(standing) == 0 {
			_, _ = fmt.Fprintln(stdout, "there is nothing to take down")
			return nil
		}
		for _, s := range standing {
			printStep(stdout, s)
		}
		word := a.site.Worker
		if *data {
			word = "all videos of " + a.site.Bucket
			_, _ = fmt.Fprintf(stdout, "\nAll of this goes, and EVERY OBJECT of the bucket %s: uploads, videos, records. It cannot be undone.\n", a.site.Bucket)
		} else {
			_, _ = fmt.Fprintf(stdout, "\nAll of this goes. The bucket %s stays, with what is in it; with --data, it goes too.\n", a.site.Bucket)
		}
		_, _ = fmt.Fprintf(stdout, "Type %q to go on: ", word)
		if got, _ := readLine(stdin); got != word {
			return fmt.Errorf("%w: it was not typed: nothing was changed", errUsage)
		}
		if err := d.Destroy(ctx, func(s cf.Step) {
			_, _ = fmt.Fprintf(stdout, "gone: %s\n", s.What)
		}); err != nil {
			return fmt.Errorf("%w\nwhat is listed above is gone: once this is mended, run it again", err)
		}
		_, _ = fmt.Fprintf(stdout, "it is taken down. %s has its keys still: delete it if it shall not come back\n", a.settings.Name())
		return nil
	})
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

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/deploy/internal/bench"
	"weir/deploy/internal/bench/edge"
	"weir/deploy/internal/bench/picture"
	"weir/deploy/internal/chaos"
)

// chaosCommand declares the flags of chaos; a figure that is not given is that of the full run, or of the short one.
func chaosCommand(ctx context.Context, flags *flag.FlagSet, stdout io.Writer) func() error {
	short, mutants := flags.Bool("short", false, ""), flags.Bool("mutants", false, "")
	only, seed := list(flags, "only", chaos.Parts()), flags.Uint64("seed", 0, "")
	transcoder, logFile := flags.String("transcoder", "", ""), flags.String("log", "", "")
	full, brief := chaos.Full, chaos.Short
	for name, figure := range map[string][2]*int{
		"kills": {&full.Kills, &brief.Kills}, "wipes": {&full.Wipes, &brief.Wipes},
		"zombies": {&full.Zombies, &brief.Zombies}, "takeovers": {&full.Takeovers, &brief.Takeovers},
		"posts": {&full.Posts, &brief.Posts}, "deletes": {&full.Deletes, &brief.Deletes},
	} {
		flags.Func(name, "", func(text string) error {
			n, err := strconv.ParseUint(text, 10, 31)
			*figure[0], *figure[1] = int(n), int(n)
			return err
		})
	}
	for name, figure := range map[string][2]*time.Duration{
		"bucket": {&full.Bucket, &brief.Bucket}, "queue": {&full.Queue, &brief.Queue},
	} {
		flags.Func(name, "", func(text string) error {
			d, err := time.ParseDuration(text)
			*figure[0], *figure[1] = d, d
			return err
		})
	}
	return func() error {
		opts := full
		if *short {
			opts = brief
		}
		opts.Only, opts.Mutants, opts.Seed, opts.Transcoder = *only, *mutants, *seed, *transcoder
		return logged(*logFile, func(log io.Writer) error {
			opts.Log = log
			return chaos.Run(ctx, opts, stdout)
		})
	}
}

func benchCommand(ctx context.Context, flags *flag.FlagSet, stdout io.Writer) func() error {
	short, only := flags.Bool("short", false, ""), list(flags, "only", bench.Parts())
	transcoder, logFile := flags.String("transcoder", "", ""), flags.String("log", "", "")
	return func() error {
		return logged(*logFile, func(log io.Writer) error {
			return bench.Run(ctx, bench.Options{Short: *short, Only: *only, Transcoder: *transcoder, Log: log}, stdout)
		})
	}
}

func benchPictureCommand(ctx context.Context, flags *flag.FlagSet, stdout io.Writer) func() error {
	short, length, only := flags.Bool("short", false, ""), flags.Duration("length", time.Minute, ""), list(flags, "only", picture.Clips())
	chart, transcoder, logFile := flags.String("chart", "", ""), flags.String("transcoder", "", ""), flags.String("log", "", "")
	return func() error {
		return logged(*logFile, func(log io.Writer) error {
			return picture.Run(ctx, picture.Options{Short: *short, Length: *length, Only: *only, Chart: *chart, Transcoder: *transcoder, Log: log}, stdout)
		})
	}
}

func benchEdgeCommand(ctx context.Context, flags *flag.FlagSet, stdout io.Writer) func() error {
	short, only := flags.Bool("short", false, ""), list(flags, "only", edge.Parts())
	logFile := flags.String("log", "", "")
	return func() error {
		return logged(*logFile, func(log io.Writer) error {
			return edge.Run(ctx, edge.Options{Short: *short, Only: *only, Log: log}, stdout)
		})
	}
}

// list declares a flag that takes some of the names, separated by commas.
func list(flags *flag.FlagSet, name string, names []string) *[]string {
	chosen := new([]string)
	flags.Func(name, "", func(text string) error {
		*chosen = strings.Split(text, ",")
		for _, c := range *chosen {
			if !slices.Contains(names, c) {
				return fmt.Errorf("there is no %q: choose from %s", c, strings.Join(names, ", "))
			}
		}
		return nil
	})
	return chosen
}

// logged calls do with what writes to the file; without a file it is nil.
func logged(file string, do func(io.Writer) error) (err error) {
	if file == "" {
		return do(nil)
	}
	f, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return do(f)
}

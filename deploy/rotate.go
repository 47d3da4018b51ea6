package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"weir/deploy/internal/bucket"
	"weir/deploy/internal/cf"
	"weir/deploy/internal/rotate"
)

// rotateCommand changes the key that signs tokens.
func rotateCommand(ctx context.Context, flags *flag.FlagSet, stdout io.Writer) func() error {
	return onAccount(flags, stdout, func(a *account) error {
		if a.settings.Get("PUBLIC_URL") == "" {
			return fmt.Errorf("%w: %s has no deployment yet: run `deploy apply` first", errUsage, a.settings.Name())
		}
		err := rotate.Run(ctx, rotate.Rotation{
			Settings: a.settings,
			Deploy: func(ctx context.Context) error {
				return cf.New(a.site, a.options...).Apply(ctx, func(cf.Step) {})
			},
			Videos: a.videos,
			Now:    time.Now,
		}, stdout)
		if errors.Is(err, rotate.ErrNotYet) {
			_, _ = fmt.Fprintln(stdout, err)
			return nil
		}
		return err
	})
}

// videos are IDs of some videos that have something published.
func (a *account) videos(ctx context.Context) (ids []string, err error) {
	client := bucket.Client(a.settings.Get("R2_ENDPOINT"), a.settings.Get("R2_ACCESS_KEY_ID"), a.settings.Get("R2_SECRET_ACCESS_KEY"))
	prefix, slash := "videos/", "/"
	page, err := client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &a.site.Bucket, Prefix: &prefix, Delimiter: &slash})
	if err != nil {
		return nil, fmt.Errorf("list videos: %w", err)
	}
	for _, p := range page.CommonPrefixes {
		ids = append(ids, strings.Trim(strings.TrimPrefix(*p.Prefix, prefix), slash))
	}
	return ids, nil
}

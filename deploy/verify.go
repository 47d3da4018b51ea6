package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"weir/deploy/internal/sample"
	"weir/deploy/internal/stack"
	"weir/deploy/internal/verify"
)

// verifyCommand holds a deployment to its specification, and takes a video through it.
func verifyCommand(ctx context.Context, flags *flag.FlagSet, stdout io.Writer) func() error {
	site := flags.String("url", "", "")
	environment, file := flags.String("env", "", ""), flags.String("settings", "", "")
	whole := flags.Bool("job", false, "")
	video, webhook := flags.String("video", "", ""), flags.String("webhook", "", "")
	return func() error {
		get := os.Getenv
		if *environment != "" || *file != "" {
			f, err := openSettings(*environment, *file)
			if err != nil {
				return err
			}
			get = f.Get
		}
		target, err := verify.Load(get, *site)
		if *whole && get("API_KEY") == "" {
			err = errors.Join(err, errors.New("API_KEY is missing: the transcoder's, for a whole job"))
		}
		if err != nil {
			return fmt.Errorf("%w: what to verify is to be set in the environment, or in a file (--env, --settings):\n%w", errUsage, err)
		}
		if !*whole {
			return verify.Command(ctx, target, nil, stdout)
		}
		if err := readable(*video); err != nil {
			return err
		}
		return withVideo(ctx, *video, func(video string) error {
			// Nobody listens there, but somebody must be told.
			job := verify.Job{Target: target, APIKey: verify.Bearer(get("API_KEY")), Video: video, Webhook: cmp.Or(*webhook, target.URL+"/webhook")}
			return verify.Command(ctx, target, &job, stdout)
		})
	}
}

// verifyLocal starts everything on this machine, verifies it as if it were live, and stops it.
func verifyLocal(ctx context.Context, stdout io.Writer) (err error) {
	s, err := stack.Start(ctx, stack.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	ctx, done := s.Guard(ctx)
	defer done()
	environment := map[string]string{
		"PUBLIC_URL": s.Cloud.URL, "R2_ENDPOINT": s.Cloud.Endpoint, "R2_BUCKET": s.Cloud.Bucket,
		"R2_ACCESS_KEY_ID": s.Cloud.AccessKeyID, "R2_SECRET_ACCESS_KEY": s.Cloud.SecretAccessKey, "TOKEN_KEY": s.Cloud.TokenKey,
	}
	target, err := verify.Load(func(name string) string { return environment[name] }, "")
	if err != nil {
		return err
	}
	return withVideo(ctx, "", func(video string) error {
		job := verify.Job{Target: target, APIKey: s.APIKey, Video: video, Webhook: s.Hooks.URL, Told: s.Processed}
		return verify.Command(ctx, target, &job, stdout)
	})
}

// withVideo calls do with a video: the file, or else a short sample.
func withVideo(ctx context.Context, file string, do func(string) error) (err error) {
	if file != "" {
		return do(file)
	}
	dir, err := os.MkdirTemp("", "weir-verify-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file = filepath.Join(dir, "sample.mp4")
	short := sample.Demo
	short.Duration /= 3
	if err := short.Make(ctx, file); err != nil {
		return err
	}
	return do(file)
}

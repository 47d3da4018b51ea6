package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// uploadTTL is how long the printed upload URL works: a working day.
const uploadTTL = 8 * time.Hour

// manual prints where everything is, and the three requests that make a video.
func (d *demo) manual(ctx context.Context) error {
	key := "uploads/first.mp4"
	put, err := s3.NewPresignClient(d.stack.Cloud.S3()).PresignPutObject(ctx,
		&s3.PutObjectInput{Bucket: &d.stack.Cloud.Bucket, Key: &key}, s3.WithPresignExpires(uploadTTL))
	if err != nil {
		return fmt.Errorf("make an upload URL: %w", err)
	}
	s := d.stack
	d.say(`
Worker       %s (the API and the videos)
API key      %s
transcoder   %s (the API alone)
bucket       %s at %s (key id %s, secret %s)
webhooks     %s (a receiver that checks their signature)

Upload a video, have it transcoded, and get a URL to play:

  curl -T video.mp4 '%s'

  curl -X POST %s/transcode -H 'Authorization: Bearer %s' -H 'Content-Type: application/json' \
    -d '{"video_id":"first","key":"%s","webhook_url":"%s"}'

  curl %s/videos/first/playback -H 'Authorization: Bearer %s'

Ctrl-C ends it; the bucket goes with it.
`,
		s.Cloud.URL, s.APIKey, s.API, s.Cloud.Bucket, s.Cloud.Endpoint, s.Cloud.AccessKeyID, s.Cloud.SecretAccessKey, s.Hooks.URL,
		put.URL, s.Cloud.URL, s.APIKey, key, s.Hooks.URL, s.Cloud.URL, s.APIKey)
	return nil
}

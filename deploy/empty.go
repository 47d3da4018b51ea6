package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"weir/deploy/internal/bucket"
)

// empty deletes every object of the deployment's bucket, and uploads in parts that were not completed: R2 deletes no bucket that has any.
func (a *account) empty(ctx context.Context) error {
	id, secret := a.settings.Get("R2_ACCESS_KEY_ID"), a.settings.Get("R2_SECRET_ACCESS_KEY")
	if id == "" || secret == "" {
		return errors.New("the settings have no keys of the bucket, to empty it with: run `deploy apply`, then this again")
	}
	client := bucket.Client(a.settings.Get("R2_ENDPOINT"), id, secret)
	for pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: &a.site.Bucket}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("list the objects of %s: %w", a.site.Bucket, err)
		}
		var names []types.ObjectIdentifier
		for _, o := range page.Contents {
			names = append(names, types.ObjectIdentifier{Key: o.Key})
		}
		if len(names) == 0 {
			break
		}
		quiet := true
		gone, err := client.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &a.site.Bucket, Delete: &types.Delete{Objects: names, Quiet: &quiet}})
		if err != nil {
			return fmt.Errorf("delete objects of %s: %w", a.site.Bucket, err)
		}
		if len(gone.Errors) > 0 {
			return fmt.Errorf("delete objects of %s: %d of %d are still there", a.site.Bucket, len(gone.Errors), len(names))
		}
	}
	for pages := s3.NewListMultipartUploadsPaginator(client, &s3.ListMultipartUploadsInput{Bucket: &a.site.Bucket}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("list the uploads to %s: %w", a.site.Bucket, err)
		}
		for _, u := range page.Uploads {
			if _, err := client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &a.site.Bucket, Key: u.Key, UploadId: u.UploadId}); err != nil {
				return fmt.Errorf("abort an upload to %s: %w", a.site.Bucket, err)
			}
		}
	}
	return nil
}

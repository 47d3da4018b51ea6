package verify

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"weir/deploy/internal/bucket"
)

// S3 is a bucket at an S3 endpoint: R2's, or that of the local Cloudflare.
type S3 struct {
	client *s3.Client
	name   string
}

// OpenS3 returns a bucket. It does not connect.
func OpenS3(endpoint, name, accessKeyID, secretAccessKey string) S3 {
	return S3{bucket.Client(endpoint, accessKeyID, secretAccessKey), name}
}

// Put implements [Bucket]. Of the headers, it takes Content-Type, Content-Encoding and Cache-Control.
func (b S3) Put(ctx context.Context, key string, header http.Header, body string) error {
	value := func(name string) *string {
		if v := header.Get(name); v != "" {
			return &v
		}
		return nil
	}
	if _, err := b.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &b.name, Key: &key, Body: strings.NewReader(body),
		ContentType: value("Content-Type"), ContentEncoding: value("Content-Encoding"), CacheControl: value("Cache-Control"),
	}); err != nil {
		return fmt.Errorf("put %q into the bucket: %w", key, err)
	}
	return nil
}

// Delete implements [Bucket].
func (b S3) Delete(ctx context.Context, key string) error {
	if _, err := b.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.name, Key: &key}); err != nil {
		return fmt.Errorf("delete %q from the bucket: %w", key, err)
	}
	return nil
}

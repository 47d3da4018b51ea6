// Package r2 is the bucket: the few operations on objects that Weir needs, over the S3 API of Cloudflare R2.
//
// Every operation is strongly consistent and retried by the SDK; a write has happened when it returns. Conditional writes
// are how nodes agree with each other: [Bucket.Create] succeeds for one caller, [Bucket.Replace] only for one who has seen
// what it replaces. Errors are the kinds of package job. Only this package imports the AWS SDK.
package r2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"weir/transcoder/internal/job"
)

const (
	// attempts outlast a node of the bucket's that restarts; longer outages are for the queue to sit out.
	attempts = 6
	// responseTimeout bounds the wait for an answer's first byte.
	responseTimeout = 30 * time.Second
	// maxDelete is the most keys that one request may delete.
	maxDelete = 1000
)

// Config says where the bucket is.
type Config struct {
	Endpoint        string
	Bucket          string
	AccessKeyID     string
	SecretAccessKey string
	// Observe, if there is one, is told of each request, those included that are repeated, with its status; 0 is no answer. Requests
	// that the caller cut off are left out.
	Observe func(method string, status int)
}

// Bucket is an R2 bucket.
type Bucket struct {
	client *s3.Client
	name   string
}

// Object is what is known of an object without reading it.
type Object struct {
	Key  string
	Size int64
	// ETag is a version tag, quoted; equal ETags mean equal content of the same key.
	ETag string
}

// Meta is kept with an object and sent with it.
type Meta struct {
	ContentType  string
	CacheControl string
}

// Open returns the bucket. It does not connect.
func Open(c Config) *Bucket {
	var client s3.HTTPClient = awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.ResponseHeaderTimeout = responseTimeout
		t.MaxIdleConnsPerHost = 64
	})
	if c.Observe != nil {
		client = observed{client, c.Observe}
	}
	return &Bucket{name: c.Bucket, client: s3.New(s3.Options{
		BaseEndpoint: aws.String(c.Endpoint),
		Region:       "auto",
		Credentials:  credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, ""),
		UsePathStyle: true,
		// R2 does not take the SDK's trailing checksums.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
		// R2 never answers "100 Continue": asking for it costs a second an object.
		ContinueHeaderThresholdBytes: -1,
		Retryer:                      retry.NewStandard(retryPolicy),
		HTTPClient:                   client,
	})}
}

// observed is a client whose requests are told of.
type observed struct {
	s3.HTTPClient
	observe func(method string, status int)
}

func (o observed) Do(r *http.Request) (*http.Response, error) {
	response, err := o.HTTPClient.Do(r)
	switch {
	case err == nil:
		o.observe(r.Method, response.StatusCode)
	case !errors.Is(r.Context().Err(), context.Canceled):
		o.observe(r.Method, 0)
	}
	return response, err
}

// retryPolicy adds to the SDK's what R2 answers to a second write of one key within a second.
func retryPolicy(o *retry.StandardOptions) {
	o.MaxAttempts = attempts
	o.Retryables = append(o.Retryables, retry.RetryableHTTPStatusCode{
		Codes: map[int]struct{}{http.StatusTooManyRequests: {}},
	})
}

// checked is a key at which nothing lies.
const checked = "work/none"

// Check tells whether the bucket can be reached and the credentials are accepted. It reads an object that is not there, and the error's
// code tells that from a bucket that is not there. R2 bills a list ten times as high as a read; to a HEAD, it gives no code, and to the
// HEAD of a bucket, tokens for objects have no right.
func (b *Bucket) Check(ctx context.Context) error {
	out, err := b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: aws.String(checked)})
	var missing *types.NoSuchKey
	switch {
	case err == nil:
		return out.Body.Close() // somebody has put it there
	case errors.As(err, &missing):
		return nil
	}
	return b.failed("check", checked, err)
}

// Stat describes an object. A missing one is [job.ErrNotFound].
func (b *Bucket) Stat(ctx context.Context, key string) (Object, error) {
	out, err := b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.name, Key: &key})
	if err != nil {
		return Object{}, b.failed("stat", key, err)
	}
	return Object{Key: key, Size: aws.ToInt64(out.ContentLength), ETag: aws.ToString(out.ETag)}, nil
}

// Read returns a small object and its ETag. A missing one is [job.ErrNotFound].
func (b *Bucket) Read(ctx context.Context, key string) (data []byte, etag string, err error) {
	out, err := b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: &key})
	if err != nil {
		return nil, "", b.failed("read", key, err)
	}
	defer out.Body.Close()
	data, err = io.ReadAll(out.Body)
	return data, aws.ToString(out.ETag), b.failed("read", key, err)
}

// ReadRange returns size bytes of an object from offset on, of the version with the given ETag. Another version is
// [job.ErrConflict], a missing object [job.ErrNotFound].
func (b *Bucket) ReadRange(ctx context.Context, key, etag string, offset, size int64) ([]byte, error) {
	out, err := b.client.GetObject(ctx, &s3.GetObjectInput{
		Bucket: &b.name, Key: &key, IfMatch: &etag,
		Range: aws.String(fmt.Sprintf("bytes=%d-%d", offset, offset+size-1)),
	})
	if err != nil {
		return nil, b.failed("read", key, err)
	}
	defer out.Body.Close()
	data := make([]byte, size)
	_, err = io.ReadFull(out.Body, data)
	return data, b.failed("read", key, err)
}

// Write puts an object, over whatever is there.
func (b *Bucket) Write(ctx context.Context, key string, data []byte, m Meta) error {
	return b.put(ctx, &s3.PutObjectInput{Key: &key}, data, m)
}

// Create puts an object that is not there yet. If it is, that is [job.ErrConflict] and nothing changes.
func (b *Bucket) Create(ctx context.Context, key string, data []byte, m Meta) error {
	return b.put(ctx, &s3.PutObjectInput{Key: &key, IfNoneMatch: aws.String("*")}, data, m)
}

// Replace puts an object in place of the version with the given ETag. If another is there, that is [job.ErrConflict] and
// nothing changes.
func (b *Bucket) Replace(ctx context.Context, key, etag string, data []byte, m Meta) error {
	return b.put(ctx, &s3.PutObjectInput{Key: &key, IfMatch: &etag}, data, m)
}

func (b *Bucket) put(ctx context.Context, in *s3.PutObjectInput, data []byte, m Meta) error {
	in.Bucket = &b.name
	in.Body = bytes.NewReader(data)
	in.ContentType = aws.String(m.ContentType)
	if m.CacheControl != "" {
		in.CacheControl = aws.String(m.CacheControl)
	}
	_, err := b.client.PutObject(ctx, in)
	return b.failed("write", *in.Key, err)
}

// Delete removes objects. One that is not there is no error.
func (b *Bucket) Delete(ctx context.Context, keys ...string) error {
	for len(keys) > 0 {
		n := min(len(keys), maxDelete)
		ids := make([]types.ObjectIdentifier, n)
		for i, key := range keys[:n] {
			ids[i].Key = aws.String(key)
		}
		out, err := b.client.DeleteObjects(ctx, &s3.DeleteObjectsInput{
			Bucket: &b.name, Delete: &types.Delete{Objects: ids, Quiet: aws.Bool(true)},
		})
		if err != nil {
			return b.failed("delete", keys[0], err)
		}
		if len(out.Errors) > 0 {
			e := out.Errors[0]
			return fmt.Errorf("delete %q: %s: %s", aws.ToString(e.Key), aws.ToString(e.Code), aws.ToString(e.Message))
		}
		keys = keys[n:]
	}
	return nil
}

// List yields the objects whose keys start with prefix, in the order of the keys. An error ends it.
func (b *Bucket) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		pages := s3.NewListObjectsV2Paginator(b.client, &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: &prefix})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(Object{}, b.failed("list", prefix, err))
				return
			}
			for _, o := range page.Contents {
				if !yield(Object{Key: aws.ToString(o.Key), Size: aws.ToInt64(o.Size), ETag: aws.ToString(o.ETag)}, nil) {
					return
				}
			}
		}
	}
}

// failed names the operation and turns the statuses that mean something into the kinds of package job.
func (b *Bucket) failed(operation, key string, err error) error {
	if err == nil {
		return nil
	}
	if kind := kindOf(err); kind != nil {
		err = fmt.Errorf("%w: %w", kind, err)
	}
	return fmt.Errorf("%s %q in bucket %q: %w", operation, key, b.name, err)
}

// kindOf is the kind of an error in package job; nil if the request was wrong, which time does not mend.
func kindOf(err error) error {
	var response *awshttp.ResponseError
	if !errors.As(err, &response) {
		return job.ErrUnavailable // there was no answer, or half of one
	}
	switch status := response.HTTPStatusCode(); {
	case status == http.StatusNotFound:
		return job.ErrNotFound
	case status == http.StatusPreconditionFailed, status == http.StatusConflict:
		return job.ErrConflict
	case status == http.StatusUnauthorized, status == http.StatusForbidden, // the operator mends the credentials
		status == http.StatusRequestTimeout, status == http.StatusTooManyRequests,
		status < 400, status >= 500:
		return job.ErrUnavailable
	}
	return nil
}

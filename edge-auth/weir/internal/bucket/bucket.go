// Package bucket reads the objects of a bucket over S3, in the words of package gate: of Cloudflare R2, Amazon S3, or whatever speaks
// as they do. It writes nothing. Only this package imports the AWS SDK.
package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/auth"
	smithyendpoints "github.com/aws/smithy-go/endpoints"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"weir/edge-auth/internal/gate"
)

const (
	// Somebody is waiting: what fails is tried again at once, and soon given up. Players ask again.
	attempts   = 3
	maxBackoff = 200 * time.Millisecond
	// dialTimeout and responseTimeout bound the wait for a connection, and for an answer's first byte.
	dialTimeout     = 5 * time.Second
	responseTimeout = 10 * time.Second
	// idleConnections is how many viewers may stream at the same time before connections are made anew for each.
	idleConnections = 256
)

// Config says where the bucket is.
type Config struct {
	Endpoint        *url.URL
	Name            string
	Region          string // for R2, "auto"
	AccessKeyID     string
	SecretAccessKey string
}

// Bucket is a bucket. It may be used by several goroutines.
type Bucket struct {
	client *s3.Client
	name   string
}

// Open returns the bucket. It does not connect.
func Open(c Config) *Bucket {
	return &Bucket{name: c.Name, client: s3.New(s3.Options{
		EndpointResolverV2: place(*c.Endpoint.JoinPath(c.Name)),
		Region:             c.Region,
		Credentials:        credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, ""),
		// Of a part, there is no checksum; the warning about it would be one a request.
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts, o.MaxBackoff = attempts, maxBackoff
		}),
		HTTPClient: awshttp.NewBuildableClient().
			WithDialerOptions(func(d *net.Dialer) { d.Timeout = dialTimeout }).
			WithTransportOptions(func(t *http.Transport) {
				t.ResponseHeaderTimeout = responseTimeout
				t.MaxIdleConns, t.MaxIdleConnsPerHost, t.MaxConnsPerHost = 0, idleConnections, 0
			}),
	})}
}

// place is the bucket's URL. The SDK's own resolver would work it out three times a request, which takes longer than all the rest.
type place url.URL

// ResolveEndpoint implements [s3.EndpointResolverV2].
func (p place) ResolveEndpoint(context.Context, s3.EndpointParameters) (smithyendpoints.Endpoint, error) {
	e := smithyendpoints.Endpoint{URI: url.URL(p)}
	// S3 is signed for with keys that are escaped once, unlike what else Amazon has.
	sign := &auth.Option{SchemeID: auth.SchemeIDSigV4}
	smithyhttp.SetDisableDoubleEncoding(&sign.SignerProperties, true)
	auth.SetAuthOptions(&e.Properties, []*auth.Option{sign})
	return e, nil
}

// Head describes an object. There is an error if the outcome is [gate.Failed], and only then.
func (b *Bucket) Head(ctx context.Context, key string) (gate.Object, error) {
	out, err := b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.name, Key: &key})
	if err != nil {
		return ended(key, err)
	}
	if out.ContentLength == nil {
		return ended(key, errors.New("the bucket does not say how large it is"))
	}
	return found(*out.ContentLength, out.ETag, out.LastModified, out.CacheControl), nil
}

// Get describes an object and gives all of it, or a part; the caller closes the body. Without one, it is as with Head.
func (b *Bucket) Get(ctx context.Context, key string, part gate.Part) (gate.Object, io.ReadCloser, error) {
	// All of it is a part as well: Content-Range says how large the object is, and Content-Length need not be there (that of the local
	// R2 is not).
	out, err := b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: &key, Range: aws.String(rangeOf(part))})
	if err != nil {
		o, err := ended(key, err)
		return o, nil, err
	}
	size, err := wholeSize(aws.ToString(out.ContentRange), part)
	if err != nil {
		out.Body.Close()
		o, err := ended(key, err)
		return o, nil, err
	}
	return found(size, out.ETag, out.LastModified, out.CacheControl), out.Body, nil
}

// found is what the bucket said of an object.
func found(size int64, etag *string, modified *time.Time, cacheControl *string) gate.Object {
	return gate.Object{
		Outcome: gate.Found, Size: size, ETag: aws.ToString(etag),
		Modified: aws.ToTime(modified).UnixMilli(), CacheControl: aws.ToString(cacheControl),
	}
}

// ended tells how a call ended that gave no object.
func ended(key string, err error) (gate.Object, error) {
	var response *awshttp.ResponseError
	if errors.As(err, &response) {
		var problem smithy.APIError
		switch response.HTTPStatusCode() {
		case http.StatusNotFound:
			if !errors.As(err, &problem) || problem.ErrorCode() != "NoSuchBucket" {
				return gate.Object{Outcome: gate.Missing}, nil
			}
		case http.StatusRequestedRangeNotSatisfiable:
			return gate.Object{Outcome: gate.NoSuchPart}, nil
		}
	}
	return gate.Object{Outcome: gate.Failed}, fmt.Errorf("read %q: %w", key, err)
}

// rangeOf is a part as a Range header.
func rangeOf(p gate.Part) string {
	switch {
	case p.Suffix > 0:
		return fmt.Sprintf("bytes=-%d", p.Suffix)
	case p.Length > 0:
		return fmt.Sprintf("bytes=%d-%d", p.Offset, p.Offset+p.Length-1)
	}
	return fmt.Sprintf("bytes=%d-", p.Offset)
}

// wholeSize is the size of the object of which this part came, as Content-Range says it. A bucket that sends something else than the
// part is one that cannot be used.
func wholeSize(contentRange string, p gate.Part) (int64, error) {
	var first, last, size int64
	_, err := fmt.Sscanf(contentRange, "bytes %d-%d/%d", &first, &last, &size)
	wanted := p.Offset
	if p.Suffix > 0 {
		wanted = max(0, size-p.Suffix)
	}
	if err != nil || first != wanted {
		return 0, fmt.Errorf("asked for %s, the bucket sent %q", rangeOf(p), contentRange)
	}
	return size, nil
}

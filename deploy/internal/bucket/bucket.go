// Package bucket opens R2 buckets over S3 for the operator's program: the real ones, and that of the local Cloudflare.
package bucket

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Client is a client for the buckets at an S3 endpoint of R2. It does not connect.
func Client(endpoint, accessKeyID, secretAccessKey string) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: &endpoint,
		Region:       "auto",
		UsePathStyle: true,
		Credentials:  credentials.NewStaticCredentialsProvider(accessKeyID, secretAccessKey, ""),
		// R2 does not take the SDK's trailing checksums, and the local one does not decode the bodies that have them.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
		// Neither answers `Expect: 100-continue` in time.
		ContinueHeaderThresholdBytes: -1,
	})
}

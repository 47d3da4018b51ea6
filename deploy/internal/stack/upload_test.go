package stack_test

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"weir/deploy/internal/stack"
	"weir/deploy/local"
)

func TestUpload(t *testing.T) {
	cloud, err := local.Start(t.Context(), local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cloud.Stop(); err != nil {
			t.Error(err)
		}
	})
	weir := &stack.Stack{Cloud: cloud}
	for name, size := range map[string]int64{
		"empty":              0,
		"small":              1 << 10,
		"one part":           64 << 20,
		"two parts and more": 2*64<<20 + 1,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a file")
			f, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			// A hole with marks at its ends: as long as it looks, quick to write.
			if size > 0 {
				if _, err := f.WriteAt([]byte{1}, 0); err != nil {
					t.Fatal(err)
				}
				if _, err := f.WriteAt([]byte{2}, size-1); err != nil {
					t.Fatal(err)
				}
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			key := "uploads/" + name
			if err := weir.Upload(t.Context(), path, key); err != nil {
				t.Fatal(err)
			}
			got, err := cloud.S3().GetObject(t.Context(), &s3.GetObjectInput{Bucket: &cloud.Bucket, Key: &key})
			if err != nil {
				t.Fatal(err)
			}
			defer got.Body.Close()
			var first, last byte
			buf := make([]byte, 1<<20)
			var n int64
			for {
				k, err := got.Body.Read(buf)
				if k > 0 {
					if n == 0 {
						first = buf[0]
					}
					last = buf[k-1]
					n += int64(k)
				}
				if err == io.EOF {
					break
				} else if err != nil {
					t.Fatal(err)
				}
			}
			if n != size || aws.ToInt64(got.ContentLength) != size || size > 1 && (first != 1 || last != 2) {
				t.Errorf("%d bytes from %d to %d, want %d from 1 to 2", n, first, last, size)
			}
		})
	}
}

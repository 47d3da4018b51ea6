package r2_test

import (
	"os"
	"testing"

	"weir/deploy/local"
	"weir/transcoder/internal/r2"
	"weir/transcoder/internal/r2/r2test"
)

func TestLocalR2KeepsTheContract(t *testing.T) {
	cloud, err := local.Start(t.Context(), local.Options{Log: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cloud.Stop(); err != nil {
			t.Error(err)
		}
	})
	r2test.Contract(t, r2.Open(r2.Config{
		Endpoint:        cloud.Endpoint,
		Bucket:          cloud.Bucket,
		AccessKeyID:     cloud.AccessKeyID,
		SecretAccessKey: cloud.SecretAccessKey,
	}))
}

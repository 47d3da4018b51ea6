package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"weir/deploy/internal/settings"
	"weir/deploy/internal/stack"
)

// A deployment is verified with the settings that apply has written, and a video through it; one that is none is a failure that says why,
// and leaves nothing.
func TestVerifyTakesAVideoThrough(t *testing.T) {
	s, err := stack.Start(t.Context(), stack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	f, err := settings.Open(filepath.Join(t.TempDir(), "local.env"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Set(
		settings.Value{Name: "PUBLIC_URL", Text: s.Cloud.URL}, settings.Value{Name: "R2_ENDPOINT", Text: s.Cloud.Endpoint},
		settings.Value{Name: "R2_BUCKET", Text: s.Cloud.Bucket}, settings.Value{Name: "R2_ACCESS_KEY_ID", Text: s.Cloud.AccessKeyID},
		settings.Value{Name: "R2_SECRET_ACCESS_KEY", Text: s.Cloud.SecretAccessKey}, settings.Value{Name: "TOKEN_KEY", Text: s.Cloud.TokenKey},
	); err != nil {
		t.Fatal(err)
	}
	verify := func(want int, args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if got := run(t.Context(), append([]string{"verify", "--settings", f.Name()}, args...), nil, &stdout, &stderr); got != want {
			t.Fatalf("%q: status %d, want %d\n%s%s", args, got, want, stdout.String(), stderr.String())
		}
		return stdout.String() + stderr.String()
	}
	if out := verify(2, "--job"); !strings.Contains(out, "API_KEY is missing") {
		t.Errorf("without the API's key, it says\n%s", out)
	}
	if err := f.Set(settings.Value{Name: "API_KEY", Text: s.APIKey}); err != nil {
		t.Fatal(err)
	}

	out := verify(0, "--job")
	_, line, _ := strings.Cut(out, "RESULT ")
	var result struct {
		Checks, Failed int
		Job            struct{ Segments, Warnings int }
	}
	if err := json.Unmarshal([]byte(line), &result); err != nil || result.Checks == 0 || result.Failed > 0 || result.Job.Segments == 0 || result.Job.Warnings > 0 {
		t.Errorf("the result is %+v: %v", result, err)
	}

	text := filepath.Join(t.TempDir(), "notes.mp4")
	if err := os.WriteFile(text, []byte("no video"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := verify(1, "--job", "--video", text); !strings.Contains(out, "the video failed: unsupported_format") {
		t.Errorf("of a text, it says\n%s", out)
	}
	left, err := s.Cloud.S3().ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &s.Cloud.Bucket})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range left.Contents {
		if strings.HasPrefix(*o.Key, "uploads/") {
			t.Errorf("%s is left", *o.Key)
		}
	}
}

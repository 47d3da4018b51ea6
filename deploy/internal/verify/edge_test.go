package verify_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"weir/deploy/internal/verify"
	"weir/deploy/local"
)

// cloud has the Worker as it is released, in the real workerd, with the real local R2 behind it.
var cloud *local.Cloud

// pair is an Ed25519 key of which the Worker has only the public half.
var pair = ed25519.NewKeyFromSeed([]byte("the seed of a key pair, 32 bytes"))

var base64url = base64.RawURLEncoding.EncodeToString

func TestMain(m *testing.M) {
	code, err := testMain(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "verify:", err)
		code = 1
	}
	os.Exit(code)
}

func testMain(m *testing.M) (code int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if cloud, err = local.Start(ctx, local.Options{Log: os.Stderr, TokenKeys: []string{publicKey()}}); err != nil {
		return 1, err
	}
	code = m.Run()
	return code, cloud.Stop()
}

// publicKey is the pair's half as a JSON Web Key.
func publicKey() string {
	return `{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"ed","x":"` + base64url(pair.Public().(ed25519.PublicKey)) + `"}`
}

// environment is what `deploy verify` needs to know of the local Cloudflare.
func environment() map[string]string {
	return map[string]string{
		"PUBLIC_URL": cloud.URL, "R2_ENDPOINT": cloud.Endpoint, "R2_BUCKET": cloud.Bucket,
		"R2_ACCESS_KEY_ID": cloud.AccessKeyID, "R2_SECRET_ACCESS_KEY": cloud.SecretAccessKey, "TOKEN_KEY": cloud.TokenKey,
	}
}

func load(t *testing.T, env map[string]string) verify.Target {
	t.Helper()
	target, err := verify.Load(func(name string) string { return env[name] }, "")
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// The specification of the Worker, with tokens of either algorithm.
func TestWorkerIsAsSpecified(t *testing.T) {
	secret := environment()
	keyPair := maps.Clone(secret)
	keyPair["TOKEN_KEY"] = `{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"ed","d":"` + base64url(pair.Seed()) + `"}`
	for name, env := range map[string]map[string]string{"HS256": secret, "EdDSA": keyPair} {
		t.Run(name, func(t *testing.T) { follow(t, load(t, env)) })
	}
}

func TestCommandTellsHowManyPassed(t *testing.T) {
	var out bytes.Buffer
	if err := verify.Command(t.Context(), load(t, environment()), nil, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var checks, failed int
	last := lines[len(lines)-1]
	if _, err := fmt.Sscanf(last, `RESULT {"checks":%d,"failed":%d}`, &checks, &failed); err != nil || checks < 100 || failed != 0 {
		t.Errorf("the last line is %s", last)
	}
	var passed, all int
	what, counts := "Objects are served as what their names say ", ""
	if strings.HasPrefix(lines[0], what) {
		counts = strings.TrimPrefix(lines[0], what)
	}
	if _, err := fmt.Sscanf(counts, "%d of %d", &passed, &all); err != nil || passed < 12 || passed != all {
		t.Errorf("the first line is %s", lines[0])
	}
}

func TestCommandShowsFailures(t *testing.T) {
	to := load(t, environment())
	to.URL = flaw{response: answers("", `^HTTP/1.1 416`, "HTTP/1.1 400")}.serve(t)
	var out bytes.Buffer
	err := verify.Command(t.Context(), to, nil, &out)
	if !errors.Is(err, verify.ErrFailed) {
		t.Errorf("error %v", err)
	}
	for _, want := range []string{
		"\nRanges                                                  16 of  19\n\nedge.http:",
		": A part that is not there is 416, with the size.\n  sent ",
		`  wrong     the status: got "400", expected 416`,
		`,"failed":4}`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

// Nothing is left when the run is interrupted in the middle.
func TestInterruptLeavesNothing(t *testing.T) {
	script, err := verify.Edge()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	results := 0
	err = verify.Run(ctx, load(t, environment()), script, func(verify.Result) {
		if results++; results == 3 {
			if len(keys(t)) == 0 {
				t.Error("the bucket is empty while the script runs")
			}
			cancel()
		}
	})
	if err == nil || results != 3 {
		t.Errorf("%d results after the interrupt, error %v", results-3, err)
	}
	if left := keys(t); len(left) > 0 {
		t.Errorf("left in the bucket: %q", left)
	}
}

// keys are those in the bucket.
func keys(t *testing.T) (all []string) {
	t.Helper()
	out, err := cloud.S3().ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &cloud.Bucket})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range out.Contents {
		all = append(all, *o.Key)
	}
	slices.Sort(all)
	return all
}

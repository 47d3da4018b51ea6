package verify_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"weir/deploy/internal/child"
	"weir/deploy/internal/port"
	"weir/deploy/internal/verify"
	"weir/deploy/local"
)

// The edge as an HTTP server, in front of the same bucket, is the Worker to whoever asks.
func TestNativeEdgeIsAsSpecified(t *testing.T) {
	url := startEdge(t)
	secret := environment()
	secret["PUBLIC_URL"] = url
	keyPair := maps.Clone(secret)
	keyPair["TOKEN_KEY"] = `{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"ed","d":"` + base64url(pair.Seed()) + `"}`
	for name, env := range map[string]map[string]string{"HS256": secret, "EdDSA": keyPair} {
		t.Run(name, func(t *testing.T) { follow(t, load(t, env)) })
	}
}

// follow holds an edge to the script, and sees that it leaves nothing.
func follow(t *testing.T, target verify.Target) {
	t.Helper()
	script, err := verify.Edge()
	if err != nil {
		t.Fatal(err)
	}
	if err := verify.Run(t.Context(), target, script, func(r verify.Result) {
		t.Run(r.Section+"/"+r.Name, func(t *testing.T) {
			if r.Failure != "" {
				t.Error("\n" + r.Failure)
			}
		})
	}); err != nil {
		t.Fatal(err)
	}
	if left := keys(t); len(left) > 0 {
		t.Errorf("left in the bucket: %q", left)
	}
}

// startEdge builds and starts `weir edge` over the bucket of the cloud, and gives its URL. It must end well when it is asked to.
func startEdge(t *testing.T) (url string) {
	t.Helper()
	root, err := local.Root()
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "weir")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./edge-auth/weir")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	listen, err := port.Free(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	address := "127.0.0.1:" + strconv.Itoa(listen)
	tokenKeys, err := json.Marshal(map[string][]json.RawMessage{"keys": {json.RawMessage(cloud.TokenKey), json.RawMessage(publicKey())}})
	if err != nil {
		t.Fatal(err)
	}
	edge, err := child.Start(child.Program{Name: "weir edge", Path: binary, Args: []string{"edge"}, Env: []string{
		"LISTEN=" + address, "R2_ENDPOINT=" + cloud.Endpoint, "R2_BUCKET=" + cloud.Bucket, "R2_ACCESS_KEY_ID=" + cloud.AccessKeyID,
		"R2_SECRET_ACCESS_KEY=" + cloud.SecretAccessKey, "TOKEN_KEYS=" + string(tokenKeys), "ENCRYPTION_KEY=" + cloud.EncryptionKey,
		"PUBLIC_DIR=" + filepath.Join(root, "edge-auth", "public"),
	}}, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := edge.Stop(10 * time.Second); err != nil {
			t.Error(err)
		}
		if said := edge.Err().Error(); !strings.HasPrefix(said, "weir edge: ended\n") || !strings.Contains(said, "the edge was ended") {
			t.Error(said)
		}
	})
	for range 500 {
		resp, err := http.Get("http://" + address + "/healthz")
		if err == nil {
			resp.Body.Close()
			return "http://" + address
		}
		select {
		case <-edge.Done():
			t.Fatal(edge.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
	t.Fatalf("weir edge does not listen: %s", edge.Tail())
	return ""
}

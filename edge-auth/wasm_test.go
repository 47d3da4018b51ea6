package main_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// The module asks its host for nothing: what it cannot import it cannot do, whatever gets linked into it.
func TestModuleImportsNothing(t *testing.T) {
	module, err := os.ReadFile("edge.wasm")
	if err != nil {
		t.Fatal(err)
	}
	const preamble, importSection = 8, 2
	for rest := module[preamble:]; len(rest) > 0; {
		id := rest[0]
		size, n := binary.Uvarint(rest[1:]) // LEB128
		body := rest[1+n:]
		if n <= 0 || size > uint64(len(body)) {
			t.Fatal("edge.wasm is no module")
		}
		if count, _ := binary.Uvarint(body); id == importSection && count > 0 {
			t.Errorf("the module has %d imports: %q", count, body[:min(size, 200)])
		}
		rest = body[size:]
	}
}

// Every isolate fetches and compiles the module before its first answer.
func TestModuleIsSmall(t *testing.T) {
	const limit = 120 << 10 // compressed, as it travels
	module, err := os.ReadFile("edge.wasm")
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(module); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if packed.Len() > limit {
		t.Errorf("edge.wasm has %d bytes, compressed, the limit is %d: see what got linked", packed.Len(), limit)
	}
}

func TestShim(t *testing.T) {
	token := sign(t, jwt.SigningMethodHS256, "k1", []byte("0123456789abcdef0123456789abcdef"),
		jwt.MapClaims{"sub": "videos/abc", "exp": time.Now().Add(time.Hour).Unix()})
	cmd := exec.CommandContext(t.Context(), "node_modules/node/bin/node", "--no-warnings", "testdata/shim.test.mjs", token)
	cmd.Env = append(os.Environ(),
		`TOKEN_KEYS={"keys":[{"kty":"oct","alg":"HS256","kid":"k1","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}]}`)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

package edge_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"weir/deploy/internal/bench/edge"
)

// Every figure of a short run is there; how good it is, no test can tell on a machine that does other things too.
func TestShortRunMeasures(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	var out bytes.Buffer
	if err := edge.Run(t.Context(), edge.Options{Short: true}, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	t.Log(out.String())
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	last, ok := strings.CutPrefix(lines[len(lines)-1], "RESULT ")
	var r edge.Result
	if err := json.Unmarshal([]byte(last), &r); !ok || err != nil {
		t.Fatalf("last line %q: %v", lines[len(lines)-1], err)
	}
	positive(t, reflect.ValueOf(r), "MemoryLast") // a million requests take too long here
	if len(r.Rates) != 3 || r.MemoryFlat == nil {
		t.Errorf("result %+v", r)
	}
	for _, rates := range r.Rates {
		positive(t, reflect.ValueOf(rates), "")
	}
	left, err := os.ReadDir(temp)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// positive holds the numbers of a struct, but one, to be more than 0.
func positive(t *testing.T, figures reflect.Value, but string) {
	t.Helper()
	for field, value := range figures.Fields() {
		if value.Kind() == reflect.Float64 && value.Float() <= 0 && field.Name != but {
			t.Errorf("%s is %v", field.Name, value.Float())
		}
	}
}

// What was measured must be what is in the checkout.
func TestModuleOlderThanItsSourcesIsRefused(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, content := range map[string]string{"go.mod": "module weir\n", "wrangler.toml": "", "edge-auth/main.go": ""} {
		if err := os.MkdirAll("edge-auth", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	err := edge.Run(t.Context(), edge.Options{Short: true}, &out)
	if err == nil || !strings.Contains(err.Error(), "older than its sources: run `go tool task wasm`") {
		t.Errorf("got %v", err)
	}
}

package bench_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"weir/deploy/internal/bench"
)

func TestShortRunMeasures(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	var out bytes.Buffer
	if err := bench.Run(t.Context(), bench.Options{Short: true}, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	t.Log(out.String())
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	last, ok := strings.CutPrefix(lines[len(lines)-1], "RESULT ")
	var r bench.Result
	if err := json.Unmarshal([]byte(last), &r); !ok || err != nil {
		t.Fatalf("last line %q: %v", lines[len(lines)-1], err)
	}
	if r.FirstPlayable["10s"] <= 0 || r.PlayableWebhook["10s"] <= 0 || r.UsualPipeline <= 0 || r.Ratio <= 0 || r.RSS <= 0 || len(r.RSSAt) != 3 {
		t.Errorf("result %+v", r)
	}
	left, err := os.ReadDir(temp)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		if !strings.HasPrefix(e.Name(), "go-build") { // of a compiler that still cleans up
			t.Errorf("left behind: %s", e.Name())
		}
	}
}

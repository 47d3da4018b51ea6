package chaos_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"weir/deploy/internal/chaos"
)

// Every fault run, for a minute: no promise breaks, and nothing is left behind.
func TestWeirKeepsItsPromises(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	var out bytes.Buffer
	if err := chaos.Run(t.Context(), chaos.Short, &out); err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	last, ok := strings.CutPrefix(lines[len(lines)-1], "RESULT ")
	var r chaos.Result
	if err := json.Unmarshal([]byte(last), &r); !ok || err != nil {
		t.Fatalf("last line %q: %v", lines[len(lines)-1], err)
	}
	want := chaos.Short
	if r.Kills != want.Kills || r.Wipes != want.Wipes || r.Zombies != want.Zombies || r.Takeovers != want.Takeovers ||
		r.Posts != want.Posts || r.Deletes != want.Deletes || r.PostJobs != 1 || r.Jobs == 0 || r.Recovery == 0 {
		t.Errorf("result %+v", r)
	}
	t.Log(out.String())
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

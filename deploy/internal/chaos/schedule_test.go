package chaos

import (
	"bytes"
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestDeathsReachEveryMoment(t *testing.T) {
	all := deaths(rand.New(rand.NewPCG(1, 2)), 200)
	early, late, waits := 0, 0, 0
	for _, d := range all {
		if d.after < earliest || d.after > latest {
			t.Fatalf("%v is not between %v and %v", d.after, earliest, latest)
		}
		if d.after < 200*time.Millisecond {
			early++
		}
		if d.after > 3*time.Second {
			late++
		}
		if d.waits {
			waits++
		}
	}
	if early < 10 || late < 15 || waits != 100 {
		t.Errorf("%d in the first 0.2 s, %d after 3 s, %d that wait", early, late, waits)
	}
}

func TestTheSameSeedIsTheSameSchedule(t *testing.T) {
	for _, part := range Parts() {
		a, b := newRun(Options{Seed: 7}, ""), newRun(Options{Seed: 7}, "")
		_ = b.random("another") // the order in which parts start does not matter
		if !slices.Equal(deaths(a.random(part), 50), deaths(b.random(part), 50)) {
			t.Errorf("%s differs", part)
		}
		if slices.Equal(deaths(a.random(part), 50), deaths(newRun(Options{Seed: 8}, "").random(part), 50)) {
			t.Errorf("%s is the same under another seed", part)
		}
	}
}

// Parts that run side by side report at any time; nobody's line is lost.
func TestPartsSideBySideReportInTurn(t *testing.T) {
	r := newRun(Options{Short: true}, "")
	nothing := func(*run, context.Context) error { return nil }
	var all []part
	for lane := range 100 {
		all = append(all, part{"one of them", nothing, lane})
	}
	var out bytes.Buffer
	if err := r.all(t.Context(), all, &out); err != nil {
		t.Fatal(err)
	}
	if got := bytes.Count(out.Bytes(), []byte("one of them … ")); got != len(all) || bytes.Count(out.Bytes(), []byte("\n")) != got {
		t.Errorf("%d lines, want %d:\n%s", got, len(all), out.String())
	}
}

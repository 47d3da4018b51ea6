package decimal_test

import (
	"math"
	"strconv"
	"testing"

	"weir/edge-auth/internal/decimal"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		text string
		n    int64
		ok   bool
	}{
		{"0", 0, true},
		{"007", 7, true},
		{"9007199254740991", decimal.Max, true},
		{"9007199254740992", decimal.Max, true},
		{"99999999999999999999999999", decimal.Max, true},
		{text: ""},
		{text: "-1"},
		{text: "+1"},
		{text: " 1"},
		{text: "1e3"},
		{text: "١"},
	} {
		if n, ok := decimal.Parse(c.text); n != c.n || ok != c.ok {
			t.Errorf("%q: got %d, %v", c.text, n, ok)
		}
	}
}

func FuzzWhatIsWrittenIsWhatStrconvWrites(f *testing.F) {
	for _, n := range []int64{0, 9, 10, decimal.Max, math.MaxInt64} {
		f.Add(n)
	}
	f.Fuzz(func(t *testing.T, n int64) {
		n &= math.MaxInt64
		if got, want := decimal.Text(n), strconv.FormatInt(n, 10); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if back, ok := decimal.Parse(decimal.Text(n)); back != min(n, decimal.Max) || !ok {
			t.Errorf("%d is read as %d, %v", n, back, ok)
		}
	})
}

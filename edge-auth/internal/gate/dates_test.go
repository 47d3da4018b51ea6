package gate

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Dates are written as net/http writes them, and read as it reads them, in all three forms.
func TestDatesAreThoseOfNetHTTP(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	forms := []string{http.TimeFormat, "Monday, 02-Jan-06 15:04:05 GMT", time.ANSIC}
	for range 50_000 {
		at := time.Unix(random.Int64N(253402300800), 0).UTC() // until the year 9999
		if random.IntN(2) == 0 {
			at = time.Date(1970+random.IntN(90), time.Month(random.IntN(13)), 27+random.IntN(5), 23, 59, 59, 0, time.UTC)
		}
		if got, want := httpDate(at.Unix()), at.Format(http.TimeFormat); got != want {
			t.Fatalf("%d is %q, want %q", at.Unix(), got, want)
		}
		text := at.Format(forms[random.IntN(3)])
		compareDate(t, text)
		i := random.IntN(len(text))
		compareDate(t, text[:i]+string("0123456789 :-,GMTJanFebx"[random.IntN(24)])+text[i+random.IntN(2):])
	}
	for _, text := range []string{"", "GMT", "Thu, 01 Jan 0000 00:00:00 GMT", "Thu, 29 Feb 0000 00:00:00 GMT", "Thu, 31 Dec 0000 00:00:00 GMT"} {
		compareDate(t, text)
	}
}

// compareDate allows less than net/http does: names in other letters, and fractions of a second.
func compareDate(t *testing.T, text string) {
	t.Helper()
	got, ok := parseDate(text)
	want, err := http.ParseTime(text)
	switch {
	case ok && (err != nil || want.Unix() != got):
		t.Fatalf("%q is %d, for net/http %v, %v", text, got, want, err)
	case !ok && err == nil && !strings.ContainsAny(text, ".,;") && strings.Contains(text, "GMT"):
		t.Fatalf("%q is no date, for net/http %v", text, want)
	}
}

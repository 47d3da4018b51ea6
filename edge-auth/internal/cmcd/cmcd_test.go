package cmcd_test

import (
	"net/url"
	"strings"
	"testing"

	"weir/edge-auth/internal/cmcd"
)

// silent is a report that says nothing.
var silent = cmcd.Report{Bitrate: -1, Top: -1, Duration: -1, Buffer: -1, Throughput: -1, Deadline: -1}

func report(change func(r *cmcd.Report)) cmcd.Report {
	r := silent
	change(&r)
	return r
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       cmcd.Report
	}{
		{"all that counts", `bl=21300,br=3200,bs,cid="faec5fc2",d=4004,dl=18500,mtp=48100,nor="..%2F300kbps%2Ftrack.m4v",ot=v,sf=h,sid="6e2fb550-c457-11e9-bb97-0800200c9a66",st=v,su,tb=6000,e=ps`,
			cmcd.Report{Session: "6e2fb550-c457-11e9-bb97-0800200c9a66", Content: "faec5fc2", Object: "v", Format: "h", Stream: "v", Event: "ps",
				Bitrate: 3200, Top: 6000, Duration: 4004, Buffer: 21300, Throughput: 48100, Deadline: 18500, Starved: 1, Startup: 1}},
		{"white space around pairs, as between headers", "br=1, bs , d=2", report(func(r *cmcd.Report) { r.Bitrate, r.Starved, r.Duration = 1, 1, 2 })},
		{"a comma and a quote in quotes", `cid="a,br=9\",b",d=2`, report(func(r *cmcd.Report) { r.Content, r.Duration = `a,br=9\",b`, 2 })},
		{"a fraction", "br=3200.5", report(func(r *cmcd.Report) { r.Bitrate = 3200 })},
		{"what is said to be false", "bs=false,su=true", report(func(r *cmcd.Report) { r.Startup = 1 })},
		{"a number that is none is left out", `br=fast,d="4",mtp=-1,bl=7`, report(func(r *cmcd.Report) { r.Buffer = 7 })},
		{"a text that is too long is left out", `cid="` + strings.Repeat("x", 65) + `",bl=7`, report(func(r *cmcd.Report) { r.Buffer = 7 })},
		{"a text with a line break is left out", "sid=\"a\nb\",bl=7", report(func(r *cmcd.Report) { r.Buffer = 7 })},
		{"a quote that does not end", `bl=7,sid="a,br=1`, report(func(r *cmcd.Report) { r.Buffer, r.Session = 7, "a,br=1" })},
	} {
		if got, ok := cmcd.Parse(c.text); got != c.want || !ok {
			t.Errorf("%s: got %+v, %v", c.name, got, ok)
		}
	}
	for _, text := range []string{"", ",", "=", "x=1", "com.example-a=1", `"`, "sid=\"\""} {
		if got, ok := cmcd.Parse(text); got != silent || ok {
			t.Errorf("%q: got %+v, %v", text, got, ok)
		}
	}
}

func TestQuery(t *testing.T) {
	const said = `br=3200,sid="6e2fb550",nor="a%20b"`
	for _, query := range []string{
		"CMCD=" + url.QueryEscape(said), "token=t&CMCD=" + url.QueryEscape(said) + "&x=1",
	} {
		if got := cmcd.Query(query); got != said {
			t.Errorf("%s: got %q", query, got)
		}
	}
	for query, want := range map[string]string{"": "", "XCMCD=a": "", "CMCD": "", "CMCD=br%3": "br%3", "CMCD=%zz": "%zz"} {
		if got := cmcd.Query(query); got != want {
			t.Errorf("%q: got %q", query, got)
		}
	}
}

func FuzzNothingThatAPlayerSaysDoesHarm(f *testing.F) {
	f.Add(`bl=21300,bs,cid="a,b\"c"`)
	f.Fuzz(func(t *testing.T, text string) {
		r, _ := cmcd.Parse(cmcd.Query("CMCD=" + text))
		for _, said := range []string{r.Session, r.Content, r.Object, r.Format, r.Stream, r.Event} {
			if len(said) > 64 || strings.ContainsFunc(said, func(c rune) bool { return c < ' ' || c > '~' }) {
				t.Errorf("%q gives %q", text, said)
			}
		}
		for _, n := range []int64{r.Bitrate, r.Top, r.Duration, r.Buffer, r.Throughput, r.Deadline} {
			if n < -1 {
				t.Errorf("%q gives %d", text, n)
			}
		}
	})
}

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"
)

// printed is what /metrics prints: the names of samples, each with its labels' values.
type printed map[string]map[string][]string

var (
	sample = regexp.MustCompile(`(?m)^(\w+)(?:\{(.*)\})? \S+$`)
	label  = regexp.MustCompile(`(\w+)="([^"]*)"`)
)

// metrics asks a node, as Prometheus does: without a key.
func (n *node) metrics() printed {
	n.t.Helper()
	request, err := http.NewRequestWithContext(n.t.Context(), "GET", n.url+"/metrics", nil)
	if err != nil {
		n.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		n.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		n.t.Fatalf("/metrics answered %s, %v: %s", response.Status, err, text)
	}
	return samples(string(text))
}

func samples(text string) printed {
	p := printed{}
	for _, m := range sample.FindAllStringSubmatch(text, -1) {
		if p[m[1]] == nil {
			p[m[1]] = map[string][]string{}
		}
		for _, l := range label.FindAllStringSubmatch(m[2], -1) {
			p[m[1]][l[1]] = append(p[m[1]][l[1]], l[2])
		}
	}
	return p
}

var (
	quoted   = regexp.MustCompile(`"[^"]*"`)
	selector = regexp.MustCompile(`(\w+)\{([^}]*)\}`)
	matcher  = regexp.MustCompile(`(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"`)
	// beside are the parts of an expression in which names are no metrics': matchers, ranges, and labels to group by.
	beside = regexp.MustCompile(`\{[^}]*\}|\[[^\]]*\]|\b(?:by|without)\s*\([^)]*\)`)
	name   = regexp.MustCompile(`[A-Za-z_:][\w:]*(\s*\()?`)
)

// prometheus are the names that Prometheus adds by itself.
var prometheus = []string{"up", "job", "instance"}

// unknown are the metrics of a PromQL expression that are not printed, and the labels and values that they are not printed with. There
// must be a metric.
func (p printed) unknown(expression string) (problems []string) {
	bare := quoted.ReplaceAllString(expression, `""`)
	if strings.Count(bare, "(") != strings.Count(bare, ")") || strings.Count(bare, `"`)%2 != 0 {
		problems = append(problems, "something is open")
	}
	found := false
	rest := beside.ReplaceAllString(bare, " ")
	for _, m := range name.FindAllStringSubmatch(rest, -1) {
		if m[1] != "" || slices.Contains([]string{"and", "or", "unless"}, m[0]) {
			continue // a function, or an operator
		}
		found = true
		if p[m[0]] == nil && !slices.Contains(prometheus, m[0]) {
			problems = append(problems, m[0])
		}
	}
	if !found {
		problems = append(problems, "no metric")
	}
	for _, s := range selector.FindAllStringSubmatch(expression, -1) {
		for _, m := range matcher.FindAllStringSubmatch(s[2], -1) {
			values := p[s[1]][m[1]]
			switch {
			case slices.Contains(prometheus, m[1]):
			case values == nil:
				problems = append(problems, s[1]+" by "+m[1])
			case strings.HasSuffix(m[2], "~"):
				if _, err := regexp.Compile(m[3]); err != nil {
					problems = append(problems, err.Error())
				}
			case !slices.Contains(values, m[3]):
				problems = append(problems, s[1]+" of "+m[1]+" "+m[3])
			}
		}
	}
	return problems
}

// Whoever looks at the dashboard, is woken by an alert, or reads of a metric, finds it in what a transcoder prints.
func TestWhatIsWatchedIsPrinted(t *testing.T) {
	n := start(t, t.TempDir(), nil)
	told := receive(t)
	n.post(id(t), upload(t, clip(t, "a.mp4", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=3", "-f", "lavfi", "-i", "sine=d=3", "-pix_fmt", "yuv420p")), told.URL)
	if e := told.next(t, time.Minute); e.Status != "processed" {
		t.Fatalf("the video is %s: %+v", e.Status, e.Data)
	}
	p := n.metrics()

	expressions := map[string]string{} // by where they are
	var dashboard struct {
		Panels []struct {
			Title      string
			Datasource struct{ UID string }
			Targets    []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(deployed(t, "grafana/weir.json"), &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, panel := range dashboard.Panels {
		if !strings.Contains(string(deployed(t, "grafana/datasource.yaml")), "uid: "+panel.Datasource.UID+",") {
			t.Errorf("%s is of the data source %q, which there is not", panel.Title, panel.Datasource.UID)
		}
		for i, target := range panel.Targets {
			expressions[fmt.Sprintf("the panel %s, %d", panel.Title, i)] = target.Expr
		}
	}
	var rules struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal(deployed(t, "rules.yaml"), &rules); err != nil {
		t.Fatal(err)
	}
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			expressions["the alert "+rule.Alert] = rule.Expr
		}
	}
	if len(dashboard.Panels) < 10 || len(expressions) < 20 {
		t.Fatalf("found only %d panels, and %d expressions", len(dashboard.Panels), len(expressions))
	}
	for where, expression := range expressions {
		if problems := p.unknown(expression); len(problems) > 0 {
			t.Errorf("%s: not printed: %q", where, problems)
		}
	}

	page, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	families := regexp.MustCompile("_(bucket|sum|count)$")
	documented := regexp.MustCompile("`(weir_[a-z_]+)").FindAllStringSubmatch(string(page), -1)
	for _, m := range documented {
		if p[m[1]] == nil && p[m[1]+"_count"] == nil {
			t.Errorf("the page for operators knows %s, which is not printed", m[1])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p)) {
		if family := families.ReplaceAllString(name, ""); strings.HasPrefix(name, "weir_") &&
			!slices.ContainsFunc(documented, func(m []string) bool { return m[1] == family }) {
			t.Errorf("the page for operators does not know %s", family)
		}
		for _, values := range p[name] {
			if slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, id(t)) }) {
				t.Errorf("%s has a series of its own for a video", name)
			}
		}
	}
}

func deployed(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "deploy", "metrics", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestUnknownMetricsAreNoticed(t *testing.T) {
	p := samples("# HELP weir_a A.\nweir_a{code=\"200\",method=\"GET\"} 1\nweir_b_bucket{le=\"+Inf\"} 2\nweir_c 3.5e+06\n")
	for expression, want := range map[string]int{
		`weir_c > 0 and sum(rate(weir_a{code="200"}[5m])) == 0`:              0,
		`histogram_quantile(0.5, sum by (le, x) (rate(weir_b_bucket[30m])))`: 0,
		`up{job="weir"} == 0 and weir_a{code=~"none|5..",method!="GET"}`:     0,
		`weir_c > 0 and sum(rate(weir_d[5m])) == 0`:                          1,
		`weir_b_count + rate(weir_a[$__rate_interval])`:                      1,
		`weir_a{state="200"}`: 1,
		`weir_a{code="404"}`:  1,
		`weir_a{code=~"(4"}`:  1,
		`sum(weir_c`:          1,
		`vector(0)`:           1,
	} {
		if problems := p.unknown(expression); len(problems) != want {
			t.Errorf("%s: noticed %q, want %d", expression, problems, want)
		}
	}
}

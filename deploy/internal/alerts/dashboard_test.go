package alerts_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"weir/deploy/internal/child"
	"weir/deploy/internal/port"
	"weir/deploy/internal/sample"
	"weir/deploy/internal/stack"
)

const (
	// scrapeInterval is short, for a test that nobody waits for; rateInterval is what Grafana makes of it for $__rate_interval, or more.
	scrapeInterval, rateInterval = "1s", "1m"
	// dataTimeout is for Prometheus to start, and to have asked twice after the last thing happened.
	dataTimeout = time.Minute
	stopGrace   = 10 * time.Second
)

// watcher is a Prometheus with the configuration of deploy/metrics, which watches one transcoder.
type watcher struct {
	t   *testing.T
	url string
}

func watch(t *testing.T, transcoder string) watcher {
	t.Helper()
	var config map[string]any
	read(t, "prometheus.yaml", &config)
	config["global"] = map[string]any{"scrape_interval": scrapeInterval, "evaluation_interval": scrapeInterval}
	config["rule_files"] = []string{filepath.Join(deployed(t), "rules.yaml")}
	for _, c := range config["scrape_configs"].([]any) {
		delete(c.(map[string]any), "dns_sd_configs")
		c.(map[string]any)["static_configs"] = []any{map[string]any{"targets": []string{strings.TrimPrefix(transcoder, "http://")}}}
	}
	text, err := yaml.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "prometheus.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	free, err := port.Free(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	address := "127.0.0.1:" + strconv.Itoa(free)
	server, err := child.Start(child.Program{Name: "prometheus", Path: programs(t).Prometheus, Dir: dir, Args: []string{
		"--config.file=" + file, "--storage.tsdb.path=" + filepath.Join(dir, "data"), "--web.listen-address=" + address,
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(stopGrace); err != nil {
			t.Error(err)
		}
	})
	return watcher{t, "http://" + address}
}

// ask asks the HTTP API of Prometheus.
func (w watcher) ask(path string, query url.Values, data any) error {
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.url+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s: %w", response.Status, err)
	}
	if answer.Status != "success" {
		return errors.New(answer.Error)
	}
	return nil
}

// query gives the values of an expression by the labels of their series.
func (w watcher) query(expression string) (map[string]float64, error) {
	var data struct {
		Result []struct {
			Metric map[string]string
			Value  [2]any
		}
	}
	if err := w.ask("/api/v1/query", url.Values{"query": {expression}}, &data); err != nil {
		return nil, fmt.Errorf("%s: %w", expression, err)
	}
	series := map[string]float64{}
	for _, r := range data.Result {
		v, err := strconv.ParseFloat(r.Value[1].(string), 64)
		if err != nil {
			return nil, err
		}
		series[fmt.Sprint(r.Metric)] = v
	}
	return series, nil
}

// until waits for an expression to give a number other than nothing.
func (w watcher) until(expression string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), dataTimeout)
	defer cancel()
	for {
		series, err := w.query(expression)
		if err == nil && len(series) > 0 {
			return
		}
		select {
		case <-ctx.Done():
			w.t.Fatalf("%s gives nothing: %v", expression, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// After a video that was processed and one that was not there, each query of the dashboard gives something, and no rule is in error.
func TestTheDashboardShowsATranscoder(t *testing.T) {
	weir, err := stack.Start(t.Context(), stack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := weir.Stop(); err != nil {
			t.Error(err)
		}
	})
	w := watch(t, weir.API)
	w.until(`up{job="weir"} == 1`)

	ctx, unguard := weir.Guard(t.Context())
	defer unguard()
	file := filepath.Join(t.TempDir(), "clip.mp4")
	if err := (sample.Sample{Width: 640, Height: 360, Duration: 8 * time.Second, Rate: 25}).Make(ctx, file); err != nil {
		t.Fatal(err)
	}
	if err := weir.Upload(ctx, file, "uploads/clip.mp4"); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{"clip": "processed", "missing": "failed"} {
		if _, err := weir.Submit(ctx, id, "uploads/"+id+".mp4"); err != nil {
			t.Fatal(err)
		}
		if news, err := weir.Hooks.End(ctx, id); err != nil || news.Event.Status != want {
			t.Fatalf("%s: %s, %v", id, news.Body, err)
		}
	}
	w.until(`weir_open_jobs`)
	w.until(`weir_jobs_total{state="processed"} == 1`)
	w.until(`weir_jobs_total{code="source_not_found"} == 1`)
	w.until(`weir_webhook_attempts_total{outcome="told"} >= 2`)

	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	read(t, "grafana/weir.json", &dashboard)
	asked := 0
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			asked++
			series, err := w.query(strings.ReplaceAll(target.Expr, "$__rate_interval", rateInterval))
			if err != nil {
				t.Errorf("%s: %v", panel.Title, err)
			}
			t.Logf("%s: %v", panel.Title, series)
			if quiet := panel.Title == "Bucket, errors"; (len(series) == 0) != quiet { // nothing went wrong there
				t.Errorf("%s shows %v", panel.Title, series)
			}
		}
	}
	if asked < 15 {
		t.Errorf("the dashboard asks only %d things", asked)
	}

	var rules struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError, State string }
		}
	}
	if err := w.ask("/api/v1/rules", nil, &rules); err != nil {
		t.Fatal(err)
	}
	evaluated := 0
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			evaluated++
			if r.Health != "ok" || r.State == "firing" {
				t.Errorf("%s is %s, %s %s", r.Name, r.State, r.Health, r.LastError)
			}
		}
	}
	if evaluated < 7 {
		t.Errorf("only %d rules are evaluated", evaluated)
	}
}

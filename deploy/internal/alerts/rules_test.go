package alerts_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"weir/deploy/internal/setup"
	"weir/deploy/local"
)

// deployed is the folder deploy/metrics.
func deployed(t *testing.T) string {
	t.Helper()
	root, err := local.Root()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(root, "deploy", "metrics")
}

func programs(t *testing.T) setup.PrometheusTools {
	t.Helper()
	tools, err := setup.Prometheus()
	if err != nil {
		t.Fatal(err)
	}
	return tools
}

// read decodes a file of deploy/metrics, YAML or JSON.
func read(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deployed(t), name))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatal(name, err)
	}
}

func TestRulesFireWhenTheyShould(t *testing.T) {
	for _, args := range [][]string{{"check", "config", "prometheus.yaml"}, {"test", "rules", "rules.test.yaml"}} {
		check := exec.CommandContext(t.Context(), programs(t).Promtool, args...)
		check.Dir = deployed(t)
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// Every alert is seen to fire, and to be silent.
func TestEveryRuleHasCases(t *testing.T) {
	var rules struct {
		Groups []struct{ Rules []struct{ Alert string } }
	}
	var cases struct {
		Tests []struct {
			Asked []struct {
				Alert string           `yaml:"alertname"`
				Want  []map[string]any `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	read(t, "rules.yaml", &rules)
	read(t, "rules.test.yaml", &cases)
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, c := range cases.Tests {
		for _, a := range c.Asked {
			if len(a.Want) > 0 {
				fires[a.Alert] = true
			} else {
				silent[a.Alert] = true
			}
		}
	}
	count := 0
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			count++
			if !fires[r.Alert] || !silent[r.Alert] {
				t.Errorf("%s: has a case in which it fires: %v, and one in which it is silent: %v", r.Alert, fires[r.Alert], silent[r.Alert])
			}
			delete(fires, r.Alert)
			delete(silent, r.Alert)
		}
	}
	if count < 7 || len(fires)+len(silent) > 0 {
		t.Errorf("there are %d rules, and cases of these, which there are not: %v %v", count, fires, silent)
	}
}

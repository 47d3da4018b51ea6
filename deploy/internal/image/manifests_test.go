package image_test

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubernetes "sigs.k8s.io/yaml"
)

// A program is one that the image runs: the settings that it reads, and those without which it does not start.
type program struct {
	name            string
	known, required []string
}

// transcoder and edge are as their sources have them.
func transcoder(t *testing.T) program {
	return configured(t, "transcoder", 20, "transcoder", "config.go")
}

func edge(t *testing.T) program {
	p := configured(t, "edge", 10, "edge-auth", "weir", "config.go")
	p.required = append(p.required, "TOKEN_KEYS") // the gate says so
	return p
}

func configured(t *testing.T, name string, least int, source ...string) program {
	t.Helper()
	p := program{name: name}
	for _, m := range regexp.MustCompile(`(?:v\.(text|required|url|header)|getenv)\("(\w+)"`).FindAllStringSubmatch(read(t, source...), -1) {
		p.known = append(p.known, m[2])
		if m[1] == "required" || m[1] == "url" {
			p.required = append(p.required, m[2])
		}
	}
	if len(p.known) < least || len(p.required) == 0 {
		t.Fatalf("the settings are only %+v", p)
	}
	return p
}

// knows holds settings to those that a program reads.
func (p program) knows(t *testing.T, where string, names ...string) {
	t.Helper()
	for _, name := range names {
		if !slices.Contains(p.known, name) {
			t.Errorf("%s sets %s, which the %s does not know", where, name, p.name)
		}
	}
}

// starts holds settings to those without which a program does not start.
func (p program) starts(t *testing.T, where string, names []string) {
	t.Helper()
	for _, name := range p.required {
		if !slices.Contains(names, name) {
			t.Errorf("%s does not set %s, without which the %s does not start", where, name, p.name)
		}
	}
}

func TestContainersOfCloudflaresGetTheSettings(t *testing.T) {
	list := regexp.MustCompile(`(?s)const settings = \[(.*?)\];`).FindStringSubmatch(read(t, "edge-auth", "container.mjs"))
	if list == nil {
		t.Fatal("container.mjs has no settings")
	}
	var names []string
	for _, m := range regexp.MustCompile(`"(\w+)"`).FindAllStringSubmatch(list[1], -1) {
		names = append(names, m[1])
	}
	transcoder(t).knows(t, "container.mjs", names...)
	transcoder(t).starts(t, "container.mjs", names)
}

func TestComposeStartsAPlatform(t *testing.T) {
	var file struct {
		Services map[string]struct {
			Image, Entrypoint any
			Command           []string
			Environment       map[string]string
			ReadOnly          bool     `yaml:"read_only"`
			CapDrop           []string `yaml:"cap_drop"`
			Grace             string   `yaml:"stop_grace_period"`
			Configs           []struct{ Source, Target string }
			Volumes, Ports    []string
			DependsOn         map[string]any `yaml:"depends_on"`
		}
		Configs map[string]struct{ Content, File string }
		Volumes map[string]any
	}
	if err := yaml.Unmarshal([]byte(read(t, "deploy", "compose.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	ours := 0
	for name, s := range file.Services {
		for other := range s.DependsOn {
			if _, ok := file.Services[other]; !ok {
				t.Errorf("%s waits for %s, which is no service", name, other)
			}
		}
		for _, c := range s.Configs {
			if config := file.Configs[c.Source]; config.Content == "" && (config.File == "" || read(t, "deploy", config.File) == "") {
				t.Errorf("%s is to get the configuration %s, which is not there", name, c.Source)
			}
		}
		for _, v := range s.Volumes {
			volume, _, named := strings.Cut(v, ":")
			if _, ok := file.Volumes[volume]; named && !ok {
				t.Errorf("%s is to get the volume %s, which is not there", name, volume)
			}
		}
		if image := fmt.Sprint(s.Image); strings.Contains(image, ":latest") || !strings.Contains(image, ":") {
			t.Errorf("%s is of whatever version there is: %s", name, image)
		}
		if s.Image != "${WEIR_IMAGE:-weir}" {
			continue
		}
		ours++
		p := transcoder(t)
		if slices.Equal(s.Command, []string{"weir", "edge"}) {
			p = edge(t)
		} else if len(s.Command) > 0 || !slices.ContainsFunc(s.Volumes, func(v string) bool { return strings.HasSuffix(v, "/data") }) {
			t.Errorf("%s is no transcoder, or has nothing to write to: %+v", name, s)
		}
		names := slices.Collect(maps.Keys(s.Environment))
		p.knows(t, name, names...)
		p.starts(t, name, names)
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || s.Grace != "1m" {
			t.Errorf("%s is not confined, or has no time to end: %+v", name, s)
		}
	}
	if ours != 3 {
		t.Errorf("%d services are of the image", ours)
	}
	// What one of them says of another is true.
	listen := regexp.MustCompile(`(?m)^ENV LISTEN=:(\d+)$`).FindStringSubmatch(read(t, "deploy", "Dockerfile"))
	if listen == nil {
		t.Fatal("the image does not say where it listens")
	}
	if got := file.Services["edge"].Environment["TRANSCODER_URL"]; got != "http://transcoder:"+listen[1] {
		t.Errorf("the edge looks for the transcoder at %s", got)
	}
	_, public, _ := strings.Cut(file.Services["transcoder"].Environment["PUBLIC_URL"], ":-")
	if ports := file.Services["edge"].Ports; len(ports) != 1 || ports[0] != strings.Replace(strings.TrimSuffix(public, "}"), "http://localhost", "127.0.0.1", 1)+":"+listen[1] {
		t.Errorf("videos are said to be at %s, and the edge is at %q", public, ports)
	}
}

// manifest decodes a document as the API server would, with nothing unknown in it.
func manifest[T any](t *testing.T, document string) T {
	t.Helper()
	var object T
	if err := kubernetes.UnmarshalStrict([]byte(document), &object); err != nil {
		t.Errorf("%v in\n%s", err, document)
	}
	return object
}

func TestTheManifestsAreKuberneteses(t *testing.T) {
	pods := map[string]corev1.PodTemplateSpec{}
	services := map[string]corev1.Service{}
	budgets := map[string]policyv1.PodDisruptionBudget{}
	var policies []networkingv1.NetworkPolicy
	pod := func(name string, selector *metav1.LabelSelector, p corev1.PodTemplateSpec) {
		pods[name] = p
		if !maps.Equal(selector.MatchLabels, p.Labels) {
			t.Errorf("%s selects %v, and its pods are %v", name, selector.MatchLabels, p.Labels)
		}
	}
	var scaled []string
	var config, listed []string
	var namespace string
	files, err := filepath.Glob(filepath.Join("..", "..", "kubernetes", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatal("no manifests", err)
	}
	for _, file := range files {
		base := filepath.Base(file)
		for document := range strings.SplitSeq(read(t, "deploy", "kubernetes", base), "\n---\n") {
			kind := kindOf(t, document)
			switch kind.APIVersion + " " + kind.Kind {
			case "v1 Namespace":
				manifest[corev1.Namespace](t, document)
			case "v1 ConfigMap":
				manifest[corev1.ConfigMap](t, document)
			case "v1 Service":
				s := manifest[corev1.Service](t, document)
				services[s.Name] = s
			case "apps/v1 Deployment":
				d := manifest[appsv1.Deployment](t, document)
				pod(d.Name, d.Spec.Selector, d.Spec.Template)
			case "apps/v1 StatefulSet":
				d := manifest[appsv1.StatefulSet](t, document)
				pod(d.Name, d.Spec.Selector, d.Spec.Template)
			case "policy/v1 PodDisruptionBudget":
				b := manifest[policyv1.PodDisruptionBudget](t, document)
				budgets[b.Name] = b
			case "networking.k8s.io/v1 NetworkPolicy":
				policies = append(policies, manifest[networkingv1.NetworkPolicy](t, document))
			case "keda.sh/v1alpha1 ScaledObject":
				scaled = append(scaled, document)
			case "kustomize.config.k8s.io/v1beta1 Kustomization":
				k := manifest[kustomization](t, document)
				listed, namespace = k.Resources, k.Namespace
				for _, literal := range k.ConfigMapGenerator[0].Literals {
					name, _, _ := strings.Cut(literal, "=")
					config = append(config, name)
				}
			default:
				t.Errorf("%s has a %s %s", base, kind.APIVersion, kind.Kind)
			}
		}
	}
	for _, file := range files {
		if base := filepath.Base(file); base != "kustomization.yaml" && !slices.Contains(listed, base) {
			t.Errorf("the kustomization does not list %s", base)
		}
	}
	secret := []string{"API_KEY", "R2_ACCESS_KEY_ID", "R2_SECRET_ACCESS_KEY", "TOKEN_KEY", "WEBHOOK_SECRET"}
	settings := append(secret, config...)
	transcoder(t).knows(t, "Kubernetes", settings...)
	transcoder(t).starts(t, "Kubernetes", settings)
	if len(pods) != 4 {
		t.Errorf("pods of %v", slices.Collect(maps.Keys(pods)))
	}
	for name, p := range pods {
		if b := budgets[name]; b.Spec.Selector == nil || !maps.Equal(b.Spec.Selector.MatchLabels, p.Labels) {
			t.Errorf("%s has no PodDisruptionBudget of its own", name)
		}
		s, c := p.Spec.SecurityContext, p.Spec.Containers[0].SecurityContext
		if !*s.RunAsNonRoot || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault || !*c.ReadOnlyRootFilesystem ||
			*c.AllowPrivilegeEscalation || !slices.Equal(c.Capabilities.Drop, []corev1.Capability{"ALL"}) {
			t.Errorf("%s is not confined", name)
		}
		if grace := *p.Spec.TerminationGracePeriodSeconds - pause(p); grace < 50 {
			t.Errorf("%s has no time to end: %d s", name, grace)
		}
		// Whoever is behind a service is asked until all have heard that it ends. Clients of NATS choose a server themselves.
		served := slices.ContainsFunc(slices.Collect(maps.Values(services)), func(s corev1.Service) bool { return contains(p.Labels, s.Spec.Selector) })
		if name != "nats" && served != (pause(p) > 0) {
			t.Errorf("%s is behind a service: %v; it pauses for %d s before it ends", name, served, pause(p))
		}
		// Of what votes, those that do not answer may be on their way back.
		if policy := budgets[name].Spec.UnhealthyPodEvictionPolicy; name != "nats" && (policy == nil || *policy != policyv1.AlwaysAllow) {
			t.Errorf("%s keeps machines from being drained while it is not ready", name)
		}
		if name != "worker" && len(p.Spec.TopologySpreadConstraints) == 0 {
			t.Errorf("all of %s may be on one machine", name)
		}
		var names []string
		for _, e := range p.Spec.Containers[0].Env {
			names = append(names, e.Name)
			if e.Name == "TRANSCODER_URL" && services[strings.TrimPrefix(e.Value, "http://")].Spec.Ports == nil {
				t.Errorf("%s looks for the transcoder at %s, which is no service", name, e.Value)
			}
		}
		switch name {
		case "nats":
		case "edge":
			edge(t).knows(t, name, names...)
			edge(t).starts(t, name, append(names, config...))
		default:
			transcoder(t).knows(t, name, names...)
		}
	}
	for name, s := range services {
		if !slices.ContainsFunc(slices.Collect(maps.Values(pods)), func(p corev1.PodTemplateSpec) bool { return contains(p.Labels, s.Spec.Selector) }) {
			t.Errorf("the service %s is of nobody", name)
		}
	}
	for _, policy := range policies {
		for _, rule := range policy.Spec.Ingress {
			for _, from := range rule.From {
				if !slices.ContainsFunc(slices.Collect(maps.Values(pods)), func(p corev1.PodTemplateSpec) bool { return contains(p.Labels, from.PodSelector.MatchLabels) }) {
					t.Errorf("%s lets in who there is not: %v", policy.Name, from.PodSelector)
				}
			}
			for _, port := range rule.Ports {
				if !slices.ContainsFunc(pods[policy.Name].Spec.Containers[0].Ports, func(p corev1.ContainerPort) bool { return p.Name == port.Port.StrVal }) {
					t.Errorf("%s has no port %s", policy.Name, port.Port.StrVal)
				}
			}
		}
	}
	lanes := read(t, "transcoder", "internal", "queue", "lane.go")
	for _, m := range regexp.MustCompile(`name=="WEIR_(\w+)"`).FindAllStringSubmatch(strings.Join(scaled, ""), -1) {
		if !strings.Contains(lanes, `= "`+strings.ToLower(m[1])+`"`) {
			t.Errorf("workers are scaled by the lane %s, which there is not", m[1])
		}
	}
	if len(scaled) != 1 || !bytes.Contains([]byte(scaled[0]), []byte("WEIR_TASK")) {
		t.Error("the workers are not scaled by what they are to do")
	}
	// KEDA asks from a namespace of its own, in which a short name is nobody's.
	for _, m := range regexp.MustCompile(`url: http://([^:/]+)`).FindAllStringSubmatch(strings.Join(scaled, ""), -1) {
		if name, rest, _ := strings.Cut(m[1], "."); services[name].Name == "" || rest != namespace+".svc" {
			t.Errorf("workers are scaled by what %s says, which is no service of the namespace %s", m[1], namespace)
		}
	}
}

// pause is how long a pod still takes requests after its end was decided, in seconds.
func pause(p corev1.PodTemplateSpec) int64 {
	if l := p.Spec.Containers[0].Lifecycle; l != nil && l.PreStop != nil && l.PreStop.Sleep != nil {
		return l.PreStop.Sleep.Seconds
	}
	return 0
}

// Of a long video, the queue has a task for each slot and two that wait. Kubernetes adds workers for them up to the last, and none for
// tasks that all have slots.
func TestWorkersAreAddedAsLongAsTasksWait(t *testing.T) {
	manifest := read(t, "deploy", "kubernetes", "worker.yaml")
	number := func(name string) float64 {
		t.Helper()
		m := regexp.MustCompile(name + `:? ?(?:, value:)? "?([0-9.]+)`).FindStringSubmatch(manifest)
		if m == nil {
			t.Fatalf("worker.yaml has no %s", name)
		}
		n, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	slots, target, most := number("TASKS"), number("targetValue"), number("maxReplicaCount")
	// As HorizontalPodAutoscaler has it: within a tenth, nothing is changed.
	wanted := func(messages, workers float64) float64 {
		if math.Abs(1-messages/(target*workers)) <= 0.1 {
			return workers
		}
		return min(math.Ceil(messages/target), most)
	}
	for workers := 1.0; workers <= most; workers++ {
		if got := wanted(slots*workers+2, workers); workers < most && got <= workers {
			t.Errorf("with %v workers and two tasks that wait, %v are wanted", workers, got)
		}
		if got := wanted(slots*workers, workers); got != workers {
			t.Errorf("with %v workers that are busy, and nothing that waits, %v are wanted", workers, got)
		}
	}
}

// kustomization is what is used of one.
type kustomization struct {
	metav1.TypeMeta `json:",inline"`
	Namespace       string   `json:"namespace"`
	Resources       []string `json:"resources"`
	Images          []struct {
		Name   string `json:"name"`
		NewTag string `json:"newTag"`
	} `json:"images"`
	ConfigMapGenerator []struct {
		Name     string   `json:"name"`
		Literals []string `json:"literals"`
	} `json:"configMapGenerator"`
}

// kindOf reads what a document is, whatever else is in it.
func kindOf(t *testing.T, document string) metav1.TypeMeta {
	t.Helper()
	var kind metav1.TypeMeta
	if err := kubernetes.Unmarshal([]byte(document), &kind); err != nil {
		t.Fatal(err)
	}
	return kind
}

func contains(labels, selector map[string]string) bool {
	for name, value := range selector {
		if labels[name] != value {
			return false
		}
	}
	return true
}

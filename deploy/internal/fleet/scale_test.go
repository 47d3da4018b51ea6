package fleet

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/tidwall/gjson"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"weir/deploy/internal/port"
	"weir/deploy/local"
)

// document is the manifest of a kind in a file of deploy/kubernetes.
func document(t *testing.T, name, kind string, into any) {
	t.Helper()
	root, err := local.Root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "deploy", "kubernetes", name))
	if err != nil {
		t.Fatal(err)
	}
	for d := range strings.SplitSeq(string(text), "\n---\n") {
		if regexp.MustCompile(`(?m)^kind: ` + kind + `$`).MatchString(d) {
			if err := yaml.Unmarshal([]byte(d), into); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("%s has no %s", name, kind)
}

// deployedCluster is the one of deploy/kubernetes, but on loopback. monitors are where its servers tell of themselves.
func deployedCluster(t *testing.T) (c *cluster, monitors []string) {
	t.Helper()
	c, err := newCluster(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var config corev1.ConfigMap
	document(t, "nats.yaml", "ConfigMap", &config)
	for i, here := range c.options {
		t.Setenv("POD_NAME", "nats-"+strconv.Itoa(i))
		o := &server.Options{}
		if err := o.ProcessConfigString(config.Data["nats.conf"]); err != nil {
			t.Fatal(err)
		}
		if o.ServerName != "nats-"+strconv.Itoa(i) || !o.SyncAlways || o.HTTPPort != 8222 || len(o.Routes) != clusterSize {
			t.Errorf("the servers are %q, synced: %v, port %d, routes %v", o.ServerName, o.SyncAlways, o.HTTPPort, o.Routes)
		}
		monitor, err := port.Free(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		o.HTTPHost, o.HTTPPort = "127.0.0.1", monitor
		monitors = append(monitors, "127.0.0.1:"+strconv.Itoa(monitor))
		o.Host, o.Port, o.Cluster.Host, o.Cluster.Port, o.Routes = here.Host, here.Port, here.Cluster.Host, here.Cluster.Port, here.Routes
		o.StoreDir, o.NoSigs, o.NoLog, o.DisableJetStreamBanner = here.StoreDir, true, true, true
		c.options[i] = o
	}
	return c, monitors
}

// get is the body of an answer.
func get(t *testing.T, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", url, response.Status, err)
	}
	return string(body)
}

// Whichever server KEDA asks, it is told what there is to do: what waits, and what workers are at.
func TestWorkersAreScaledByWhatThereIsToDo(t *testing.T) {
	cluster, monitors := deployedCluster(t)
	binary := filepath.Join(t.TempDir(), "transcoder")
	root, err := local.Root()
	if err != nil {
		t.Fatal(err)
	}
	if err := Build(t.Context(), root, binary, nil); err != nil {
		t.Fatal(err)
	}
	f, err := Start(t.Context(), Options{Binary: binary})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Stop(); err != nil {
			t.Error(err)
		}
	})
	f.cluster = cluster
	if err := cluster.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	var nodes []*Node
	for _, spec := range []Spec{{Name: "api", Role: API}, {Name: "worker", Role: Work, Env: map[string]string{"TASKS": "2"}}} {
		n, err := f.Node(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, n)
		if err := n.Start(); err != nil {
			t.Fatal(err)
		}
		if err := n.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	api, worker := nodes[0], nodes[1]

	// KEDA's triggers of type metrics-api: valueLocation is a path of gjson.
	var scaled struct {
		Spec struct {
			Triggers []struct {
				Metadata struct{ URL, ValueLocation, TargetValue string }
			}
		}
	}
	document(t, "worker.yaml", "ScaledObject", &scaled)
	if len(scaled.Spec.Triggers) != 2 {
		t.Fatalf("triggers %+v", scaled.Spec.Triggers)
	}
	seen := func() (figures []string) {
		for _, trigger := range scaled.Spec.Triggers {
			at, err := url.Parse(trigger.Metadata.URL)
			if err != nil || at.Host != "nats.weir.svc:8222" {
				t.Fatalf("KEDA asks %s, %v", trigger.Metadata.URL, err)
			}
			for _, monitor := range monitors {
				at.Host = monitor
				figures = append(figures, gjson.Get(get(t, at.String()), trigger.Metadata.ValueLocation).Raw)
			}
		}
		return figures
	}
	said := func() (figures []string) {
		text := get(t, api.URL+"/metrics")
		for _, lane := range []string{"task", "first"} {
			m := regexp.MustCompile(`(?m)^weir_queue_messages\{lane="` + lane + `"\} (\d+)$`).FindStringSubmatch(text)
			for range monitors {
				figures = append(figures, m[1])
			}
		}
		return figures
	}
	if got := fmt.Sprint(seen()); got != "[0 0 0 0 0 0]" {
		t.Errorf("with nothing to do, KEDA sees %s", got)
	}

	clip := filepath.Join(f.Temp(), "clip.mp4")
	if err := (Clip{Width: 1280, Height: 720, Rate: 30, Seconds: 120, Loop: 10, Sound: true}).Make(t.Context(), clip); err != nil {
		t.Fatal(err)
	}
	if err := f.Upload(t.Context(), clip, "uploads/clip.mp4"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Client(api, 1).Post(t.Context(), "clip", "uploads/clip.mp4", 50); err != nil {
		t.Fatal(err)
	}
	// Two chunks are done, and two or more wait. It takes what the first picture takes.
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		n, err := strconv.Atoi(said()[0])
		if err == nil && n >= 4 && len(worker.Running()) >= 2 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("no chunk waits: %d, %v", n, err)
		}
	}
	if err := worker.Freeze(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "figure of KEDA's that is the transcoder's", func() bool { return fmt.Sprint(seen()) == fmt.Sprint(said()) })
	t.Logf("KEDA sees %v", seen())
	if err := worker.Thaw(); err != nil {
		t.Fatal(err)
	}
}

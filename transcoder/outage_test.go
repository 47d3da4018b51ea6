package main

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// weather is a proxy before the bucket in which connections can go wrong.
type weather struct {
	t     *testing.T
	proxy *toxiproxy.Proxy
}

// between puts a proxy between a transcoder and the bucket; its configuration is added to env.
func between(t *testing.T, env map[string]string) *weather {
	t.Helper()
	bucket, err := url.Parse(cloud.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	quiet := zerolog.Nop()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), quiet)
	w := &weather{t, toxiproxy.NewProxy(server, "bucket", "127.0.0.1:0", bucket.Host)}
	if err := w.proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.proxy.Stop)
	bucket.Host = w.proxy.Listen
	env["R2_ENDPOINT"] = bucket.String()
	return w
}

func (w *weather) add(toxics ...string) {
	w.t.Helper()
	for _, toxic := range toxics {
		if _, err := w.proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *weather) clear() { w.proxy.Toxics.ResetToxics(context.Background()) }

// While the bucket is away, jobs wait; then they go on where they were. Nobody is told of a failure.
func TestAJobWaitsForTheBucket(t *testing.T) {
	env := map[string]string{}
	w, hook := between(t, env), receive(t)
	n := start(t, t.TempDir(), env)
	key := upload(t, clip(t, "clip.mp4", "-f", "lavfi", "-i", "testsrc2=d=40:s=854x480:r=30", "-f", "lavfi", "-i", "sine=d=40", "-c:v", "libx264", "-preset", "ultrafast"))
	n.post(id(t), key, hook.URL)
	waitFor(t, "a finished chunk", func() bool { return len(finished(t)) > 0 })
	before := finished(t)

	w.proxy.Stop()
	waitFor(t, "the node to say that it is not ready", func() bool {
		return n.do("GET", "/readyz", nil, nil).StatusCode == http.StatusServiceUnavailable
	})
	time.Sleep(12 * time.Second) // longer than the SDK tries, so that messages are handed back
	if err := w.proxy.Start(); err != nil {
		t.Fatal(err)
	}
	if e := hook.next(t, patience); e.Status != "processed" {
		t.Fatalf("told %+v", e)
	}
	for key, etag := range finished(t) {
		if old, ok := before[key]; ok && old != etag {
			t.Errorf("%s was done twice", key)
		}
	}
	for _, r := range readTree(t, id(t)).renditions {
		r.check(t, 1200, 60, 40)
	}
}

// Connections that are slow, that break off in the middle of an object, and that are reset, cost time and nothing else.
func TestAJobOutlivesBadConnections(t *testing.T) {
	env := map[string]string{}
	w, hook := between(t, env), receive(t)
	n := start(t, t.TempDir(), env)
	key := upload(t, clip(t, "clip.mp4", "-f", "lavfi", "-i", "testsrc2=d=20:s=640x360:r=30", "-f", "lavfi", "-i", "sine=d=20", "-c:v", "libx264", "-preset", "ultrafast"))
	w.add(
		`{"type":"latency","stream":"downstream","attributes":{"latency":20,"jitter":20}}`,
		`{"type":"limit_data","stream":"downstream","toxicity":0.3,"attributes":{"bytes":300000}}`,
		`{"type":"reset_peer","stream":"upstream","toxicity":0.1,"attributes":{"timeout":300}}`,
	)
	n.post(id(t), key, hook.URL)
	e := hook.next(t, patience)
	w.clear()
	if e.Status != "processed" {
		t.Fatalf("told %+v", e)
	}
	for _, r := range readTree(t, id(t)).renditions {
		r.check(t, 600, 60, 20)
	}
}

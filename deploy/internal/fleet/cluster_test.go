package fleet

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func TestClusterKeepsMessages(t *testing.T) {
	c, err := newCluster(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.stop() })
	if err := c.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn, err := nats.Connect(c.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, Replicas: clusterSize}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "s", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	kept := func() bool {
		stream, err := js.Stream(t.Context(), "S")
		if err != nil {
			return false
		}
		m, err := stream.GetMsg(t.Context(), 1)
		return err == nil && string(m.Data) == "kept"
	}
	c.servers[0].Shutdown()
	eventually(t, "message from the others", kept)
	c.stop()
	if kept() {
		t.Error("a cluster that was stopped answers")
	}
	if err := c.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "message after all of them were away", kept)
}

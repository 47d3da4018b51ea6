package queue_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"weir/transcoder/internal/queue"
)

// TestMain also runs the processes that tests stop and kill, and looks for what the tests left running.
func TestMain(m *testing.M) {
	if part := os.Getenv("QUEUE_TEST_PART"); part != "" {
		go func() { // no part outlives its test, whatever becomes of that
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(1)
		}()
		parts := map[string]func(string) int{"node": runNode, "poison": takePoison, "sleeper": sleep}
		os.Exit(parts[part](os.Getenv("QUEUE_TEST_PLACE")))
	}
	code := m.Run()
	if left := leftovers(); left != "" {
		fmt.Fprintln(os.Stderr, "goroutines are left:\n"+left)
		code = 1
	}
	os.Exit(code)
}

// leftovers is the goroutines that are still in this package, once those that are ending have ended.
func leftovers() string {
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		var left []string
		for i, stack := range strings.Split(string(stacks), "\n\n") {
			if i > 0 && (strings.Contains(stack, "internal/queue.") || strings.Contains(stack, "nats.go@")) {
				left = append(left, stack)
			}
		}
		if len(left) == 0 || time.Now().After(end) {
			return strings.Join(left, "\n\n")
		}
	}
}

// process runs a part of a test as a process of its own.
func process(t *testing.T, part, place string) (*exec.Cmd, io.Reader) {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), "QUEUE_TEST_PART="+part, "QUEUE_TEST_PLACE="+place)
	c.Stderr = os.Stderr
	if _, err := c.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	return c, out
}

var silence = slog.New(slog.DiscardHandler)

func open(t *testing.T, dir string) *queue.Queue {
	t.Helper()
	q, err := queue.Open(t.Context(), queue.Config{Dir: dir}, silence)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.Close)
	return q
}

func openPaced(t *testing.T, c queue.Config, p queue.Pace) *queue.Queue {
	t.Helper()
	if p.Start == 0 {
		p.Start = 20 * time.Second
	}
	q, err := queue.OpenPaced(t.Context(), c, silence, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.Close)
	return q
}

// serve hands messages to handle until the test or the returned function ends it.
func serve(t *testing.T, q *queue.Queue, lane queue.Lane, slots int, handle queue.Handler) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := q.Serve(ctx, lane, slots, handle); err != nil {
			t.Error(err)
		}
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

func send(t *testing.T, q *queue.Queue, lane queue.Lane, priority int, id string) {
	t.Helper()
	if err := q.Send(t.Context(), lane, priority, id, []byte(id)); err != nil {
		t.Fatal(err)
	}
}

func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func nothing[T any](t *testing.T, c <-chan T) {
	t.Helper()
	select {
	case v := <-c:
		t.Fatalf("%v came", v)
	case <-time.After(300 * time.Millisecond):
	}
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it never came true: " + what)
		}
	}
}

// node is a NATS server on loopback, in a process of its own so that it can be killed, and started again with its files.
type node struct {
	t *testing.T
	c *exec.Cmd

	Name      string
	Port      int
	RoutePort int
	Routes    []string
	Dir       string // empty: no JetStream
}

// runNode is the part of a node's process.
func runNode(place string) int {
	var n node
	if err := json.Unmarshal([]byte(place), &n); err != nil {
		fmt.Println(err)
		return 1
	}
	options := &server.Options{
		ServerName: n.Name, Host: "127.0.0.1", Port: n.Port, NoLog: true,
		JetStream: n.Dir != "", StoreDir: n.Dir, SyncAlways: true, JetStreamMaxStore: 1 << 30,
	}
	if n.Routes != nil {
		options.Cluster = server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: n.RoutePort}
		options.Routes = server.RoutesFromStr(strings.Join(n.Routes, ","))
	}
	s, err := server.NewServer(options)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	s.Start()
	if s.ReadyForConnections(20 * time.Second) {
		fmt.Println("ready")
	}
	s.WaitForShutdown()
	return 0
}

func (n *node) start() {
	n.t.Helper()
	place, err := json.Marshal(n)
	if err != nil {
		n.t.Fatal(err)
	}
	var out io.Reader
	n.c, out = process(n.t, "node", string(place))
	if lines := bufio.NewScanner(out); !lines.Scan() || lines.Text() != "ready" {
		n.t.Fatalf("a server did not start: %s", lines.Text())
	}
}

func (n *node) kill() {
	_ = n.c.Process.Kill()
	_ = n.c.Wait()
}

// servers starts a cluster, or one server that knows no others.
func servers(t *testing.T, count int) []*node {
	t.Helper()
	ports := freePorts(t, 2*count)
	var routes []string
	for _, p := range ports[count:] {
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", p))
	}
	nodes := make([]*node, count)
	for i := range nodes {
		nodes[i] = &node{t: t, Name: fmt.Sprint("n", i), Port: ports[i], Dir: t.TempDir()}
		if count > 1 {
			nodes[i].RoutePort, nodes[i].Routes = ports[count+i], routes
		}
		nodes[i].start()
	}
	return nodes
}

func urls(nodes []*node) string {
	var all []string
	for _, n := range nodes {
		all = append(all, fmt.Sprintf("nats://127.0.0.1:%d", n.Port))
	}
	return strings.Join(all, ",")
}

func freePorts(t *testing.T, count int) []int {
	t.Helper()
	var ports []int
	for range count {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// stream asks a server for a stream.
func stream(t *testing.T, url, name string) jetstream.Stream {
	t.Helper()
	conn, err := nats.Connect(url, nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // its server may be killed
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// waiting is how many messages a stream holds.
func waiting(t *testing.T, url, name string) uint64 {
	t.Helper()
	return stream(t, url, name).CachedInfo().State.Msgs
}

package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/transcoder/internal/job"
)

// pipes is a listener without a network: its connections have no buffers, and their time may be a test's.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	gone  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.gone:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.gone) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-p.gone:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// running is a server that really serves, on pipes.
type running struct {
	*fixture
	client *http.Client
	stop   context.CancelFunc
	ended  chan error // of Serve
}

func run(t *testing.T) *running {
	t.Helper()
	p := &pipes{conns: make(chan net.Conn), gone: make(chan struct{})}
	return serve(t, p, p.dial)
}

func serve(t *testing.T, l net.Listener, dial func(context.Context, string, string) (net.Conn, error)) *running {
	t.Helper()
	f := setup(t)
	f.do("POST", "/transcode", good)
	ctx, stop := context.WithCancel(t.Context())
	r := &running{
		fixture: f, stop: stop, ended: make(chan error, 1),
		client: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}},
	}
	go func() { r.ended <- f.server.Serve(ctx, l) }()
	return r
}

// close ends the server and tells how long that took; nobody may listen any more.
func (r *running) close() time.Duration {
	r.t.Helper()
	start := time.Now()
	r.stop()
	if err := <-r.ended; err != nil {
		r.t.Errorf("Serve ended with %v", err)
	}
	if n := r.listening(); n != 0 {
		r.t.Errorf("%d still listen", n)
	}
	return time.Since(start)
}

func (r *running) get(ctx context.Context, path string) *http.Response {
	r.t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://weir"+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer right")
	response, err := r.client.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	return response
}

// event is what a client has received, and when, from the start of its request.
type event struct {
	name     string // "comment" for a comment
	progress job.Progress
	at       time.Duration
}

// viewer is a client of a stream.
type viewer struct {
	t        *testing.T
	response *http.Response
	start    time.Time
	leave    context.CancelFunc

	mu     sync.Mutex
	events []event
	done   chan struct{} // closed at the end of the stream
	err    error         // how it ended; nil if the server ended it in order
}

// watch asks for the events of the video intro, and reads them when start is called.
func (r *running) watch() *viewer {
	r.t.Helper()
	ctx, leave := context.WithCancel(r.t.Context())
	start := time.Now()
	v := &viewer{t: r.t, response: r.get(ctx, "/videos/intro/events"), start: start, leave: leave, done: make(chan struct{})}
	if v.response.StatusCode != http.StatusOK {
		r.t.Fatalf("answered %s", v.response.Status)
	}
	return v
}

func (v *viewer) reads() *viewer {
	go func() {
		defer close(v.done)
		defer v.response.Body.Close()
		lines := bufio.NewReader(v.response.Body)
		name := ""
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				if v.err = err; errors.Is(err, io.EOF) && line == "" {
					v.err = nil
				}
				return
			}
			field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			switch field {
			case "": // a comment, or the end of an event
				if value != "" {
					v.add(event{name: "comment"})
				}
			case "event":
				name = value
			case "data":
				e := event{name: name}
				if err := json.Unmarshal([]byte(value), &e.progress); err != nil {
					v.t.Errorf("%s: %v", value, err)
				}
				v.add(e)
			default:
				v.t.Errorf("a line of no known form: %q", line)
			}
		}
	}()
	return v
}

func (v *viewer) add(e event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	e.at = time.Since(v.start)
	v.events = append(v.events, e)
}

// of returns the events of a name so far.
func (v *viewer) of(name string) (list []event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, e := range v.events {
		if e.name == name {
			list = append(list, e)
		}
	}
	return list
}

// last returns the newest progress.
func (v *viewer) last() job.Progress {
	v.t.Helper()
	all := v.of("progress")
	if len(all) == 0 {
		v.t.Fatal("nothing was told")
	}
	return all[len(all)-1].progress
}

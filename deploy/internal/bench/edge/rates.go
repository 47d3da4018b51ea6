package edge

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// What is asked for: a segment, and something so small that the check weighs.
const (
	segmentKey, segmentSize = "videos/abc/hls/720p/segment_1_abc.m4s", 200 << 10
	smallKey, smallSize     = "videos/abc/hls/720p/segment_2_abc.m4s", 2 << 10
)

const (
	// connections ask at the same time, each one request after the other.
	connections = 16
	// requests is how many a Worker gets at a stretch: so few, because two stretches of the same work that are a second apart differ by
	// a tenth on a machine that others use too, and neighbours of 50 ms hardly.
	requests = 64
	// manyTurns and fewTurns are how often each Worker has its turn, after warmTurns that do not count.
	manyTurns, fewTurns, warmTurns = 300, 2, 20
	// someViewers have a token each, as the viewers of an isolate have.
	someViewers = 64
	// replyTimeout is for one answer.
	replyTimeout = 30 * time.Second
)

// Rates are requests a second over loopback, by the Worker: ours, one without a check, and one with jose; and what one
// request takes of workerd, in µs of CPU time. All are medians, and the ratios are of neighbouring turns.
type Rates struct {
	Weir      float64 `json:"rps_weir"`
	Bare      float64 `json:"rps_bare"`
	Jose      float64 `json:"rps_jose"`
	WeirCPU   float64 `json:"cpu_us_weir"`
	BareCPU   float64 `json:"cpu_us_bare"`
	JoseCPU   float64 `json:"cpu_us_jose"`
	RatioBare float64 `json:"rps_ratio_bare"` // of Weir to Bare
	RatioJose float64 `json:"rps_ratio_jose"` // of Weir to Jose
}

// subject is a Worker that is asked, on connections that stay open, and what came of each of its turns.
type subject struct {
	name, origin string
	open         []*connection
	rates, cpu   []float64
}

// rates measures requests by turns.
func (b *bench) rates(ctx context.Context, s *server) error {
	b.result.Rates = map[string]Rates{}
	for _, load := range []struct {
		name, key string
		viewers   int
		ratio     *float64
	}{
		{"200KB", segmentKey, someViewers, &b.result.RatioBare},
		{"2KB", smallKey, someViewers, &b.result.RatioBareSmall},
		{"200KB, every token new", segmentKey, b.tokens(), &b.result.RatioBareNew},
	} {
		tokens, err := b.signer.tokens(load.viewers, false, func(int) string { return "videos/abc" })
		if err != nil {
			return err
		}
		paths := make([]string, len(tokens))
		for i, token := range tokens {
			paths[i] = "/t/" + token + "/" + load.key
		}
		result, err := b.compare(ctx, s, load.name, paths, objects[load.key])
		if err != nil {
			return err
		}
		b.result.Rates[load.name], *load.ratio = result, result.RatioBare
	}
	return nil
}

// compare asks all of the Workers for the paths, whose objects have size bytes.
func (b *bench) compare(ctx context.Context, s *server, name string, paths []string, size int) (_ Rates, err error) {
	bare := &subject{name: "bare", origin: s.addresses.Bare}
	weir := &subject{name: "Weir", origin: s.addresses.Weir}
	jose := &subject{name: "jose", origin: s.addresses.Jose}
	subjects := []*subject{bare, weir, jose}
	if err := s.alike(ctx, paths[0], subjects...); err != nil {
		return Rates{}, err
	}
	defer func() {
		for _, subject := range subjects {
			err = errors.Join(err, subject.hangUp())
		}
	}()
	for _, subject := range subjects {
		if err := subject.dial(ctx); err != nil {
			return Rates{}, err
		}
	}
	turns, warm := manyTurns, warmTurns
	if b.opts.Short {
		turns, warm = fewTurns, 1
	}
	order := slices.Clone(subjects)
	for turn := range warm + turns {
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, subject := range order {
			rate, cpu, err := s.turn(ctx, subject, paths, size)
			if err != nil {
				return Rates{}, fmt.Errorf("ask %s: %w", subject.name, err)
			}
			if turn >= warm {
				subject.rates, subject.cpu = append(subject.rates, rate), append(subject.cpu, cpu)
			}
		}
	}
	toBare, toJose := ratios(weir.rates, bare.rates), ratios(weir.rates, jose.rates)
	for _, subject := range subjects {
		b.row(name+", "+subject.name, "%s requests a second, %s µs each", spreadOf(subject.rates).text(0), spreadOf(subject.cpu).text(0))
	}
	b.row(name+", Weir to bare", "%s times the requests", toBare.text(3))
	b.row(name+", Weir to jose", "%s times the requests", toJose.text(3))
	median := func(values []float64) float64 { return rounded(spreadOf(values).median, 0) }
	return Rates{
		Weir: median(weir.rates), Bare: median(bare.rates), Jose: median(jose.rates),
		WeirCPU: median(weir.cpu), BareCPU: median(bare.cpu), JoseCPU: median(jose.cpu),
		RatioBare: rounded(toBare.median, 3), RatioJose: rounded(toJose.median, 3),
	}, nil
}

func ratios(of, to []float64) spread {
	all := make([]float64, len(of))
	for i := range of {
		all[i] = of[i] / to[i]
	}
	return spreadOf(all)
}

// alike makes sure that the Workers do the same work: to give the same answer.
func (s *server) alike(ctx context.Context, path string, subjects ...*subject) error {
	var first http.Header
	for _, subject := range subjects {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, subject.origin+path, nil)
		if err != nil {
			return err
		}
		resp, err := s.http.Do(req)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("ask %s: it answers %s", subject.name, resp.Status)
		}
		resp.Header.Set("Server-Timing", "") // it says how long it took
		resp.Header.Del("Date")
		if first == nil {
			first = resp.Header
		} else if !maps.EqualFunc(first, resp.Header, func(a, b []string) bool { return strings.Join(a, "\n") == strings.Join(b, "\n") }) {
			return fmt.Errorf("the Workers answer with different headers: %v and, %s, %v", first, subject.name, resp.Header)
		}
	}
	return nil
}

// turn asks a Worker for the paths in turn, on all of its connections, and gives the requests a second, and the µs of CPU time that
// each took.
func (s *server) turn(ctx context.Context, asked *subject, paths []string, size int) (rate, cpu float64, err error) {
	cpuBefore, err := s.cpu()
	if err != nil {
		return 0, 0, err
	}
	var sent atomic.Int64
	began, first := time.Now(), len(asked.rates)*requests
	group, ctx := errgroup.WithContext(ctx)
	for _, c := range asked.open {
		group.Go(func() error {
			for n := int(sent.Add(1)); n <= requests && ctx.Err() == nil; n = int(sent.Add(1)) {
				if err := c.get(paths[(first+n)%len(paths)], size); err != nil {
					return err
				}
			}
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return 0, 0, err
	}
	took := time.Since(began)
	cpuAfter, err := s.cpu()
	return requests / took.Seconds(), float64((cpuAfter - cpuBefore).Microseconds()) / requests, err
}

// connection is one to a Worker.
type connection struct {
	net.Conn
	in   *bufio.Reader
	host string
}

func (s *subject) dial(ctx context.Context) error {
	host := strings.TrimPrefix(s.origin, "http://")
	for range connections {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", host)
		if err != nil {
			return err
		}
		s.open = append(s.open, &connection{conn, bufio.NewReaderSize(conn, 64<<10), host})
	}
	return nil
}

func (s *subject) hangUp() error {
	var err error
	for _, c := range s.open {
		err = errors.Join(err, c.Close())
	}
	return err
}

// get asks for a path as a player does and reads all of the answer, which has size bytes.
func (c *connection) get(path string, size int) error {
	if err := c.SetDeadline(time.Now().Add(replyTimeout)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: "+c.host+"\r\nAccept: */*\r\n"+
		"Origin: https://www.example.com\r\nReferer: https://www.example.com/\r\n\r\n"); err != nil {
		return err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.Copy(io.Discard, resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || got != int64(size) {
		return errors.New("it answers " + resp.Status + " with " + strconv.FormatInt(got, 10) + " bytes")
	}
	return nil
}

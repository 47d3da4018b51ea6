package edge

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
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
	// longBlock and shortBlock are how long one Worker is asked at a stretch.
	longBlock, shortBlock = 2 * time.Second, 100 * time.Millisecond
	// manyTurns and fewTurns are how often each Worker has its turn.
	manyTurns, fewTurns = 12, 2
	// replyTimeout is for one answer.
	replyTimeout = 30 * time.Second
)

// Rates are requests a second over loopback, by the Worker: ours, one without a check, and one with jose; and what one
// request takes of workerd, in µs of CPU time. All are medians, and the ratios are of neighbouring blocks.
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

// subject is a Worker that is asked, and what came of each of its blocks.
type subject struct {
	name, origin string
	rates, cpu   []float64
}

// rates measures requests by turns.
func (b *bench) rates(ctx context.Context, s *server) error {
	turns, block := manyTurns, longBlock
	if b.opts.Short {
		turns, block = fewTurns, shortBlock
	}
	tokens, err := b.signer.tokens(b.tokens(), false, func(int) string { return "videos/abc" })
	if err != nil {
		return err
	}
	b.result.Rates = map[string]Rates{}
	for _, object := range []struct {
		name, key string
		ratio     *float64
	}{{"200KB", segmentKey, &b.result.RatioBare}, {"2KB", smallKey, &b.result.RatioBareSmall}} {
		bare := &subject{name: "bare", origin: s.addresses.Bare}
		weir := &subject{name: "Weir", origin: s.addresses.Weir}
		jose := &subject{name: "jose", origin: s.addresses.Jose}
		paths := make([]string, len(tokens))
		for i, token := range tokens {
			paths[i] = "/t/" + token + "/" + object.key
		}
		if err := s.alike(ctx, paths[0], bare, weir, jose); err != nil {
			return err
		}
		order := []*subject{bare, weir, jose}
		for turn := range 1 + turns {
			for _, subject := range order {
				rate, cpu, err := s.block(ctx, subject.origin, paths, objects[object.key], block)
				if err != nil {
					return fmt.Errorf("ask %s: %w", subject.name, err)
				}
				if turn > 0 { // the first warms up
					subject.rates, subject.cpu = append(subject.rates, rate), append(subject.cpu, cpu)
				}
			}
			order = append(order[1:], order[0]) // each comes after each other one, and never after itself
		}
		toBare, toJose := ratios(weir.rates, bare.rates), ratios(weir.rates, jose.rates)
		for _, subject := range []*subject{bare, weir, jose} {
			b.row(object.name+", "+subject.name, "%s requests a second, %s µs each", spreadOf(subject.rates).text(0), spreadOf(subject.cpu).text(0))
		}
		b.row(object.name+", Weir to bare", "%s times the requests", toBare.text(3))
		b.row(object.name+", Weir to jose", "%s times the requests", toJose.text(3))
		*object.ratio = rounded(toBare.median, 3)
		median := func(values []float64) float64 { return rounded(spreadOf(values).median, 0) }
		b.result.Rates[object.name] = Rates{
			Weir: median(weir.rates), Bare: median(bare.rates), Jose: median(jose.rates),
			WeirCPU: median(weir.cpu), BareCPU: median(bare.cpu), JoseCPU: median(jose.cpu),
			RatioBare: rounded(toBare.median, 3), RatioJose: rounded(toJose.median, 3),
		}
	}
	return nil
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

// block asks a Worker for the paths in turn, on all connections, and gives the requests a second, and the µs of CPU time that each
// took.
func (s *server) block(ctx context.Context, origin string, paths []string, size int, length time.Duration) (rate, cpu float64, err error) {
	host := strings.TrimPrefix(origin, "http://")
	cpuBefore, err := s.cpu()
	if err != nil {
		return 0, 0, err
	}
	var count atomic.Int64
	began := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for range connections {
		group.Go(func() error {
			var dialer net.Dialer
			conn, err := dialer.DialContext(ctx, "tcp", host)
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close() }()
			in := bufio.NewReaderSize(conn, 64<<10)
			for time.Since(began) < length && ctx.Err() == nil {
				path := paths[int(count.Add(1))%len(paths)]
				if err := request(conn, in, host, path, size); err != nil {
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
	n := float64(count.Load())
	return n / took.Seconds(), float64((cpuAfter - cpuBefore).Microseconds()) / n, err
}

// request asks for a path as a player does and reads all of the answer, which has size bytes.
func request(conn net.Conn, in *bufio.Reader, host, path string, size int) error {
	if err := conn.SetDeadline(time.Now().Add(replyTimeout)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: "+host+"\r\nAccept: */*\r\n"+
		"Origin: https://www.example.com\r\nReferer: https://www.example.com/\r\n\r\n"); err != nil {
		return err
	}
	resp, err := http.ReadResponse(in, nil)
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

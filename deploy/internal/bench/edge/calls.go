package edge

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

const (
	// manyTokens is far more than the module remembers: until one comes again, it has been forgotten. Of fewTokens, for a short
	// run, some are not.
	manyTokens, fewTokens = 8192, 1024
	// stretch is how long the calls of one request are to take: long beside the request, and so short that one turn of all
	// calls finds the machine as the next does.
	stretch = 10 * time.Millisecond
	// longWarmUp is for the compilers of workerd to be done with a call, and shortWarmUp to know about how long it takes.
	longWarmUp, shortWarmUp = 300 * time.Millisecond, 30 * time.Millisecond
	// manyRounds and fewRounds of which the median counts.
	manyRounds, fewRounds = 100, 3
)

// operation is one of the calls of edge-auth/bench/measure.mjs.
type operation struct {
	name, what string
	result     *float64
	times      int // how often a request repeats it
	took       []float64
}

// calls measures what the module, the shim and the libraries take for a token, in µs, and what a new instance takes.
func (b *bench) calls(ctx context.Context, s *server) error {
	theVideo := func(int) string { return "videos/abc" }
	hs256, err := b.signer.tokens(b.tokens(), false, theVideo)
	if err != nil {
		return err
	}
	eddsa, err := b.signer.tokens(b.tokens()/4, true, theVideo)
	if err != nil {
		return err
	}
	if err := s.ask(ctx, "/prepare", map[string][]string{"hs256": hs256, "eddsa": eddsa}, nil); err != nil {
		return err
	}
	r, instantiate := &b.result, 0.0
	operations := []*operation{
		{name: "decide", what: "decide and respond, a new token", result: &r.Decide},
		{name: "decide_remembered", what: "decide and respond, a remembered token", result: &r.DecideRemembered},
		{name: "decide_eddsa", what: "decide and respond, a new token, Ed25519", result: &r.DecideEdDSA},
		{name: "decide_shim", what: "the same with the shim, a new token", result: &r.DecideShim},
		{name: "decide_remembered_shim", what: "the same with the shim, a remembered token", result: &r.DecideRememberedShim},
		{name: "jose", what: "jose, the token alone", result: &r.Jose},
		{name: "jose_eddsa", what: "jose, the token alone, Ed25519", result: &r.JoseEdDSA},
		{name: "hono", what: "hono, the token alone", result: &r.Hono},
		{name: "instantiate", what: "a new instance with its settings", result: &instantiate},
	}
	rounds, warmUp := manyRounds, longWarmUp
	if b.opts.Short {
		rounds, warmUp = fewRounds, shortWarmUp
	}
	for _, o := range operations {
		if err := o.prepare(ctx, s, warmUp); err != nil {
			return err
		}
	}
	for range rounds {
		for _, o := range operations {
			each, err := o.measure(ctx, s)
			if err != nil {
				return err
			}
			o.took = append(o.took, each)
		}
	}
	for _, o := range operations {
		all := spreadOf(o.took)
		*o.result = rounded(all.median, 2)
		b.row(o.what, "%s µs", all.text(2))
	}
	r.Instantiate = rounded(instantiate/1000, 3)
	for _, ratio := range []struct {
		what   string
		ours   float64
		result *float64
	}{
		{"jose to decide and respond, a new token", r.Decide, &r.RatioJose},
		{"jose to decide and respond, a remembered token", r.DecideRemembered, &r.RatioJoseRemembered},
		{"jose to the same with the shim, a new token", r.DecideShim, &r.RatioJoseShim},
		{"jose to the same with the shim, a remembered token", r.DecideRememberedShim, &r.RatioJoseRememberedShim},
	} {
		*ratio.result = rounded(r.Jose/ratio.ours, 2)
		b.row(ratio.what, "%.1f times as much", *ratio.result)
	}
	return nil
}

// tokens is how many there are to take turns with.
func (b *bench) tokens() int {
	if b.opts.Short {
		return fewTokens
	}
	return manyTokens
}

// prepare warms the call up and finds how often it goes into a stretch.
func (o *operation) prepare(ctx context.Context, s *server, warmUp time.Duration) error {
	o.times = 10
	for end := time.Now().Add(warmUp); time.Now().Before(end); {
		each, err := o.measure(ctx, s)
		if err != nil {
			return err
		}
		if each > 0 {
			o.times = max(int(float64(stretch.Microseconds())/each), 1)
		}
	}
	return nil
}

// measure gives what one call takes, in µs of CPU time.
func (o *operation) measure(ctx context.Context, s *server) (float64, error) {
	without, err := o.run(ctx, s, 0)
	if err != nil {
		return 0, err
	}
	with, err := o.run(ctx, s, o.times)
	return float64((with - without).Nanoseconds()) / 1000 / float64(o.times), err
}

// run lets workerd repeat the call and gives the CPU time of the request.
func (o *operation) run(ctx context.Context, s *server, times int) (time.Duration, error) {
	began, err := s.cpu()
	if err != nil {
		return 0, err
	}
	if err := s.ask(ctx, fmt.Sprintf("/run?call=%s&times=%d", o.name, times), nil, nil); err != nil {
		return 0, err
	}
	ended, err := s.cpu()
	return ended - began, err
}

const (
	// requestsAtOnce go into one request to the Worker that measures.
	requestsAtOnce = 1000
	// fullAfter so many requests all that the module remembers is full: from then on its memory is not to grow.
	fullAfter = 10 * requestsAtOnce
	// manyRequests are as many as an isolate may see in its life, and fewRequests enough to see them go by.
	manyRequests, fewRequests = 1000 * requestsAtOnce, 12 * requestsAtOnce
)

// memory lets one instance answer requests with ever new tokens for ever new videos, and looks at its memory.
func (b *bench) memory(ctx context.Context, s *server) error {
	total := manyRequests
	if b.opts.Short {
		total = fewRequests
	}
	after := map[int]float64{} // KB, by requests
	for done := 0; done < total; {
		from := done
		tokens, err := b.signer.tokens(requestsAtOnce, false, func(i int) string { return "videos/v" + strconv.Itoa(from+i) })
		if err != nil {
			return err
		}
		var bytes float64
		if err := s.ask(ctx, "/fill?from="+strconv.Itoa(from), tokens, &bytes); err != nil {
			return err
		}
		done += requestsAtOnce
		after[done] = bytes / 1024
	}
	r := &b.result
	r.MemoryFirst, r.MemoryFull, r.MemoryLast = after[requestsAtOnce], after[fullAfter], after[manyRequests]
	r.MemoryFlat = new(after[total] == after[fullAfter])
	b.row("memory of the module", "%.0f KB after %d requests, %.0f KB after %d, %.0f KB after %d",
		r.MemoryFirst, requestsAtOnce, r.MemoryFull, fullAfter, after[total], total)
	return nil
}

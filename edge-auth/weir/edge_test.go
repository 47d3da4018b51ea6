package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
)

// running is `weir edge` in this process, so that the race detector sees all of it.
type running struct {
	url   string
	end   context.CancelFunc
	ended chan error
}

// start starts one on a free port and waits until it listens.
func start(env map[string]string) (*running, error) {
	ctx, cancel := context.WithCancel(context.Background())
	e := &running{end: cancel, ended: make(chan error, 1)}
	env["LISTEN"] = "127.0.0.1:0"
	out, in := io.Pipe()
	go func() {
		err := run(ctx, []string{"edge"}, func(name string) string { return env[name] }, io.Discard, in)
		_ = in.Close()
		e.ended <- err
	}()
	lines := bufio.NewScanner(out)
	var first struct{ Listen string }
	if !lines.Scan() {
		return nil, errors.Join(errors.New("it did not start"), <-e.ended)
	}
	if err := json.Unmarshal(lines.Bytes(), &first); err != nil {
		return nil, err
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	e.url = "http://" + first.Listen
	return e, nil
}

// stop asks it to end and waits.
func (e *running) stop() error {
	e.end()
	return <-e.ended
}

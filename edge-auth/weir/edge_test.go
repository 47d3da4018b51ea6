package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
)

// running is `weir edge` in this process, so that the race detector sees all of it.
type running struct {
	url   string
	end   context.CancelFunc
	ended chan error

	mu    sync.Mutex
	lines []map[string]any // of the log
}

// start starts one and waits until it listens.
func start(env map[string]string) (*running, error) {
	ctx, cancel := context.WithCancel(context.Background())
	e := &running{end: cancel, ended: make(chan error, 1)}
	out, in := io.Pipe()
	getenv := func(name string) string {
		if value, ok := env[name]; ok || name != "LISTEN" {
			return value
		}
		return "127.0.0.1:0"
	}
	go func() {
		err := run(ctx, []string{"edge"}, getenv, io.Discard, in)
		_ = in.Close()
		e.ended <- err
	}()
	listening := make(chan string, 1)
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var line map[string]any
			if json.Unmarshal(lines.Bytes(), &line) == nil {
				e.mu.Lock()
				e.lines = append(e.lines, line)
				e.mu.Unlock()
				if address, ok := line["listen"].(string); ok {
					listening <- address
				}
			}
		}
		close(listening)
	}()
	address, ok := <-listening
	if !ok {
		return nil, errors.Join(errors.New("it did not start"), <-e.ended)
	}
	e.url = "http://" + address
	return e, nil
}

// stop asks it to end and waits.
func (e *running) stop() error {
	e.end()
	return <-e.ended
}

// said are the lines of the log with this message.
func (e *running) said(message string) (found []map[string]any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, line := range e.lines {
		if text, _ := line["msg"].(string); strings.Contains(text, message) {
			found = append(found, line)
		}
	}
	return found
}

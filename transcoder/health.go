package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"
)

// healthTimeout is more than a node takes that has other things to do.
const healthTimeout = 5 * time.Second

// healthcheck asks the node that has this environment whether it is alive: containers have no program beside it that could.
func healthcheck(ctx context.Context, getenv func(string) string) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	host, port, err := net.SplitHostPort((&variables{getenv: getenv}).text("LISTEN", defaultListen))
	if err != nil {
		return fmt.Errorf("%w: LISTEN: %w", errUsage, err)
	}
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/healthz", nil)
	if err != nil {
		return fmt.Errorf("%w: LISTEN: %w", errUsage, err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("the transcoder does not answer: %w", err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the transcoder is not well: %s", resp.Status)
	}
	return nil
}

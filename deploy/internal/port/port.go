// Package port finds TCP ports for programs that want to be told where to listen.
package port

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// The ports that Free chooses from. They lie below Linux's ephemeral ports (from 32768), because one of those could
// become the local end of somebody's connection before the program listens.
const (
	first = 20000
	last  = 31999
	tries = 100
)

// Free returns a port of the loopback address that nobody listens on.
func Free(ctx context.Context) (int, error) {
	var lc net.ListenConfig
	var err error
	for range tries {
		port := first + rand.IntN(last-first+1) //nolint:gosec // a port is no secret
		var l net.Listener
		if l, err = lc.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("find a free port between %d and %d: %w", first, last, err)
}

// Command weir runs the parts of Weir that Cloudflare runs, where there is no Cloudflare:
//
//	weir edge    the Worker's work as an HTTP server, in front of any bucket that speaks S3
//
// What it has to know comes from the environment; README.md has the table. It ends with 0, with 2 if it was called wrongly or its
// configuration cannot be used, and with 1 if something failed.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"weir/edge-auth/weir/internal/edge"
)

const usage = `usage: weir COMMAND

  edge    let those who have a token stream what is in the bucket. Its settings are environment variables: README.md tells them
`

// errUsage is a command line or a configuration that cannot be used: the process exits with 2.
var errUsage = errors.New("wrong usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	switch err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr); {
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "weir:", err)
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "weir:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	switch {
	case len(args) == 0:
		_, err := io.WriteString(stdout, usage)
		return err
	case len(args) == 1 && args[0] == "edge":
		return serve(ctx, getenv, stderr)
	}
	return fmt.Errorf("%w: %q is no command\n%s", errUsage, args, usage)
}

// serve is the edge, until ctx ends; then requests in flight are finished.
func serve(ctx context.Context, getenv func(string) string, stderr io.Writer) error {
	listen, config, err := loadConfig(getenv)
	if err != nil {
		return fmt.Errorf("%w: the configuration cannot be used:\n%w\nSet these environment variables; the README's table tells what they mean.", errUsage, err)
	}
	config.Log, config.Now = slog.New(slog.NewJSONHandler(stderr, nil)), time.Now
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	config.Log.Info("the edge was started", "listen", listener.Addr().String())
	if config.Player == nil {
		config.Log.Warn("the page for people has no player: PUBLIC_DIR is not set")
	}
	err = edge.New(config).Serve(ctx, listener)
	config.Log.Info("the edge was ended")
	return err
}

package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"weir/deploy/internal/port"
)

const (
	// clusterSize is the least that survives the loss of one.
	clusterSize = 3
	// clusterTimeout is for the servers to find each other and elect a leader.
	clusterTimeout = 30 * time.Second
	clusterPause   = 20 * time.Millisecond
	// clusterStore bounds what one server keeps on disk: messages are a few hundred bytes.
	clusterStore = 1 << 30
)

// cluster is a NATS cluster on loopback, inside this process: nothing that is done to the transcoders' processes reaches it.
type cluster struct {
	url     string
	options []*server.Options
	servers []*server.Server // none while it is away
}

// newCluster chooses where three servers listen, and has them keep their files in dir, as the README tells operators to:
// synced to disk.
func newCluster(ctx context.Context, dir string) (*cluster, error) {
	c := &cluster{}
	var clients, peers []int
	var routes []*url.URL
	for range clusterSize {
		client, err := port.Free(ctx)
		if err != nil {
			return nil, err
		}
		peer, err := port.Free(ctx)
		if err != nil {
			return nil, err
		}
		clients, peers = append(clients, client), append(peers, peer)
		routes = append(routes, &url.URL{Scheme: "nats", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(peer))})
	}
	var urls []string
	for i, client := range clients {
		c.options = append(c.options, &server.Options{
			ServerName: "weir-" + strconv.Itoa(i),
			Host:       "127.0.0.1", Port: client,
			Cluster: server.ClusterOpts{Name: "weir", Host: "127.0.0.1", Port: peers[i]},
			Routes:  routes,
			NoSigs:  true, NoLog: true,
			JetStream: true, StoreDir: filepath.Join(dir, strconv.Itoa(i)), JetStreamMaxStore: clusterStore,
			SyncAlways:             true,
			DisableJetStreamBanner: true,
		})
		urls = append(urls, "nats://"+net.JoinHostPort("127.0.0.1", strconv.Itoa(client)))
	}
	c.url = strings.Join(urls, ",")
	return c, nil
}

// start starts the servers, with whatever they have on disk.
func (c *cluster) start(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			c.stop()
		}
	}()
	for _, o := range c.options {
		s, err := server.NewServer(o.Clone())
		if err != nil {
			return fmt.Errorf("start the cluster: %w", err)
		}
		c.servers = append(c.servers, s)
		s.Start()
	}
	return c.ready(ctx)
}

// ready waits until all servers know the same leader.
func (c *cluster) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, clusterTimeout, errors.New("no leader in time"))
	defer cancel()
	for {
		leaders, current := 0, 0
		for _, s := range c.servers {
			if s.JetStreamIsLeader() {
				leaders++
			}
			if s.JetStreamIsCurrent() {
				current++
			}
		}
		if leaders == 1 && current == clusterSize {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("start the cluster: %w", context.Cause(ctx))
		case <-time.After(clusterPause):
		}
	}
}

func (c *cluster) stop() {
	for _, s := range c.servers {
		s.Shutdown()
	}
	for _, s := range c.servers {
		s.WaitForShutdown()
	}
	c.servers = nil
}

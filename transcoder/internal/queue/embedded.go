package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	// maxStore bounds the disk: messages are a few hundred bytes.
	maxStore = 2 << 30
	// room is how much must fit on a disk that was full before the server is started again.
	room = 1 << 20
	// lockWait outlasts what a process that has just ended leaves behind: a child that it was about to start has the lock
	// until it is the program that it was to be.
	lockWait = time.Second
	// orphanWait is longer than the server takes to notice that a message's time is over.
	orphanWait = 300 * time.Millisecond
)

// embedded is JetStream inside this process, with its files in a directory.
//
// When the disk is full (or broken), the server keeps running and stops writing for good: those who send hear nothing, and
// space that comes back does not help. So a watcher asks the server how it is, and starts another one in its place when the
// disk takes data again. To the connection that is a server that was away for a moment.
type embedded struct {
	dir  string
	pace pace
	log  *slog.Logger
	lock *os.File

	stop    context.CancelFunc
	watched sync.WaitGroup

	mu     sync.Mutex
	server *server.Server
	sick   error
}

func startEmbedded(ctx context.Context, dir string, p pace, log *slog.Logger) (*embedded, error) {
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	e := &embedded{dir: dir, pace: p, log: log, lock: lock}
	if err := e.start(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	ctx, e.stop = context.WithCancel(context.WithoutCancel(ctx)) // until close
	e.watched.Go(func() { e.watch(ctx) })
	return e, nil
}

// lockDir makes dir and keeps other processes out of it: two servers on one store would destroy it.
func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the queue's directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the queue's directory: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	for end := time.Now().Add(lockWait); err != nil && time.Now().Before(end); err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) {
		time.Sleep(lockWait / 20)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock the queue's directory %s: another transcoder uses it; "+
			"give this one a directory of its own: %w", dir, err), f.Close())
	}
	return f, nil
}

// start runs a server on the directory.
func (e *embedded) start() error {
	s, err := server.NewServer(&server.Options{
		ServerName: "weir",
		// No port: the only client is in this process.
		DontListen: true,
		NoSigs:     true,
		JetStream:  true,
		StoreDir:   e.dir,
		// A message is on disk, not only in the kernel's memory, when its publish returns.
		SyncAlways:             true,
		JetStreamMaxStore:      maxStore,
		DisableJetStreamBanner: true,
	})
	if err != nil {
		return fmt.Errorf("start the queue: %w", err)
	}
	said := &serverLog{log: e.log}
	s.SetLoggerV2(said, false, false, false)
	s.Start()
	if said.fatal == nil && !s.ReadyForConnections(e.pace.start) {
		said.fatal = fmt.Errorf("it was not ready after %v", e.pace.start)
	}
	if said.fatal != nil {
		s.Shutdown()
		s.WaitForShutdown()
		return fmt.Errorf("start the queue: %w", said.fatal)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.server, e.sick = s, nil
	return nil
}

// InProcessConn connects to the server of the moment.
func (e *embedded) InProcessConn() (net.Conn, error) {
	e.mu.Lock()
	s := e.server
	e.mu.Unlock()
	return s.InProcessConn()
}

// watch replaces a server that does not write any more.
func (e *embedded) watch(ctx context.Context) {
	wait := e.pace.health
	for pause(ctx, wait); ctx.Err() == nil; pause(ctx, wait) {
		sick := examine(e.server)
		e.mu.Lock()
		known := e.sick != nil
		e.sick = sick
		e.mu.Unlock()
		if sick == nil {
			wait = e.pace.health
			continue
		}
		if !known {
			e.log.Error("the queue does not write to its disk", "dir", e.dir, "error", sick)
		}
		if err := e.probe(); err != nil {
			continue
		}
		wait = min(2*wait, 4*e.pace.health) // if it does not help, not all the time
		e.server.Shutdown()
		e.server.WaitForShutdown()
		if err := e.start(); err != nil {
			e.log.Error("the queue's server did not start again", "error", err)
			continue
		}
		e.log.Info("the queue's server was started again")
	}
}

// examine tells what keeps a server from storing messages.
func examine(s *server.Server) error {
	if !s.Running() || !s.JetStreamEnabled() {
		return errors.New("JetStream is off")
	}
	// Other codes are about connections.
	if status := s.Healthz(&server.HealthzOptions{}); status.StatusCode == http.StatusServiceUnavailable {
		return errors.New(status.Error)
	}
	return nil
}

// probe tells whether the disk takes data.
func (e *embedded) probe() (err error) {
	f, err := os.CreateTemp(e.dir, "probe")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	if _, err := f.Write(make([]byte, room)); err != nil {
		return err
	}
	return f.Sync()
}

// health is what the watcher saw.
func (e *embedded) health() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.sick
}

func (e *embedded) close() {
	e.stop()
	e.watched.Wait()
	e.server.Shutdown()
	e.server.WaitForShutdown()
	_ = e.lock.Close() // the lock goes with the descriptor
}

// adopt makes the messages come at once that the handlers of an earlier process had: it held the directory alone, so they
// are gone, and their messages need not wait for ackWait to pass. For a moment there is none.
func (q *Queue) adopt(ctx context.Context) error {
	var orphaned []level
	for _, lane := range lanes {
		levels, err := q.known(ctx, lane)
		if err != nil {
			return err
		}
		orphaned = append(orphaned, levels...)
	}
	for _, wait := range []time.Duration{time.Millisecond, q.pace.ackWait} {
		for _, l := range orphaned {
			if err := q.consume(ctx, l, wait); err != nil {
				return err
			}
		}
		if wait != q.pace.ackWait && len(orphaned) > 0 {
			pause(ctx, orphanWait)
		}
	}
	return nil
}

// serverLog tells what an operator should know of the server's own log.
type serverLog struct {
	log   *slog.Logger
	fatal error // why the server could not start; it does not say otherwise
}

func (l *serverLog) Noticef(string, ...any) {}
func (l *serverLog) Debugf(string, ...any)  {}
func (l *serverLog) Tracef(string, ...any)  {}
func (l *serverLog) Warnf(format string, v ...any) {
	l.log.Warn("the queue's server warned", "text", fmt.Sprintf(format, v...))
}
func (l *serverLog) Errorf(format string, v ...any) {
	l.log.Error("the queue's server failed", "text", fmt.Sprintf(format, v...))
}
func (l *serverLog) Fatalf(format string, v ...any) { l.fatal = fmt.Errorf(format, v...) }

package edge

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// silent is a connection on which nothing comes.
type silent struct{ ctx context.Context }

func (s silent) Read([]byte) (int, error) {
	<-s.ctx.Done()
	return 0, s.ctx.Err()
}

func (silent) Close() error { return nil }

// A bucket that sends nothing any more is given up; one that is slow, or a body that waits for its reader, is not.
func TestABodyThatStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		b := newBody(silent{ctx}, cancel)
		time.Sleep(10 * stallTimeout)
		if ctx.Err() != nil {
			t.Error("the body ended while nobody read it")
		}
		begin := time.Now()
		if _, err := b.read(1); !errors.Is(err, context.Canceled) || time.Since(begin) != stallTimeout {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		b.discard()
	})
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		_, cancel := context.WithCancel(t.Context())
		b := newBody(r, cancel)
		go func() {
			for range 10 {
				time.Sleep(stallTimeout - time.Second)
				_, _ = w.Write([]byte("x"))
			}
			_ = w.Close()
		}()
		if text, err := b.read(10); string(text) != "xxxxxxxxxx" || err != nil {
			t.Errorf("%q %v", text, err)
		}
		b.discard()
	})
}

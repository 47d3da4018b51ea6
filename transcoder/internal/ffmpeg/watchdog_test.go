package ffmpeg

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestWatchdog(t *testing.T) {
	const timeout = time.Minute
	for _, c := range []struct {
		name  string
		live  func(w *watchdog)
		barks bool
	}{
		{"no progress at all", func(*watchdog) { time.Sleep(timeout + time.Second) }, true},
		{"progress", func(w *watchdog) {
			for i := range 10 {
				time.Sleep(timeout / 2)
				w.progress(float64(i))
			}
		}, false},
		{"reports without progress", func(w *watchdog) {
			for range 10 {
				time.Sleep(timeout / 5)
				w.progress(7)
			}
		}, true},
		{"a reader that is busy with what it got", func(w *watchdog) {
			r := w.reader(strings.NewReader("data"))
			if _, err := r.Read(make([]byte, 4)); err != nil {
				panic(err)
			}
			time.Sleep(10 * timeout)
		}, false},
		{"a reader that has met the end", func(w *watchdog) {
			r := w.reader(strings.NewReader(""))
			_, _ = r.Read(make([]byte, 4))
			time.Sleep(2 * timeout)
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				barked := false
				w := watch(timeout, func() { barked = true })
				c.live(w)
				w.stop()
				synctest.Wait()
				if barked != c.barks {
					t.Errorf("it ended the process: %v, want %v", barked, c.barks)
				}
			})
		})
	}
}

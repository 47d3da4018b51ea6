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
		speed float64 // the share of a processor that the process gets
		live  func(w *watchdog)
		barks bool
	}{
		{"no progress at all", 0, func(*watchdog) { time.Sleep(timeout + time.Second) }, true},
		{"slow progress on a crowded machine", 0.01, func(w *watchdog) {
			for i := range 10 {
				time.Sleep(5 * timeout)
				w.progress(float64(i))
			}
		}, false},
		{"work that leads nowhere", 0.5, func(*watchdog) { time.Sleep(4 * timeout) }, true},
		{"progress", 1, func(w *watchdog) {
			for i := range 10 {
				time.Sleep(timeout / 2)
				w.progress(float64(i))
			}
		}, false},
		{"reports without progress", 0, func(w *watchdog) {
			for range 10 {
				time.Sleep(timeout / 5)
				w.progress(7)
			}
		}, true},
		{"a reader that is busy with what it got", 0, func(w *watchdog) {
			r := w.reader(strings.NewReader("data"))
			if _, err := r.Read(make([]byte, 4)); err != nil {
				panic(err)
			}
			time.Sleep(10 * timeout)
		}, false},
		{"a reader that has met the end", 0, func(w *watchdog) {
			r := w.reader(strings.NewReader(""))
			_, _ = r.Read(make([]byte, 4))
			time.Sleep(2 * timeout)
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				barked := false
				began := time.Now()
				worked := func() time.Duration { return time.Duration(c.speed * float64(time.Since(began))) }
				w := watch(timeout, worked, func() { barked = true })
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

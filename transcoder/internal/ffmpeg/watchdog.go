package ffmpeg

import (
	"io"
	"sync"
	"time"
)

// watchdog ends a process that does nothing: its output time stands still although everybody waits for it. While a
// reader is busy with what it got, such as an upload that has to be tried again, the process is not to blame; nor is one
// that works as fast as a crowded machine lets it, until it has worked for as long as it may do nothing.
type watchdog struct {
	timeout time.Duration
	end     func()
	worked  func() time.Duration // the processor time that the process has used

	mu    sync.Mutex
	timer *time.Timer
	at    float64       // the output time
	since time.Duration // processor time when the output time last went on
	last  time.Duration // and when the dog last looked
	busy  int
}

func watch(timeout time.Duration, worked func() time.Duration, end func()) *watchdog {
	w := &watchdog{timeout: timeout, end: end, worked: worked, at: -1}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(timeout, w.bark)
	return w
}

func (w *watchdog) bark() {
	w.mu.Lock()
	defer w.mu.Unlock()
	worked := w.worked()
	slow := worked > w.last && worked-w.since < w.timeout
	w.last = worked
	if w.busy > 0 || slow {
		w.timer.Reset(w.timeout)
		return
	}
	w.end()
}

func (w *watchdog) progress(seconds float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if seconds != w.at {
		w.at, w.since = seconds, w.worked()
		w.timer.Reset(w.timeout)
	}
}

func (w *watchdog) stop() { w.timer.Stop() }

// reader returns r; its user counts as busy from the return of one Read to the start of the next.
func (w *watchdog) reader(r io.Reader) io.Reader { return &watchedReader{dog: w, r: r} }

type watchedReader struct {
	dog  *watchdog
	r    io.Reader
	busy bool
}

func (r *watchedReader) Read(p []byte) (int, error) {
	r.count(false)
	n, err := r.r.Read(p)
	r.count(err == nil)
	return n, err
}

func (r *watchedReader) count(busy bool) {
	if busy == r.busy {
		return
	}
	r.busy = busy
	r.dog.mu.Lock()
	defer r.dog.mu.Unlock()
	if busy {
		r.dog.busy++
	} else {
		r.dog.busy--
		r.dog.timer.Reset(r.dog.timeout)
	}
}

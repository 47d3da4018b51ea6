package api_test

import (
	"encoding/json"
	"path"
	"strings"
	"sync"
	"testing"

	"weir/transcoder/internal/job"
)

// board is where nodes leave signals. It holds listeners to the contract: nobody listens to more than one video, and
// everybody stops.
type board struct {
	t    *testing.T
	fail error

	posts     sync.Mutex // one signal at a time
	mu        sync.Mutex
	listeners map[*listener]bool
}

type listener struct {
	pattern string
	hear    func(string, []byte)
}

func (b *board) Listen(pattern string, hear func(id string, data []byte)) (stop func(), err error) {
	if parts := strings.Split(pattern, "."); len(parts) != 3 || parts[0] != "progress" || job.ValidateVideoID(parts[1]) != nil {
		b.t.Errorf("somebody listens to %q", pattern)
	}
	if b.fail != nil {
		return nil, b.fail
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.listeners == nil {
		b.listeners = map[*listener]bool{}
	}
	l := &listener{pattern: pattern, hear: hear}
	b.listeners[l] = true
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.listeners, l)
	}, nil
}

func (b *board) listening() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.listeners)
}

// post says something of a run of the video intro.
func (b *board) post(run string, p job.Progress) {
	data, err := json.Marshal(p)
	if err != nil {
		b.t.Fatal(err)
	}
	b.postRaw("progress.intro."+run, data)
}

func (b *board) postRaw(id string, data []byte) {
	b.posts.Lock()
	defer b.posts.Unlock()
	b.mu.Lock()
	var hear []func(string, []byte)
	for l := range b.listeners {
		if match, err := path.Match(l.pattern, id); err == nil && match {
			hear = append(hear, l.hear)
		}
	}
	b.mu.Unlock()
	for _, h := range hear {
		h(id, data)
	}
}

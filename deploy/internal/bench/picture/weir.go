package picture

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"weir/deploy/internal/fleet"
)

const (
	// jobTimeout is far longer than any job here takes.
	jobTimeout = 30 * time.Minute
	// pollPause is how often a viewer asks for the master playlist.
	pollPause = 20 * time.Millisecond
)

// weir makes videos with whole jobs: from the request until the backend is told.
type weir struct {
	fleet  *fleet.Fleet
	node   *fleet.Node
	client *fleet.Client
	jobs   int
}

// newWeir starts a transcoder with the ladder of the others.
func newWeir(ctx context.Context, f *fleet.Fleet) (*weir, error) {
	var rungs []string
	for _, r := range ladder {
		rungs = append(rungs, fmt.Sprintf("%d:%dk:%dk", r.height, r.bitrate, soundBitrate))
	}
	node, err := f.Node(ctx, fleet.Spec{Name: "node", Env: map[string]string{"LADDER": strings.Join(rungs, ",")}})
	if err != nil {
		return nil, err
	}
	if err := node.Start(); err != nil {
		return nil, err
	}
	return &weir{fleet: f, node: node, client: f.Client(node, 4)}, node.Ready(ctx)
}

func (*weir) name() string { return weirName }

func (*weir) key(s source) string { return "uploads/" + s.name + ".mp4" }

func (w *weir) upload(ctx context.Context, s source, path string) error {
	return w.fleet.Upload(ctx, path, w.key(s))
}

// last is the ID of the last video, which is one of this source.
func (w *weir) last(s source) string { return fmt.Sprintf("%s-%d", s.name, w.jobs) }

// check holds the last video to the rules of HLS.
func (w *weir) check(ctx context.Context, s source) error { return w.fleet.Cloud.Check(ctx, w.last(s)) }

func (w *weir) run(ctx context.Context, s source, _, _ string) (r run, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, jobTimeout, fmt.Errorf("the job is not done after %v", jobTimeout))
	defer cancel()
	w.jobs++
	id := w.last(s)
	master, err := w.fleet.Cloud.WatchURL(id)
	if err != nil {
		return r, err
	}
	before, err := w.node.CPU()
	if err != nil {
		return r, err
	}
	posted := time.Now()
	if _, err := w.client.Post(ctx, id, w.key(s), 50); err != nil {
		return r, err
	}
	for r.playable == 0 {
		switch ok, err := fleet.Watchable(ctx, master); {
		case err != nil:
			return r, err
		case ok:
			r.playable = time.Since(posted)
		}
		if e := w.fleet.Ledger.Events(id); len(e) > 0 && e[0].Type == "video.failed" {
			return r, errors.New("the job failed")
		}
		time.Sleep(pollPause)
	}
	told, err := w.fleet.Ledger.Hear(ctx, id, "video.processed")
	if err != nil {
		return r, err
	}
	after, err := w.node.CPU()
	if err != nil {
		return r, err
	}
	v, err := w.client.Video(ctx, id)
	if err != nil {
		return r, err
	}
	r.wall, r.cpu, r.playlists = told.At.Sub(posted), after-before, map[string]string{}
	r.bytes = v.Bytes
	for _, rung := range ladder {
		r.playlists[rung.name()] = strings.TrimSuffix(master, "master.m3u8") + rung.name() + "/playlist.m3u8"
	}
	return r, nil
}

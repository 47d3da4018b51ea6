package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"weir/deploy/internal/fleet"
)

const (
	// pollPause is how often a viewer asks for the master playlist: the resolution of the measurement.
	pollPause = 20 * time.Millisecond
	// measureTimeout is far longer than anything that is measured.
	measureTimeout = 10 * time.Minute
	// idleTimeout is for a transcoder to end what was deleted, or to finish what is short.
	idleTimeout = 2 * time.Minute
	// saturated is how long a long job works before the machine counts as busy.
	saturated = 5 * time.Second
	// calm lets the machine settle between two measurements.
	calm = time.Second
)

// source is a camera's file: 1080p30 at 4 Mbit/s with sound, its index at the end.
func source(seconds int) fleet.Clip {
	return fleet.Clip{Width: 1920, Height: 1080, Rate: 30, Seconds: seconds, Bitrate: "4M", Sound: true, Loop: 20}
}

// lengths of the sources, with the names that they have in the result.
var lengths = []struct {
	name    string
	seconds int
}{{"10s", 10}, {"10min", 600}, {"60min", 3600}}

// latency measures how soon a video can be watched: with the default ladder and preset, from the request until the master
// playlist can be fetched through the Worker.
func (b *bench) latency(ctx context.Context) (err error) {
	f, ctx, end, err := b.start(ctx, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	node, err := f.Node(ctx, fleet.Spec{Name: "node"})
	if err != nil {
		return err
	}
	if err := node.Start(); err != nil {
		return err
	}
	if err := node.Ready(ctx); err != nil {
		return err
	}
	s := &stopwatch{fleet: f, node: node, client: f.Client(node, 8)}

	keys := map[string]string{}
	for _, l := range lengths {
		if l.seconds > 10 && (b.opts.Short || !b.wants(playable) && !(b.wants(busy) && l.name == "60min")) {
			continue
		}
		if keys[l.name], err = upload(ctx, f, source(l.seconds)); err != nil {
			return err
		}
	}
	if b.wants(playable) {
		if err := b.playable(ctx, s, keys); err != nil {
			return err
		}
	}
	if b.wants(busy) && !b.opts.Short {
		if err := b.busy(ctx, s, keys); err != nil {
			return err
		}
	}
	if b.wants(usual) {
		if err := b.usual(ctx, f.Temp()); err != nil {
			return err
		}
	}
	return nil
}

// playable measures each source on an idle machine.
func (b *bench) playable(ctx context.Context, s *stopwatch, keys map[string]string) error {
	b.result.FirstPlayable, b.result.PlayableWebhook = map[string]float64{}, map[string]float64{}
	for _, l := range lengths {
		if keys[l.name] == "" {
			continue
		}
		var watched, told []time.Duration
		for range b.repetitions() {
			id, w, t, err := s.measure(ctx, keys[l.name])
			if err != nil {
				return err
			}
			watched, told = append(watched, w), append(told, t)
			if err := s.clear(ctx, id); err != nil {
				return err
			}
		}
		b.result.FirstPlayable[l.name] = fleet.Seconds(fleet.Median(watched))
		b.result.PlayableWebhook[l.name] = fleet.Seconds(fleet.Median(told))
		b.row("playable, 1080p30 of "+l.name, "%.2f s, webhook after %.2f s (medians of %v)",
			fleet.Median(watched).Seconds(), fleet.Median(told).Seconds(), rounded(watched))
	}
	return nil
}

// busy measures the shortest source while the longest one has all cores.
func (b *bench) busy(ctx context.Context, s *stopwatch, keys map[string]string) error {
	long, _, _, err := s.measure(ctx, keys["60min"])
	if err != nil {
		return err
	}
	var watched []time.Duration
	for range b.repetitions() {
		if err := sleep(ctx, saturated); err != nil {
			return err
		}
		if n := len(s.node.Encoders()); n == 0 {
			return errors.New("the long job does not keep the machine busy: no encoder runs")
		}
		_, w, _, err := s.measure(ctx, keys["10s"])
		if err != nil {
			return err
		}
		watched = append(watched, w)
	}
	b.result.FirstBusy = fleet.Seconds(fleet.Median(watched))
	b.row("playable, 10s beside a job of 60min", "%.2f s (median of %v)", fleet.Median(watched).Seconds(), rounded(watched))
	return s.clear(ctx, long)
}

// stopwatch measures jobs of one node.
type stopwatch struct {
	fleet  *fleet.Fleet
	node   *fleet.Node
	client *fleet.Client
	jobs   int
}

// measure posts a job and waits until it can be watched and the backend knows.
func (s *stopwatch) measure(ctx context.Context, key string) (id string, watched, told time.Duration, err error) {
	s.jobs++
	id = fmt.Sprintf("v%d", s.jobs)
	url, err := s.fleet.Cloud.WatchURL(id)
	if err != nil {
		return id, 0, 0, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, measureTimeout, fmt.Errorf("%s cannot be watched after %v", id, measureTimeout))
	defer cancel()
	posted := time.Now()
	if _, err := s.client.Post(ctx, id, key, 50); err != nil {
		return id, 0, 0, err
	}
	for {
		ok, err := fleet.Watchable(ctx, url)
		if err != nil && ctx.Err() == nil {
			return id, 0, 0, err
		}
		if ok {
			break
		}
		if err := sleep(ctx, pollPause); err != nil {
			return id, 0, 0, err
		}
		if e := s.fleet.Ledger.Events(id); len(e) > 0 && e[0].Type == "video.failed" {
			return id, 0, 0, fmt.Errorf("%s failed", id)
		}
	}
	watched = time.Since(posted)
	e, err := s.fleet.Ledger.Hear(ctx, id, "video.playable")
	return id, watched, e.At.Sub(posted), err
}

// clear deletes a job and waits until the node has nothing to do.
func (s *stopwatch) clear(ctx context.Context, id string) error {
	if err := s.client.Delete(ctx, id); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, idleTimeout, fmt.Errorf("encoders still run %v after %s was deleted", idleTimeout, id))
	defer cancel()
	for len(s.node.Encoders()) > 0 {
		if err := sleep(ctx, pollPause); err != nil {
			return err
		}
	}
	return sleep(ctx, calm)
}

// rounded durations are easier to read.
func rounded(all []time.Duration) []time.Duration {
	var out []time.Duration
	for _, d := range all {
		out = append(out, d.Round(10*time.Millisecond))
	}
	return out
}

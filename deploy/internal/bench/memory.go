package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"weir/deploy/internal/fleet"
)

const (
	// longQueue is as many jobs as a backend sends after a day's outage.
	longQueue, shortQueue = 1000, 50
	// queuedClip is so long, in seconds, that most jobs are still in the queue when the last one is posted.
	queuedClip = 20
	// longLook and shortLook are how long the queue is watched then.
	longLook, shortLook = 2 * time.Minute, 5 * time.Second
)

// memory queues many jobs of all priorities and looks at how much the transcoder takes, then and while it works on them.
func (b *bench) memory(ctx context.Context) (err error) {
	f, ctx, end, err := b.start(ctx, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	key, err := upload(ctx, f, source(queuedClip))
	if err != nil {
		return err
	}
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
	client := f.Client(node, 8)
	jobs, look := longQueue, longLook
	if b.opts.Short {
		jobs, look = shortQueue, shortLook
	}
	b.result.RSSAt = map[string]float64{}
	marks := []int{jobs / 10, jobs / 2, jobs}
	var ids []string
	for i := range jobs {
		id := fmt.Sprintf("v%d", i)
		if _, err := client.Post(ctx, id, key, i*37%101); err != nil {
			return err
		}
		ids = append(ids, id)
		if slices.Contains(marks, i+1) {
			now, _, err := node.Memory()
			if err != nil {
				return err
			}
			b.result.RSSAt[strconv.Itoa(i+1)] = megabytes(now)
		}
	}
	if err := sleep(ctx, look); err != nil {
		return err
	}
	done := 0
	for _, id := range ids {
		for _, e := range f.Ledger.Events(id) {
			switch e.Type {
			case "video.processed":
				done++
			case "video.failed":
				return fmt.Errorf("%s failed", id)
			}
		}
	}
	now, peak, err := node.Memory()
	if err != nil {
		return err
	}
	b.result.RSS = megabytes(peak)
	b.row(fmt.Sprintf("memory with %d jobs queued", jobs),
		"%.0f MB at most; %.0f MB after %d, %.0f after %d, %.0f after %d; %.0f later, when %d were done",
		b.result.RSS, b.result.RSSAt[strconv.Itoa(marks[0])], marks[0], b.result.RSSAt[strconv.Itoa(marks[1])], marks[1],
		b.result.RSSAt[strconv.Itoa(marks[2])], marks[2], megabytes(now), done)
	return nil
}

func megabytes(bytes int64) float64 { return float64(bytes/100_000) / 10 }

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
	// drainTimeout bounds how long the queue is watched getting shorter; the peak comes early.
	drainTimeout = 10 * time.Minute
	drainPause   = 200 * time.Millisecond
)

// memory queues many small jobs of all priorities and looks at how much the transcoder takes, until the last one is done.
func (b *bench) memory(ctx context.Context) (err error) {
	f, ctx, end, err := b.start(ctx, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	key, err := upload(ctx, f, fleet.Clip{Width: 160, Height: 90, Rate: 25, Seconds: 2})
	if err != nil {
		return err
	}
	node, err := f.Node(ctx, fleet.Spec{Name: "node", Env: map[string]string{"X264_PRESET": "ultrafast"}})
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
	jobs := longQueue
	if b.opts.Short {
		jobs = shortQueue
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
	done, err := b.drain(ctx, f, ids)
	if err != nil {
		return err
	}
	now, peak, err := node.Memory()
	if err != nil {
		return err
	}
	b.result.RSS = megabytes(peak)
	b.row(fmt.Sprintf("memory with %d jobs queued", jobs),
		"%.0f MB at most; %.0f MB after %d, %.0f after %d, %.0f after %d; %.0f when %d were done",
		b.result.RSS, b.result.RSSAt[strconv.Itoa(marks[0])], marks[0], b.result.RSSAt[strconv.Itoa(marks[1])], marks[1],
		b.result.RSSAt[strconv.Itoa(marks[2])], marks[2], megabytes(now), done)
	return nil
}

// drain waits until all jobs are done, or long enough. A job that failed is an error.
func (b *bench) drain(ctx context.Context, f *fleet.Fleet, ids []string) (done int, err error) {
	for began := time.Now(); ; {
		done = 0
		for _, id := range ids {
			for _, e := range f.Ledger.Events(id) {
				switch e.Type {
				case "video.processed":
					done++
				case "video.failed":
					return done, fmt.Errorf("%s failed", id)
				}
			}
		}
		if done >= len(ids) || time.Since(began) > drainTimeout {
			return done, nil
		}
		if err := sleep(ctx, drainPause); err != nil {
			return done, err
		}
	}
}

func megabytes(bytes int64) float64 { return float64(bytes/100_000) / 10 }

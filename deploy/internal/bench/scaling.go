package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"time"

	"weir/deploy/internal/fleet"
)

// scalingSeconds is the length of the shared job's source: long enough that its beginning and its end, where there is
// little to share, weigh little.
const scalingSeconds = 240

// jobTimeout is for that job on one core.
const jobTimeout = 30 * time.Minute

// scaling measures one job with one worker on one core, and with two on two. What they share, the cluster, the API and the
// bucket, is on the same machine and takes its part of the second core.
func (b *bench) scaling(ctx context.Context) (err error) {
	if runtime.NumCPU() < 2 {
		return errors.New("measure the scaling: it takes two cores")
	}
	f, ctx, end, err := b.start(ctx, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	key, err := upload(ctx, f, fleet.Clip{
		Width: 1280, Height: 720, Rate: 30, Seconds: scalingSeconds, Bitrate: "3M", Sound: true, Loop: 20,
	})
	if err != nil {
		return err
	}
	api, err := f.Node(ctx, fleet.Spec{Name: "api", Role: fleet.API})
	if err != nil {
		return err
	}
	var workers []*fleet.Node
	for core := range 2 {
		w, err := f.Node(ctx, fleet.Spec{Name: fmt.Sprintf("worker%d", core), Role: fleet.Work, Core: strconv.Itoa(core)})
		if err != nil {
			return err
		}
		workers = append(workers, w)
	}
	if err := api.Start(); err != nil {
		return err
	}
	if err := api.Ready(ctx); err != nil {
		return err
	}
	client := f.Client(api, 8)
	took := map[int][]time.Duration{}
	for i := range b.repetitions() {
		for n := 1; n <= 2; n++ {
			d, err := job(ctx, f, client, workers[:n], fmt.Sprintf("v%d-%d", i, n), key)
			if err != nil {
				return err
			}
			took[n] = append(took[n], d)
		}
	}
	one, two := fleet.Median(took[1]), fleet.Median(took[2])
	b.result.Scaling = float64(int(one.Seconds()/two.Seconds()*100+0.5)) / 100
	b.row(fmt.Sprintf("one job of %d s, 720p30, on 1 and on 2 workers", scalingSeconds),
		"%.1f s and %.1f s: %.2f times as fast (medians of %v and %v)", one.Seconds(), two.Seconds(), b.result.Scaling, rounded(took[1]), rounded(took[2]))
	return nil
}

// job lets the workers do a job and returns how long it took until the backend was told.
func job(ctx context.Context, f *fleet.Fleet, c *fleet.Client, workers []*fleet.Node, id, key string) (_ time.Duration, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, jobTimeout, fmt.Errorf("%s is not done after %v", id, jobTimeout))
	defer cancel()
	for _, w := range workers {
		if err := w.Start(); err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, w.Stop()) }()
	}
	for _, w := range workers {
		if err := w.Ready(ctx); err != nil {
			return 0, err
		}
	}
	posted := time.Now()
	if _, err := c.Post(ctx, id, key, 50); err != nil {
		return 0, err
	}
	e, err := f.Ledger.Hear(ctx, id, "video.processed")
	return e.At.Sub(posted), err
}

package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"weir/transcoder/internal/job"
	"weir/transcoder/internal/r2"
)

// The working records of a run. A run has a folder of its own, so that a straggler of an old run cannot write into a new one.
func planKey(t job.Ticket) string { return workPrefix(t) + "plan.json" }

func resultKey(t job.Ticket, task string) string { return workPrefix(t) + task + ".json" }

func workPrefix(t job.Ticket) string { return "work/" + t.VideoID + "/" + t.Run + "/" }

var private = r2.Meta{ContentType: "application/json", CacheControl: "private, no-store"}

// commit creates a record once. If another was first, that one holds and is returned.
func commit[T any](ctx context.Context, b Bucket, key string, record T) (T, error) {
	data, err := json.Marshal(record)
	if err != nil {
		return record, fmt.Errorf("write %s: %w", key, err)
	}
	err = b.Create(ctx, key, data, private)
	if errors.Is(err, job.ErrConflict) {
		return read[T](ctx, b, key)
	}
	return record, err
}

// read returns a record; a missing one is [job.ErrNotFound].
func read[T any](ctx context.Context, b Bucket, key string) (T, error) {
	data, _, err := b.Read(ctx, key)
	if err != nil {
		var none T
		return none, err
	}
	record, err := decode[T](data)
	if err != nil {
		return record, fmt.Errorf("read %s: %w", key, err)
	}
	return record, nil
}

func decode[T any](data []byte) (T, error) {
	var record T
	err := json.Unmarshal(data, &record)
	return record, err
}

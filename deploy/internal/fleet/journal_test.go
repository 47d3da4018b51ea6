package fleet_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"weir/deploy/internal/fleet"
)

func line(at int, node string, life int, message, task string) fleet.Entry {
	return fleet.Entry{
		At: epoch.Add(time.Duration(at) * time.Second), Message: message, Job: "v", Run: "r", Task: task,
		Life: fleet.Life{Node: node, Number: life},
	}
}

func TestLosses(t *testing.T) {
	const begun, done = fleet.TaskStarted, fleet.TaskFinished
	first, second := fleet.Life{Node: "n", Number: 1}, fleet.Life{Node: "n", Number: 2}
	for _, c := range []struct {
		name      string
		entries   []fleet.Entry
		committed map[string]int // when, by task
		want      map[fleet.Life]fleet.Loss
		perWorker int // of the first life
		finished  []string
	}{
		{
			name: "nothing is lost",
			entries: []fleet.Entry{
				line(0, "n", 1, begun, "chunk_0"), line(1, "n", 1, done, "chunk_0"), line(2, "n", 2, begun, "chunk_1"),
			},
			want: map[fleet.Life]fleet.Loss{first: {Workers: 1}, second: {Workers: 1}},
		},
		{
			name: "what two workers had under way is begun again",
			entries: []fleet.Entry{
				line(0, "n", 1, begun, "chunk_0"), line(0, "n", 1, begun, "chunk_1"),
				line(5, "n", 2, begun, "chunk_0"), line(6, "n", 2, begun, "chunk_1"),
			},
			want: map[fleet.Life]fleet.Loss{first: {Again: 2, Workers: 2}, second: {Workers: 2}}, perWorker: 1,
		},
		{
			name: "one worker's finished chunk is begun again as well",
			entries: []fleet.Entry{
				line(0, "n", 1, begun, "chunk_0"), line(1, "n", 1, done, "chunk_0"), line(2, "n", 1, begun, "chunk_1"),
				line(5, "n", 2, begun, "chunk_0"), line(6, "n", 2, done, "chunk_0"), line(7, "n", 2, begun, "chunk_1"),
			},
			committed: map[string]int{"chunk_0": 2},
			want:      map[fleet.Life]fleet.Loss{first: {Again: 2, Workers: 1}, second: {Workers: 1}}, perWorker: 2,
			finished: []string{"chunk_0"},
		},
		{
			name:      "another try of the same life costs no life",
			entries:   []fleet.Entry{line(0, "n", 1, begun, "chunk_0"), line(1, "n", 1, begun, "chunk_0")},
			committed: map[string]int{"chunk_0": 3},
			want:      map[fleet.Life]fleet.Loss{first: {Workers: 1}},
		},
		{
			name:    "the sound is no chunk",
			entries: []fleet.Entry{line(0, "n", 1, begun, "audio_rest"), line(5, "n", 2, begun, "audio_rest")},
			want:    map[fleet.Life]fleet.Loss{},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			lives, finished := fleet.Losses(c.entries, func(id fleet.TaskID) (time.Time, bool) {
				at, ok := c.committed[id.Task]
				return epoch.Add(time.Duration(at) * time.Second), ok
			})
			if !maps.Equal(lives, c.want) {
				t.Errorf("got %v, want %v", lives, c.want)
			}
			if got := lives[first].PerWorker(); got != c.perWorker {
				t.Errorf("%d per worker, want %d", got, c.perWorker)
			}
			var names []string
			for _, id := range finished {
				names = append(names, id.Task)
			}
			if !slices.Equal(names, c.finished) {
				t.Errorf("finished ones begun again: %v, want %v", names, c.finished)
			}
		})
	}
}

func TestRunning(t *testing.T) {
	entries := []fleet.Entry{
		line(0, "n", 1, fleet.TaskStarted, "chunk_9"),
		line(1, "n", 2, fleet.TaskStarted, "chunk_0"), line(2, "n", 2, fleet.TaskStarted, "audio_0"),
		line(2, "m", 1, fleet.TaskStarted, "chunk_8"), line(3, "n", 2, fleet.TaskFinished, "chunk_0"),
	}
	got := fleet.Running(entries, fleet.Life{Node: "n", Number: 2})
	if len(got) != 1 || got[fleet.TaskID{Job: "v", Run: "r", Task: "audio_0"}] != epoch.Add(2*time.Second) {
		t.Errorf("got %v", got)
	}
}

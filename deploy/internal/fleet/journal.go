package fleet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// What the transcoders' logs say of tasks.
const (
	TaskStarted  = "a task was started"
	TaskFinished = "a task was finished"
)

// Entry is a line of a transcoder's log.
type Entry struct {
	At      time.Time `json:"time"`
	Level   string    `json:"level"`
	Message string    `json:"msg"`
	Job     string    `json:"job"`
	Run     string    `json:"run"`
	Task    string    `json:"task"`
	Error   string    `json:"error"`

	Life Life `json:"-"` // the process that said it
}

// Life is one process of a node: a node that was started again has another.
type Life struct {
	Node   string
	Number int // from 1
}

func (l Life) String() string { return fmt.Sprintf("%s#%d", l.Node, l.Number) }

// TaskID names a task of all tasks.
type TaskID struct{ Job, Run, Task string }

// ID names the task that the entry is about.
func (e Entry) ID() TaskID { return TaskID{e.Job, e.Run, e.Task} }

// Chunk tells whether the task encodes pictures.
func (t TaskID) Chunk() bool { return strings.HasPrefix(t.Task, "chunk_") }

// Journal is what all transcoders have logged of tasks, and what they have complained of.
type Journal struct {
	mu      sync.Mutex
	entries []Entry
}

// Entries are all so far.
func (j *Journal) Entries() []Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]Entry(nil), j.entries...)
}

// Complaints are the errors that were logged.
func (j *Journal) Complaints() []Entry {
	var all []Entry
	for _, e := range j.Entries() {
		if e.Level == "ERROR" {
			all = append(all, e)
		}
	}
	return all
}

func (j *Journal) add(e Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, e)
}

// Running are the tasks that a life has started and not finished, with the time of their last start.
func Running(entries []Entry, life Life) map[TaskID]time.Time {
	running := map[TaskID]time.Time{}
	for _, e := range entries {
		if e.Life != life {
			continue
		}
		switch e.Message {
		case TaskStarted:
			running[e.ID()] = e.At
		case TaskFinished:
			delete(running, e.ID())
		}
	}
	return running
}

// Loss is what the end of a life cost.
type Loss struct {
	Again   int // chunks that were started by the life and once more by another
	Workers int // the most chunks that the life had under way at once
}

// PerWorker is how many chunks a worker's death cost at most.
func (l Loss) PerWorker() int {
	if l.Workers == 0 {
		return 0
	}
	return (l.Again + l.Workers - 1) / l.Workers
}

// Losses counts the chunks that were encoded again, for each life that did not finish them; and those that were started
// although their outcome had been seen in the bucket (committed tells when), which should be none.
func Losses(entries []Entry, committed func(TaskID) (time.Time, bool)) (lives map[Life]Loss, finished []TaskID) {
	lives = map[Life]Loss{}
	last := map[TaskID]Life{}
	under := map[Life]map[TaskID]bool{}
	for _, e := range entries {
		if !e.ID().Chunk() {
			continue
		}
		switch e.Message {
		case TaskStarted:
			if before, ok := last[e.ID()]; ok && before != e.Life {
				loss := lives[before]
				loss.Again++
				lives[before] = loss
			}
			last[e.ID()] = e.Life
			if at, ok := committed(e.ID()); ok && e.At.After(at) {
				finished = append(finished, e.ID())
			}
			if under[e.Life] == nil {
				under[e.Life] = map[TaskID]bool{}
			}
			under[e.Life][e.ID()] = true
			loss := lives[e.Life]
			loss.Workers = max(loss.Workers, len(under[e.Life]))
			lives[e.Life] = loss
		case TaskFinished:
			delete(under[e.Life], e.ID())
		}
	}
	return lives, finished
}

// logReader takes what a process writes, line by line.
type logReader struct {
	life    Life
	journal *Journal
	pid     func(int) // is told the process's id, which is its first line
	out     io.Writer // gets every line, with the node's name before it; may be nil
	rest    []byte
}

func (r *logReader) Write(p []byte) (int, error) {
	r.rest = append(r.rest, p...)
	for {
		line, rest, ok := bytes.Cut(r.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		r.line(line)
		r.rest = rest
	}
}

func (r *logReader) line(line []byte) {
	var said struct {
		Entry
		PID int `json:"pid"`
	}
	if err := json.Unmarshal(line, &said); err == nil {
		if said.PID != 0 && said.Message == "" {
			r.pid(said.PID)
			return
		}
		said.Life = r.life
		if said.Task != "" || said.Level == "ERROR" {
			r.journal.add(said.Entry)
		}
	}
	if r.out != nil {
		_, _ = fmt.Fprintf(r.out, "%s %s\n", r.life, line) // whoever does not listen any more misses it
	}
}

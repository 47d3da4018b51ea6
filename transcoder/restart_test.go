package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"weir/transcoder/internal/plan"
)

// A job whose node ends in the middle is finished by the next one, which encodes again only what was not finished. With
// the queue's disk lost as well, the bucket alone is enough.
func TestAJobOutlivesItsNode(t *testing.T) {
	for _, c := range []struct {
		name      string
		loseQueue bool
	}{
		{"the queue's disk is there", false},
		{"the queue's disk is lost", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, hook := t.TempDir(), receive(t)
			n := start(t, dir, map[string]string{"TASKS": "1"})
			key := upload(t, clip(t, "clip.mp4", "-f", "lavfi", "-i", "testsrc2=d=48:s=1280x720:r=30", "-c:v", "libx264", "-preset", "ultrafast"))
			n.post(id(t), key, hook.URL)
			waitFor(t, "a finished chunk", func() bool { return len(finished(t)) > 0 })
			n.stop()
			before := finished(t)
			if len(before) == chunks(t) {
				t.Fatal("the job was finished before its node ended: the test needs a longer clip")
			}
			if c.loseQueue {
				if err := os.RemoveAll(dir); err != nil {
					t.Fatal(err)
				}
			}
			start(t, dir, nil)
			if e := hook.next(t, patience); e.Status != "processed" {
				t.Fatalf("told %+v", e)
			}
			after := finished(t)
			if len(after) != chunks(t) {
				t.Errorf("%d chunks are recorded, want %d", len(after), chunks(t))
			}
			for key, etag := range before {
				if after[key] != etag {
					t.Errorf("%s was done twice", key)
				}
			}
			for _, r := range readTree(t, id(t)).renditions {
				r.check(t, 1440, 60, 48)
			}
		})
	}
}

// chunks is the number of chunks into which the test's video is cut.
func chunks(t *testing.T) int {
	t.Helper()
	for o, err := range bucket().List(t.Context(), "work/"+id(t)+"/") {
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(o.Key, "/plan.json") {
			continue
		}
		data, _, err := bucket().Read(t.Context(), o.Key)
		if err != nil {
			t.Fatal(err)
		}
		var p plan.Plan
		if err := json.Unmarshal(data, &p); err != nil {
			t.Fatal(err)
		}
		return len(p.Chunks)
	}
	t.Fatal("there is no plan")
	panic("unreachable")
}

// finished are the recorded outcomes of the test's job, by key, with their ETags.
func finished(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for o, err := range bucket().List(t.Context(), "work/"+id(t)+"/") {
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(filepath.Base(o.Key), "chunk_") {
			out[o.Key] = o.ETag
		}
	}
	return out
}

func TestANodeEndsQuicklyAndLeavesNoProcess(t *testing.T) {
	n, hook := start(t, t.TempDir(), map[string]string{"X264_PRESET": "slow"}), receive(t)
	n.post(id(t), upload(t, clip(t, "clip.mp4", "-f", "lavfi", "-i", "testsrc2=d=40:s=640x360:r=30", "-c:v", "libx264", "-preset", "ultrafast")), hook.URL)
	waitFor(t, "an encoder to work", func() bool { return len(encoders(t, os.Getpid())) > 0 })
	began := time.Now()
	n.stop()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	if left := alive(encoders(t, os.Getpid())); len(left) > 0 {
		t.Errorf("still running: %v", left)
	}
}

// encoders are the process ids of the ffmpeg processes that a process has started.
func encoders(t *testing.T, parent int) []string {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var pids []string
	for _, file := range stats {
		data, err := os.ReadFile(file) // "PID (NAME) STATE PPID …"
		if err != nil {
			continue // it has ended meanwhile
		}
		pid, rest, ok := strings.Cut(string(data), " (ffmpeg) ")
		if fields := strings.Fields(rest); ok && fields[1] == strconv.Itoa(parent) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// alive are those of the processes that still run.
func alive(pids []string) []string {
	return slices.DeleteFunc(slices.Clone(pids), func(pid string) bool {
		program, err := os.Readlink("/proc/" + pid + "/exe")
		return err != nil || filepath.Base(program) != "ffmpeg"
	})
}

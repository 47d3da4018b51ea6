package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
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
			if len(before) == 4 {
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
			if len(after) != 4 {
				t.Errorf("%d chunks are recorded, want 4", len(after))
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
	waitFor(t, "an encoder to work", func() bool { return len(encoders(t)) > 0 })
	began := time.Now()
	n.stop()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	if left := encoders(t); len(left) > 0 {
		t.Errorf("still running: %v", left)
	}
}

// encoders are the process ids of the ffmpeg processes that this process has started.
func encoders(t *testing.T) []string {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var pids []string
	for _, file := range stats {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended meanwhile
		}
		var pid, parent int
		var state string
		name := string(data[strings.IndexByte(string(data), '(')+1 : strings.LastIndexByte(string(data), ')')])
		rest := string(data[strings.LastIndexByte(string(data), ')')+1:])
		if _, err := fmt.Sscan(string(data), &pid); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Sscan(rest, &state, &parent); err != nil {
			t.Fatal(err)
		}
		if name == "ffmpeg" && parent == os.Getpid() {
			pids = append(pids, fmt.Sprint(pid))
		}
	}
	return pids
}

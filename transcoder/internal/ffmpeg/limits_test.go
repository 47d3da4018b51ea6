package ffmpeg_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"weir/transcoder/internal/ffmpeg"
)

// child returns the number of the one process that the test has started.
func child(t *testing.T) string {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, name := range stats {
		if f := stat(name); len(f) > 4 && f[1] == "(ffmpeg)" && f[3] == strconv.Itoa(os.Getpid()) {
			found = append(found, f[0])
		}
	}
	if len(found) != 1 {
		t.Fatalf("processes %v, want one", found)
	}
	return found[0]
}

// stat reads the fields of a stat file; none if its process is gone. No program here has a space in its name.
func stat(name string) []string {
	data, _ := os.ReadFile(name)
	return strings.Fields(string(data))
}

// whileRunning starts an encoder that never ends, with threads of its own, looks at it once frames come, and ends it.
func whileRunning(t *testing.T, options ffmpeg.Options, look func(pid string)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := tools(t).Run(ctx, options, endless, []ffmpeg.Output{{
		Args: []string{"-c:v", "libx264", "-threads", "4", "-f", "h264"},
		Read: func(r io.Reader) error {
			if _, err := io.CopyN(io.Discard, r, 1<<10); err != nil {
				return err
			}
			look(child(t))
			cancel()
			return discard(r)
		},
	}}, nil)
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestEveryThreadOfAProcessIsNice(t *testing.T) {
	self := stat("/proc/self/stat")[18]
	for _, c := range []struct {
		nice int
		want string
	}{{0, self}, {7, "7"}, {19, "19"}} {
		whileRunning(t, ffmpeg.Options{Nice: c.nice}, func(pid string) {
			threads, err := filepath.Glob("/proc/" + pid + "/task/*/stat")
			if err != nil || len(threads) < 4 {
				t.Errorf("it has %d threads, %v: too few to prove anything", len(threads), err)
			}
			for _, name := range threads {
				if f := stat(name); f[18] != c.want {
					t.Errorf("nice %d: a thread has %s, want %s", c.nice, f[18], c.want)
				}
			}
		})
	}
}

func TestEveryProcessIsLimited(t *testing.T) {
	whileRunning(t, ffmpeg.Options{}, func(pid string) {
		data, err := os.ReadFile("/proc/" + pid + "/limits")
		if err != nil {
			t.Error(err)
		}
		for name, most := range map[string]int64{
			"Max address space": ffmpeg.DefaultMemory, "Max file size": 0, "Max open files": 64, "Max core file size": 0,
		} {
			i := strings.Index(string(data), name)
			fields := strings.Fields(string(data)[i+len(name):])
			if want := strconv.FormatInt(most, 10); fields[0] != want || fields[1] != want {
				t.Errorf("%s: %s, at most %s; want %s", name, fields[0], fields[1], want)
			}
		}
	})
}

func TestNoFileIsWritten(t *testing.T) {
	name := filepath.Join(t.TempDir(), "out")
	outputs := []ffmpeg.Output{{Args: slices.Concat(output, []string{name}, output), Read: discard}}
	for _, c := range []struct {
		unconfined bool
		how        string
	}{{false, "Permission denied"}, {true, "file size limit"}} {
		tools := tools(t)
		tools.Unconfined = c.unconfined
		var failed *ffmpeg.Error
		err := tools.Run(t.Context(), ffmpeg.Options{}, endless, outputs, nil)
		if !errors.As(err, &failed) || !strings.Contains(failed.Error(), c.how) {
			t.Errorf("unconfined %v: got %v", c.unconfined, err)
		}
		if info, err := os.Stat(name); (err == nil) != c.unconfined || err == nil && info.Size() != 0 {
			t.Errorf("unconfined %v: the file is %v, %v", c.unconfined, info, err)
		}
	}
}

func TestAProgramThatTakesTooLongIsEnded(t *testing.T) {
	start := time.Now()
	var failed *ffmpeg.Error
	options := ffmpeg.Options{Limit: 500 * time.Millisecond}
	err := tools(t).Run(t.Context(), options, endless, discarded, nil)
	if !errors.As(err, &failed) || !strings.Contains(failed.Reason, "after 500ms") {
		t.Errorf("got %v", err)
	}
	if took := time.Since(start); took < 500*time.Millisecond || took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

// At any size, from what the dynamic linker needs to what one picture does, running out of memory is an error that comes at
// once. The last size is enough: so it is the limit that makes the others fail.
func TestAProgramThatWantsTooMuchMemoryFails(t *testing.T) {
	small := []string{"-f", "lavfi", "-i", "testsrc2=s=64x64:d=0.04"}
	huge := []ffmpeg.Output{{Args: []string{"-vf", "scale=8000:8000", "-c:v", "libx264", "-f", "h264"}, Read: discard}}
	for _, c := range []struct {
		memory int64
		enough bool
	}{
		{1 << 20, false}, {64 << 20, false}, {256 << 20, false}, {512 << 20, false}, {ffmpeg.DefaultMemory, true},
	} {
		t.Run(fmt.Sprintf("%d MiB", c.memory>>20), func(t *testing.T) {
			tools, err := ffmpeg.Find(c.memory)
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			err = tools.Run(t.Context(), ffmpeg.Options{}, small, huge, nil)
			var failed *ffmpeg.Error
			if c.enough && err != nil || !c.enough && !errors.As(err, &failed) {
				t.Errorf("got %v", err)
			}
			if took := time.Since(start); !c.enough && took > 20*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
	if _, err := ffmpeg.Find(0); err == nil {
		t.Error("no memory at all: no error")
	}
}

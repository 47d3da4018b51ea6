package ffmpeg_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"weir/transcoder/internal/ffmpeg"
)

func tools(t *testing.T) ffmpeg.Tools {
	t.Helper()
	tools, err := ffmpeg.Find(ffmpeg.DefaultMemory)
	if err != nil {
		t.Fatal(err)
	}
	return tools
}

// endless is an input that never ends, and output what is made of it.
var (
	endless   = []string{"-f", "lavfi", "-i", "testsrc2=s=64x64"}
	output    = []string{"-c:v", "rawvideo", "-f", "rawvideo"}
	discarded = []ffmpeg.Output{{Args: output, Read: discard}}
)

func discard(r io.Reader) error { _, err := io.Copy(io.Discard, r); return err }

func TestOutputsAndProgressArrive(t *testing.T) {
	var sizes [2]int64
	var last float64
	read := func(i int) func(io.Reader) error {
		return func(r io.Reader) (err error) { sizes[i], err = io.Copy(io.Discard, r); return err }
	}
	input := []string{"-f", "lavfi", "-i", "testsrc2=s=64x64:r=10:d=3"}
	err := tools(t).Run(t.Context(), ffmpeg.Options{}, input, []ffmpeg.Output{
		{Args: slices.Concat(output, []string{"-pix_fmt", "gray"}), Read: read(0)},
		{Args: slices.Concat(output, []string{"-pix_fmt", "rgb24"}), Read: read(1)},
	}, func(seconds float64) { last = seconds })
	if err != nil || sizes != [2]int64{30 * 64 * 64, 30 * 64 * 64 * 3} || last != 3 {
		t.Errorf("sizes %v, progress up to %v s: %v", sizes, last, err)
	}
}

func TestAProgramThatFailsSaysWhy(t *testing.T) {
	complain := func(r io.Reader) error {
		if err := discard(r); err != nil {
			return err
		}
		return errors.New("the reader's complaint that nothing came")
	}
	outputs := []ffmpeg.Output{{Args: output, Read: complain}}
	tools := tools(t)
	var observed []string
	tools.Observe = func(program string) { observed = append(observed, program) }
	err := tools.Run(t.Context(), ffmpeg.Options{}, []string{"-i", "/none.mp4"}, outputs, nil)
	var failed *ffmpeg.Error
	if !errors.As(err, &failed) || failed.Program != "ffmpeg" || !strings.Contains(failed.Stderr, "No such file") {
		t.Errorf("got %v", err)
	}
	if _, err := tools.Probe(t.Context(), []string{"/none.mp4"}); !errors.As(err, &failed) || failed.Program != "ffprobe" {
		t.Errorf("got %v", err)
	}
	if !slices.Equal(observed, []string{"ffmpeg", "ffprobe"}) {
		t.Errorf("observed %v", observed)
	}
}

func TestAReaderThatFailsEndsTheProgram(t *testing.T) {
	mine := errors.New("the bucket is away")
	err := tools(t).Run(t.Context(), ffmpeg.Options{}, endless, []ffmpeg.Output{
		{Args: output, Read: func(r io.Reader) error {
			if _, err := io.CopyN(io.Discard, r, 1<<16); err != nil {
				return err
			}
			return mine
		}},
		{Args: output, Read: discard},
	}, nil)
	if !errors.Is(err, mine) {
		t.Errorf("got %v", err)
	}
}

func TestTheContextEndsTheProgram(t *testing.T) {
	mine := errors.New("the node ends")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(200*time.Millisecond, func() { cancel(mine) })
	err := tools(t).Run(ctx, ffmpeg.Options{}, endless, discarded, nil)
	if !errors.Is(err, mine) {
		t.Errorf("got %v", err)
	}
	if err := tools(t).Run(ctx, ffmpeg.Options{}, endless, discarded, nil); !errors.Is(err, mine) {
		t.Errorf("started when it was over already: %v", err)
	}
}

// A playlist that says it is a video must not make FFmpeg fetch what it names. The mutant, without the format, does: so the
// test can fail.
func TestAnImpostorFetchesNothing(t *testing.T) {
	var fetched atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/redirected":
			http.Redirect(w, r, "/canary", http.StatusFound)
		case "/canary", "/canary.ts":
			fetched.Add(1)
		default:
			_, _ = fmt.Fprintf(w, "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\nhttp://%s/canary.ts\n#EXT-X-ENDLIST\n", r.Host)
		}
	}))
	defer s.Close()
	for _, demuxer := range []string{"mov", "matroska", "mpegts", "avi", "flv", "ogg", "asf", "mpeg"} {
		in := ffmpeg.Input{URL: s.URL + "/video.mp4", Demuxer: demuxer}
		_, _ = tools(t).Probe(t.Context(), append([]string{"-show_packets"}, in.ProbeArgs()...))
		_ = tools(t).Run(t.Context(), ffmpeg.Options{}, in.Args(), discarded, nil)
		in.URL = s.URL + "/redirected"
		_, _ = tools(t).Probe(t.Context(), in.ProbeArgs())
	}
	if n := fetched.Load(); n != 0 {
		t.Errorf("the canary was fetched %d times", n)
	}
	args := ffmpeg.Input{URL: s.URL + "/video.mp4", Demuxer: "mov"}.Args()
	i := slices.Index(args, "-f")
	_ = tools(t).Run(t.Context(), ffmpeg.Options{}, slices.Delete(args, i, i+2), discarded, nil)
	if fetched.Load() == 0 {
		t.Error("the mutant fetched nothing: the test proves nothing")
	}
}

func TestFilesAreOutOfReach(t *testing.T) {
	in := ffmpeg.Input{URL: "file:/etc/hostname", Demuxer: "mpegts"}
	_, err := tools(t).Probe(t.Context(), in.ProbeArgs())
	if err == nil || !strings.Contains(err.Error(), "not on whitelist") {
		t.Errorf("got %v", err)
	}
}

package source_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"weir/transcoder/internal/ffmpeg"
	"weir/transcoder/internal/r2"
	"weir/transcoder/internal/r2/r2test"
	"weir/transcoder/internal/source"
)

const blockSize = 4 << 20

// large has more blocks than are kept in memory.
var large = bytes.Repeat(content[:len(content)-1], 6)

const blocks = 20 // of large

// other is as long as content and differs everywhere.
var other = func() []byte {
	data := bytes.Clone(content)
	for i := range data {
		data[i] ^= 0xff
	}
	return data
}()

// bucket counts the reads, and how many of them were under way at once.
type bucket struct {
	r2test.Bucket
	hold func(ctx context.Context) error // is waited for by each read, and decides about it; nil is nothing

	reads, now, most atomic.Int32
}

func (b *bucket) ReadRange(ctx context.Context, key, etag string, offset, size int64) ([]byte, error) {
	b.reads.Add(1)
	now := b.now.Add(1)
	defer b.now.Add(-1)
	for most := b.most.Load(); now > most && !b.most.CompareAndSwap(most, now); most = b.most.Load() {
	}
	if b.hold != nil {
		if err := b.hold(ctx); err != nil {
			return nil, err
		}
		ctx = context.WithoutCancel(ctx)
	}
	return b.Bucket.ReadRange(ctx, key, etag, offset, size)
}

// What is asked for may be computed from what an upload says.
func TestNothingIsBeforeTheUpload(t *testing.T) {
	b := &bucket{}
	put(t, &b.Bucket, content)
	u := open(t, listen(t, b))
	for _, at := range []int64{-1, -blockSize, -blockSize - 1, math.MinInt64} {
		if n, err := u.ReadAt(make([]byte, 10), at); n != 0 || err == nil {
			t.Errorf("%d bytes are at %d, %v", n, at, err)
		}
	}
	if got := readAll(t, u); !bytes.Equal(got, content) {
		t.Error("afterwards, something else is read")
	}
}

func write(t testing.TB, b *bucket, key string, data []byte) {
	t.Helper()
	if err := b.Write(t.Context(), key, data, r2.Meta{}); err != nil {
		t.Fatal(err)
	}
}

func readAll(t testing.TB, u *source.Upload) []byte {
	t.Helper()
	data := make([]byte, u.Size())
	if _, err := u.ReadAt(data, 0); err != nil {
		t.Fatal(err)
	}
	return data
}

// file is the open file of blocks of a server with this folder, by a name that works as long as it is open; "" if there is
// none.
func file(t *testing.T, dir string) string {
	t.Helper()
	open, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range open {
		if target, err := os.Readlink(name); err == nil && strings.HasPrefix(target, dir+"/") {
			return name
		}
	}
	return ""
}

func size(t *testing.T, name string) int64 {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// journal is a log whose lines are counted.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, string(p))
	return len(p), nil
}

func (j *journal) log() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

func (j *journal) expect(t *testing.T, want ...string) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	ok := len(j.lines) == len(want)
	for i := 0; ok && i < len(want); i++ {
		ok = strings.Contains(j.lines[i], want[i])
	}
	if !ok {
		t.Errorf("the log is %q, want lines with %q", j.lines, want)
	}
}

func TestUploadsOfOneVersionShareBlocks(t *testing.T) {
	b := &bucket{}
	write(t, b, "upload", content)
	s := listen(t, b)
	first := open(t, s)
	readAll(t, first)
	first.Close()
	if data := readAll(t, open(t, s)); !bytes.Equal(data, content) || b.reads.Load() != 4 {
		t.Errorf("one after another: %d reads, want 4; the right bytes: %v", b.reads.Load(), bytes.Equal(data, content))
	}

	write(t, b, "upload", other)
	b.reads.Store(0)
	var wg sync.WaitGroup
	for range 8 {
		u := open(t, s)
		wg.Go(func() {
			data := make([]byte, u.Size())
			if _, err := u.ReadAt(data, 0); err != nil || !bytes.Equal(data, other) {
				t.Errorf("side by side: not the bytes of the new version, %v", err)
			}
		})
	}
	wg.Wait()
	if b.reads.Load() != 4 {
		t.Errorf("side by side: %d reads of the new version, want 4", b.reads.Load())
	}
}

func TestARequestOutlivesWhoCameFirst(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	b := &bucket{hold: func(ctx context.Context) error {
		close(asked)
		select {
		case <-answer:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}}
	write(t, b, "upload", content)
	s := listen(t, b)
	first, second := open(t, s), open(t, s)
	ended := make(chan error)
	go func() { _, err := first.ReadAt(make([]byte, 10), 0); ended <- err }()
	<-asked
	got := make([]byte, 10)
	go func() { _, err := second.ReadAt(got, 0); ended <- err }()
	time.Sleep(100 * time.Millisecond) // for the second to wait as well; too little would only make the test weaker
	first.Close()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("who left got %v", err)
	}
	close(answer)
	if err := <-ended; err != nil || !bytes.Equal(got, content[:10]) || b.reads.Load() != 1 {
		t.Errorf("who stayed got %v after %d reads", err, b.reads.Load())
	}
}

func TestARequestThatNobodyWaitsForIsEnded(t *testing.T) {
	for _, c := range []struct {
		name  string
		leave func(u *source.Upload, hangUp context.CancelFunc)
		err   error // of the upload
	}{
		{"the upload is closed", func(u *source.Upload, _ context.CancelFunc) { u.Close() }, context.Canceled},
		{"the reader hangs up", func(_ *source.Upload, hangUp context.CancelFunc) { hangUp() }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked, ended := make(chan struct{}, 1), make(chan struct{}, 1)
			var through atomic.Bool
			b := &bucket{hold: func(ctx context.Context) error {
				if through.Load() {
					return nil
				}
				asked <- struct{}{}
				<-ctx.Done()
				ended <- struct{}{}
				return ctx.Err()
			}}
			write(t, b, "upload", content)
			s := listen(t, b)
			u := open(t, s)
			ctx, hangUp := context.WithCancel(t.Context())
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.URL(), nil)
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			wg.Go(func() {
				if response, err := http.DefaultClient.Do(r); err == nil {
					_, _ = io.Copy(io.Discard, response.Body)
				}
			})
			<-asked
			c.leave(u, hangUp)
			<-ended
			hangUp()
			wg.Wait()
			if err := u.Err(); !errors.Is(err, c.err) {
				t.Errorf("the upload's error is %v, want %v", err, c.err)
			}
			through.Store(true)
			if !bytes.Equal(readAll(t, open(t, s)), content) {
				t.Error("the next reader got other bytes")
			}
		})
	}
}

// What is fetched for nobody, because its answer came all the same, must not take up room on the disk for good.
func TestRequestsThatWereGivenUpTakeNoRoom(t *testing.T) {
	var answer atomic.Pointer[chan struct{}]
	b := &bucket{hold: func(context.Context) error {
		if wait := answer.Load(); wait != nil {
			<-*wait
		}
		return nil
	}}
	write(t, b, "upload", large)
	s := listenOn(t, b, source.Scratch{Dir: t.TempDir(), Bytes: blocks * blockSize}, slog.New(slog.DiscardHandler))
	for range 2 {
		wait := make(chan struct{})
		answer.Store(&wait)
		b.reads.Store(0)
		u := open(t, s)
		var wg sync.WaitGroup
		for i := range blocks {
			wg.Go(func() { read(u, make([]byte, 1), int64(i)*blockSize) })
		}
		for b.reads.Load() < 16 {
			time.Sleep(time.Millisecond)
		}
		u.Close()
		wg.Wait()
		close(wait)
		for b.now.Load() > 0 {
			time.Sleep(time.Millisecond)
		}
	}
	if b.most.Load() > 16 {
		t.Errorf("%d requests were under way at once", b.most.Load())
	}
	answer.Store(nil)
	u := open(t, s)
	readAll(t, u)
	b.reads.Store(0)
	readAll(t, u)
	if n := b.reads.Load(); n != 0 {
		t.Errorf("%d of %d blocks were not kept", n, blocks)
	}
}

// Whatever many readers do at once over a disk that is far too small: they get the right bytes, the disk never holds more
// than it may, and neither does the memory.
func TestReadersGetTheRightBytesWithinTheBounds(t *testing.T) {
	const (
		slots   = 6
		objects = 4
		span    = 5 * time.Second
	)
	b := &bucket{hold: func(ctx context.Context) error {
		time.Sleep(time.Millisecond) // so that requests are under way side by side
		return ctx.Err()
	}}
	var contents [objects][]byte
	for i := range contents {
		contents[i] = content[i*4711 : len(content)-i*1234567]
		write(t, b, fmt.Sprint(i), contents[i])
	}
	dir := t.TempDir()
	s := listenOn(t, b, source.Scratch{Dir: dir, Bytes: slots*blockSize + blockSize/2}, slog.New(slog.DiscardHandler))
	disk := file(t, dir)

	ctx, cancel := context.WithTimeout(t.Context(), span)
	defer cancel()
	var wg sync.WaitGroup
	for reader := range 40 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(reader), 1))
			for ctx.Err() == nil {
				i := r.IntN(objects)
				want := contents[i]
				u, err := s.Open(t.Context(), fmt.Sprint(i))
				if err != nil {
					t.Error(err)
					return
				}
				for range r.IntN(8) {
					at := r.IntN(len(want))
					n := min(1+r.IntN(1<<r.IntN(23)), len(want)-at)
					switch reader % 4 {
					case 0: // through the server
						_, data, err := get(t, u.URL(), fmt.Sprintf("bytes=%d-%d", at, at+n-1))
						if err != nil || !bytes.Equal(data, want[at:at+n]) {
							t.Errorf("object %d, %d bytes at %d through the server: %d bytes, %v", i, n, at, len(data), err)
						}
					case 1: // one that leaves in the middle
						time.AfterFunc(time.Duration(r.IntN(3000))*time.Microsecond, u.Close)
						data := make([]byte, n)
						n, err := u.ReadAt(data, int64(at))
						if err != nil && !errors.Is(err, context.Canceled) || !bytes.Equal(data[:n], want[at:at+n]) {
							t.Errorf("object %d, %d bytes at %d, leaving: %v", i, n, at, err)
						}
					default:
						data := make([]byte, n)
						if _, err := u.ReadAt(data, int64(at)); err != nil || !bytes.Equal(data, want[at:at+n]) {
							t.Errorf("object %d, %d bytes at %d: %v", i, n, at, err)
						}
					}
				}
				u.Close()
			}
		})
	}
	for ctx.Err() == nil {
		if n := size(t, disk); n > slots*blockSize {
			t.Fatalf("the disk holds %d bytes", n)
		}
		time.Sleep(time.Millisecond)
	}
	wg.Wait()
	if b.most.Load() > 16 {
		t.Errorf("%d requests were under way at once", b.most.Load())
	}
	if size(t, disk) != slots*blockSize || b.most.Load() < 4 {
		t.Errorf("the disk held %d bytes, %d requests were under way at once: it was too easy", size(t, disk), b.most.Load())
	}
}

func TestABlockStaysWhileItIsRead(t *testing.T) {
	b := &bucket{}
	write(t, b, "upload", content)
	write(t, b, "other", other)
	s := listenOn(t, b, source.Scratch{Dir: t.TempDir(), Bytes: blockSize}, slog.New(slog.DiscardHandler))
	u := open(t, s)
	read(u, make([]byte, 1), 0) // the block was idle once
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, u.URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	// The server is in the middle of a block now: the connection does not take as much as is left.
	neighbour, err := s.Open(t.Context(), "other")
	if err != nil {
		t.Fatal(err)
	}
	defer neighbour.Close()
	for range 3 {
		if !bytes.Equal(readAll(t, neighbour), other) {
			t.Error("the other upload came with wrong bytes")
		}
	}
	if data, err := io.ReadAll(response.Body); err != nil || !bytes.Equal(data, content) {
		t.Errorf("%d bytes came, not those of the upload; %v", len(data), err)
	}
}

// full makes the disk refuse what goes beyond a file size, as a full one does; the result makes it take everything again.
func full(t *testing.T, most uint64) (empty func()) {
	t.Helper()
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: most, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	empty = func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(empty)
	return empty
}

func TestAFullDiskCostsNothingButRequests(t *testing.T) {
	for name, room := range map[string]uint64{"full from the start": 1, "full after three blocks": 3*blockSize + 99} {
		t.Run(name, func(t *testing.T) {
			full(t, room)
			b, j := &bucket{}, &journal{}
			write(t, b, "upload", large)
			s := listenOn(t, b, source.Scratch{Dir: t.TempDir(), Bytes: 1 << 30}, j.log())
			u := open(t, s)
			if _, data, err := get(t, u.URL(), ""); err != nil || !bytes.Equal(data, large) {
				t.Errorf("%d bytes came, %v", len(data), err)
			}
			if n := b.reads.Load(); n != blocks {
				t.Errorf("%d requests for %d blocks, read straight on", n, blocks)
			}
			for range 100 {
				for _, at := range []int64{0, 5 * blockSize, 19 * blockSize} { // as a demuxer goes between tracks and the index
					if p := make([]byte, 100); !read(u, p, at) || !bytes.Equal(p, large[at:at+100]) {
						t.Fatalf("wrong bytes at %d", at)
					}
				}
			}
			if n := b.reads.Load(); n > blocks+3 {
				t.Errorf("%d requests for going between 3 blocks", n-blocks)
			}
			write(t, b, "upload", large) // another version
			b.reads.Store(0)
			u = open(t, s)
			var wg sync.WaitGroup
			for i := range blocks {
				wg.Go(func() {
					from, to := i*blockSize, min((i+1)*blockSize, len(large))
					_, data, err := get(t, u.URL(), fmt.Sprintf("bytes=%d-%d", from, to-1))
					if err != nil || !bytes.Equal(data, large[from:to]) {
						t.Errorf("block %d: %d bytes came, %v", i, len(data), err)
					}
				})
			}
			wg.Wait()
			if n := b.reads.Load(); n != blocks {
				t.Errorf("%d requests for %d blocks that were read side by side", n, blocks)
			}
			j.expect(t, "refused a block")
		})
	}
}

func read(u *source.Upload, p []byte, at int64) bool { _, err := u.ReadAt(p, at); return err == nil }

func TestAFullDiskKeepsTheSizeThatItHas(t *testing.T) {
	full(t, 19*blockSize)
	b := &bucket{}
	write(t, b, "upload", large)
	s := listenOn(t, b, source.Scratch{Dir: t.TempDir(), Bytes: 1 << 30}, slog.New(slog.DiscardHandler))
	readAll(t, open(t, s))
	write(t, b, "upload", large) // another version
	u := open(t, s)
	for range 2 {
		b.reads.Store(0)
		for i := range int64(18) {
			read(u, make([]byte, 1), i*blockSize)
		}
	}
	if n := b.reads.Load(); n != 0 {
		t.Errorf("%d of 18 blocks were not kept where 19 found room before", n)
	}
}

// The clock is a fake one.
func TestADiskThatWasFullIsUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		empty := full(t, blockSize)
		b, j, dir := &bucket{}, &journal{}, t.TempDir()
		write(t, b, "upload", content)
		s, err := source.Listen(t.Context(), b, source.Scratch{Dir: dir, Bytes: 64 << 20}, j.log())
		if err != nil {
			t.Fatal(err)
		}
		u := open(t, s)
		readAll(t, u)
		time.Sleep(2 * time.Minute)
		write(t, b, "upload", content) // another version
		readAll(t, open(t, s))
		j.expect(t, "refused a block", "refused a block")
		if n := size(t, file(t, dir)); n != blockSize {
			t.Errorf("the full disk holds %d bytes", n)
		}
		empty()
		time.Sleep(2 * time.Minute)
		write(t, b, "upload", content)
		readAll(t, open(t, s))
		j.expect(t, "refused a block", "refused a block")
		if n := size(t, file(t, dir)); n < 4*blockSize {
			t.Errorf("with room again, the disk holds %d bytes", n)
		}
		end(t, s)
	})
}

// end ends a server that has not served.
func end(t *testing.T, s *source.Server) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Serve(ctx); err != nil {
		t.Error(err)
	}
}

func TestABrokenDiskCostsNothingButRequests(t *testing.T) {
	b, j, dir := &bucket{}, &journal{}, t.TempDir()
	write(t, b, "upload", content)
	u := open(t, listenOn(t, b, source.Scratch{Dir: dir, Bytes: 64 << 20}, j.log()))
	readAll(t, u)
	for range 3 {
		if err := os.Truncate(file(t, dir), blockSize+99); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(readAll(t, u), content) {
			t.Error("wrong bytes")
		}
	}
	if n := b.reads.Load(); n > 8 {
		t.Errorf("%d requests: each of 4 blocks should have been fetched a second time at most", n)
	}
	if u.Err() != nil {
		t.Errorf("the disk is held against the upload: %v", u.Err())
	}
	j.expect(t, "lost a block")
}

func TestNothingIsLeftOnTheDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "by", "the", "server")
	b := &bucket{}
	write(t, b, "upload", content)
	scratch := source.Scratch{Dir: dir, Bytes: 64 << 20}
	s, err := source.Listen(t.Context(), b, scratch, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	u := open(t, s)
	readAll(t, u)
	// A process that is killed here leaves what has a name.
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 || size(t, file(t, dir)) < int64(len(content)) {
		t.Errorf("while blocks are kept, the folder holds %v, %v", left, err)
	}
	neighbour := open(t, listenOn(t, b, scratch, slog.New(slog.DiscardHandler)))
	readAll(t, neighbour)
	end(t, s)
	if !bytes.Equal(readAll(t, neighbour), content) || b.reads.Load() != 8 {
		t.Errorf("the end of one server harmed the other: %d reads, want 4 each", b.reads.Load())
	}
	if _, err := u.ReadAt(make([]byte, 1), 0); err == nil {
		t.Error("an upload was read after the server's end")
	}
	if _, err := s.Open(t.Context(), "upload"); err == nil {
		t.Error("an upload was opened after the server's end")
	}
}

func TestTheSpaceIsFreeAfterTheEnd(t *testing.T) {
	b, dir := &bucket{}, t.TempDir()
	write(t, b, "upload", content)
	s, err := source.Listen(t.Context(), b, source.Scratch{Dir: dir, Bytes: 64 << 20}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	readAll(t, open(t, s))
	end(t, s)
	if name := file(t, dir); name != "" {
		t.Errorf("%s is open", name)
	}
}

func TestAScratchDiskThatCannotBeUsedIsAnError(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for what, scratch := range map[string]source.Scratch{
		"a file in place of the folder": {Dir: name, Bytes: 1 << 30},
		"less than a block":             {Dir: t.TempDir(), Bytes: blockSize - 1},
	} {
		if _, err := source.Listen(t.Context(), &bucket{}, scratch, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

// The clock is a fake one.
func TestAnAnswerThatStopsComingIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bucket{}
		b.hold = func(ctx context.Context) error {
			if b.reads.Load() > 1 {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}
		write(t, b, "upload", content[:99])
		s, err := source.Listen(t.Context(), b, source.Scratch{Dir: t.TempDir(), Bytes: 64 << 20}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(readAll(t, open(t, s)), content[:99]) || b.reads.Load() != 2 {
			t.Errorf("wrong bytes, or %d reads", b.reads.Load())
		}
		end(t, s)
	})
}

// An MP4 with its index at the end makes FFmpeg read both ends. A demuxer that goes back and forth, or a server that reads
// far ahead, would cost many requests.
func TestAnIndexAtTheEndCostsFewRequests(t *testing.T) {
	tools, err := ffmpeg.Find(ffmpeg.DefaultMemory)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "upload.mov")
	out, err := exec.CommandContext(t.Context(), "ffmpeg", "-loglevel", "error",
		"-f", "lavfi", "-i", "testsrc2=s=160x90:r=30:d=300", "-f", "lavfi", "-i", "anoisesrc=r=48000:d=300",
		"-c:v", "libx264", "-preset", "ultrafast", "-c:a", "pcm_s16le", "-ac", "2", name).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if index := bytes.LastIndex(data, []byte("moov")); len(data) < 50<<20 || index < 50<<20 {
		t.Fatalf("%d bytes with the index at %d: that proves nothing", len(data), index)
	}
	b := &bucket{}
	write(t, b, "upload", data)
	s := listen(t, b)
	probe := func() int32 {
		b.reads.Store(0)
		u := open(t, s)
		defer u.Close()
		in := ffmpeg.Input{URL: u.URL(), Demuxer: "mov"}
		out, err := tools.Probe(t.Context(), append([]string{"-show_streams", "-show_format", "-of", "json"}, in.ProbeArgs()...))
		if err != nil || bytes.Count(out, []byte(`"codec_type"`)) != 2 {
			t.Errorf("ffprobe: %v: %s", err, out)
		}
		return b.reads.Load()
	}
	if n := probe(); n > 6 {
		t.Errorf("%d requests", n)
	} else {
		t.Logf("%d requests for %d blocks", n, len(data)/blockSize+1)
	}
	if n := probe(); n != 0 {
		t.Errorf("a second task of the node made %d requests", n)
	}
}

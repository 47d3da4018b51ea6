package source_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"testing"

	"weir/transcoder/internal/r2/r2test"
	"weir/transcoder/internal/source"
)

// BenchmarkCachedBlocks reads blocks that are on the scratch disk as FFmpeg does, through the loopback server: the whole
// upload straight on, or a little of each place that is sought.
func BenchmarkCachedBlocks(b *testing.B) {
	const size = 32 << 20
	bucket := &r2test.Bucket{}
	put(b, bucket, make([]byte, size))
	u := open(b, listenOn(b, bucket, source.Scratch{Dir: b.TempDir(), Bytes: 2 * size}, slog.New(slog.DiscardHandler)))
	buffer := make([]byte, 32<<10) // as large as FFmpeg's
	read := func(b *testing.B, ranges string, want int64) {
		r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, u.URL(), nil)
		if err != nil {
			b.Fatal(err)
		}
		r.Header.Set("Range", ranges)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			b.Fatal(err)
		}
		defer response.Body.Close()
		// Discard without its other methods: it would bring a buffer of its own.
		if n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, response.Body, buffer); n != want || err != nil {
			b.Fatal(n, err)
		}
	}
	read(b, "bytes=0-", size)
	b.Run("straight on", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			read(b, "bytes=0-", size)
		}
	})
	b.Run("seeks", func(b *testing.B) {
		const part = 64 << 10
		at := int64(0)
		for b.Loop() {
			read(b, fmt.Sprintf("bytes=%d-%d", at, at+part-1), part)
			at = (at + 13*part + 4711) % (size - part)
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reads/s")
	})
}

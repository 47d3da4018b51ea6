package demo

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

const (
	barWidth = 32
	// lineStep: a log that is read later gets a line every so many percent.
	lineStep = 5
)

// bar shows progress: in a terminal as one line that lives, elsewhere as a line every few percent.
type bar struct {
	out   io.Writer
	what  string
	live  bool
	begin time.Time

	state   string
	percent int // the last that was printed
}

func newBar(out io.Writer, what string) *bar {
	f, ok := out.(*os.File)
	return &bar{out: out, what: what, live: ok && term.IsTerminal(int(f.Fd())), begin: time.Now(), percent: -lineStep}
}

// show tells how far it is. It may be called as often as one likes.
func (b *bar) show(progress float64, state string) {
	percent := min(100, max(0, int(progress)))
	if b.live {
		full := percent * barWidth / 100
		b.print("\r\x1b[K%s %s%s %3d %% %s %.1f s", b.what, strings.Repeat("█", full), strings.Repeat("░", barWidth-full),
			percent, state, time.Since(b.begin).Seconds())
		return
	}
	if percent >= b.percent+lineStep || state != b.state {
		b.print("%s %3d %% %s %.1f s\n", b.what, percent, state, time.Since(b.begin).Seconds())
		b.percent, b.state = percent, state
	}
}

// end leaves the line.
func (b *bar) end() {
	if b.live {
		b.print("\n")
	}
}

func (b *bar) print(format string, args ...any) { _, _ = fmt.Fprintf(b.out, format, args...) }

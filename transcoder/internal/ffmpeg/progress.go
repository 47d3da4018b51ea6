package ffmpeg

import (
	"bufio"
	"io"
	"strconv"
	"strings"
)

// readProgress reads what -progress writes, key=value lines in blocks, and reports the output time of each block.
func readProgress(r io.Reader, report func(seconds float64)) error {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), "=")
		if key != "out_time_us" {
			continue
		}
		// "N/A" stands there before the first frame.
		if us, err := strconv.ParseInt(value, 10, 64); err == nil && us >= 0 {
			report(float64(us) / 1e6)
		}
	}
	return lines.Err()
}

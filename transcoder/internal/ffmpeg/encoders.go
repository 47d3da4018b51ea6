package ffmpeg

import (
	"bytes"
	"context"
	"strings"
)

// Encoders are FFmpeg's names of the encoders that its build has.
func (t Tools) Encoders(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, probeTimeout, errStalled)
	defer cancel()
	var out bytes.Buffer
	if err := t.run(ctx, t.ffmpeg, []string{"-hide_banner", "-loglevel", "error", "-encoders"}, Options{}, &process{}, &out, nil); err != nil {
		return nil, err
	}
	// A legend, a line of dashes, and then a line an encoder: what it can do, its name, and its long name.
	_, list, _ := strings.Cut(out.String(), " ------\n")
	var names []string
	for line := range strings.Lines(list) {
		if fields := strings.Fields(line); len(fields) > 1 {
			names = append(names, fields[1])
		}
	}
	return names, nil
}

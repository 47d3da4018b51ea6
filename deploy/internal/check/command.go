package check

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// ErrFailed is a tree that breaks rules.
var ErrFailed = errors.New("the video is not as the rules say")

// Command checks a tree and prints what is found: a line a finding, or a line of JSON, a summary, and RESULT as the last line.
// Errors in the tree are [ErrFailed].
func Command(ctx context.Context, master string, opts Options, asJSON bool, out io.Writer) error {
	r, err := Run(ctx, master, opts)
	if err != nil {
		return err
	}
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format, args...) }
	for _, f := range r.Findings {
		if !asJSON {
			say("%s\n", f)
			continue
		}
		line, err := json.Marshal(f)
		if err != nil {
			return fmt.Errorf("write a finding: %w", err)
		}
		say("%s\n", line)
	}
	if !asJSON {
		say("%d playlists, %d segments, %.1f MB: %d errors, %d warnings by %d rules\n",
			r.Playlists, r.Segments, float64(r.Bytes)/1e6, r.Errors, r.Warnings, len(Rules))
	}
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	say("RESULT %s\n", line)
	if r.Errors > 0 {
		return fmt.Errorf("%w: %d errors, see above", ErrFailed, r.Errors)
	}
	return nil
}

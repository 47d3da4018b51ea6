package job

import "fmt"

// SegmentFormat is what media segments are written in.
type SegmentFormat string

// The formats. "" is that of jobs and plans from before there was a choice: fragmented MP4.
const (
	FMP4 SegmentFormat = "fmp4" // CMAF: HLS and DASH
	TS   SegmentFormat = "ts"   // MPEG-2 transport stream, for old devices: HLS alone
)

// Stream tells whether segments are transport streams; otherwise they are fragmented MP4.
func (f SegmentFormat) Stream() bool { return f == TS }

// MPD tells whether the video that a request asks for is published for DASH as well. No profile that players know has transport
// streams cut as HLS cuts them, or segments that are encrypted as a whole.
func (s Spec) MPD() bool { return !s.SegmentFormat.Stream() && !s.Encrypt }

// validatePackaging tells what is wrong with how segments are to be written. Whatever does not go into a transport stream is
// refused here: it holds H.264 and AAC.
func validatePackaging(s Spec) error {
	switch s.SegmentFormat {
	case TS:
		if further := s.Codecs.Beyond(nil); len(further) > 0 {
			return fmt.Errorf("codecs has %s, which does not go into transport streams: leave it out, or segment_format", further)
		}
		return nil
	case "", FMP4:
		return nil
	}
	return fmt.Errorf("segment_format is %q: it must be %q, or %q for old devices", s.SegmentFormat, FMP4, TS)
}

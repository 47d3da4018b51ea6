package probe

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"weir/transcoder/internal/ffmpeg"
	"weir/transcoder/internal/job"
	"weir/transcoder/internal/media"
)

// maxDuration is the longest video that is taken: more than anybody watches in one piece, and less than what a header of
// three bytes can promise.
const maxDuration = 48 * time.Hour

// checkBounds refuses what would cost more than any real video does.
func checkBounds(s media.Source) error {
	if s.Video.Width*s.Video.Height > ffmpeg.MaxPixels {
		return errTooLarge()
	}
	start, end := s.Video.Start, s.Video.End
	for i, a := range s.Audio {
		if i == 0 && !s.HasPicture() {
			start, end = a.Start, a.End
		}
		end = max(end, a.End)
	}
	if d := end - start; d > maxDuration.Seconds() {
		return unsupported(fmt.Sprintf("The file says that it lasts %.0f hours; the longest that is taken is %.0f hours.",
			d/3600, maxDuration.Hours()))
	}
	return nil
}

// sizeless tells whether there is a video track without a size: so FFmpeg leaves those that are beyond its bound.
func (r report) sizeless() bool {
	return slices.ContainsFunc(r.Streams, func(s stream) bool {
		return s.CodecType == "video" && s.CodecName != "" && s.Disposition.AttachedPicture == 0 && s.Width*s.Height == 0
	})
}

func errTooLarge() *job.Failure {
	return unsupported(fmt.Sprintf("The pictures are too large, or nothing says how large they are: they may have %d million "+
		"pixels, as many as 8192x8192.", ffmpeg.MaxPixels/1_000_000))
}

// tooLarge tells whether FFmpeg failed because of its bound on pixels (libavutil/imgutils.c).
func tooLarge(stderr string) bool {
	return strings.Contains(stderr, "exceeds specified max pixel count") ||
		strings.Contains(stderr, "Picture size") && strings.Contains(stderr, "is invalid")
}

// foreign tells whether FFmpeg failed on a codec whose decoder it may not use (libavcodec/avcodec.c).
func foreign(stderr string) bool { return strings.Contains(stderr, "not on whitelist") }

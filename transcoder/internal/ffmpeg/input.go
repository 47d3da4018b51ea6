package ffmpeg

import "strconv"

const (
	// MaxPixels is the largest picture that is decoded: 8K in any shape, as 8192x8192. A file of a few kilobytes may hold one
	// of a thousand times that.
	MaxPixels = 8192 * 8192
	// maxStreams is for broadcasts with all their programmes and films with all their fonts and subtitles.
	maxStreams = 256
	// maxAlloc bounds a single block of memory in bytes: twice what a picture of MaxPixels takes with 16 bits a sample.
	maxAlloc = 1 << 30
)

// bounds are the arguments before an input that keep it from taking more than any real video does.
func bounds() []string {
	return []string{
		"-max_alloc", strconv.Itoa(maxAlloc), "-max_pixels", strconv.Itoa(MaxPixels), "-max_streams", strconv.Itoa(maxStreams),
		"-codec_whitelist", whitelist,
	}
}

// Input is an upload as FFmpeg's programs read it.
type Input struct {
	// URL is where the upload is served on loopback.
	URL string
	// Demuxer is FFmpeg's name of the format. It is always given: left to guess, FFmpeg takes a playlist called
	// video.mp4 for HLS and fetches what it names.
	Demuxer string
	// Seek is where reading starts, in seconds on the source's clock; nil reads from the beginning. Frames from the key
	// frame before it on are delivered.
	Seek *float64
}

// Args are the arguments that name the input, for ffmpeg and ffprobe alike.
func (in Input) Args() []string {
	var args []string
	if in.Seek != nil {
		args = append(args,
			// Deliver what the decoder makes from the key frame on: the frame that is on display at the cut starts before it.
			"-noaccurate_seek",
			// The position is a timestamp of the file, not a distance from its start.
			"-seek_timestamp", "1", "-ss", seconds(*in.Seek),
		)
	}
	return append(args, in.ProbeArgs()...)
}

// ProbeArgs are the arguments that ffprobe takes; it seeks by other means.
func (in Input) ProbeArgs() []string {
	return []string{
		// The loopback server and nothing else: no files, no other protocols, whatever the upload says.
		"-protocol_whitelist", "http,tcp",
		"-max_redirects", "0",
		// One connection for all ranges.
		"-multiple_requests", "1",
		"-f", in.Demuxer,
		"-i", in.URL,
	}
}

// PipedArgs are the arguments of an input that another FFmpeg writes, in a format that is its own choice.
func PipedArgs(demuxer string) []string {
	return []string{"-protocol_whitelist", "pipe", "-f", demuxer, "-i", "pipe:0"}
}

func seconds(s float64) string { return strconv.FormatFloat(s, 'f', 6, 64) }

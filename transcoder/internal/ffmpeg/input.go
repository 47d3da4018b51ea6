package ffmpeg

import "strconv"

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

func seconds(s float64) string { return strconv.FormatFloat(s, 'f', 6, 64) }

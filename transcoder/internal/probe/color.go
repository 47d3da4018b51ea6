package probe

import (
	"regexp"

	"weir/transcoder/internal/media"
)

// transparent are the decoders that read what WebM has beside a picture for its transparency; the usual ones show what lies
// under it.
var transparent = map[string]string{"vp8": "libvpx", "vp9": "libvpx-vp9"}

// alpha matches FFmpeg's names of the pixel formats that have an alpha channel, palettes among them.
var alpha = regexp.MustCompile(`^(yuva|ayuv|gbrap|ya\d|rgba|bgra|argb|abgr|pal8)`)

// matrices, transfers and primaries are those that mean something to the encoder, by the names that ffprobe gives them. What
// a file says beside them is taken for nothing said.
var (
	matrices = map[string]string{
		"bt709": "bt709", "bt470bg": "bt601", "smpte170m": "bt601", "fcc": "fcc", "smpte240m": "smpte240m",
		"bt2020nc": "bt2020", "bt2020c": "bt2020",
	}
	transfers = map[string]string{"smpte2084": "smpte2084", "arib-std-b67": "arib-std-b67"}
	primaries = map[string]string{"bt709": "bt709", "smpte432": "smpte432", "bt2020": "bt2020"}
)

// The largest picture that is taken for standard definition, in pixels as stored.
const sdWidth, sdHeight = 1279, 576

// color is what the samples stand for. Where the file does not say, it is what players assume: BT.601 in standard
// definition and BT.709 above it (ITU-R BT.601-7, BT.709-6), and BT.2020 for HDR (BT.2100-2).
func (s *stream) color() media.Color {
	c := media.Color{Matrix: matrices[s.Matrix], Transfer: transfers[s.Transfer]}
	if c.HDR() {
		c.Primaries = primaries[s.Primaries]
		if c.Primaries == "" {
			c.Primaries = "bt2020"
		}
	}
	switch {
	case c.Matrix != "":
	case c.HDR():
		c.Matrix = "bt2020"
	case s.Width > sdWidth || s.Height > sdHeight:
		c.Matrix = "bt709"
	default:
		c.Matrix = "bt601"
	}
	return c
}

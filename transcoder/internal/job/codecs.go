package job

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Codec is a way to encode pictures.
type Codec string

// The codecs, in the order in which videos are encoded in them. All players know the first one, so every video has it.
const (
	H264 Codec = "h264"
	HEVC Codec = "hevc"
	AV1  Codec = "av1"
)

var codecs = Codecs{H264, HEVC, AV1}

// Codecs are those in which a video is encoded. Their order means nothing; none leaves the choice to the configuration.
type Codecs []Codec

// ParseCodecs reads codecs that are separated by commas, such as h264,av1.
func ParseCodecs(text string) (Codecs, error) {
	var c Codecs
	for name := range strings.SplitSeq(text, ",") {
		c = append(c, Codec(strings.TrimSpace(name)))
	}
	return c.sorted(), c.Validate()
}

// Validate reports every problem of codecs that were chosen.
func (c Codecs) Validate() error {
	if len(c) == 0 {
		return nil
	}
	var problems []error
	for i, codec := range c {
		if !slices.Contains(codecs, codec) {
			problems = append(problems, fmt.Errorf("codecs has %.20q: it may have %s", codec, codecs))
		} else if slices.Contains(c[:i], codec) {
			problems = append(problems, fmt.Errorf("codecs has %q twice: name each codec once", codec))
		}
	}
	if !slices.Contains(c, H264) {
		problems = append(problems, fmt.Errorf("codecs lacks %q: add it, it is what plays everywhere", H264))
	}
	return errors.Join(problems...)
}

// Or fills in the defaults where nothing was chosen.
func (c Codecs) Or(defaults Codecs) Codecs {
	if len(c) == 0 {
		return defaults
	}
	return c
}

// Beyond are the codecs that are not among others, which every machine's H.264 always is.
func (c Codecs) Beyond(others Codecs) Codecs {
	var missing Codecs
	for _, codec := range c {
		if codec != H264 && !slices.Contains(others, codec) {
			missing = append(missing, codec)
		}
	}
	return missing
}

func (c Codecs) String() string {
	var names []string
	for _, codec := range c {
		names = append(names, string(codec))
	}
	return strings.Join(names, ", ")
}

// sorted is the same choice in the order of all codecs.
func (c Codecs) sorted() Codecs {
	return slices.SortedFunc(slices.Values(c), func(a, b Codec) int {
		return cmp.Compare(slices.Index(codecs, a), slices.Index(codecs, b))
	})
}

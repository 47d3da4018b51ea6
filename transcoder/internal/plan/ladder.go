package plan

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"weir/transcoder/internal/media"
)

// Ladder is the renditions that are wanted, highest first.
type Ladder []Rung

// Rung is one wanted rendition.
type Rung struct {
	ShortSide int // pixels: the height of a landscape video, the width of a portrait one
	Video     int // upper bound of the video's bit rate, bits per second
	Audio     int // the audio's bit rate, bits per second
}

// DefaultLadder is what is published unless the configuration says otherwise.
const DefaultLadder = "1080:5000k:192k,720:2800k:128k,480:1400k:128k,360:800k:96k"

// The limits of a rung: what AAC-LC and H.264 level 6.2 can carry, with the smallest picture that still shows something.
const (
	minShortSide, maxShortSide       = 64, 4320
	minVideoBitrate, maxVideoBitrate = 50_000, 200_000_000
	minAudioBitrate, maxAudioBitrate = 16_000, 512_000
)

// ParseLadder reads a ladder in the form of [DefaultLadder]: short side, video and audio bit rate a rung, separated by
// colons, the rungs by commas. It reports every problem at once.
func ParseLadder(text string) (Ladder, error) {
	var ladder Ladder
	var problems []error
	for rung := range strings.SplitSeq(text, ",") {
		r, err := parseRung(strings.TrimSpace(rung))
		if err != nil {
			problems = append(problems, err)
			continue
		}
		if slices.ContainsFunc(ladder, func(o Rung) bool { return o.ShortSide == r.ShortSide }) {
			problems = append(problems, fmt.Errorf("rung %q: there is another rung of %d", rung, r.ShortSide))
		}
		ladder = append(ladder, r)
	}
	slices.SortStableFunc(ladder, func(a, b Rung) int { return b.ShortSide - a.ShortSide })
	return ladder, errors.Join(problems...)
}

func parseRung(text string) (Rung, error) {
	fields := strings.Split(text, ":")
	if len(fields) != 3 {
		return Rung{}, fmt.Errorf("rung %q: write SHORT_SIDE:VIDEO:AUDIO, such as 720:2800k:128k", text)
	}
	side, err := strconv.Atoi(fields[0])
	if err != nil || side < minShortSide || side > maxShortSide || side%2 != 0 {
		return Rung{}, fmt.Errorf("rung %q: the short side must be an even number of pixels from %d to %d", text, minShortSide, maxShortSide)
	}
	video, ok := parseBitrate(fields[1], minVideoBitrate, maxVideoBitrate)
	if !ok {
		return Rung{}, fmt.Errorf("rung %q: the video bit rate must be like 2800k, from %d to %d bits per second", text, minVideoBitrate, maxVideoBitrate)
	}
	audio, ok := parseBitrate(fields[2], minAudioBitrate, maxAudioBitrate)
	if !ok {
		return Rung{}, fmt.Errorf("rung %q: the audio bit rate must be like 128k, from %d to %d bits per second", text, minAudioBitrate, maxAudioBitrate)
	}
	return Rung{ShortSide: side, Video: video, Audio: audio}, nil
}

func parseBitrate(text string, low, high int) (int, bool) {
	digits, kilo := strings.CutSuffix(text, "k")
	n, err := strconv.Atoi(digits)
	if err != nil || n > high {
		return 0, false
	}
	if kilo {
		n *= 1000
	}
	return n, n >= low && n <= high
}

// fit makes the source's rungs. Each distinct audio bit rate of them becomes one audio rendition a track. Sound alone gets those of
// the whole ladder.
func (l Ladder) fit(s media.Source) ([]VideoRendition, []AudioRendition) {
	rungs := l
	if s.HasPicture() {
		rungs = l.rungs(min(s.Video.Width, s.Video.Height))
	}
	var video []VideoRendition
	var bitrates []int
	for _, r := range rungs {
		v := VideoRendition{Name: fmt.Sprintf("%dp", r.ShortSide), Bitrate: r.Video}
		if !slices.ContainsFunc(bitrates, func(b int) bool { return group(b) == group(r.Audio) }) {
			bitrates = append(bitrates, r.Audio)
		}
		if len(s.Audio) > 0 {
			v.Audio = group(r.Audio)
		}
		if s.HasPicture() {
			v.Width, v.Height = scale(s.Video.Width, s.Video.Height, r.ShortSide)
			video = append(video, v)
		}
	}
	return video, sounds(s.Audio, bitrates)
}

// near is how much larger than the next rung a picture has to be for both to be worth having.
const near = 1.2

// rungs are those of a picture with the given short side, highest first. Nothing is scaled up. A picture between two rungs is
// published in its own size, with as many bits a pixel as lie between theirs, and the rung below it only if that is much
// smaller: otherwise it would bring nothing. A picture below the lowest rung gets that one's bit rates.
func (l Ladder) rungs(short int) Ladder {
	own := even(short)
	filled := slices.IndexFunc(l, func(r Rung) bool { return r.ShortSide <= own })
	switch {
	case filled < 0:
		lowest := l[len(l)-1]
		lowest.ShortSide = own
		return Ladder{lowest}
	case filled == 0 || l[filled].ShortSide == own:
		return l[filled:]
	}
	above, rest := l[filled-1], l[filled:]
	// Ladders give a picture half as large in both directions a third of the bits or so.
	share := math.Pow(float64(own)/float64(above.ShortSide), 1.5)
	top := Rung{ShortSide: own, Video: max(int(float64(above.Video)*share), rest[0].Video), Audio: above.Audio}
	if float64(own) < near*float64(rest[0].ShortSide) {
		rest = rest[1:]
	}
	return append(Ladder{top}, rest...)
}

// scale returns the size with the given short side and, to the nearest even pixel, the same shape.
func scale(width, height, short int) (int, int) {
	if width <= height {
		return short, nearestEven(height, short, width)
	}
	return nearestEven(width, short, height), short
}

// nearestEven returns the even number nearest to long·to/from. A long side that is not scaled is rounded down: never up.
func nearestEven(long, to, from int) int {
	if even(from) == to {
		return even(long)
	}
	return max((long*to+from)/(2*from)*2, 2)
}

// even rounds down to an even number, which 4:2:0 video needs, and not below the smallest picture an encoder takes.
func even(n int) int { return max(n&^1, 2) }

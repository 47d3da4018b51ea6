package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"

	"weir/transcoder/internal/media"
)

// Channels is how many the published sound has.
const Channels = 2

// AudioRendition is one bit rate of one of the source's audio tracks.
type AudioRendition struct {
	Name    string `json:"name"`
	Bitrate int    `json:"bitrate"`         // bits per second
	Track   int    `json:"track,omitempty"` // its place in the source's list
}

// Group is the name that the renditions of all tracks share which have one bit rate. A player stays within it when it changes the
// track, and in the track when it changes the group. Of a single track it is the rendition's own name.
func (a AudioRendition) Group() string { return group(a.Bitrate) }

func group(bitrate int) string { return fmt.Sprintf("audio_%dk", bitrate/1000) }

// Group is the renditions of a group, one a track; none if the name is "".
func (p Plan) Group(name string) []AudioRendition {
	var sounds []AudioRendition
	for _, a := range p.Audio {
		if a.Group() == name {
			sounds = append(sounds, a)
		}
	}
	return sounds
}

// Groups names all groups of audio renditions, the highest bit rate first.
func (p Plan) Groups() []string {
	var names []string
	for _, a := range p.Audio {
		if name := a.Group(); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// Track is what is known of the track that a rendition is made from.
func (p Plan) Track(a AudioRendition) media.Audio {
	if a.Track < len(p.Source.Audio) {
		return p.Source.Audio[a.Track]
	}
	return media.Audio{}
}

// SoundBound is the highest rate that a segment of sound alone may have, in bits per second: an encoder spends what it saved
// before, and what holds the frames together comes on top.
func (p Plan) SoundBound(a AudioRendition) int64 { return p.packaged(int64(a.Bitrate) * 4 / 3) }

// Tracks are the places of the tracks that renditions are made from, in the source's list.
func (p Plan) Tracks() []int {
	var tracks []int
	for _, a := range p.Audio {
		if !slices.Contains(tracks, a.Track) {
			tracks = append(tracks, a.Track)
		}
	}
	return tracks
}

// named gives each track a name of its own: its title, or else its language's name, or else its number. The only track needs none.
func named(tracks media.Tracks) media.Tracks {
	var out media.Tracks
	for i, t := range tracks {
		names := []string{t.Name, native(t.Language)}
		if len(tracks) > 1 {
			for n := i + 1; n <= 2*i+1; n++ { // one of these is free
				names = append(names, fmt.Sprintf("Track %d", n))
			}
		}
		free := slices.IndexFunc(names, func(name string) bool {
			return name != "" && !slices.ContainsFunc(out, func(o media.Audio) bool { return o.Name == name })
		})
		if t.Name = ""; free >= 0 {
			t.Name = names[free]
		}
		out = append(out, t)
	}
	return out
}

// native is a language's name in that language, or the tag where it has none; "" where nobody has said which it is.
func native(tag string) string {
	parsed, err := language.Parse(tag)
	if err != nil || parsed == language.Und {
		return ""
	}
	return cmp.Or(display.Self.Name(parsed), tag)
}

// maxSounds is how many renditions of sound there are at most: one process makes them all, and writes each into a pipe.
const maxSounds = 48

// sounds makes each track a rendition in each of the bit rates, the first tracks if there are too many. Where there are several
// tracks, a rendition's name has the track's language in it, and a number if that is not the first of its language.
func sounds(tracks media.Tracks, bitrates []int) []AudioRendition {
	tracks = tracks[:min(len(tracks), max(maxSounds/len(bitrates), 1))]
	var out []AudioRendition
	named := map[string]int{}
	for i, t := range tracks {
		prefix := "audio"
		if len(tracks) > 1 {
			language, _, _ := strings.Cut(t.Language, "-")
			if language == "" {
				language = "und"
			}
			prefix += "_" + language
			if named[language]++; named[language] > 1 {
				prefix += fmt.Sprintf("_%d", named[language])
			}
		}
		for _, b := range bitrates {
			out = append(out, AudioRendition{Name: fmt.Sprintf("%s_%dk", prefix, b/1000), Bitrate: b, Track: i})
		}
	}
	return out
}

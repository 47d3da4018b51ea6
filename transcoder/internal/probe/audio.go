package probe

import (
	"cmp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/language"

	"weir/transcoder/internal/media"
)

// maxTracks is how many audio tracks are published: each is encoded in all bit rates.
const maxTracks = 8

// undecodable are the codecs that FFmpeg knows by name alone.
var undecodable = []string{"", "unknown", "ac4", "mpegh_3d_audio", "4gv", "celt", "smv"}

// tracks are the audio tracks that can be decoded: the first one that is marked as default, or else the first, then the others
// in the container's order.
func (r report) tracks() media.Tracks {
	var streams []stream
	for _, s := range r.Streams {
		if s.CodecType == "audio" && s.Channels > 0 && !slices.Contains(undecodable, s.CodecName) {
			streams = append(streams, s)
		}
	}
	marked := func(s stream) bool { return s.Disposition.Default == 1 }
	if i := slices.IndexFunc(streams, marked); i > 0 {
		streams = slices.Concat(streams[i:i+1], streams[:i], streams[i+1:])
	}
	var tracks media.Tracks
	for _, s := range streams[:min(len(streams), maxTracks)] {
		tracks = append(tracks, media.Audio{
			Index: s.Index, Codec: s.CodecName, Channels: s.Channels, Language: s.language(), Role: s.role(len(tracks) == 0),
			Name: cmp.Or(title(s.Tags.Title), handler(s.Tags.Handler)),
		})
	}
	return tracks
}

// role is what the container says that an audio track is for.
func (s *stream) role(first bool) media.Role {
	switch {
	case s.Disposition.VisualImpaired == 1:
		return media.Description
	case s.Disposition.Comment == 1:
		return media.Commentary
	case first:
		return media.Main
	}
	return media.Alternate
}

// language is the track's in the form of RFC 5646: containers mostly have the three letters of ISO 639-2. What is no language is
// left out, as it would go into playlists.
func (s *stream) language() string {
	tag, err := language.Parse(s.Tags.Language)
	if err != nil || tag == language.Und {
		return ""
	}
	return tag.String()
}

// maxTitle is as much of a title as fits into a menu, in characters.
const maxTitle = 60

// title is a text of the container's as it may go into playlists: one short line, without quotation marks, which nothing can
// stand for in an attribute (RFC 8216, section 4.2).
func title(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case unicode.IsSpace(r):
			return ' '
		case r == unicode.ReplacementChar || !unicode.IsPrint(r):
			return -1
		}
		return r
	}, text)
	runes := []rune(strings.Join(strings.Fields(text), " "))
	return strings.TrimSpace(string(runes[:min(len(runes), maxTitle)]))
}

// handler is the name of a track in MP4, unless it is that of the program that wrote it, as it mostly is.
func handler(name string) string {
	lower := strings.ToLower(name)
	for _, program := range []string{"handler", "media", "gpac", "lavf", "l-smash", "bento4", "google", "audio track"} {
		if strings.Contains(lower, program) {
			return ""
		}
	}
	return title(name)
}

package plan

import (
	"cmp"
	"fmt"
	"slices"

	"golang.org/x/text/language"

	"weir/transcoder/internal/media"
)

// Subtitle is one subtitle track that is published.
type Subtitle struct {
	Name     string `json:"name"`  // its rendition's, such as subs_en
	Label    string `json:"label"` // what people choose it by; no two of a video are the same
	Index    int    `json:"index"` // of the stream in the container
	Codec    string `json:"codec"`
	Language string `json:"language"` // RFC 5646; und where nobody has said it

	Forced          bool `json:"forced,omitempty"`
	HearingImpaired bool `json:"hearing_impaired,omitempty"`
}

// SubtitlesTask is the task whose outcome is all of a video's subtitles.
const SubtitlesTask = "subtitles"

// maxSubtitles is how many tracks of an upload are published: each is as many objects as a rung.
const maxSubtitles = 32

// texts are the codecs, in FFmpeg's words, of subtitles that are text and that its decoders read. The others are pictures, or
// cannot be decoded.
var texts = []string{"subrip", "ass", "ssa", "webvtt", "mov_text", "text"}

// subtitles are the tracks of a source that become renditions.
func subtitles(source media.Source) []Subtitle {
	var out []Subtitle
	for _, s := range source.Subtitles {
		if !slices.Contains(texts, s.Codec) || len(out) == maxSubtitles {
			continue
		}
		t := Subtitle{Index: s.Index, Codec: s.Codec, Language: s.Language, Forced: s.Forced, HearingImpaired: s.HearingImpaired}
		if t.Language == "" {
			t.Language = language.Und.String()
		}
		t.Name = distinct("subs_"+t.Language, "%s_%d", func(name string) bool {
			return slices.ContainsFunc(out, func(o Subtitle) bool { return o.Name == name })
		})
		t.Label = distinct(label(s), "%s %d", func(label string) bool {
			return slices.ContainsFunc(out, func(o Subtitle) bool { return o.Label == label })
		})
		out = append(out, t)
	}
	return out
}

// distinct returns a text that is not taken: with a number behind it, from 2 on, if it is.
func distinct(text, numbered string, taken func(string) bool) string {
	out := text
	for n := 2; taken(out); n++ {
		out = fmt.Sprintf(numbered, text, n)
	}
	return out
}

// label is what people choose a track by: its title, or else its language in that language's own words.
func label(s media.Subtitle) string {
	if s.Title != "" {
		return s.Title
	}
	name := cmp.Or(native(s.Language), "Subtitles")
	switch {
	case s.Forced:
		return name + " (forced)"
	case s.HearingImpaired:
		return name + " (SDH)"
	}
	return name
}

// subtitleTasks is the task that makes all subtitles: one reader of the upload for all of them. It weighs nothing: beside an
// encoder it takes no time.
func (p Plan) subtitleTasks() []Task {
	if len(p.Subtitles) == 0 {
		return nil
	}
	return []Task{{ID: SubtitlesTask, Text: true}}
}

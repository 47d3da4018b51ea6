package manifest

import (
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
)

// Subtitle is one published subtitle track.
type Subtitle struct {
	Name            string `json:"name"`
	Label           string `json:"label"`    // what people choose it by
	Language        string `json:"language"` // RFC 5646; und where nobody has said it
	Forced          bool   `json:"forced,omitempty"`
	HearingImpaired bool   `json:"hearing_impaired,omitempty"`
	Cues            int    `json:"cues"`
	Segments        int    `json:"segments"`
	Bytes           int64  `json:"bytes"` // of the segments and the file
	Playlist        string `json:"playlist"`
	File            string `json:"file"` // the whole track as WebVTT
}

// SourceSubtitle is one of the source's subtitle tracks.
type SourceSubtitle struct {
	Codec           string `json:"codec"`
	Language        string `json:"language,omitempty"` // RFC 5646
	Title           string `json:"title,omitempty"`
	Forced          bool   `json:"forced,omitempty"`
	HearingImpaired bool   `json:"hearing_impaired,omitempty"`
	Rendition       string `json:"rendition,omitempty"` // the name of what became of it
}

// addSubtitles adds those of the plan that were made, and those of the source.
func (m *Manifest) addSubtitles(p plan.Plan, texts []media.TextRendition, paths Paths) {
	made := map[int]string{} // names by the source's stream
	for _, s := range p.Subtitles {
		for _, t := range texts {
			if t.Name != s.Name {
				continue
			}
			made[s.Index] = s.Name
			folder := "hls/" + s.Name + "/"
			m.Subtitles = append(m.Subtitles, Subtitle{
				Name: s.Name, Label: s.Label, Language: s.Language, Forced: s.Forced, HearingImpaired: s.HearingImpaired,
				Cues: t.Cues, Segments: len(t.Segments), Bytes: t.Bytes() + t.FileBytes,
				Playlist: folder + paths.Playlist, File: folder + t.File,
			})
		}
	}
	for _, s := range p.Source.Subtitles {
		m.Source.Subtitles = append(m.Source.Subtitles, SourceSubtitle{
			Codec: s.Codec, Language: s.Language, Title: s.Title, Forced: s.Forced, HearingImpaired: s.HearingImpaired,
			Rendition: made[s.Index],
		})
	}
}

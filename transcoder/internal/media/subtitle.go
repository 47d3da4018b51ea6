package media

// Subtitle is one of the source's subtitle tracks.
type Subtitle struct {
	Index int    `json:"index"` // of the stream in the container
	Codec string `json:"codec"`
	// Language is a tag of RFC 5646, such as en; "" where the source does not say.
	Language string `json:"language,omitempty"`
	Title    string `json:"title,omitempty"` // a short line that may stand in playlists
	// Forced subtitles are shown to everybody: they say what viewers of the sound's language do not understand.
	Forced bool `json:"forced,omitempty"`
	// HearingImpaired ones also tell of sounds that are no speech.
	HearingImpaired bool `json:"hearing_impaired,omitempty"`
}

// TextRendition is one published subtitle track: WebVTT in segments that are as long as those of the picture, and once more in
// one file. It has no init segment.
type TextRendition struct {
	Rendition
	File      string `json:"file"` // the object of the whole track, in the rendition's folder
	FileBytes int64  `json:"file_bytes"`
	Cues      int    `json:"cues"` // in the whole track; those that reach into another segment are in both
}

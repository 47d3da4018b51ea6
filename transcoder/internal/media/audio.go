package media

import "encoding/json"

// Audio is one of the source's audio tracks.
type Audio struct {
	Index    int     `json:"index"` // of the stream in the container
	Codec    string  `json:"codec"`
	Channels int     `json:"channels"`
	Start    float64 `json:"start_s"`
	End      float64 `json:"end_s"`
	// Language is a tag of RFC 5646, such as en; "" where the source does not say.
	Language string `json:"language,omitempty"`
	// Name is what the source calls the track, if it does. In a plan it is what people choose it by, another one for each track; ""
	// for the only one of which nothing is known.
	Name string `json:"name,omitempty"`
	Role Role   `json:"role,omitempty"`
}

// Role is what an audio track is for, in the words of DASH (ISO/IEC 23009-1, role scheme of 2011).
type Role string

// The roles. A source's first track is [Main] unless the container says that it is something else.
const (
	Main        Role = "main"
	Alternate   Role = "alternate"   // in place of the first: another language, or another mix
	Commentary  Role = "commentary"  // somebody talks about what is seen
	Description Role = "description" // somebody says what is seen, for those who do not see it
)

// Tracks are the audio tracks of a source. Plans that were made when there was one at most have it by itself.
type Tracks []Audio

// UnmarshalJSON reads a list of tracks, or a single one.
func (t *Tracks) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '{' {
		*t = make(Tracks, 1)
		return json.Unmarshal(data, &(*t)[0])
	}
	return json.Unmarshal(data, (*[]Audio)(t))
}

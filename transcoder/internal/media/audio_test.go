package media_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"weir/transcoder/internal/media"
)

// A plan that was stored when a source had one audio track at most is read as one of a list.
func TestASingleTrackOfOldIsRead(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       media.Tracks
	}{
		{"of old", `{"audio":{"index":1,"codec":"aac","channels":2,"start_s":0.5,"end_s":8,"language":"en"}}`,
			media.Tracks{{Index: 1, Codec: "aac", Channels: 2, Start: 0.5, End: 8, Language: "en"}}},
		{"silent", `{}`, nil},
		{"of today", `{"audio":[{"index":1,"name":"English","role":"main"},{"index":2,"role":"commentary"}]}`,
			media.Tracks{{Index: 1, Name: "English", Role: media.Main}, {Index: 2, Role: media.Commentary}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s media.Source
			if err := json.Unmarshal([]byte(c.text), &s); err != nil || !reflect.DeepEqual(s.Audio, c.want) {
				t.Fatalf("%+v, %v; want %+v", s.Audio, err, c.want)
			}
			stored, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			var again media.Source
			if err := json.Unmarshal(stored, &again); err != nil || !reflect.DeepEqual(s, again) {
				t.Errorf("stored as %s, which is read as %+v, %v", stored, again, err)
			}
		})
	}
}

package main

import (
	"encoding/json"
	"errors"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/Eyevinn/dash-mpd/mpd"

	"weir/transcoder/internal/job"
)

// checkConclusion looks at what is written at the end of a job: an MPD that leads to just the media that the playlists name, and a
// manifest that names only what is there and counts it right. It adds both to what is named. A video that is not there in whole has
// neither.
func checkConclusion(t *testing.T, id string, named map[string]bool) {
	t.Helper()
	root := "videos/" + id + "/"
	text, _, err := bucket().Read(t.Context(), root+"dash/manifest.mpd")
	if errors.Is(err, job.ErrNotFound) {
		if keys := list(t, root+"manifest"); len(keys) > 0 {
			t.Errorf("there is no MPD, and %v", keys)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	media := map[string]bool{}
	for key := range named {
		if strings.HasSuffix(key, ".mp4") || strings.HasSuffix(key, ".m4s") {
			media[key] = true
		}
	}
	description, listed := readMPD(t, root, text)
	if !maps.Equal(listed, media) {
		t.Errorf("the MPD leads to\n%v, want\n%v", slices.Sorted(maps.Keys(listed)), slices.Sorted(maps.Keys(media)))
	}

	text, _, err = bucket().Read(t.Context(), root+"manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	var m struct {
		VideoID    string            `json:"video_id"`
		Duration   float64           `json:"duration_s"`
		Playlists  map[string]string `json:"playlists"`
		Pictures   map[string]string `json:"pictures"`
		Renditions []struct {
			Name, Codecs, Playlist, IFrames, Init string
			Segments                              int
			Bandwidth                             uint32
			Bytes                                 int64
		} `json:"renditions"`
	}
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	named[root+"dash/manifest.mpd"], named[root+"manifest.json"] = true, true
	checkTexts(t, root, text, description, named)
	for _, name := range m.Playlists {
		if !named[root+name] {
			t.Errorf("the manifest names the playlist %s", name)
		}
	}
	if spare := description.MediaPresentationDuration.Seconds() - m.Duration; m.VideoID != id || len(m.Playlists) != 2 || spare < -1e-6 || spare > 0.001 {
		t.Errorf("the MPD has %v s, and the manifest is %s", description.MediaPresentationDuration.Seconds(), text)
	}
	for _, name := range m.Pictures {
		if _, err := bucket().Stat(t.Context(), root+name); err != nil {
			t.Errorf("the manifest names %s: %v", name, err)
		}
	}
	for _, r := range m.Renditions {
		if r.IFrames != "" && !named[root+r.IFrames] || strings.HasPrefix(r.Name, "audio") != (r.IFrames == "") {
			t.Errorf("the manifest names the I-frame playlist %q of %s", r.IFrames, r.Name)
		}
		segments, bytes := 0, int64(0)
		for key := range media {
			if path.Base(path.Dir(key)) != r.Name {
				continue
			}
			o, err := bucket().Stat(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			if bytes += o.Size; strings.HasSuffix(key, ".m4s") {
				segments++
			}
		}
		if !named[root+r.Playlist] || !named[root+r.Init] || segments != r.Segments || bytes != r.Bytes {
			t.Errorf("there are %d segments and %d bytes, and the manifest says %+v", segments, bytes, r)
		}
		for _, set := range description.Periods[0].AdaptationSets {
			for _, other := range set.Representations {
				if other.Id == r.Name && (other.Codecs != r.Codecs || other.Bandwidth != r.Bandwidth) {
					t.Errorf("the MPD says %s at %d bit/s, the manifest %+v", other.Codecs, other.Bandwidth, r)
				}
			}
		}
	}
}

// readMPD returns an MPD and the keys that it leads to.
func readMPD(t *testing.T, root string, text []byte) (*mpd.MPD, map[string]bool) {
	t.Helper()
	description, err := mpd.MPDFromBytes(text)
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	listed := map[string]bool{}
	for _, set := range description.Periods[0].AdaptationSets {
		for _, r := range set.Representations {
			if set.ContentType == "text" { // checkTexts looks at them
				continue
			}
			folder := path.Join(root, "dash", string(r.BaseURLs[0].Value))
			listed[path.Join(folder, string(r.SegmentList.Initialization.SourceURL))] = true
			for _, s := range r.SegmentList.SegmentURL {
				listed[path.Join(folder, string(s.Media))] = true
			}
		}
	}
	return description, listed
}

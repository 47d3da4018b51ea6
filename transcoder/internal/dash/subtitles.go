package dash

import (
	"math"

	"github.com/Eyevinn/dash-mpd/mpd"

	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
)

// textSets are adaptation sets of the plan's subtitles that were made: each track is one WebVTT file from start to end (DASH-IF
// IOP 4.3, section 6.4.5), whose times are those of the period.
func textSets(p plan.Plan, texts []media.TextRendition) []*adaptationSet {
	var sets []*adaptationSet
	for _, s := range p.Subtitles {
		for _, t := range texts {
			if t.Name != s.Name {
				continue
			}
			set := &mpd.AdaptationSetType{}
			set.ContentType, set.MimeType, set.Lang = "text", "text/vtt", s.Language
			set.Labels = []*mpd.LabelType{{Value: s.Label}}
			set.Roles = []*mpd.DescriptorType{mpd.NewRole(role(s))}
			rate := math.Ceil(float64(t.FileBytes) * 8 / max(p.Duration(), 1))
			sets = append(sets, &adaptationSet{AdaptationSetType: set, Representations: []*representation{{
				RepresentationType: &mpd.RepresentationType{
					Id: t.Name, Bandwidth: uint32(rate), BaseURLs: []*mpd.BaseURLType{mpd.NewBaseURL(folder + t.Name + "/" + t.File)},
				},
			}}})
		}
	}
	return sets
}

// role is what a track is for (ISO/IEC 23009-1, section 5.8.5.5).
func role(s plan.Subtitle) string {
	switch {
	case s.Forced:
		return "forced-subtitle"
	case s.HearingImpaired:
		return "caption"
	}
	return "subtitle"
}

package hls

import (
	"path"

	"github.com/Eyevinn/hls-m3u8/m3u8"

	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
)

// subtitleGroup is the group of all subtitles (RFC 8216, section 4.3.4.1.1).
const subtitleGroup = "subs"

// forDeaf are the characteristics of subtitles that tell of sounds as well (RFC 8216, section 4.3.4.1).
const forDeaf = "public.accessibility.transcribes-spoken-dialog,public.accessibility.describes-music-and-sound"

// addSubtitles adds those of the plan that were made to variants. Players choose them by themselves where the viewer's settings ask
// for it, and none is on otherwise: that a file marks one as its default is the habit of its program rather than anybody's
// wish. The bit rates of the variants grow by those of the greatest, as they are of all that is played together (section
// 4.3.4.2).
func addSubtitles(p plan.Plan, variants []m3u8.Variant, texts []media.TextRendition, playlist string) {
	var alternatives []*m3u8.Alternative
	var peak, average int64
	for _, s := range p.Subtitles {
		for _, t := range texts {
			if t.Name != s.Name {
				continue
			}
			a := &m3u8.Alternative{
				Type: "SUBTITLES", GroupId: subtitleGroup, Name: s.Label, URI: path.Join(s.Name, playlist),
				Language: s.Language, Autoselect: true, Forced: s.Forced,
			}
			if s.HearingImpaired {
				a.Characteristics = forDeaf
			}
			alternatives = append(alternatives, a)
			high, mean := Bandwidth(t.Rendition, p.TargetDuration())
			peak, average = max(peak, high), max(average, mean)
		}
	}
	for i := range variants {
		if len(alternatives) == 0 {
			return
		}
		v := &variants[i]
		v.Subtitles = subtitleGroup
		v.Alternatives = append(v.Alternatives, alternatives...)
		v.Bandwidth += uint32(peak)
		if v.AverageBandwidth > 0 {
			v.AverageBandwidth += uint32(average)
		}
	}
}

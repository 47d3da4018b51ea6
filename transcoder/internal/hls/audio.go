package hls

import (
	"path"

	"github.com/Eyevinn/hls-m3u8/m3u8"

	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
)

const (
	// undetermined is the language of sound that nobody has named (RFC 5646, section 4.1): rule 8.10 wants one.
	undetermined = "und"
	// nameless is the name of the only sound, where nothing is known of it.
	nameless = "Default"
	// describes is the characteristic of sound that says what is seen (RFC 8216, section 4.3.4.1).
	describes = "public.accessibility.describes-video"
)

// alternatives are the renditions of a group, as EXT-X-MEDIA names them. All groups have the same, so that a player stays with
// its choice when it changes the bit rate (RFC 8216, section 4.3.4.2.1).
func alternatives(p plan.Plan, sounds []plan.AudioRendition, playlist string) []*m3u8.Alternative {
	type choice struct {
		language string
		role     media.Role
	}
	automatic := map[choice]bool{}
	var all []*m3u8.Alternative
	for _, a := range sounds {
		track := p.Track(a)
		out := &m3u8.Alternative{
			Type: "AUDIO", GroupId: a.Group(), Name: track.Name, Language: track.Language, URI: path.Join(a.Name, playlist),
			Default: a.Track == 0, Channels: &m3u8.Channels{Amount: plan.Channels},
		}
		if out.Name == "" {
			out.Name = nameless
		}
		if out.Language == "" {
			out.Language = undetermined
		}
		if track.Role == media.Description {
			out.Characteristics = describes
		}
		// A player may take by itself the first of a language, and the first that describes the picture in it: what it takes must
		// be told apart by these (RFC 8216, section 4.3.4.1.1). Nobody wants to hear a commentary without asking for it.
		key := choice{out.Language, ""}
		if track.Role == media.Description {
			key.role = track.Role
		}
		out.Autoselect = out.Default || track.Role != media.Commentary && !automatic[key]
		automatic[key] = automatic[key] || out.Autoselect
		all = append(all, out)
	}
	return all
}

// soundVariants are those of sound alone: one a group. A variant's own segments are the sound of the first track, so that its
// rendition has no playlist beside it (RFC 8216, section 4.3.4.2.1).
func soundVariants(p plan.Plan, byName map[string]media.Rendition, playlist string, kind Kind) []m3u8.Variant {
	var variants []m3u8.Variant
	for _, group := range p.Groups() {
		sounds := p.Group(group)
		peak, average := groupBandwidth(sounds, byName, p.TargetDuration())
		if kind == Event {
			peak, average = max(peak, p.SoundBound(sounds[0])), 0
		}
		all := alternatives(p, sounds, playlist)
		all[0].URI = ""
		variants = append(variants, m3u8.Variant{URI: path.Join(sounds[0].Name, playlist), VariantParams: m3u8.VariantParams{
			Bandwidth: uint32(peak), AverageBandwidth: uint32(average), Codecs: byName[sounds[0].Name].Codecs,
			Audio: group, Alternatives: all,
		}})
	}
	return variants
}

// groupBandwidth is the greatest peak and the greatest average of a group's renditions: a player needs one of them.
func groupBandwidth(sounds []plan.AudioRendition, byName map[string]media.Rendition, target int) (peak, average int64) {
	for _, a := range sounds {
		p, m := Bandwidth(byName[a.Name], target)
		peak, average = max(peak, p), max(average, m)
	}
	return peak, average
}

package probe

import "weir/transcoder/internal/media"

// subtitles are all subtitle tracks; what becomes of them, the plan decides. Text for programs is none, nor is what a voice is to
// read to those who do not see the picture: WebM has both in the same form.
func (r report) subtitles() []media.Subtitle {
	var out []media.Subtitle
	for _, s := range r.Streams {
		if d := s.Disposition; s.CodecType != "subtitle" || d.Metadata == 1 || d.Descriptions == 1 {
			continue
		}
		out = append(out, media.Subtitle{
			Index: s.Index, Codec: s.CodecName, Language: s.language(), Title: title(s.Tags.Title),
			Forced:          s.Disposition.Forced == 1,
			HearingImpaired: s.Disposition.HearingImpaired == 1 || s.Disposition.Captions == 1,
		})
	}
	return out
}

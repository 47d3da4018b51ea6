package plan

import (
	"cmp"
	"slices"

	"weir/transcoder/internal/job"
)

// coding is what a codec asks of a plan.
type coding struct {
	codec job.Codec
	// rate is the share of H.264's bit rate, in percent, with which a rung is capped. It is what the same SSIM takes, with the
	// encoders at the speed at which they are run, of noise and fine detail; of other content they take half.
	rate int
	// cost is how much longer encoding takes than that of H.264, which is all that progress knows of the future.
	cost float64
	// side is the shortest side of a picture that its encoder takes, in pixels.
	side int
}

// codings are the codecs beside H.264, in the order of their tasks.
var codings = []coding{
	{job.HEVC, 70, 3.5, 16},
	{job.AV1, 60, 3.5, 64},
}

// In adds the ladder in further codecs. The rungs are those of H.264, so that segments are aligned in all codecs; those that
// are too small for a codec are left out.
func (p Plan) In(codecs job.Codecs) Plan {
	ladder := p.Video
	p.Video = slices.Clone(ladder)
	for _, c := range codings {
		if !slices.Contains(codecs, c.codec) {
			continue
		}
		for _, v := range ladder {
			if min(v.Width, v.Height) < c.side {
				continue
			}
			v.Name += "_" + string(c.codec)
			v.Codec = c.codec
			v.Bitrate = v.Bitrate / 100 * c.rate
			p.Video = append(p.Video, v)
		}
	}
	return p
}

// Coding is the codec of a rendition.
func (v VideoRendition) Coding() job.Codec { return cmp.Or(v.Codec, job.H264) }

// Codecs are those of the plan's renditions; H.264 is the first.
func (p Plan) Codecs() job.Codecs {
	var codecs job.Codecs
	for _, v := range p.Video {
		if c := v.Coding(); !slices.Contains(codecs, c) {
			codecs = append(codecs, c)
		}
	}
	return codecs
}

// Only is the plan as the encoder of one codec sees it. The storyboard is made beside H.264, and damage is found there.
func (p Plan) Only(codec job.Codec) Plan {
	p.Video = slices.DeleteFunc(slices.Clone(p.Video), func(v VideoRendition) bool { return v.Coding() != codec })
	if codec != job.H264 {
		p.Storyboard, p.Strict = nil, false
	}
	return p
}

// effort is how much longer encoding in a codec takes than in H.264.
func effort(codec job.Codec) float64 {
	for _, c := range codings {
		if c.codec == codec {
			return c.cost
		}
	}
	return 1
}

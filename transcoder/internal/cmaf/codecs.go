package cmaf

import (
	"errors"
	"fmt"

	"github.com/Eyevinn/mp4ff/av1"
	"github.com/Eyevinn/mp4ff/hevc"
	"github.com/Eyevinn/mp4ff/mp4"
)

// hevcCodecs describes HEVC by its sequence parameter set (ISO/IEC 14496-15, annex E), as in hvc1.1.6.L93.90.
func hevcCodecs(entry *mp4.VisualSampleEntryBox) (string, error) {
	sets := entry.HvcC.GetNalusForType(hevc.NALU_SPS)
	if len(sets) == 0 {
		return "", errors.New("it has no parameter sets")
	}
	sps, err := hevc.ParseSPSNALUnit(sets[0])
	if err != nil {
		return "", err
	}
	return hevc.CodecString(entry.Type(), sps), nil
}

// av1Codecs describes AV1 by its configuration record (AV1 Codec ISO Media File Format Binding, section 5), as in
// av01.0.05M.08. What is left out after that is 4:2:0 and BT.709 in limited range.
func av1Codecs(c av1.CodecConfRec) string {
	tier, depth := "M", 8
	if c.SeqTier0 == 1 {
		tier = "H"
	}
	switch {
	case c.TwelveBit == 1:
		depth = 12
	case c.HighBitdepth == 1:
		depth = 10
	}
	return fmt.Sprintf("av01.%d.%02d%s.%02d", c.SeqProfile, c.SeqLevelIdx0, tier, depth)
}

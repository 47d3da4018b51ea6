package check

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/Eyevinn/mp4ff/av1"
	"github.com/Eyevinn/mp4ff/bits"
	"github.com/Eyevinn/mp4ff/hevc"
	"github.com/Eyevinn/mp4ff/mp4"
)

// readHEVC takes what an init segment says of HEVC: all of it is in the sequence parameter set.
func (t *track) readHEVC(entry *mp4.VisualSampleEntryBox) error {
	t.entry = entry.Type()
	sets := entry.HvcC.GetNalusForType(hevc.NALU_SPS)
	if len(sets) == 0 || len(entry.HvcC.GetNalusForType(hevc.NALU_VPS)) == 0 || len(entry.HvcC.GetNalusForType(hevc.NALU_PPS)) == 0 {
		return errors.New("it has no parameter sets")
	}
	sps, err := hevc.ParseSPSNALUnit(sets[0])
	if err != nil {
		return err
	}
	t.hevc, t.key = sps, hevc.IsIDRSample
	t.codecs = hevc.CodecString(t.entry, sps)
	if sps.VUI != nil {
		t.transfer = int(sps.VUI.TransferCharacteristics)
	}
	width, height := sps.ImageSize()
	return t.sized(entry, int(width), int(height))
}

// readAV1 takes what an init segment says of AV1: in its configuration record, and in the sequence header there.
func (t *track) readAV1(entry *mp4.VisualSampleEntryBox) error {
	t.entry = entry.Type()
	record := entry.Av1C.CodecConfRec
	header, err := parseSequenceHeader(record.ConfigOBUs)
	if err != nil {
		return err
	}
	if header.profile != int(record.SeqProfile) || header.level != int(record.SeqLevelIdx0) || header.tier != int(record.SeqTier0) ||
		header.highBitdepth != (record.HighBitdepth == 1) {
		return fmt.Errorf("av1C says profile %d, level %d, tier %d, the sequence header %d, %d, %d",
			record.SeqProfile, record.SeqLevelIdx0, record.SeqTier0, header.profile, header.level, header.tier)
	}
	t.av1, t.key, t.transfer = &header, isAV1Key, header.transfer
	t.codecs = header.codecs(record)
	return t.sized(entry, header.width, header.height)
}

// sized holds the sample entry's size to that of the pictures.
func (t *track) sized(entry *mp4.VisualSampleEntryBox, width, height int) error {
	t.width, t.height = width, height
	if int(entry.Width) != width || int(entry.Height) != height {
		return fmt.Errorf("the sample entry says %d×%d, the pictures are %d×%d", entry.Width, entry.Height, width, height)
	}
	return nil
}

// sequenceHeader is a part of AV1's (AV1 Bitstream & Decoding Process Specification, 5.5).
type sequenceHeader struct {
	profile, level, tier int
	width, height        int
	highBitdepth         bool
	transfer             int
}

// The types of OBUs (6.2.2).
const obuSequenceHeader, obuFrameHeader, obuFrame = 1, 3, 6

// eachOBU visits the OBUs of a sample or a configuration record, until visit says that it has seen enough (5.3).
func eachOBU(data []byte, visit func(kind int, payload []byte) (done bool)) error {
	for len(data) > 0 {
		head := data[0]
		data = data[1:]
		if extended := head&4 != 0; extended && len(data) > 0 {
			data = data[1:]
		}
		size := len(data)
		if sized := head&2 != 0; sized {
			n := 0
			size = 0
			for i := 0; ; i++ { // leb128
				if i >= len(data) || i == 8 {
					return errors.New("an OBU of no size")
				}
				size |= int(data[i]&0x7f) << (7 * i)
				if n++; data[i]&0x80 == 0 {
					break
				}
			}
			data = data[n:]
		}
		if size < 0 || size > len(data) {
			return errors.New("an OBU that goes on behind its end")
		}
		if visit(int(head>>3&15), data[:size]) {
			return nil
		}
		data = data[size:]
	}
	return nil
}

// isAV1Key tells whether a sample starts with a key frame that is shown: AV1's IDR picture.
func isAV1Key(sample []byte) bool {
	key := false
	err := eachOBU(sample, func(kind int, payload []byte) bool {
		if kind != obuFrame && kind != obuFrameHeader {
			return false
		}
		// show_existing_frame, two bits of frame_type, of which 0 is a key frame, show_frame
		key = len(payload) > 0 && payload[0]>>4 == 1
		return true
	})
	return err == nil && key
}

// parseSequenceHeader reads the first sequence header among OBUs, as far as its colours.
func parseSequenceHeader(obus []byte) (h sequenceHeader, err error) {
	var payload []byte
	err = eachOBU(obus, func(kind int, p []byte) bool {
		payload = p
		return kind == obuSequenceHeader
	})
	if err != nil || len(payload) == 0 {
		return h, errors.Join(errors.New("its av1C has no sequence header"), err)
	}
	r := bits.NewReader(bytes.NewReader(payload))
	number := func(n int) int { return int(r.Read(n)) }
	h.profile = number(3)
	r.Read(1) // still_picture
	if r.ReadFlag() {
		return h, errors.New("it is a still picture")
	}
	if r.ReadFlag() {
		return h, errors.New("its sequence header has timing information, which nobody here reads")
	}
	delays := r.ReadFlag()
	for point := range number(5) + 1 {
		r.Read(12) // operating_point_idc
		level, tier := number(5), 0
		if level > 7 {
			tier = number(1)
		}
		if point == 0 {
			h.level, h.tier = level, tier
		}
		if delays && r.ReadFlag() {
			r.Read(4)
		}
	}
	widthBits, heightBits := number(4)+1, number(4)+1
	h.width, h.height = number(widthBits)+1, number(heightBits)+1
	if r.ReadFlag() { // frame_id_numbers_present_flag
		r.Read(7)
	}
	r.Read(7) // superblocks, filters, compound modes and warped motion
	r.Read(1) // enable_dual_filter
	order := r.ReadFlag()
	if order {
		r.Read(2)
	}
	screen := 2 // chosen frame by frame
	if !r.ReadFlag() {
		screen = number(1)
	}
	if screen > 0 && !r.ReadFlag() {
		r.Read(1)
	}
	if order {
		r.Read(3)
	}
	r.Read(3) // superresolution, CDEF, restoration
	h.highBitdepth = r.ReadFlag()
	if h.profile == 2 && h.highBitdepth {
		r.Read(1)
	}
	if h.profile != 1 {
		r.Read(1) // mono_chrome
	}
	if r.ReadFlag() { // color_description_present_flag
		r.Read(8)
		h.transfer = number(8)
	}
	if err := r.AccError(); err != nil {
		return h, fmt.Errorf("its sequence header: %w", err)
	}
	return h, nil
}

// codecs describes it (AV1 Codec ISO Media File Format Binding, section 5).
func (h sequenceHeader) codecs(record av1.CodecConfRec) string {
	depth := 8
	if h.highBitdepth {
		depth = 10 + 2*int(record.TwelveBit)
	}
	return fmt.Sprintf("av01.%d.%02d%c.%02d", h.profile, h.level, "MH"[h.tier], depth)
}

// further tells whether a variant's picture is in another codec than H.264.
func (t tag) further() bool {
	for codec := range strings.SplitSeq(t.text("CODECS"), ",") {
		switch kind, _, _ := strings.Cut(strings.TrimSpace(codec), "."); kind {
		case "hvc1", "hev1", "av01":
			return true
		}
	}
	return false
}

// limit is a level's greatest picture, in luma samples, and how many of them it has in a second.
type limit struct{ size, rate int }

// hevcLimits are those of HEVC's levels, by general_level_idc (ITU-T H.265, tables A.8 and A.9).
var hevcLimits = map[int]limit{
	30: {36864, 552960}, 60: {122880, 3686400}, 63: {245760, 7372800}, 90: {552960, 16588800}, 93: {983040, 33177600},
	120: {2228224, 66846720}, 123: {2228224, 133693440}, 150: {8912896, 267386880}, 153: {8912896, 534773760}, 156: {8912896, 1069547520},
	180: {35651584, 1069547520}, 183: {35651584, 2139095040}, 186: {35651584, 4278190080},
}

// av1Limits are those of AV1's levels, by seq_level_idx (annex A.3).
var av1Limits = map[int]limit{
	0: {147456, 4423680}, 1: {278784, 8363520}, 4: {665856, 19975680}, 5: {1065024, 31950720}, 8: {2359296, 70778880}, 9: {2359296, 141557760},
	12: {8912896, 267386880}, 13: {8912896, 534773760}, 14: {8912896, 1069547520}, 15: {8912896, 1069547520},
	16: {35651584, 1069547520}, 17: {35651584, 2139095040}, 18: {35651584, 4278190080}, 19: {35651584, 4278190080},
}

// The profiles of HEVC that Apple's players take, and the highest level that all of them do.
const hevcMain, hevcMain10, hevcLevel5 = 1, 2, 150

func (c *checker) judgeHEVC(l *list, rate float64) {
	ptl := l.track.hevc.ProfileTierLevel
	if ptl.GeneralProfileIDC != hevcMain && ptl.GeneralProfileIDC != hevcMain10 {
		c.find("1.6", l.name, "Main or Main 10 profile", "profile %d", ptl.GeneralProfileIDC)
	}
	if ptl.GeneralLevelIDC > hevcLevel5 {
		c.findAs(Warning, "1.6", l.name, "at most level 5.0", "level %.1f", float64(ptl.GeneralLevelIDC)/30)
	}
	c.judgeLevel("H.265 A.4", l, hevcLimits, int(ptl.GeneralLevelIDC), rate)
}

func (c *checker) judgeAV1(l *list, rate float64) {
	c.judgeLevel("AV1 A.3", l, av1Limits, l.track.av1.level, rate)
}

func (c *checker) judgeLevel(rule string, l *list, limits map[int]limit, level int, rate float64) {
	size := l.track.width * l.track.height
	if most, ok := limits[level]; ok && (size > most.size || float64(size)*rate > float64(most.rate)*1.001) {
		c.find(rule, l.name, fmt.Sprintf("at most %d samples, %d a second, at level %d", most.size, most.rate, level),
			"%d, %.0f a second", size, float64(size)*rate)
	}
}

package ts

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/Eyevinn/mp4ff/aac"
	"github.com/Eyevinn/mp4ff/avc"
	"github.com/Eyevinn/mp4ff/mp4"
)

// unit is what one PES packet holds: a picture, or some frames of sound. Times are stamps of the stream's clock.
type unit struct {
	decode, show int64
	end          int64  // the decode time of the next
	ticks        uint64 // how long it lasts, in the rendition's timescale
	key          bool
	data         []byte // as in an elementary stream
}

// units are those of a CMAF segment.
func (t *Track) units(data []byte) ([]unit, error) {
	file, err := mp4.DecodeFile(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	var samples []mp4.FullSample
	for _, s := range file.Segments {
		for _, f := range s.Fragments {
			full, err := f.GetFullSamples(t.trex)
			if err != nil {
				return nil, err
			}
			samples = append(samples, full...)
		}
	}
	if len(samples) == 0 {
		return nil, errors.New("it has no samples")
	}
	if t.sound != nil {
		return t.sounds(samples)
	}
	return t.pictures(samples)
}

// stamp is the time of the stream's clock at a place in the video, in ticks of the rendition: rounded from the place itself,
// so that no error grows.
func (t *Track) stamp(ticks int64) int64 {
	scale := int64(t.timescale)
	return ((ticks*clock+Offset*scale)*2 + scale) / (scale * 2)
}

// delimiter is an access unit delimiter that allows all kinds of slices (H.264, 7.3.2.4), which a transport stream must have
// (ISO/IEC 13818-1, 2.14.1).
var delimiter = []byte{0, 0, 0, 1, 9, 0xf0}

// pictures makes access units of a byte stream (H.264, annex B) out of samples.
func (t *Track) pictures(samples []mp4.FullSample) ([]unit, error) {
	// Decoding is so much ahead that no picture is shown before it is decoded, evenly from the first picture on: players that
	// make MP4 of streams would show a gap where this changes.
	wait := t.reorder * int64(samples[0].Dur)
	decode := func(at int64) int64 { return t.stamp(at - wait) }
	var units []unit
	for i, s := range samples {
		at := int64(s.DecodeTime)
		u := unit{
			decode: decode(at), show: t.stamp(at + int64(s.CompositionTimeOffset)), end: decode(at + int64(s.Dur)),
			ticks: uint64(s.Dur), key: avc.IsIDRSample(s.Data), data: bytes.Clone(delimiter),
		}
		if u.show < u.decode {
			return nil, fmt.Errorf("picture %d is shown before it is decoded, although the SPS says that it waits for %d", i, t.reorder)
		}
		if u.key {
			u.data = append(u.data, t.parameters...)
		}
		nalus, err := avc.GetNalusFromSample(s.Data)
		if err != nil {
			return nil, err
		}
		for _, n := range nalus {
			if avc.GetNaluType(n[0]) != avc.NALU_AUD {
				u.data = append(append(u.data, 0, 0, 1), n...)
			}
		}
		units = append(units, u)
	}
	return units, nil
}

// sounds puts as many AAC frames with their headers (ADTS) into a unit as last until the next clock reference.
func (t *Track) sounds(samples []mp4.FullSample) ([]unit, error) {
	together := max(t.sampleRate*clockInterval/(clock*samplesAFrame), 1)
	var units []unit
	for i, s := range samples {
		header, err := aac.NewADTSHeader(t.sampleRate, t.sound.ChannelConfiguration, t.sound.ObjectType, uint16(len(s.Data)))
		if err != nil {
			return nil, err
		}
		at := int64(s.DecodeTime)
		if i%together == 0 {
			units = append(units, unit{decode: t.stamp(at), show: t.stamp(at), key: true})
		}
		u := &units[len(units)-1]
		u.end = t.stamp(at + int64(s.Dur))
		u.ticks += uint64(s.Dur)
		u.data = append(append(u.data, header.Encode()...), s.Data...)
	}
	return units, nil
}

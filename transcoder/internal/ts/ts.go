// Package ts turns CMAF segments into segments of an MPEG-2 transport stream (ISO/IEC 13818-1; RFC 8216, section 3.2), for
// players that know no fragmented MP4. Start at [NewTrack].
//
// A rendition has one elementary stream, H.264 or AAC. Its segments are made on many nodes, none of which knows how many packets
// came before, and still they are one stream: times are computed from the sample's place in the video and never summed up, and
// continuity counters run on. For that, a segment has one packet of each table, so that its own number is their counter, and a
// multiple of 16 packets of media, so that their counter starts at 0 in each segment. Everything here is a pure function of its
// arguments: the same segment gives the same bytes on every node.
package ts

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/Eyevinn/mp4ff/aac"
	"github.com/Eyevinn/mp4ff/avc"
	"github.com/Eyevinn/mp4ff/mp4"
	"github.com/asticode/go-astits"

	"weir/transcoder/internal/media"
)

const (
	// clock is the ticks per second of time stamps (ISO/IEC 13818-1, 2.4.3.7).
	clock = 90_000
	// Offset is the time stamp of what is shown at 0, the same in all renditions. A picture that waits for others is decoded
	// before it is shown, and the clock of the stream is behind both; none of them may be negative. WebVTT beside transport
	// streams names it in its X-TIMESTAMP-MAP (RFC 8216, section 3.5).
	Offset = 10 * clock
	// lead is by how much the stream's clock is behind the decoder: how long what was read waits to be decoded. Sound may wait
	// for a second at most (2.4.2.7).
	lead = clock * 7 / 10
	// clockInterval is the longest time without a clock reference (2.7.2).
	clockInterval = clock / 10
	// samplesAFrame is that of AAC (ISO/IEC 14496-3).
	samplesAFrame = 1024
)

// The packet identifiers of a rendition. The table of programs has 0, and that of the program astits' own.
const (
	picturePID = 0x100
	soundPID   = 0x101
)

// Track is a rendition as its init segment describes it.
type Track struct {
	timescale uint64
	trex      *mp4.TrexBox

	// Of H.264: the parameter sets in a byte stream, and how many pictures may be decoded before one that is shown before
	// them.
	parameters []byte
	reorder    int64

	// Of AAC.
	sound      *aac.AudioSpecificConfig
	sampleRate int
}

// NewTrack reads an init segment. Its track is H.264 with parameter sets, or AAC.
func NewTrack(init []byte) (*Track, error) {
	file, err := mp4.DecodeFile(bytes.NewReader(init))
	if err != nil {
		return nil, fmt.Errorf("read the init segment: %w", err)
	}
	if file.Init == nil || file.Init.Moov == nil || len(file.Init.Moov.Traks) != 1 || file.Init.Moov.Mvex == nil {
		return nil, errors.New("read the init segment: want one fragmented track")
	}
	moov := file.Init.Moov
	t := &Track{timescale: uint64(moov.Trak.Mdia.Mdhd.Timescale), trex: moov.Mvex.Trex}
	switch stsd := moov.Trak.Mdia.Minf.Stbl.Stsd; {
	case stsd.AvcX != nil && stsd.AvcX.AvcC != nil && len(stsd.AvcX.AvcC.SPSnalus) > 0:
		sps, err := avc.ParseSPSNALUnit(stsd.AvcX.AvcC.SPSnalus[0], true)
		if err != nil {
			return nil, fmt.Errorf("read the init segment: %w", err)
		}
		if sps.VUI != nil {
			t.reorder = int64(sps.VUI.MaxNumReorderFrames)
		}
		for _, set := range append(stsd.AvcX.AvcC.SPSnalus, stsd.AvcX.AvcC.PPSnalus...) {
			t.parameters = append(append(t.parameters, 0, 0, 0, 1), set...)
		}
	case stsd.Mp4a != nil && stsd.Mp4a.Esds != nil && stsd.Mp4a.Esds.DecConfigDescriptor != nil &&
		stsd.Mp4a.Esds.DecConfigDescriptor.DecSpecificInfo != nil:
		config := stsd.Mp4a.Esds.DecConfigDescriptor.DecSpecificInfo.DecConfig
		if t.sound, err = aac.DecodeAudioSpecificConfig(bytes.NewReader(config)); err != nil {
			return nil, fmt.Errorf("read the init segment: %w", err)
		}
		t.sampleRate = t.sound.SamplingFrequency
	default:
		return nil, errors.New("a transport stream is made of H.264 and AAC alone")
	}
	return t, nil
}

func (t *Track) stream() astits.PMTElementaryStream {
	if t.sound != nil {
		return astits.PMTElementaryStream{ElementaryPID: soundPID, StreamType: astits.StreamTypeAACAudio}
	}
	return astits.PMTElementaryStream{ElementaryPID: picturePID, StreamType: astits.StreamTypeH264Video}
}

// Segment makes the transport stream of a media segment, the number-th of its rendition counted from 0. It starts with both
// tables. keyFrames are the ranges of its key frames, whole packets each; the tables are in none of them, as RFC 8216, section
// 4.3.3.6, wants of what players find at the start of the object.
func (t *Track) Segment(number int, data []byte) (stream []byte, keyFrames []media.KeyFrame, err error) {
	units, err := t.units(data)
	if err != nil {
		return nil, nil, fmt.Errorf("make a transport stream of segment %d: %w", number, err)
	}
	packets := make([]packet, len(units))
	for i, u := range units {
		packets[i] = t.pack(u)
	}
	pad(packets)

	var out bytes.Buffer
	w := astits.NewMuxer(context.Background(), &out) // it waits for nothing
	pid := t.stream().ElementaryPID
	w.SetPCRPID(pid)
	if err := errors.Join(w.AddElementaryStream(t.stream()), tables(w, &out, number)); err != nil {
		return nil, nil, fmt.Errorf("make a transport stream of segment %d: %w", number, err)
	}
	counter := 0
	for _, p := range packets {
		start := int64(out.Len())
		if counter, err = p.write(w, pid, counter); err != nil {
			return nil, nil, fmt.Errorf("make a transport stream of segment %d: %w", number, err)
		}
		if p.key && t.sound == nil {
			keyFrames = append(keyFrames, media.KeyFrame{Offset: start, Bytes: int64(out.Len()) - start})
		}
		if len(keyFrames) > 0 {
			keyFrames[len(keyFrames)-1].Ticks += p.ticks
		}
		if err := p.tick(w, pid, counter); err != nil {
			return nil, nil, fmt.Errorf("make a transport stream of segment %d: %w", number, err)
		}
	}
	return out.Bytes(), keyFrames, nil
}

// tables writes the tables of programs and of the program. The muxer counts from 0; the counter is the last half byte of a
// packet's header.
func tables(w *astits.Muxer, out *bytes.Buffer, number int) error {
	if _, err := w.WriteTables(); err != nil {
		return err
	}
	for at := 3; at < out.Len(); at += astits.MpegTsPacketSize {
		out.Bytes()[at] = out.Bytes()[at]&0xf0 | byte(number%counters)
	}
	return nil
}

// Package cmaf turns the fragmented MP4 that an encoder writes to a pipe into CMAF (ISO/IEC 23000-19): one init segment
// and media segments with their place in the whole video's time. Start at [Read].
//
// An encoder starts its clock at 0 in every chunk. Here the samples get the decode time that they have in the video, so
// that the segments of many encoders are one stream. The package reads and writes boxes; it knows nothing of buckets,
// playlists or FFmpeg's arguments.
package cmaf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/Eyevinn/mp4ff/aac"
	"github.com/Eyevinn/mp4ff/mp4"

	"weir/transcoder/internal/media"
)

// Init is a track's init segment (CMAF header).
type Init struct {
	Data      []byte
	Timescale uint32 // ticks per second
	Codecs    string // RFC 6381, such as avc1.64001f, hvc1.1.6.L93.90, av01.0.05M.08 or mp4a.40.2
}

// Segment is one media segment.
type Segment struct {
	Number  int
	Ticks   uint64 // duration
	Samples int    // pictures, or AAC frames
	Data    []byte
	// KeyFrames are those that the fragments of a picture start with; nil for sound.
	KeyFrames []media.KeyFrame
}

// Cut says where a stream of samples is divided.
type Cut struct {
	// Skip is the number of samples to drop at the start: an AAC encoder's priming.
	Skip int
	// First is the number of the first segment, and Start the decode time of its first sample in ticks.
	First int
	Start uint64
	// Ends returns the index, counted from the first sample that is kept, of the sample that segment First+n ends before.
	Ends func(n int) int
	// Fragment is the number of samples in one fragment (moof and mdat); each starts with a key frame.
	Fragment int
	// Segments is how many segments there are; the last one takes whatever is left, up to Limit samples of all segments
	// together. 0 is no limit. What comes after is dropped: an encoder's run-out.
	Segments int
	Limit    int
}

// Sink takes what is read, in order: the init segment once, then each segment.
type Sink struct {
	Init    func(Init) error
	Segment func(Segment) error
}

// Read reads a fragmented MP4 with one track to its end and hands it on as cut. It holds no more than a segment in
// memory. It returns the number of samples that came after the skipped ones, also of those that were dropped.
func Read(r io.Reader, cut Cut, sink Sink) (samples int, err error) {
	var moov *mp4.MoovBox
	var moof *mp4.MoofBox
	var w *writer
	for pos := uint64(0); ; {
		box, err := mp4.DecodeBox(pos, r)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, fmt.Errorf("read the encoder's MP4: %w", err)
		}
		pos += box.Size()
		switch b := box.(type) {
		case *mp4.MoovBox:
			moov = b
			init, err := newInit(moov)
			if err != nil {
				return 0, err
			}
			if err := sink.Init(init); err != nil {
				return 0, err
			}
			w = &writer{cut: cut, emit: sink.Segment, trackID: moov.Trak.Tkhd.TrackID, time: cut.Start, skip: cut.Skip}
			w.pictures = moov.Trak.Mdia.Hdlr != nil && moov.Trak.Mdia.Hdlr.HandlerType == "vide"
		case *mp4.MoofBox:
			moof = b
		case *mp4.MdatBox:
			if moov == nil || moof == nil {
				return 0, errors.New("read the encoder's MP4: media data before its header")
			}
			f := mp4.Fragment{Moof: moof, Mdat: b}
			full, err := f.GetFullSamples(moov.Mvex.Trex)
			if err != nil {
				return 0, fmt.Errorf("read the encoder's MP4: %w", err)
			}
			for _, s := range full {
				if err := w.add(s); err != nil {
					return 0, err
				}
			}
			moof = nil
		}
	}
	if w == nil {
		return 0, errors.New("read the encoder's MP4: it has no header")
	}
	return w.came, w.flush()
}

// brands are those of a CMAF track whose composition offsets may be negative (ISO/IEC 23000-19, 7.2: cmf2).
var brands = []string{"iso6", "cmfc", "cmf2"}

func newInit(moov *mp4.MoovBox) (Init, error) {
	if len(moov.Traks) != 1 || moov.Mvex == nil || moov.Mvex.Trex == nil {
		return Init{}, errors.New("read the encoder's MP4: want one fragmented track")
	}
	codecs, err := codecs(moov.Trak)
	if err != nil {
		return Init{}, fmt.Errorf("read the encoder's MP4: %w", err)
	}
	var data bytes.Buffer
	compatible := brands
	if moov.Trak.Mdia.Minf.Stbl.Stsd.Av01 != nil {
		compatible = append(slices.Clip(brands), "av01") // AV1 Codec ISO Media File Format Binding, section 2.1
	}
	for _, box := range []mp4.Box{mp4.NewFtyp("cmf2", 0, compatible), moov} {
		if err := box.Encode(&data); err != nil {
			return Init{}, fmt.Errorf("write the init segment: %w", err)
		}
	}
	return Init{Data: data.Bytes(), Timescale: moov.Trak.Mdia.Mdhd.Timescale, Codecs: codecs}, nil
}

// codecs describes a track in the terms of RFC 6381, section 3.
func codecs(trak *mp4.TrakBox) (string, error) {
	switch stsd := trak.Mdia.Minf.Stbl.Stsd; {
	case stsd.AvcX != nil && stsd.AvcX.AvcC != nil:
		c := stsd.AvcX.AvcC
		return fmt.Sprintf("%s.%02x%02x%02x", stsd.AvcX.Type(), c.AVCProfileIndication, c.ProfileCompatibility, c.AVCLevelIndication), nil
	case stsd.HvcX != nil && stsd.HvcX.HvcC != nil:
		return hevcCodecs(stsd.HvcX)
	case stsd.Av01 != nil && stsd.Av01.Av1C != nil:
		return av1Codecs(stsd.Av01.Av1C.CodecConfRec), nil
	case stsd.Mp4a != nil && stsd.Mp4a.Esds != nil && stsd.Mp4a.Esds.DecConfigDescriptor != nil &&
		stsd.Mp4a.Esds.DecConfigDescriptor.DecSpecificInfo != nil:
		config, err := aac.DecodeAudioSpecificConfig(bytes.NewReader(stsd.Mp4a.Esds.DecConfigDescriptor.DecSpecificInfo.DecConfig))
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("mp4a.40.%d", config.ObjectType), nil
	default:
		return "", errors.New("neither H.264, HEVC or AV1 nor AAC")
	}
}

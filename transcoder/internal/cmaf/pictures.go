package cmaf

import (
	"fmt"
	"math"

	"github.com/Eyevinn/mp4ff/avc"
	"github.com/Eyevinn/mp4ff/mp4"
)

// Pictures is a track of H.264 that no encoder writes: it is there already.
type Pictures struct {
	Config        avc.DecConfRec // with the parameter sets
	Color         *mp4.ColrBox   // nil where the parameter sets alone speak of colours
	Width, Height int
	Timescale     uint32 // ticks per second
}

// Unit is an access unit, in the form of ISO/IEC 14496-15.
type Unit struct {
	Data   []byte
	Key    bool   // it is an IDR picture
	Ticks  uint32 // to the next one, in the order of decoding
	Offset int32  // in ticks: when it is shown after it is decoded, were the first one shown at once
}

// PictureWriter writes access units, in the order of decoding, as [Read] does those of an encoder.
type PictureWriter struct{ w writer }

// NewPictureWriter makes the init segment, the same for the same track, and hands it on.
func NewPictureWriter(p Pictures, cut Cut, sink Sink) (*PictureWriter, error) {
	if p.Width > math.MaxUint16 || p.Height > math.MaxUint16 {
		return nil, fmt.Errorf("write the init segment: pictures of %dx%d are too large", p.Width, p.Height)
	}
	init := mp4.CreateEmptyInit()
	trak := init.AddEmptyTrack(p.Timescale, "video", "und")
	trak.Tkhd.Width, trak.Tkhd.Height = mp4.Fixed32(p.Width<<16), mp4.Fixed32(p.Height<<16)
	entry := mp4.CreateVisualSampleEntryBox("avc1", uint16(p.Width), uint16(p.Height), &mp4.AvcCBox{DecConfRec: p.Config})
	entry.CompressorName = ""
	if p.Color != nil {
		entry.AddChild(p.Color)
	}
	trak.Mdia.Minf.Stbl.Stsd.AddChild(entry)
	header, err := newInit(init.Moov)
	if err != nil {
		return nil, err
	}
	if err := sink.Init(header); err != nil {
		return nil, err
	}
	return &PictureWriter{writer{cut: cut, emit: sink.Segment, trackID: trak.Tkhd.TrackID, time: cut.Start, pictures: true}}, nil
}

// Write adds an access unit; a fragment must start with a key picture.
func (w *PictureWriter) Write(u Unit) error {
	flags := mp4.NonSyncSampleFlags
	if u.Key {
		flags = mp4.SyncSampleFlags
	}
	return w.w.add(mp4.FullSample{
		Sample: mp4.NewSample(flags, u.Ticks, uint32(len(u.Data)), u.Offset), Data: u.Data,
	})
}

// Close ends the last segment.
func (w *PictureWriter) Close() error { return w.w.flush() }

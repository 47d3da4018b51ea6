package check

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/Eyevinn/mp4ff/aac"
	"github.com/Eyevinn/mp4ff/avc"
	"github.com/Eyevinn/mp4ff/hevc"
	"github.com/Eyevinn/mp4ff/mp4"
)

// track is what an init segment says.
type track struct {
	video     bool
	entry     string // the sample entry: avc1, mp4a
	codecs    string // RFC 6381
	timescale uint32
	id        uint32
	trex      *mp4.TrexBox

	sps                   *avc.SPS // of H.264
	hevc                  *hevc.SPS
	av1                   *sequenceHeader
	key                   func(sample []byte) bool // tells whether a picture is an IDR picture, by its bits
	transfer              int                      // transfer characteristics (ITU-T H.273, table 3); 0 where nothing is said
	width, height         int                      // as shown
	objectType            byte                     // of AAC
	channels, sampleRate  int                      // channels are the channel configuration
	entryRate, entryCount int                      // what the sample entry says of them
	bytes                 int64                    // of the init segment; 0 without one
}

// videoRange is the VIDEO-RANGE that goes with the picture's transfer characteristics (ITU-T H.273, table 3).
func (t *track) videoRange() string {
	const pq, hlg = 16, 18
	switch t.transfer {
	case pq:
		return "PQ"
	case hlg:
		return "HLG"
	}
	return "SDR"
}

// heard is how many channels a player makes of the sound, by its channel configuration (ISO/IEC 14496-3, table 1.19); 0 where
// that does not say it. Parametric stereo makes two of one.
func (t *track) heard() int {
	const parametricStereo = 29
	switch {
	case t.channels == 1 && t.objectType == parametricStereo:
		return 2
	case t.channels <= 6:
		return t.channels
	case t.channels == 7:
		return 8
	}
	return 0
}

// media is one segment.
type media struct {
	name      string
	bytes     int64
	fragments []fragment
	stream    *stream // nil of MP4
}

// fragment is a moof and its mdat; in a transport stream, the packets from an IDR picture to the next.
type fragment struct {
	offset   int64 // of the moof, or the first packet, in the segment
	firstEnd int64 // where the first sample ends
	time     uint64
	samples  []sample
}

// sample is a picture or an AAC frame. Times are in ticks.
type sample struct {
	dur    uint32
	decode uint64
	shown  int64
	sync   bool // as the fragment says
	idr    bool // as the bits say
}

func (m *media) start() uint64 {
	return m.fragments[0].time
}

// ticks is how long the segment lasts.
func (m *media) ticks() uint64 {
	var sum uint64
	for _, s := range m.samples() {
		sum += uint64(s.dur)
	}
	return sum
}

func (m *media) samples() []sample {
	var all []sample
	for _, f := range m.fragments {
		all = append(all, f.samples...)
	}
	return all
}

// parseInit reads an init segment.
func parseInit(data []byte) (t *track, err error) {
	defer recovered(&err)
	var moov *mp4.MoovBox
	err = eachBox(data, func(_ int64, box mp4.Box) error {
		switch b := box.(type) {
		case *mp4.MoovBox:
			moov = b
		case *mp4.MoofBox, *mp4.MdatBox:
			return errors.New("it holds media")
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case moov == nil:
		return nil, errors.New("it has no moov")
	case len(moov.Traks) != 1 || moov.Mvex == nil || moov.Mvex.Trex == nil:
		return nil, fmt.Errorf("it has %d tracks, fragmented: %v", len(moov.Traks), moov.Mvex != nil)
	}
	mdia := moov.Trak.Mdia
	t = &track{timescale: mdia.Mdhd.Timescale, id: moov.Trak.Tkhd.TrackID, trex: moov.Mvex.Trex, video: mdia.Hdlr.HandlerType == "vide"}
	if t.timescale == 0 {
		return nil, errors.New("its timescale is 0")
	}
	stsd := mdia.Minf.Stbl.Stsd
	switch {
	case stsd.AvcX != nil && stsd.AvcX.AvcC != nil:
		t.entry = stsd.AvcX.Type()
		config := stsd.AvcX.AvcC
		if len(config.SPSnalus) == 0 || len(config.PPSnalus) == 0 {
			return nil, errors.New("it has no parameter sets")
		}
		if t.sps, err = avc.ParseSPSNALUnit(config.SPSnalus[0], true); err != nil {
			return nil, err
		}
		t.describe()
		if int(stsd.AvcX.Width) != int(t.sps.Width) || int(stsd.AvcX.Height) != int(t.sps.Height) {
			return nil, fmt.Errorf("the sample entry says %d×%d, the SPS %d×%d", stsd.AvcX.Width, stsd.AvcX.Height, t.sps.Width, t.sps.Height)
		}
	case stsd.HvcX != nil && stsd.HvcX.HvcC != nil:
		err = t.readHEVC(stsd.HvcX)
	case stsd.Av01 != nil && stsd.Av01.Av1C != nil:
		err = t.readAV1(stsd.Av01)
	case stsd.Mp4a != nil && stsd.Mp4a.Esds != nil && stsd.Mp4a.Esds.DecConfigDescriptor != nil &&
		stsd.Mp4a.Esds.DecConfigDescriptor.DecSpecificInfo != nil:
		t.entry = "mp4a"
		config, err := aac.DecodeAudioSpecificConfig(bytes.NewReader(stsd.Mp4a.Esds.DecConfigDescriptor.DecSpecificInfo.DecConfig))
		if err != nil {
			return nil, err
		}
		t.objectType, t.channels, t.sampleRate = config.ObjectType, int(config.ChannelConfiguration), config.SamplingFrequency
		t.entryCount, t.entryRate = int(stsd.Mp4a.ChannelCount), int(stsd.Mp4a.SampleRate)
		t.codecs = fmt.Sprintf("mp4a.40.%d", config.ObjectType)
	case len(stsd.Children) > 0:
		t.entry = stsd.Children[0].Type()
	}
	return t, err
}

// parseSegment reads the fragments of a segment.
func parseSegment(data []byte, t *track) (fragments []fragment, err error) {
	defer recovered(&err)
	var moof *mp4.MoofBox
	var offset int64
	err = eachBox(data, func(at int64, box mp4.Box) error {
		switch b := box.(type) {
		case *mp4.MoovBox:
			return errors.New("it holds a moov")
		case *mp4.MoofBox:
			if moof != nil {
				return errors.New("a moof follows a moof")
			}
			moof, offset = b, at
		case *mp4.MdatBox:
			if moof == nil {
				return errors.New("an mdat without a moof")
			}
			f, err := t.fragment(offset, moof, b)
			if err != nil {
				return err
			}
			fragments = append(fragments, f)
			moof = nil
		}
		return nil
	})
	if err == nil && (moof != nil || len(fragments) == 0) {
		err = errors.New("it ends without an mdat")
	}
	return fragments, err
}

func (t *track) fragment(offset int64, moof *mp4.MoofBox, mdat *mp4.MdatBox) (fragment, error) {
	if len(moof.Trafs) != 1 || moof.Traf.Tfhd.TrackID != t.id || moof.Traf.Tfdt == nil {
		return fragment{}, fmt.Errorf("a fragment of another track than %d, or without a decode time", t.id)
	}
	f := fragment{offset: offset, time: moof.Traf.Tfdt.BaseMediaDecodeTime()}
	full, err := (&mp4.Fragment{Moof: moof, Mdat: mdat}).GetFullSamples(t.trex)
	if err != nil {
		return fragment{}, err
	}
	if len(full) == 0 {
		return fragment{}, errors.New("a fragment without samples")
	}
	listed := 0
	for _, s := range full {
		listed += len(s.Data)
		idr := !t.video
		if t.key != nil {
			idr = t.key(s.Data)
		}
		f.samples = append(f.samples, sample{dur: s.Dur, decode: s.DecodeTime, shown: s.PresentationTime(), sync: s.IsSync(), idr: idr})
	}
	if listed != len(mdat.Data) {
		return fragment{}, fmt.Errorf("samples of %d bytes in an mdat of %d", listed, len(mdat.Data))
	}
	f.firstEnd = int64(mdat.PayloadAbsoluteOffset()) + int64(len(full[0].Data))
	return f, nil
}

// eachBox visits the boxes of the top level; each knows its own offset.
func eachBox(data []byte, visit func(at int64, box mp4.Box) error) error {
	r := bytes.NewReader(data)
	for at := int64(0); ; {
		box, err := mp4.DecodeBox(uint64(at), r)
		if errors.Is(err, io.EOF) && at == int64(len(data)) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("at byte %d: %w", at, err)
		}
		if err := visit(at, box); err != nil {
			return fmt.Errorf("at byte %d: %w", at, err)
		}
		at += int64(box.Size())
		if at != int64(len(data))-int64(r.Len()) {
			return fmt.Errorf("at byte %d: a %s box of another size than it says", at, box.Type())
		}
	}
}

// recovered makes an error of a panic: the library trusts the sizes that boxes name.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%v", p)
	}
}

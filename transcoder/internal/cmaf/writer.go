package cmaf

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/Eyevinn/mp4ff/mp4"

	"weir/transcoder/internal/media"
)

// maxFragments is more than a segment has. Sequence numbers grow by it from segment to segment, so that they grow over the
// whole rendition although no encoder knows what the one before it wrote.
const maxFragments = 1 << 10

// writer collects samples into fragments, and fragments into segments.
type writer struct {
	cut     Cut
	emit    func(Segment) error
	trackID uint32
	// pictures means that each fragment starts with a picture that is worth finding again.
	pictures bool

	skip  int    // samples still to be dropped
	came  int    // samples after those
	count int    // samples taken
	time  uint64 // decode time of the next sample
	delay int32  // composition offset of the first picture

	segment   int      // index of the segment that is being filled, from 0
	parts     [][]byte // of the segment, each no larger than it need be: many encoders are at work at the same time
	bytes     int64    // of the parts
	ticks     uint64
	samples   int
	keyFrames []media.KeyFrame
	fragments int
	fragment  []mp4.FullSample
}

func (w *writer) add(s mp4.FullSample) error {
	if w.skip > 0 {
		w.skip--
		return nil
	}
	w.came++
	if w.cut.Limit > 0 && w.count == w.cut.Limit {
		return nil
	}
	if w.count == 0 {
		// The encoder's reorder delay. Taken off every picture, the first one is shown at the very start of the chunk
		// and picture and sound stay together.
		w.delay = s.CompositionTimeOffset
	}
	if w.segment < w.cut.Segments-1 && w.count == w.cut.Ends(w.segment) {
		if err := w.endSegment(); err != nil {
			return err
		}
		w.segment++
	}
	if len(w.fragment) == w.cut.Fragment {
		if err := w.endFragment(); err != nil {
			return err
		}
	}
	if len(w.fragment) == 0 && !s.IsSync() {
		return fmt.Errorf("sample %d starts a fragment but is no key frame", w.count)
	}
	s.CompositionTimeOffset -= w.delay
	s.DecodeTime = w.time
	w.fragment = append(w.fragment, s)
	w.time += uint64(s.Dur)
	w.count++
	return nil
}

func (w *writer) endFragment() error {
	if len(w.fragment) == 0 {
		return nil
	}
	w.fragments++
	f, err := mp4.CreateFragment(uint32((w.cut.First+w.segment)*maxFragments+w.fragments), w.trackID)
	if err != nil {
		return fmt.Errorf("write a fragment: %w", err)
	}
	// Repeated values move from the samples to the fragment's header.
	f.EncOptimize = mp4.OptimizeTrun
	// What follows the first sample in the fragment: samples lie at its end, in their order.
	var ticks uint64
	tail := -int64(len(w.fragment[0].Data))
	for _, s := range w.fragment {
		f.AddFullSample(s)
		ticks += uint64(s.Dur)
		tail += int64(len(s.Data))
	}
	w.ticks += ticks
	w.samples += len(w.fragment)
	w.fragment = w.fragment[:0]
	if len(w.parts) == 0 {
		if err := w.write(newStyp()); err != nil {
			return fmt.Errorf("write a segment: %w", err)
		}
	}
	start := w.bytes
	if err := w.write(f); err != nil {
		return fmt.Errorf("write a fragment: %w", err)
	}
	if w.pictures {
		w.keyFrames = append(w.keyFrames, media.KeyFrame{Ticks: ticks, Offset: start, Bytes: w.bytes - start - tail})
	}
	return nil
}

// write adds a part to the segment.
func (w *writer) write(part interface {
	Size() uint64
	Encode(to io.Writer) error
}) error {
	data := bytes.NewBuffer(make([]byte, 0, part.Size()))
	err := part.Encode(data)
	w.parts = append(w.parts, data.Bytes())
	w.bytes += int64(data.Len())
	return err
}

// Alone is a key frame as a segment of its own, which lasts until the next: one fragment with this one picture.
func Alone(segment []byte, k media.KeyFrame) ([]byte, error) {
	part := segment[k.Offset : k.Offset+k.Bytes]
	box, err := mp4.DecodeBox(0, bytes.NewReader(part))
	moof, ok := box.(*mp4.MoofBox)
	if err != nil || !ok || moof.Traf == nil || moof.Traf.Trun == nil || len(moof.Traf.Trun.Samples) == 0 {
		return nil, errors.Join(errors.New("a key frame has no header"), err)
	}
	const mdatHeader = 8
	picture := part[moof.Size()+mdatHeader:]
	f, err := mp4.CreateFragment(moof.Mfhd.SequenceNumber, moof.Traf.Tfhd.TrackID)
	if err != nil {
		return nil, fmt.Errorf("write a key frame: %w", err)
	}
	f.EncOptimize = mp4.OptimizeTrun
	shown := moof.Traf.Trun.Samples[0].CompositionTimeOffset
	f.AddFullSample(mp4.FullSample{
		Sample:     mp4.NewSample(mp4.SyncSampleFlags, uint32(k.Ticks), uint32(len(picture)), shown),
		DecodeTime: moof.Traf.Tfdt.BaseMediaDecodeTime(), Data: picture,
	})
	var out bytes.Buffer
	if err := errors.Join(newStyp().Encode(&out), f.Encode(&out)); err != nil {
		return nil, fmt.Errorf("write a key frame: %w", err)
	}
	return out.Bytes(), nil
}

func newStyp() *mp4.StypBox { return mp4.NewStyp("msdh", 0, []string{"msdh", "msix", "cmfs"}) }

func (w *writer) endSegment() error {
	if err := w.endFragment(); err != nil {
		return err
	}
	if w.samples == 0 {
		return errors.New("a segment has no samples")
	}
	s := Segment{
		Number: w.cut.First + w.segment, Ticks: w.ticks, Samples: w.samples, Data: bytes.Join(w.parts, nil), KeyFrames: w.keyFrames,
	}
	w.parts, w.bytes, w.ticks, w.samples, w.fragments, w.keyFrames = nil, 0, 0, 0, 0, nil
	return w.emit(s)
}

// flush ends the last segment.
func (w *writer) flush() error {
	if w.count == 0 {
		return nil
	}
	return w.endSegment()
}

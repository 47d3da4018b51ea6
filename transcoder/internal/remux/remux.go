// Package remux publishes pictures as they are, where a source is already what would be made of it.
//
// [Fit] holds the index of an MP4 against the plan; of the file that [Open] opens, [Track.Copy] cuts one chunk out. Nothing is decoded
// and no program is run. The file may be anything: what its index promises is checked again in the access units themselves, and
// whoever copies decodes them as well and says if they are damaged.
package remux

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/Eyevinn/mp4ff/avc"

	"weir/transcoder/internal/cmaf"
	"weir/transcoder/internal/plan"
)

// editSlack is how far an edit may be from the pictures, in frames: it is counted in coarser ticks.
const editSlack = 0.5

// Fit tells, with an error that says what differs, whether a file's pictures are what the top rung of a plan that is copyable would be:
// each on the plan's grid and none missing, IDR pictures that nothing reaches across where GOPs start, and at no time more
// bits than the rung's encoder might spend.
func Fit(file Source, p plan.Plan) error {
	t, err := Open(file)
	if err != nil {
		return err
	}
	frames, err := t.frames(p)
	if err != nil {
		return err
	}
	if err := t.timed(p, frames); err != nil {
		return err
	}
	if err := t.closed(p, frames); err != nil {
		return err
	}
	return t.within(p)
}

// frames are the numbers, on the plan's grid, of the frames that the samples are, in the order in which they are decoded.
func (t *Track) frames(p plan.Plan) ([]int64, error) {
	start := t.start()
	frames := make([]int64, len(t.samples))
	taken := make([]bool, len(t.samples))
	for i, s := range t.samples {
		n := p.Rate().Frames(float64(s.at-start) / float64(t.timescale))
		if n < 0 || n >= int64(len(taken)) || taken[n] {
			return nil, fmt.Errorf("picture %d is not on the grid of %s frames a second, or one is missing", i, p.Rate())
		}
		taken[n] = true
		frames[i] = n
	}
	return frames, nil
}

// start is when the first picture is shown, in ticks.
func (t *Track) start() int64 {
	first := int64(math.MaxInt64)
	for _, s := range t.samples {
		first = min(first, s.at)
	}
	return first
}

// timed checks that the pictures fill the plan's time: that nothing of them is cut off by the edit list, that nothing is heard well
// before them, and that after them no more is missing than the last one can be shown for.
func (t *Track) timed(p plan.Plan, frames []int64) error {
	edits := t.edits
	if len(edits) > 1 && edits[0].at == -1 { // it starts later than the sound
		edits = edits[1:]
	}
	frame := p.Rate().Seconds(1)
	switch {
	case len(edits) > 1:
		return errors.New("its edit list has several parts")
	case len(edits) == 1:
		off := math.Abs(float64(edits[0].at-t.start())) / float64(t.timescale)
		short := float64(len(frames))*frame - edits[0].length
		if off > editSlack*frame || short > editSlack*frame && edits[0].length > 0 {
			return errors.New("its edit list cuts pictures off")
		}
	}
	n := int64(len(frames))
	if first, _ := p.Pictures(); first != 0 || n > p.Frames || (n-1)/p.GOP != (p.Frames-1)/p.GOP {
		return fmt.Errorf("its %d pictures do not fill the %d frames", n, p.Frames)
	}
	return nil
}

// closed checks that each GOP of the plan starts with a key picture and holds all of its pictures and no other.
func (t *Track) closed(p plan.Plan, frames []int64) error {
	for i, frame := range frames {
		if int64(i)%p.GOP == 0 && (frame != int64(i) || !t.samples[i].key) {
			return fmt.Errorf("no key picture at frame %d", i)
		}
		if frame/p.GOP != int64(i)/p.GOP {
			return fmt.Errorf("the GOP with frame %d is open", i)
		}
	}
	return nil
}

// within checks the size of the pictures against the buffer that the rung's encoder would be held to: of two seconds, filled at the
// rung's bit rate.
func (t *Track) within(p plan.Plan) error {
	rate := float64(p.Video[0].Bitrate)
	share, used := rate*p.Rate().Seconds(1), 0.0
	for i, s := range t.samples {
		used = max(used+float64(8*s.size)-share, 0)
		if used > 2*rate {
			return fmt.Errorf("more than %.0f bits per second at picture %d", rate, i)
		}
	}
	return nil
}

// Copy hands on a chunk of a plan that the track fits, cut into the plan's segments.
func (t *Track) Copy(p plan.Plan, c plan.Chunk, cut cmaf.Cut, sink cmaf.Sink) error {
	frames, err := t.frames(p)
	if err != nil {
		return err
	}
	scale, ticks := p.Rate().Timescale()
	pictures := cmaf.Pictures{Config: t.config, Color: t.color, Width: p.Video[0].Width, Height: p.Video[0].Height, Timescale: scale}
	w, err := cmaf.NewPictureWriter(pictures, cut, sink)
	if err != nil {
		return err
	}
	end := min(c.End, int64(len(frames)))
	for i := c.First; i < end; i++ {
		unit := cmaf.Unit{Key: i%p.GOP == 0, Ticks: ticks, Offset: int32(frames[i]-i) * int32(ticks)}
		if i == end-1 {
			unit.Ticks *= uint32(c.End - i) // the sound goes on: the last picture stays
		}
		if unit.Data, err = t.unit(t.samples[i], unit.Key); err != nil {
			return fmt.Errorf("picture %d: %w", i, err)
		}
		if err := w.Write(unit); err != nil {
			return err
		}
	}
	return w.Close()
}

// unit reads an access unit and leaves in it what is needed to decode it: the slices. Parameter sets are in the init segment.
func (t *Track) unit(s sample, key bool) ([]byte, error) {
	data := make([]byte, s.size)
	if n, err := t.file.ReadAt(data, s.offset); n < len(data) {
		return nil, errors.Join(io.ErrUnexpectedEOF, err)
	}
	var out []byte
	for rest := data; len(rest) > 0; {
		const prefix = 4
		if len(rest) < prefix {
			return nil, errors.New("a NAL unit is cut off")
		}
		size := uint64(binary.BigEndian.Uint32(rest)) + prefix
		if size == prefix || size > uint64(len(rest)) {
			return nil, errors.New("a NAL unit has no length or is cut off")
		}
		nalu := rest[:size]
		rest = rest[size:]
		switch kind := avc.GetNaluType(nalu[prefix]); kind {
		case avc.NALU_IDR, avc.NALU_NON_IDR:
			if key && kind != avc.NALU_IDR {
				return nil, errors.New("it starts a GOP and is no IDR picture")
			}
			out = append(out, nalu...)
		case avc.NALU_SPS, avc.NALU_PPS:
			if !t.has(nalu[prefix:]) {
				return nil, errors.New("it has parameter sets of its own")
			}
		case avc.NALU_SEI, avc.NALU_AUD, avc.NALU_EO_SEQ, avc.NALU_EO_STREAM, avc.NALU_FILL:
		default:
			return nil, fmt.Errorf("it has a NAL unit of type %d", kind)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("it has no slice")
	}
	return out, nil
}

// has tells whether a parameter set is one of the track's.
func (t *Track) has(set []byte) bool {
	for _, known := range [][][]byte{t.config.SPSnalus, t.config.PPSnalus} {
		for _, k := range known {
			if bytes.Equal(k, set) {
				return true
			}
		}
	}
	return false
}

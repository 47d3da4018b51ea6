package remux

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/Eyevinn/mp4ff/avc"
	"github.com/Eyevinn/mp4ff/mp4"

	"weir/transcoder/internal/isobmff"
)

const (
	// maxSamples bounds the tables that are read: those of nearly five hours at 60 frames a second.
	maxSamples = 1 << 20
	// maxBox bounds what is read of a box, in bytes: the largest have two numbers for each sample.
	maxBox = 16 + 8*maxSamples
)

// Source is the file.
type Source interface {
	io.ReaderAt
	Size() int64
}

// Track is the pictures of an MP4 file as its tables describe them.
type Track struct {
	file      Source
	timescale int64 // ticks per second
	config    avc.DecConfRec
	color     *mp4.ColrBox // what is said of the colours beside the pictures; nil is nothing
	edits     []edit
	samples   []sample // in the order in which they are decoded
}

// sample is a coded picture.
type sample struct {
	offset, size int64 // where it lies in the file
	at           int64 // when it is shown, in ticks
	key          bool  // it is a sync sample
}

// edit is an entry of the edit list (ISO/IEC 14496-12, 8.6.6).
type edit struct {
	at     int64   // the time in ticks of the track from which on it is shown; -1 shows nothing
	length float64 // in seconds
}

// errForeign says that a file is none of those that are read here, without blaming it.
var errForeign = errors.New("no MP4 with one track of H.264 and an index of it")

// Open reads the tables of a file's track of pictures. It is an error if it has none in H.264, or more than one, or keeps their
// index in another form.
func Open(file Source) (*Track, error) {
	moov, ok, err := isobmff.Find(file, 0, file.Size(), "moov")
	if err != nil || !ok {
		return nil, errors.Join(errForeign, err)
	}
	var tracks []isobmff.Box
	err = isobmff.Each(file, moov.From, moov.To, func(b isobmff.Box) error {
		if b.Kind != "trak" {
			return nil
		}
		handler, err := box{file, b}.read("mdia", "hdlr")
		if len(handler) >= 12 && string(handler[8:12]) == "vide" {
			tracks = append(tracks, b)
		}
		return err
	})
	if err != nil || len(tracks) != 1 {
		return nil, errors.Join(errForeign, err)
	}
	header, err := box{file, moov}.read("mvhd")
	if err != nil {
		return nil, err
	}
	t := &Track{file: file}
	if err := t.read(box{file, tracks[0]}, timescale(header)); err != nil {
		return nil, fmt.Errorf("read the index of the file: %w", err)
	}
	return t, nil
}

// read reads the tables; the edit list counts in the movie's own ticks per second.
func (t *Track) read(trak box, movie int64) error {
	header, err := trak.read("mdia", "mdhd")
	if err != nil {
		return err
	}
	if t.timescale = timescale(header); t.timescale == 0 || movie == 0 {
		return errForeign
	}
	entry, err := trak.entry()
	if err != nil {
		return err
	}
	if t.config, err = entry.config(); err != nil {
		return err
	}
	if t.color, err = entry.color(); err != nil {
		return err
	}
	if t.edits, err = trak.edits(movie); err != nil {
		return err
	}
	if t.samples, err = trak.sizes(); err != nil {
		return err
	}
	for _, fill := range []func([]sample) error{trak.offsets, trak.times, trak.keys} {
		if err := fill(t.samples); err != nil {
			return err
		}
	}
	return nil
}

// timescale is the ticks per second by a box mvhd or mdhd, which have them in the same place; 0 if there is none.
func timescale(header []byte) int64 {
	switch {
	case len(header) >= 16 && header[0] == 0:
		return int64(binary.BigEndian.Uint32(header[12:]))
	case len(header) >= 24 && header[0] == 1:
		return int64(binary.BigEndian.Uint32(header[20:]))
	}
	return 0
}

// box is a box of a file.
type box struct {
	file Source
	isobmff.Box
}

// read returns the content of a box within; nothing if it is not there.
func (b box) read(path ...string) ([]byte, error) {
	found, ok, err := isobmff.Find(b.file, b.From, b.To, path...)
	if err != nil || !ok {
		return nil, err
	}
	if found.To-found.From > maxBox {
		return nil, errForeign
	}
	data := make([]byte, found.To-found.From)
	_, err = b.file.ReadAt(data, found.From)
	if errors.Is(err, io.EOF) {
		err = errForeign
	}
	return data, err
}

// table is rows of 32-bit numbers.
type table struct {
	data    []byte // nil where the box is not there
	columns int
	rows    int
}

func (t table) at(row, column int) uint32 {
	return binary.BigEndian.Uint32(t.data[4*(row*t.columns+column):])
}

// table reads a table of the track's samples.
func (b box) table(kind string, columns int) (table, error) {
	data, err := b.read("mdia", "minf", "stbl", kind)
	if err != nil || data == nil {
		return table{}, err
	}
	const head = 8 // version, flags, number of rows
	if len(data) < head {
		return table{}, errForeign
	}
	n := int(binary.BigEndian.Uint32(data[4:]))
	if n > maxSamples || len(data) < head+4*columns*n {
		return table{}, errForeign
	}
	return table{data[head:], columns, n}, nil
}

// entry is the inside of the sample entry, of a track in which there is one (ISO/IEC 14496-12, 12.1.3).
func (b box) entry() (box, error) {
	const head, fields = 8, 78 // of the box, with the number of entries; of a visual sample entry, before its boxes
	stsd, ok, err := isobmff.Find(b.file, b.From, b.To, "mdia", "minf", "stbl", "stsd")
	if err != nil || !ok {
		return box{}, errors.Join(errForeign, err)
	}
	var entries []isobmff.Box
	err = isobmff.Each(b.file, stsd.From+head, stsd.To, func(b isobmff.Box) error {
		entries = append(entries, b)
		return nil
	})
	if err != nil || len(entries) != 1 || entries[0].Kind != "avc1" {
		return box{}, errors.Join(errForeign, err)
	}
	return box{b.file, isobmff.Box{From: entries[0].From + fields, To: entries[0].To}}, nil
}

// color is what a sample entry says of the colours (ISO/IEC 14496-12, 12.1.5; in MOV, without the range).
func (b box) color() (*mp4.ColrBox, error) {
	data, err := b.read("colr")
	const kind, numbers = 4, 6
	if err != nil || len(data) < kind+numbers || string(data[:kind]) != mp4.ColorTypeOnScreenColors && string(data[:kind]) != mp4.QuickTimeColorParameters {
		return nil, err
	}
	number := func(i int) uint16 { return binary.BigEndian.Uint16(data[kind+2*i:]) }
	return &mp4.ColrBox{
		ColorType: mp4.ColorTypeOnScreenColors, ColorPrimaries: number(0), TransferCharacteristics: number(1), MatrixCoefficients: number(2),
	}, nil
}

// config is the decoder's configuration in a sample entry (ISO/IEC 14496-15, 5.4.2).
func (b box) config() (avc.DecConfRec, error) {
	data, err := b.read("avcC")
	if err != nil {
		return avc.DecConfRec{}, err
	}
	c, err := avc.DecodeAVCDecConfRec(data)
	if err != nil {
		return avc.DecConfRec{}, err
	}
	const setHead = 4 // of a parameter set of sequences: its type, profile and level
	if len(c.SPSnalus) == 0 || len(c.PPSnalus) == 0 || len(c.SPSnalus[0]) < setHead {
		return avc.DecConfRec{}, errForeign
	}
	// What else it may say follows from the profile: 4:2:0 and 8 bits.
	sps := c.SPSnalus[0]
	return avc.DecConfRec{
		AVCProfileIndication: sps[1], ProfileCompatibility: sps[2], AVCLevelIndication: sps[3],
		SPSnalus: c.SPSnalus, PPSnalus: c.PPSnalus, ChromaFormat: 1,
	}, nil
}

// edits are those of the edit list; none if there is no list.
func (b box) edits(movie int64) ([]edit, error) {
	data, err := b.read("edts", "elst")
	if err != nil || data == nil {
		return nil, err
	}
	const head = 8
	if len(data) < head {
		return nil, errForeign
	}
	width := 4
	if data[0] == 1 {
		width = 8
	}
	row := 2*width + 4 // length, time and the rate of playing
	n := int(binary.BigEndian.Uint32(data[4:]))
	if n > 2 || len(data) < head+n*row {
		return nil, errForeign
	}
	var edits []edit
	for i := range n {
		entry := data[head+i*row:]
		e := edit{length: float64(number(entry[:width])) / float64(movie), at: number(entry[width : 2*width])}
		if binary.BigEndian.Uint32(entry[2*width:]) != 1<<16 {
			return nil, errForeign // slower or faster
		}
		edits = append(edits, e)
	}
	return edits, nil
}

// number is a signed number of 32 or 64 bits.
func number(data []byte) int64 {
	if len(data) == 4 {
		return int64(int32(binary.BigEndian.Uint32(data)))
	}
	return int64(binary.BigEndian.Uint64(data))
}

// sizes makes the samples, of which it knows no more than how large they are.
func (b box) sizes() ([]sample, error) {
	data, err := b.read("mdia", "minf", "stbl", "stsz")
	if err != nil {
		return nil, err
	}
	const head = 12
	if len(data) < head || binary.BigEndian.Uint32(data[4:]) != 0 {
		return nil, errForeign // all of one size: no video
	}
	n := int(binary.BigEndian.Uint32(data[8:]))
	if n == 0 || n > maxSamples || len(data) < head+4*n {
		return nil, errForeign
	}
	samples := make([]sample, n)
	for i := range samples {
		samples[i].size = int64(binary.BigEndian.Uint32(data[head+4*i:]))
	}
	return samples, nil
}

// offsets sets where the samples lie: in chunks, one after the other.
func (b box) offsets(samples []sample) error {
	runs, err := b.table("stsc", 3) // first chunk, samples in a chunk, sample entry
	if err != nil {
		return err
	}
	chunks, err := b.table("stco", 1)
	if err != nil {
		return err
	}
	wide := chunks.data == nil
	if wide {
		if chunks, err = b.table("co64", 2); err != nil {
			return err
		}
	}
	next, run := 0, -1
	for i := range chunks.rows {
		for run+1 < runs.rows && int(runs.at(run+1, 0)) <= i+1 {
			run++
		}
		if run < 0 || runs.at(run, 2) != 1 {
			return errForeign
		}
		at := int64(chunks.at(i, 0))
		if wide {
			at = at<<32 | int64(chunks.at(i, 1))
		}
		for range min(int(runs.at(run, 1)), len(samples)-next) {
			s := &samples[next]
			if at < 0 || at > b.file.Size()-s.size {
				return errors.New("pictures lie outside the file")
			}
			s.offset = at
			at += s.size
			next++
		}
	}
	if next < len(samples) {
		return errForeign
	}
	return nil
}

// times sets when the samples are shown.
func (b box) times(samples []sample) error {
	at := int64(0)
	err := b.runs("stts", samples, func(s *sample, ticks uint32) { // until the next is decoded
		s.at = at
		at += int64(ticks)
	})
	if err != nil {
		return err
	}
	if shifts, err := b.table("ctts", 2); err != nil || shifts.data == nil {
		return err // shown when they are decoded
	}
	return b.runs("ctts", samples, func(s *sample, ticks uint32) { s.at += int64(int32(ticks)) })
}

// runs reads a table in which as many samples in turn have the same number.
func (b box) runs(kind string, samples []sample, set func(s *sample, value uint32)) error {
	runs, err := b.table(kind, 2)
	if err != nil {
		return err
	}
	next := 0
	for i := range runs.rows {
		for range min(int(runs.at(i, 0)), len(samples)-next) {
			set(&samples[next], runs.at(i, 1))
			next++
		}
	}
	if next < len(samples) {
		return errForeign
	}
	return nil
}

// keys sets which are sync samples: all, where the box is missing.
func (b box) keys(samples []sample) error {
	keys, err := b.table("stss", 1)
	if err != nil {
		return err
	}
	for i := range samples {
		samples[i].key = keys.data == nil
	}
	for i := range keys.rows {
		if n := int(keys.at(i, 0)); n >= 1 && n <= len(samples) {
			samples[n-1].key = true
		}
	}
	return nil
}

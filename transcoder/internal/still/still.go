// Package still makes the pictures that a video shows of itself before it is played: the poster, and the storyboard with
// pictures along the time line. Frames come from package encode; what they are and where they stand, package plan decides.
//
// A storyboard is made in two steps. Each chunk's tiles become a strip, one JPEG, as soon as the chunk is encoded: [Strip].
// When all strips are there, their tiles become sheets: [Sheets]. [VTT] tells players which part of which sheet is when. So
// the upload is decoded once for everything. This package computes; it reads and writes nothing but what it is given.
package still

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"math"

	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
)

// The qualities of JPEG: strips are encoded once more, so they keep nearly all.
const (
	posterQuality = 85
	stripQuality  = 95
	sheetQuality  = 80
)

// stripColumns is the number of tiles side by side in a strip: no side of a JPEG file has more than 65,535 pixels.
const stripColumns = 6

// Plain is the contrast below which a picture shows nothing: black, white, or a fade between them.
const Plain = 8

// Read reads one raw picture, 4:2:0 in full range. Where there is none any more, or not a whole one, the error is io.EOF.
func Read(r io.Reader, width, height int) (*image.YCbCr, error) {
	m := blank(width, height)
	for _, plane := range [][]byte{m.Y, m.Cb, m.Cr} {
		if _, err := io.ReadFull(r, plane); err != nil {
			if errors.Is(err, io.ErrUnexpectedEOF) {
				err = io.EOF
			}
			return nil, err
		}
	}
	return m, nil
}

// Contrast is the standard deviation of a picture's luma, from 0 to 127.5.
func Contrast(m *image.YCbCr) float64 {
	var n, sum, squares float64
	for y := m.Rect.Min.Y; y < m.Rect.Max.Y; y++ {
		from := m.YOffset(m.Rect.Min.X, y)
		for _, v := range m.Y[from : from+m.Rect.Dx()] {
			n, sum, squares = n+1, sum+float64(v), squares+float64(v)*float64(v)
		}
	}
	if n == 0 {
		return 0
	}
	mean := sum / n
	return math.Sqrt(max(squares/n-mean*mean, 0))
}

// Poster encodes a poster as JPEG.
func Poster(m *image.YCbCr) ([]byte, error) { return encode(m, posterQuality) }

// Strip puts a chunk's tiles, which are of one size, into one JPEG.
func Strip(tiles []*image.YCbCr) ([]byte, error) {
	size := tiles[0].Rect.Size()
	m := blank(stripColumns*size.X, (len(tiles)+stripColumns-1)/stripColumns*size.Y)
	for i, tile := range tiles {
		paste(m, i%stripColumns*size.X, i/stripColumns*size.Y, tile)
	}
	return encode(m, stripQuality)
}

// Sheets makes the storyboard's sheets, one at a time, out of its chunks' strips. strip returns that of a chunk that has tiles;
// each is asked for once, in order. put takes each sheet, a JPEG, in order.
func Sheets(p plan.Plan, strip func(plan.Chunk) ([]byte, error), put func(data []byte) error) error {
	s, size := p.Storyboard, 0
	var sheet *image.YCbCr
	for _, c := range p.Chunks {
		first, end := p.TilesOf(c)
		if first == end {
			continue
		}
		tiles, err := cut(strip, c, end-first, s.Width, s.Height)
		if err != nil {
			return fmt.Errorf("read the tiles of chunk %d: %w", c.Number, err)
		}
		for i, tile := range tiles {
			if sheet == nil {
				sheet, size = blank(s.Columns*s.Width, s.Rows*s.Height), 0
			}
			paste(sheet, size%s.Columns*s.Width, size/s.Columns*s.Height, tile)
			if size++; size < s.Columns*s.Rows && first+i+1 < p.Tiles() {
				continue
			}
			data, err := encode(sheet, sheetQuality)
			if err != nil {
				return err
			}
			if err := put(data); err != nil {
				return err
			}
			sheet = nil
		}
	}
	return nil
}

// cut takes a chunk's strip apart.
func cut(strip func(plan.Chunk) ([]byte, error), c plan.Chunk, n, width, height int) ([]*image.YCbCr, error) {
	data, err := strip(c)
	if err != nil {
		return nil, err
	}
	decoded, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	m, ok := decoded.(*image.YCbCr)
	whole := image.Rect(0, 0, stripColumns*width, (n+stripColumns-1)/stripColumns*height)
	if !ok || m.SubsampleRatio != image.YCbCrSubsampleRatio420 || m.Rect != whole {
		return nil, fmt.Errorf("the strip is no picture of %v", whole.Size())
	}
	tiles := make([]*image.YCbCr, n)
	for i := range tiles {
		at := image.Pt(i%stripColumns*width, i/stripColumns*height)
		tiles[i], _ = m.SubImage(image.Rectangle{Min: at, Max: at.Add(image.Pt(width, height))}).(*image.YCbCr)
	}
	return tiles, nil
}

// VTT writes the storyboard's WebVTT file: a cue a tile, whose text is the sheet's name and the tile's place on it, as a spatial
// fragment (Media Fragments URI 1.0, section 4.2.2). Cues touch and cover the video.
func VTT(p plan.Plan, sheets []media.Sheet) ([]byte, error) {
	s := p.Storyboard
	if len(sheets) != p.Sheets() {
		return nil, fmt.Errorf("write the storyboard: there are %d sheets, not %d", len(sheets), p.Sheets())
	}
	var out bytes.Buffer
	out.WriteString("WEBVTT\n")
	for n, sheet := range sheets {
		first, end := p.Sheet(n)
		for i := first; i < end; i++ {
			tile, place := p.Tile(i), i-first
			fmt.Fprintf(&out, "\n%s --> %s\n%s#xywh=%d,%d,%d,%d\n",
				timestamp(p, tile.First), timestamp(p, tile.End),
				sheet.Name, place%s.Columns*s.Width, place/s.Columns*s.Height, s.Width, s.Height)
		}
	}
	return out.Bytes(), nil
}

// timestamp is when a frame starts, in WebVTT's form (section 4.1).
func timestamp(p plan.Plan, frame int64) string {
	ms := int64(math.Round(p.Source.Video.Rate.Seconds(frame) * 1000))
	return fmt.Sprintf("%02d:%02d:%02d.%03d", ms/3_600_000, ms/60_000%60, ms/1000%60, ms%1000)
}

func encode(m *image.YCbCr, quality int) ([]byte, error) {
	var out bytes.Buffer
	if err := jpeg.Encode(&out, m, &jpeg.Options{Quality: quality}); err != nil {
		return nil, fmt.Errorf("encode a picture: %w", err)
	}
	return out.Bytes(), nil
}

// blank returns a black picture; both sides are even.
func blank(width, height int) *image.YCbCr {
	m := image.NewYCbCr(image.Rect(0, 0, width, height), image.YCbCrSubsampleRatio420)
	for i := range m.Cb {
		m.Cb[i], m.Cr[i] = 128, 128
	}
	return m
}

// paste puts a picture at an even place of another.
func paste(to *image.YCbCr, x, y int, m *image.YCbCr) {
	corner, size := m.Rect.Min, m.Rect.Size()
	for row := range size.Y {
		copy(to.Y[to.YOffset(x, y+row):][:size.X], m.Y[m.YOffset(corner.X, corner.Y+row):])
	}
	for row := 0; row < size.Y; row += 2 {
		into, from := to.COffset(x, y+row), m.COffset(corner.X, corner.Y+row)
		copy(to.Cb[into:][:size.X/2], m.Cb[from:])
		copy(to.Cr[into:][:size.X/2], m.Cr[from:])
	}
}

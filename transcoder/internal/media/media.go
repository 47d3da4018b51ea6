// Package media holds the words for video: what a source is made of, what a rendition is, and exact time.
//
// Time is counted in frames and ticks, never in floating seconds: frame n of a video at rate Num/Den starts at exactly
// n·Den/Num seconds. Seconds appear only where a program or a person reads them. This package imports the standard
// library alone and does no IO.
package media

// Source is what was uploaded, as far as the plan needs to know it.
type Source struct {
	// Demuxer is FFmpeg's name of the container format, found from the magic bytes: mov, matroska, mpegts, …
	Demuxer string `json:"demuxer"`
	// Jumps means that the source's clock jumps, as where recordings were joined. Then all times are those on the clock that
	// FFmpeg makes of it, which runs on at the joins and starts at 0; only who reads from the beginning has that clock.
	Jumps bool `json:"jumps,omitempty"`
	// Video is zero where there is sound alone: see [Source.HasPicture].
	Video Video `json:"video,omitzero"`
	// Audio is the tracks that are published: first the one that is heard unless another is chosen, then the others in the
	// container's order. None where the source is silent.
	Audio Tracks `json:"audio,omitempty"`
	// Subtitles are all that it has, those as well that are no text.
	Subtitles []Subtitle `json:"subtitles,omitempty"`
}

// HasPicture tells whether the source has a picture. Otherwise it is sound alone.
func (s Source) HasPicture() bool { return s.Video.Rate.Valid() }

// Video is the source's video track as a viewer sees it.
type Video struct {
	Index int    `json:"index"` // of the stream in the container
	Codec string `json:"codec"`
	// Decoder is FFmpeg's name of the decoder to use; "" is the usual one.
	Decoder string `json:"decoder,omitempty"`
	// Width and Height are as displayed: after rotation and with square pixels.
	Width  int  `json:"width"`
	Height int  `json:"height"`
	Rate   Rate `json:"rate"` // nominal; the output is constant at this rate
	// Interlaced means that a frame holds two pictures, in alternating lines.
	Interlaced bool `json:"interlaced,omitempty"`
	// Reordered means that pictures, of this track or another, are decoded in another order than they are shown in.
	Reordered bool `json:"reordered,omitempty"`
	// Alpha means that parts of it may be transparent.
	Alpha bool  `json:"alpha,omitempty"`
	Color Color `json:"color"`
	// Plain means that its pictures are stored in the form in which they are published: H.264 that all players decode,
	// progressive, upright, of square pixels in BT.709.
	Plain bool `json:"plain,omitempty"`
	// Start and End are the display times of the first frame and of the end of the last, in seconds on the source's clock.
	Start float64 `json:"start_s"`
	End   float64 `json:"end_s"`
	// Delay is by how much later, in seconds, FFmpeg shows the pictures: those of AVI come without display times, and get the
	// time at which the decoder gives them away.
	Delay float64 `json:"delay_s,omitempty"`
}

// Color is what the samples of a picture stand for, in FFmpeg's words (those of ISO/IEC 23091-2).
type Color struct {
	// Matrix makes luma and chroma of red, green and blue: bt601, bt709, bt2020, fcc or smpte240m.
	Matrix string `json:"matrix"`
	// Transfer and Primaries are set for HDR alone: smpte2084 (PQ) or arib-std-b67 (HLG), and bt2020, smpte432 or bt709.
	Transfer  string `json:"transfer,omitempty"`
	Primaries string `json:"primaries,omitempty"`
}

// HDR tells whether the picture is brighter than a screen of standard dynamic range can show.
func (c Color) HDR() bool { return c.Transfer != "" }

// Segment is one published media segment.
type Segment struct {
	Number int    `json:"number"` // from 0, in the rendition
	Name   string `json:"name"`   // its object's name within the rendition's folder
	Ticks  uint64 `json:"ticks"`  // its duration, in the rendition's timescale
	Bytes  int64  `json:"bytes"`
	// KeyFrames are the segment's, from its start on. Sound has none, and a segment recorded before they were.
	KeyFrames []KeyFrame `json:"key_frames,omitempty"`
	// IV is the initialization vector that it is encrypted with, in hexadecimal; "" where it is in the clear.
	IV string `json:"iv,omitempty"`
}

// KeyFrame is a picture that can be decoded alone: a range of its segment's bytes, from the header of the fragment that it
// starts to the end of the picture. A range of an encrypted segment cannot be decrypted alone; there it is an object of its own.
type KeyFrame struct {
	Ticks  uint64 `json:"ticks"`  // to the next key frame or the end of the segment
	Offset int64  `json:"offset"` // in the segment's bytes
	Bytes  int64  `json:"bytes"`
	// Name is that of its own object within the rendition's folder, and IV the vector that this is encrypted with; "" of a range.
	Name string `json:"name,omitempty"`
	IV   string `json:"iv,omitempty"`
}

// Rendition is one encoded output: an init segment and the segments that follow it. Transport streams have no init segment.
type Rendition struct {
	Name      string    `json:"name"` // its folder, such as 720p or audio_128k
	Codecs    string    `json:"codecs"`
	Timescale uint32    `json:"timescale"` // ticks per second
	Init      string    `json:"init"`      // the init segment's object name; "" where there is none
	InitBytes int64     `json:"init_bytes"`
	Segments  []Segment `json:"segments"`
	// KeyURI leads from the rendition's playlist to the key of its segments, which are encrypted with AES-128.
	KeyURI string `json:"key_uri,omitempty"`
}

// Output is what was made of a source.
type Output struct {
	Renditions []Rendition     // picture and sound, in the plan's order
	Texts      []TextRendition // the subtitles that could be made
	Poster     string          // the key under which it waits to be published; "" if there is none
	Sheets     []Sheet         // of the storyboard
}

// Duration is the length of the rendition in seconds.
func (r Rendition) Duration() float64 {
	var ticks uint64
	for _, s := range r.Segments {
		ticks += s.Ticks
	}
	return r.Seconds(ticks)
}

// Seconds turns ticks of the rendition into seconds.
func (r Rendition) Seconds(ticks uint64) float64 { return float64(ticks) / float64(r.Timescale) }

// Bytes is the size of all the rendition's objects.
func (r Rendition) Bytes() int64 {
	n := r.InitBytes
	for _, s := range r.Segments {
		n += s.Bytes
		for _, k := range s.KeyFrames {
			if k.Name != "" {
				n += k.Bytes
			}
		}
	}
	return n
}

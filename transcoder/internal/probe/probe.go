// Package probe finds out what an upload is. Start at [Probe].
//
// Weir itself reads the magic bytes and names the container format; ffprobe is told to read that format and no other. So
// a playlist or a script that calls itself video.mp4 is refused by a few lines of Go, not by a demuxer. The package reads;
// it decides nothing about the output.
package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"weir/transcoder/internal/ffmpeg"
	"weir/transcoder/internal/job"
	"weir/transcoder/internal/media"
)

// Upload is what is probed: bytes for Weir's own look, and a loopback URL for ffprobe's.
type Upload interface {
	io.ReaderAt
	Size() int64
	URL() string
	// Err is the reason why reads failed, if they did: then the file is not to blame for what a program said of it.
	Err() error
}

// Probe examines an upload. A file that cannot become a video is a [job.Failure].
func Probe(ctx context.Context, tools ffmpeg.Tools, u Upload) (media.Source, error) {
	if u.Size() == 0 {
		return media.Source{}, &job.Failure{Code: job.SourceEmpty, Message: "The uploaded file is empty: upload it again."}
	}
	demuxer, err := sniff(u)
	if err != nil {
		return media.Source{}, err
	}
	if err := checkComplete(u, demuxer); err != nil {
		return media.Source{}, err
	}
	in := ffmpeg.Input{URL: u.URL(), Demuxer: demuxer}
	out, err := tools.Probe(ctx, append([]string{
		"-show_streams", "-show_format", "-of", "json",
		// What only the pictures themselves tell, of those in the first packets.
		"-show_frames", "-read_intervals", "%+#" + strconv.Itoa(looked),
	}, in.ProbeArgs()...))
	if err != nil {
		return media.Source{}, blame(u, err)
	}
	var r report
	if err := json.Unmarshal(out, &r); err != nil {
		return media.Source{}, fmt.Errorf("read ffprobe's report: %w", err)
	}
	s, err := r.source(demuxer)
	if err != nil {
		return media.Source{}, err
	}
	if err := checkPresent(u, s); err != nil {
		return media.Source{}, err
	}
	if err := findTimes(ctx, tools, u, in, r, &s); err != nil {
		return media.Source{}, err
	}
	if err := checkBounds(s); err != nil {
		return media.Source{}, err
	}
	if s.HasPicture() && s.Video.End <= s.Video.Start {
		return media.Source{}, unsupported("The file has a video track without pictures in it.")
	}
	if !s.HasPicture() && len(s.Audio) == 0 {
		return media.Source{}, unsupported("The file has an audio track without sound in it.")
	}
	return s, nil
}

// blame tells whether a program failed because of the file or because the file could not be read.
func blame(u Upload, err error) error {
	if cause := u.Err(); cause != nil {
		return cause
	}
	if bad := (*ffmpeg.Error)(nil); errors.As(err, &bad) {
		if tooLarge(bad.Stderr) {
			return errors.Join(errTooLarge(), bad)
		}
		if foreign(bad.Stderr) {
			return errors.Join(unsupported("The file has a track in a codec that is no longer in use, or never was for video."), bad)
		}
		return errors.Join(unsupported("The file starts like one of a known format but cannot be read as that: it may be damaged."), bad)
	}
	return err
}

func unsupported(message string) *job.Failure {
	return &job.Failure{Code: job.UnsupportedFormat, Message: message +
		" Upload a video as MP4, MOV, MKV, WebM, MPEG-TS, AVI, FLV, Ogg, WMV or MPEG-PS, or sound as MP3, M4A, AAC, FLAC, WAV, AIFF, " +
		"Ogg, Opus, MKA or WMA."}
}

// looked is how many of a file's first packets are decoded. A picture is among them wherever tracks are interleaved.
const looked = 8

// report is what ffprobe says, as far as Weir uses it.
type report struct {
	Streams []stream `json:"streams"`
	Frames  []frame  `json:"frames"`
	Format  struct {
		StartTime string `json:"start_time"`
		Duration  string `json:"duration"`
	} `json:"format"`
}

type stream struct {
	Index       int    `json:"index"`
	CodecType   string `json:"codec_type"`
	CodecName   string `json:"codec_name"`
	Width       int    `json:"width"`
	Height      int    `json:"height"`
	SampleRatio string `json:"sample_aspect_ratio"`
	PixelFormat string `json:"pix_fmt"`
	Profile     string `json:"profile"`
	Level       int    `json:"level"`
	Range       string `json:"color_range"`
	Matrix      string `json:"color_space"`
	Transfer    string `json:"color_transfer"`
	Primaries   string `json:"color_primaries"`
	BaseRate    string `json:"r_frame_rate"`
	AverageRate string `json:"avg_frame_rate"`
	StartTime   string `json:"start_time"`
	Duration    string `json:"duration"`
	FieldOrder  string `json:"field_order"`
	Delay       int    `json:"has_b_frames"` // pictures that are decoded before the first one is shown
	Interlaced  bool   `json:"-"`            // as its first picture says
	Channels    int    `json:"channels"`
	Disposition struct {
		Default         int `json:"default"`
		AttachedPicture int `json:"attached_pic"`
		Comment         int `json:"comment"`
		VisualImpaired  int `json:"visual_impaired"`
		Forced          int `json:"forced"`
		HearingImpaired int `json:"hearing_impaired"`
		Captions        int `json:"captions"`
		Descriptions    int `json:"descriptions"`
		Metadata        int `json:"metadata"`
	} `json:"disposition"`
	SideData []struct {
		Rotation float64 `json:"rotation"`
	} `json:"side_data_list"`
	Tags struct {
		Language string `json:"language"`
		Alpha    string `json:"alpha_mode"` // of WebM: the picture's transparency is beside it
		Title    string `json:"title"`
		Handler  string `json:"handler_name"`
	} `json:"tags"`
}

// frame is a decoded picture.
type frame struct {
	Stream     int    `json:"stream_index"`
	Interlaced int    `json:"interlaced_frame"`
	Matrix     string `json:"color_space"`
	Transfer   string `json:"color_transfer"`
	Primaries  string `json:"color_primaries"`
}

// look adds what the first picture of a track tells and the container did not: some codecs keep all of it to themselves.
func (r report) look(s stream) stream {
	for _, f := range r.Frames {
		if f.Stream != s.Index {
			continue
		}
		s.Interlaced = s.Interlaced || f.Interlaced == 1
		s.Matrix, s.Transfer, s.Primaries = known(s.Matrix, f.Matrix), known(s.Transfer, f.Transfer), known(s.Primaries, f.Primaries)
		break
	}
	return s
}

// known is the first of two statements that says something.
func known(a, b string) string {
	if a == "" || a == "unknown" || a == "reserved" {
		return b
	}
	return a
}

// source picks the tracks that are published: the first picture, one marked as default before others, and the sounds.
func (r report) source(demuxer string) (media.Source, error) {
	var video *stream
	pictured := false // there is a track for a picture, whatever is in it
	for i, s := range r.Streams {
		if s.CodecType != "video" || s.Disposition.AttachedPicture != 0 { // a cover is not the video
			continue
		}
		pictured = true
		if s.CodecName != "" && s.CodecName != "unknown" && s.Width > 0 && s.Height > 0 {
			video = better(video, &r.Streams[i])
		}
	}
	out := media.Source{Demuxer: demuxer, Audio: r.tracks(), Subtitles: r.subtitles()}
	switch {
	case video != nil:
	case r.sizeless():
		return media.Source{}, errTooLarge()
	case pictured:
		return media.Source{}, unsupported("The file has no video track that can be decoded.")
	case len(out.Audio) == 0:
		return media.Source{}, unsupported("The file has neither a video track nor an audio track that can be decoded.")
	default:
		return out, nil
	}
	seen := r.look(*video)
	video = &seen
	out.Video = media.Video{
		Index: video.Index,
		Codec: video.CodecName,
		Rate:  media.Nominal(ratio(video.AverageRate), ratio(video.BaseRate)),
		// Top or bottom field first, in either order of storing and showing.
		Interlaced: video.Interlaced || slices.Contains([]string{"tt", "bb", "tb", "bt"}, video.FieldOrder),
		Alpha:      alpha.MatchString(video.PixelFormat),
		Reordered:  slices.ContainsFunc(r.Streams, func(s stream) bool { return s.Delay > 0 }),
		Color:      video.color(),
	}
	if decoder := transparent[video.CodecName]; decoder != "" && video.Tags.Alpha == "1" {
		out.Video.Alpha, out.Video.Decoder = true, decoder
	}
	out.Video.Width, out.Video.Height = video.displaySize()
	out.Video.Plain = video.plain(out.Video)
	return out, nil
}

func better(best, s *stream) *stream {
	if best == nil || best.Disposition.Default == 0 && s.Disposition.Default == 1 {
		return s
	}
	return best
}

// displaySize is the size after rotation and with square pixels. Pixels that are not square grow in one direction in a
// player; here the other shrinks, so that nothing is scaled up.
func (s *stream) displaySize() (width, height int) {
	width, height = s.Width, s.Height
	if r := ratio(strings.Replace(s.SampleRatio, ":", "/", 1)); r.Valid() && r.Num != r.Den {
		if f := r.Float(); f > 1 {
			height = max(int(math.Round(float64(height)/f)), 1)
		} else {
			width = max(int(math.Round(float64(width)*f)), 1)
		}
	}
	for _, d := range s.SideData {
		// Turned by other angles, a picture keeps its size and loses its corners.
		if math.Abs(math.Mod(math.Abs(d.Rotation), 180)-90) < 1 {
			width, height = height, width
		}
	}
	return width, height
}

// maxLevel is the highest level of H.264 that is published as it is, in tenths: what decoders of 4K take.
const maxLevel = 51

// plain tells whether the pictures are stored in the form in which they are published.
func (s *stream) plain(v media.Video) bool {
	return s.CodecName == "h264" && slices.Contains([]string{"Constrained Baseline", "Main", "High"}, s.Profile) && s.Level <= maxLevel &&
		s.PixelFormat == "yuv420p" && s.Range != "pc" && !v.Interlaced && !v.Alpha && v.Color == (media.Color{Matrix: "bt709"}) &&
		slices.Contains([]string{"", "0:1", "1:1"}, s.SampleRatio) && len(s.SideData) == 0 && s.Width == v.Width && s.Height == v.Height
}

func ratio(text string) media.Rate {
	num, den, _ := strings.Cut(text, "/")
	n, err := strconv.ParseInt(num, 10, 64)
	if err != nil {
		return media.Rate{}
	}
	d, err := strconv.ParseInt(den, 10, 64)
	if err != nil {
		return media.Rate{}
	}
	return media.Rate{Num: n, Den: d}
}

// seconds reads a time as ffprobe prints it; "N/A" and nothing are 0.
func seconds(text string) float64 {
	s, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0
	}
	return s
}

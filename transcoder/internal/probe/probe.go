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
	out, err := tools.Probe(ctx, append([]string{"-show_streams", "-show_format", "-of", "json"}, in.ProbeArgs()...))
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
	if s.Video.End <= s.Video.Start {
		return media.Source{}, unsupported("The file has a video track without pictures in it.")
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
		return errors.Join(unsupported("The file starts like a video but cannot be read as one: it may be damaged."), bad)
	}
	return err
}

func unsupported(message string) *job.Failure {
	return &job.Failure{Code: job.UnsupportedFormat, Message: message +
		" Upload a video as MP4, MOV, MKV, WebM, MPEG-TS, AVI, FLV, Ogg, WMV or MPEG-PS."}
}

// report is what ffprobe says, as far as Weir uses it.
type report struct {
	Streams []stream `json:"streams"`
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
	BaseRate    string `json:"r_frame_rate"`
	AverageRate string `json:"avg_frame_rate"`
	StartTime   string `json:"start_time"`
	Duration    string `json:"duration"`
	FieldOrder  string `json:"field_order"`
	Channels    int    `json:"channels"`
	Disposition struct {
		Default         int `json:"default"`
		AttachedPicture int `json:"attached_pic"`
	} `json:"disposition"`
	SideData []struct {
		Rotation float64 `json:"rotation"`
	} `json:"side_data_list"`
}

// source picks the tracks that are published: the first picture and the first sound, those marked as default before others.
func (r report) source(demuxer string) (media.Source, error) {
	var video, audio *stream
	for i, s := range r.Streams {
		switch {
		case s.CodecName == "" || s.CodecName == "unknown":
		case s.CodecType == "video" && s.Disposition.AttachedPicture == 0 && s.Width > 0 && s.Height > 0:
			video = better(video, &r.Streams[i])
		case s.CodecType == "audio" && s.Channels > 0:
			audio = better(audio, &r.Streams[i])
		}
	}
	if video == nil && r.sizeless() {
		return media.Source{}, errTooLarge()
	}
	if video == nil {
		return media.Source{}, unsupported("The file has no video track that can be decoded.")
	}
	out := media.Source{Demuxer: demuxer, Video: media.Video{
		Index: video.Index,
		Codec: video.CodecName,
		Rate:  media.Nominal(ratio(video.AverageRate), ratio(video.BaseRate)),
		// Top or bottom field first, in either order of storing and showing.
		Interlaced: slices.Contains([]string{"tt", "bb", "tb", "bt"}, video.FieldOrder),
	}}
	out.Video.Width, out.Video.Height = video.displaySize()
	if audio != nil {
		out.Audio = &media.Audio{Index: audio.Index, Codec: audio.CodecName}
	}
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
		if quarter := math.Mod(math.Abs(d.Rotation), 180); quarter > 45 && quarter < 135 {
			width, height = height, width
		}
	}
	return width, height
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

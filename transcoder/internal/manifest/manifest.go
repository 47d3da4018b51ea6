// Package manifest writes manifest.json, which says all of what was published of a video: its source, its renditions as they were
// measured, and where everything is. Start at [Make].
//
// Whoever has a token for the video can read it. So its paths are relative to the video's folder, where they work behind any
// token, and it says nothing of the upload's key or of who is told. Everything here is a pure function of its arguments.
package manifest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"weir/transcoder/internal/hls"
	"weir/transcoder/internal/job"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
)

// Schema is the version of the form. Members may be added to it; one that changes its meaning makes another version.
const Schema = 1

// Manifest is the whole.
type Manifest struct {
	Schema      int         `json:"schema"`
	VideoID     string      `json:"video_id"`
	Version     int         `json:"version"` // of the video: how often it was begun
	Duration    float64     `json:"duration_s"`
	CreatedAt   time.Time   `json:"created_at"`
	PlayableAt  time.Time   `json:"playable_at,omitzero"` // none where it took the place of another version at once
	ProcessedAt time.Time   `json:"processed_at"`
	Timings     Timings     `json:"timings"`
	Source      Source      `json:"source"`
	Encoder     Encoder     `json:"encoder,omitzero"`   // of H.264; none of sound alone
	Encoders    []Encoder   `json:"encoders,omitempty"` // of the further codecs
	Segments    Segments    `json:"segments"`
	Playlists   Playlists   `json:"playlists"`
	Pictures    Pictures    `json:"pictures,omitzero"`
	Renditions  []Rendition `json:"renditions"` // the pictures, highest first, then the sounds
	Subtitles   []Subtitle  `json:"subtitles,omitempty"`
}

// Timings say how long it took, in seconds from when the request was accepted.
type Timings struct {
	Playable  float64 `json:"playable_s,omitempty"`
	Processed float64 `json:"processed_s"`
}

// Source is what was uploaded.
type Source struct {
	Container string       `json:"container"` // FFmpeg's name of the format: mov, matroska, mpegts, …
	Bytes     int64        `json:"bytes"`
	Duration  float64      `json:"duration_s"` // from the first picture or sound to the last
	Video     *SourceVideo `json:"video,omitempty"`
	Audio     *SourceAudio `json:"audio,omitempty"` // the first of the tracks
	// Tracks are all sounds that are published, where there are several: first the default, then the others in the container's order.
	Tracks []SourceAudio `json:"audio_tracks,omitempty"`
	// Subtitles are all that it has. Those without a rendition were left out: they are pictures, or cannot be read.
	Subtitles []SourceSubtitle `json:"subtitles,omitempty"`
}

// SourceVideo is its picture as a viewer sees it: after rotation, with square pixels.
type SourceVideo struct {
	Codec      string `json:"codec"`
	Width      int    `json:"width"`
	Height     int    `json:"height"`
	FrameRate  string `json:"frame_rate"` // nominal, as a fraction
	Interlaced bool   `json:"interlaced,omitempty"`
	HDR        string `json:"hdr,omitempty"` // its transfer: smpte2084 (PQ) or arib-std-b67 (HLG)
}

// SourceAudio is one of its sounds.
type SourceAudio struct {
	Codec    string     `json:"codec"`
	Channels int        `json:"channels,omitempty"`
	Language string     `json:"language,omitempty"` // RFC 5646
	Name     string     `json:"name,omitempty"`
	Role     media.Role `json:"role,omitempty"` // main, alternate, commentary or description
}

// Encoder is how the pictures were encoded in a codec.
type Encoder struct {
	Codec  string `json:"codec"`
	Name   string `json:"name"` // FFmpeg's
	Preset string `json:"preset"`
	CRF    int    `json:"crf"` // the quality that is aimed at; a rendition's max_bitrate caps it
}

// Segments are how the media segments are written.
type Segments struct {
	Format     job.SegmentFormat `json:"format"`
	Encryption string            `json:"encryption,omitempty"` // the METHOD of EXT-X-KEY
}

// Playlists are where players begin.
type Playlists struct {
	HLS  string `json:"hls"`
	DASH string `json:"dash,omitempty"` // none of transport streams, and of what is encrypted
}

// Pictures are those that stand for the video. What there is not is left out.
type Pictures struct {
	Poster     string `json:"poster,omitempty"`
	Storyboard string `json:"storyboard,omitempty"` // WebVTT
	Images     string `json:"images,omitempty"`     // the same as an HLS image playlist
}

// Paths are where everything is: in the video's folder and, of the last two, in each rendition's.
type Paths struct {
	Playlists         Playlists
	Pictures          Pictures
	Playlist, IFrames string // of this version
}

// Rendition is one encoded output. Rates are in bits per second.
type Rendition struct {
	Name             string  `json:"name"`
	Type             string  `json:"type"`            // video or audio
	Codec            string  `json:"codec,omitempty"` // of a picture: h264, hevc or av1
	Codecs           string  `json:"codecs"`          // RFC 6381
	Width            int     `json:"width,omitempty"`
	Height           int     `json:"height,omitempty"`
	FrameRate        string  `json:"frame_rate,omitempty"`
	SampleRate       uint32  `json:"sample_rate,omitempty"` // samples per second
	Channels         int     `json:"channels,omitempty"`
	Language         string  `json:"language,omitempty"` // RFC 5646
	Label            string  `json:"label,omitempty"`    // what people choose the sound by
	Default          bool    `json:"default,omitempty"`  // it is heard unless another sound is chosen
	MaxBitrate       int     `json:"max_bitrate"`        // what the encoder was given
	CRF              int     `json:"crf,omitempty"`      // the quality that was aimed at, within that rate; of encoded pictures
	Copied           bool    `json:"copied,omitempty"`   // the source's own pictures, within that rate
	Bandwidth        int64   `json:"bandwidth"`          // the peak, measured
	AverageBandwidth int64   `json:"average_bandwidth"`
	Duration         float64 `json:"duration_s"`
	Segments         int     `json:"segments"`
	Bytes            int64   `json:"bytes"` // of all of its media
	Playlist         string  `json:"playlist"`
	IFrames          string  `json:"iframes,omitempty"` // the I-frame playlist
	Init             string  `json:"init,omitempty"`    // transport streams have none
}

// Make writes the manifest of a video that is there in whole. The encoders are those of the plan's codecs, in their order, and
// none for sound alone. now is when the last of the video was there.
func Make(j job.Job, p plan.Plan, out media.Output, paths Paths, encoders []Encoder, now time.Time) ([]byte, error) {
	m := Manifest{
		Schema: Schema, VideoID: j.VideoID, Version: j.Version,
		CreatedAt: j.CreatedAt, PlayableAt: j.PlayableAt, ProcessedAt: now,
		Timings: Timings{Processed: since(j.CreatedAt, now)},
		Source:  source(p), Playlists: paths.Playlists, Pictures: paths.Pictures,
		Segments: Segments{Format: cmp.Or(p.SegmentFormat, job.FMP4)},
	}
	if p.KeyID != "" {
		m.Segments.Encryption = "AES-128"
	}
	if !j.PlayableAt.IsZero() {
		m.Timings.Playable = since(j.CreatedAt, j.PlayableAt)
	}
	if len(encoders) > 0 {
		m.Encoder, m.Encoders = encoders[0], encoders[1:]
	}
	for _, r := range out.Renditions {
		peak, average := hls.Bandwidth(r, p.TargetDuration())
		folder := "hls/" + r.Name + "/"
		one := Rendition{
			Name: r.Name, Codecs: r.Codecs, Bandwidth: peak, AverageBandwidth: average,
			Duration: round(r.Duration()), Segments: len(r.Segments), Bytes: r.Bytes(),
			Playlist: folder + paths.Playlist,
		}
		if r.Init != "" {
			one.Init = folder + r.Init
		}
		if hls.HasIFrames(r) {
			one.IFrames = folder + paths.IFrames
		}
		for _, v := range p.Video {
			if v.Name == r.Name {
				one.Type, one.Codec, one.Width, one.Height = "video", string(v.Coding()), v.Width, v.Height
				one.FrameRate, one.MaxBitrate, one.Copied = p.Source.Video.Rate.String(), v.Bitrate, v.Copied
				if i := slices.IndexFunc(encoders, func(e Encoder) bool { return e.Codec == one.Codec }); i >= 0 && !v.Copied {
					one.CRF = encoders[i].CRF
				}
			}
		}
		for _, a := range p.Audio {
			if a.Name == r.Name {
				track := p.Track(a)
				one.Type, one.SampleRate, one.MaxBitrate, one.Channels = "audio", r.Timescale, a.Bitrate, plan.Channels
				one.Language, one.Label, one.Default = track.Language, track.Name, a.Track == 0
			}
		}
		m.Duration = max(m.Duration, one.Duration)
		m.Renditions = append(m.Renditions, one)
	}
	m.addSubtitles(p, out.Texts, paths)
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the manifest: %w", err)
	}
	return append(text, '\n'), nil
}

func source(p plan.Plan) Source {
	s := Source{Container: p.Source.Demuxer, Bytes: p.Size, Duration: round(p.Duration())}
	if v := p.Source.Video; p.Source.HasPicture() {
		s.Video = &SourceVideo{
			Codec: v.Codec, Width: v.Width, Height: v.Height, FrameRate: v.Rate.String(), Interlaced: v.Interlaced, HDR: v.Color.Transfer,
		}
	}
	for _, a := range p.Source.Audio {
		s.Tracks = append(s.Tracks, SourceAudio{Codec: a.Codec, Channels: a.Channels, Language: a.Language, Name: a.Name, Role: a.Role})
	}
	if len(s.Tracks) > 0 {
		s.Audio = &s.Tracks[0]
	}
	if len(s.Tracks) == 1 {
		s.Tracks = nil // it is said
	}
	return s
}

func since(start, end time.Time) float64 { return round(end.Sub(start).Seconds()) }

// round keeps microseconds: less than that is noise.
func round(seconds float64) float64 { return math.Round(seconds*1e6) / 1e6 }

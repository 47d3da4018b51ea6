// Package viewer watches a video as a pedantic player would: it fetches every byte of every rendition through the
// Worker and has ffmpeg decode every frame of it.
//
// It knows a video by the URL of its master playlist alone, and shares no code with what wrote the playlists.
package viewer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/Eyevinn/hls-m3u8/m3u8"
)

const (
	// fetchTimeout is for one object, the largest being a few megabytes from this machine.
	fetchTimeout = 60 * time.Second
	// agreement is how far two renditions' lengths may differ: playlists are written with limited precision.
	agreement = 0.002
	// killDelay is how long ffmpeg's output is waited for after ffmpeg was killed.
	killDelay = 2 * time.Second
)

// Report is what was seen.
type Report struct {
	Renditions int     // video and audio
	Segments   int     // of all renditions
	Bytes      int64   // of all segments and inits
	Duration   float64 // seconds, by the playlists of the video (or of the audio, where there is no video)
	Frames     int     // decoded of each video rendition
}

// rendition is a media playlist that the master lists.
type rendition struct {
	url   *url.URL
	audio bool
	name  string // for error texts
}

// FirstSegment fetches what a player needs for its first picture: the master, a media playlist, its init and its
// first segment.
func FirstSegment(ctx context.Context, master string) error {
	all, err := renditions(ctx, master)
	if err != nil {
		return err
	}
	r := all[0]
	p, err := r.playlist(ctx)
	if err != nil {
		return err
	}
	segments := p.GetAllSegments()
	if len(segments) == 0 || p.Map == nil {
		return fmt.Errorf("%s: the playlist has no segment or no init yet", r.name)
	}
	for _, uri := range []string{p.Map.URI, segments[0].URI} {
		if _, err := r.copyTo(ctx, io.Discard, uri); err != nil {
			return err
		}
	}
	return nil
}

// Watch fetches and decodes everything. Renditions that do not agree are an error.
func Watch(ctx context.Context, master string) (Report, error) {
	all, err := renditions(ctx, master)
	if err != nil {
		return Report{}, err
	}
	sum := Report{Renditions: len(all)}
	var video, audio *seen
	for _, r := range all {
		got, err := r.watch(ctx)
		if err != nil {
			return Report{}, fmt.Errorf("%s: %w", r.name, err)
		}
		sum.Bytes += got.bytes
		sum.Segments += got.segments
		first := &video
		if r.audio {
			first = &audio
		}
		switch {
		case *first == nil:
			*first = &got
		case math.Abs(got.duration-(*first).duration) > agreement:
			return Report{}, fmt.Errorf("%s lasts %.3f s, %s %.3f s", r.name, got.duration, (*first).name, (*first).duration)
		case got.frames != (*first).frames:
			return Report{}, fmt.Errorf("%s has %d frames, %s %d", r.name, got.frames, (*first).name, (*first).frames)
		}
	}
	if video != nil {
		sum.Duration, sum.Frames = video.duration, video.frames
	} else {
		sum.Duration = audio.duration
	}
	return sum, nil
}

// renditions reads the master playlist. There is at least one; video comes first.
func renditions(ctx context.Context, master string) ([]rendition, error) {
	base, err := url.Parse(master)
	if err != nil {
		return nil, fmt.Errorf("master playlist: %w", err)
	}
	var text bytes.Buffer
	if _, err := fetch(ctx, &text, base); err != nil {
		return nil, fmt.Errorf("master playlist: %w", err)
	}
	playlist, kind, err := m3u8.DecodeFrom(&text, true)
	if err != nil {
		return nil, fmt.Errorf("master playlist: %w", err)
	}
	if kind != m3u8.MASTER {
		return nil, errors.New("master playlist: it is a media playlist")
	}
	m := playlist.(*m3u8.MasterPlaylist)

	var all []rendition
	known := map[string]bool{}
	add := func(uri string, audio bool) error {
		if uri == "" || known[uri] {
			return nil
		}
		known[uri] = true
		u, err := base.Parse(uri)
		if err != nil {
			return fmt.Errorf("master playlist: %w", err)
		}
		all = append(all, rendition{url: u, audio: audio, name: uri})
		return nil
	}
	for _, v := range m.Variants {
		if !v.Iframe && !soundOnly(v.Codecs) {
			if err := add(v.URI, false); err != nil {
				return nil, err
			}
		}
	}
	for _, v := range m.Variants {
		if soundOnly(v.Codecs) {
			if err := add(v.URI, true); err != nil {
				return nil, err
			}
		}
	}
	for _, a := range m.GetAllAlternatives() {
		if a.Type == "AUDIO" {
			if err := add(a.URI, true); err != nil {
				return nil, err
			}
		}
	}
	if len(all) == 0 {
		return nil, errors.New("master playlist: it lists nothing")
	}
	return all, nil
}

// soundOnly tells whether a variant of such codecs has no picture.
func soundOnly(codecs string) bool {
	for codec := range strings.SplitSeq(codecs, ",") {
		if !strings.HasPrefix(codec, "mp4a.") {
			return false
		}
	}
	return true
}

// seen is what one rendition showed.
type seen struct {
	name     string
	segments int
	bytes    int64
	duration float64
	frames   int // 0 for audio
}

func (r rendition) playlist(ctx context.Context) (*m3u8.MediaPlaylist, error) {
	var text bytes.Buffer
	if _, err := fetch(ctx, &text, r.url); err != nil {
		return nil, fmt.Errorf("%s: %w", r.name, err)
	}
	p, kind, err := m3u8.DecodeFrom(&text, true)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.name, err)
	}
	if kind != m3u8.MEDIA {
		return nil, fmt.Errorf("%s: it is no media playlist", r.name)
	}
	return p.(*m3u8.MediaPlaylist), nil
}

// watch pipes the init and the segments into a decoder.
func (r rendition) watch(ctx context.Context) (seen, error) {
	p, err := r.playlist(ctx)
	if err != nil {
		return seen{}, err
	}
	got := seen{name: r.name}
	segments := p.GetAllSegments()
	if !p.Closed || len(segments) == 0 || p.Map == nil {
		return got, fmt.Errorf("the playlist is not whole: %d segments, ENDLIST %v, EXT-X-MAP %v", len(segments), p.Closed, p.Map != nil)
	}
	uris := []string{p.Map.URI}
	for _, s := range segments {
		uris = append(uris, s.URI)
		got.duration += s.Duration
	}
	got.segments = len(segments)

	dec, err := decode(ctx)
	if err != nil {
		return got, err
	}
	var fetchErr error
	for _, uri := range uris {
		var n int64
		if n, fetchErr = r.copyTo(ctx, dec.in, uri); fetchErr != nil {
			break
		}
		got.bytes += n
	}
	frames, err := dec.end()
	if err != nil { // the reason, where a fetch failed because the decoder had given up
		return got, errors.Join(err, fetchErr)
	}
	if fetchErr != nil {
		return got, fetchErr
	}
	if frames == 0 && !r.audio {
		return got, errors.New("no frame was decoded")
	}
	got.frames = frames
	return got, nil
}

// copyTo fetches a URI of the rendition's playlist.
func (r rendition) copyTo(ctx context.Context, w io.Writer, uri string) (int64, error) {
	u, err := r.url.Parse(uri)
	if err != nil {
		return 0, err
	}
	n, err := fetch(ctx, w, u)
	if err != nil {
		return n, fmt.Errorf("%s: %w", uri, err)
	}
	return n, nil
}

// fetch gets an object whole. It does not print the URL, which has a token in it.
func fetch(ctx context.Context, w io.Writer, u *url.URL) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if failed := (*url.Error)(nil); errors.As(err, &failed) {
		return 0, failed.Err
	} else if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, errors.New("the Worker answers " + resp.Status)
	}
	return io.Copy(w, resp.Body)
}

// decoder is an ffmpeg that decodes what is written to in.
type decoder struct {
	in            io.WriteCloser
	cmd           *exec.Cmd
	stdout, words bytes.Buffer
}

func decode(ctx context.Context) (*decoder, error) {
	d := &decoder{cmd: exec.CommandContext(ctx, "ffmpeg",
		"-v", "error",
		"-xerror", // the first error ends it
		"-f", "mov", "-i", "pipe:0",
		"-fps_mode", "passthrough", // count what was decoded, not what a constant rate would make of it
		"-progress", "pipe:1",
		"-f", "null", "-")}
	d.cmd.WaitDelay = killDelay
	d.cmd.Stdout, d.cmd.Stderr = &d.stdout, &d.words
	var err error
	if d.in, err = d.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	if err := d.cmd.Start(); err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	return d, nil
}

// end tells the decoder that this was all and returns the number of video frames it decoded.
func (d *decoder) end() (frames int, err error) {
	_ = d.in.Close() // it fails if ffmpeg has ended, of which Wait says more
	err = d.cmd.Wait()
	if words := strings.TrimSpace(d.words.String()); err != nil || words != "" {
		return 0, fmt.Errorf("decode: %w", errors.Join(err, errors.New(words)))
	}
	for line := range strings.Lines(d.stdout.String()) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "frame="); ok {
			if frames, err = strconv.Atoi(strings.TrimSpace(n)); err != nil {
				return 0, fmt.Errorf("decode: %w", err)
			}
		}
	}
	return frames, nil
}

package publish

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"weir/transcoder/internal/job"
	"weir/transcoder/internal/r2"
)

// textClass is that of subtitles, which are named by their content as all media is.
var textClass = r2.Meta{ContentType: "text/vtt", CacheControl: "public, max-age=31536000, immutable"}

// Text writes a segment of subtitles and returns its name in the rendition's folder.
func (t Tree) Text(ctx context.Context, rendition string, number int, data []byte) (name string, err error) {
	name = fmt.Sprintf("segment_%d_%s.vtt", number, hash(data))
	return name, t.once(ctx, t.key(rendition, name), data, textClass)
}

// TextTrack writes the whole of a subtitle track, which the MPD names, and returns its name in the rendition's folder.
func (t Tree) TextTrack(ctx context.Context, rendition string, data []byte) (name string, err error) {
	name = fmt.Sprintf("track_%s.vtt", hash(data))
	return name, t.once(ctx, t.key(rendition, name), data, textClass)
}

// textTracks are the keys of the subtitle tracks that the MPD names: no playlist does.
func (t Tree) textTracks(ctx context.Context) ([]string, error) {
	mpd, _, err := t.bucket.Read(ctx, MPDKey(t.videoID))
	if errors.Is(err, job.ErrNotFound) {
		return nil, nil
	}
	var keys []string
	for part := range strings.SplitSeq(string(mpd), "<BaseURL>") {
		if uri, _, ok := strings.Cut(part, "</BaseURL>"); ok && strings.HasSuffix(uri, ".vtt") {
			keys = append(keys, path.Join(path.Dir(MPDKey(t.videoID)), uri))
		}
	}
	return keys, err
}

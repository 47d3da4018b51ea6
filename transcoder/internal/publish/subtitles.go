package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

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

// TextTrack writes the whole of a subtitle track, which the MPD and the manifest name, and returns its name in the rendition's folder.
func (t Tree) TextTrack(ctx context.Context, rendition string, data []byte) (name string, err error) {
	name = fmt.Sprintf("track_%s.vtt", hash(data))
	return name, t.once(ctx, t.key(rendition, name), data, textClass)
}

// textTracks are the keys of the subtitle tracks that the manifest names: no playlist does.
func (t Tree) textTracks(ctx context.Context) ([]string, error) {
	data, _, err := t.bucket.Read(ctx, ManifestKey(t.videoID))
	if errors.Is(err, job.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var manifest struct {
		Subtitles []struct {
			File string `json:"file"`
		} `json:"subtitles"`
	}
	if err := json.Unmarshal(data, &manifest); err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	var keys []string
	for _, s := range manifest.Subtitles {
		keys = append(keys, t.prefix()+s.File)
	}
	return keys, nil
}

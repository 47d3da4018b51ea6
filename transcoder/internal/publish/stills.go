package publish

import (
	"context"
	"fmt"

	"weir/transcoder/internal/r2"
)

// The classes of pictures. A sheet is a segment of an image playlist, and named like one.
var (
	sheetClass      = r2.Meta{ContentType: "image/jpeg", CacheControl: "public, max-age=31536000, immutable"}
	posterClass     = r2.Meta{ContentType: "image/jpeg", CacheControl: "public, max-age=60"}
	storyboardClass = r2.Meta{ContentType: "text/vtt", CacheControl: "public, max-age=60"}
)

const storyboardFolder = "storyboard/"

// The paths of the pictures in a video's folder.
const (
	PosterPath     = "poster.jpg"
	StoryboardPath = storyboardFolder + "storyboard.vtt"
)

// ImagesPath is the path of a version's image playlist in the video's folder.
func ImagesPath(version int) string { return storyboardFolder + PlaylistName(version) }

// PosterKey and StoryboardKey are the keys of a video's poster, and of the WebVTT file with the pictures along its time line.
// They lead to the version that the master playlist leads to.
func PosterKey(videoID string) string     { return Tree{videoID: videoID}.prefix() + PosterPath }
func StoryboardKey(videoID string) string { return Tree{videoID: videoID}.prefix() + StoryboardPath }

// ImagesURI leads from the master playlist to a version's image playlist.
func ImagesURI(version int) string { return "../" + ImagesPath(version) }

// Sheet writes a sheet of the storyboard and returns its name in the storyboard's folder.
func (t Tree) Sheet(ctx context.Context, number int, data []byte) (name string, err error) {
	name = fmt.Sprintf("segment_%d_%s.jpg", number, hash(data))
	return name, t.once(ctx, t.prefix()+storyboardFolder+name, data, sheetClass)
}

// Images writes a version's image playlist for good. All that it names must have been written.
func (t Tree) Images(ctx context.Context, version int, data []byte) error {
	key := t.prefix() + ImagesPath(version)
	return t.replace(ctx, key, data, playlistClass, func(old []byte) bool { return follows(old, data) })
}

// Poster writes the poster; ours is asked as [Tree.Master] does.
func (t Tree) Poster(ctx context.Context, data []byte, ours func() error) error {
	return t.pointer(ctx, PosterKey(t.videoID), data, posterClass, ours)
}

// Storyboard writes the WebVTT file, the last thing of a storyboard; ours is asked as [Tree.Master] does.
func (t Tree) Storyboard(ctx context.Context, data []byte, ours func() error) error {
	return t.pointer(ctx, StoryboardKey(t.videoID), data, storyboardClass, ours)
}

// PictureName is a name for a picture that says its content.
func PictureName(what string, data []byte) string { return what + "_" + hash(data) + ".jpg" }

// Package publish writes what players see: the keys, the class of each object, and the order of writing.
//
// Media is written once under a name that carries its content's hash; playlists follow when all that they name is there,
// the master playlist last. So a reader of the bucket never meets a name that leads nowhere, and an immutable URL never
// changes its meaning. Start at [Tree]. What the playlists say is the business of package hls.
package publish

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"strings"

	"golang.org/x/sync/errgroup"

	"weir/transcoder/internal/job"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/r2"
)

// Bucket takes the tree. Create answers job.ErrConflict if the object is there already.
type Bucket interface {
	Write(ctx context.Context, key string, data []byte, m r2.Meta) error
	Create(ctx context.Context, key string, data []byte, m r2.Meta) error
	Delete(ctx context.Context, keys ...string) error
	List(ctx context.Context, prefix string) iter.Seq2[r2.Object, error]
}

// The classes of objects. The Worker at the edge has the same table.
var (
	initClass     = r2.Meta{ContentType: "video/mp4", CacheControl: "public, max-age=31536000, immutable"}
	segmentClass  = r2.Meta{ContentType: "video/iso.segment", CacheControl: "public, max-age=31536000, immutable"}
	playlistClass = r2.Meta{ContentType: "application/vnd.apple.mpegurl", CacheControl: "public, max-age=60"}
)

// Names within a video's tree.
const (
	// MasterName is the multivariant playlist, whose appearance makes the video playable.
	MasterName = "master.m3u8"
	// PlaylistName is a rendition's media playlist, in its folder.
	PlaylistName = "playlist.m3u8"
)

// MasterKey is the key of a video's multivariant playlist; its path at the edge is the same.
func MasterKey(videoID string) string { return Tree{videoID: videoID}.key(MasterName) }

// Tree is one video's published objects.
type Tree struct {
	bucket  Bucket
	videoID string
}

// NewTree returns the tree of a video.
func NewTree(bucket Bucket, videoID string) Tree { return Tree{bucket: bucket, videoID: videoID} }

func (t Tree) prefix() string { return "videos/" + t.videoID + "/" }

func (t Tree) key(parts ...string) string {
	return t.prefix() + "hls/" + strings.Join(parts, "/")
}

// Init writes a rendition's init segment and returns its name in the rendition's folder.
func (t Tree) Init(ctx context.Context, rendition string, data []byte) (name string, err error) {
	name = fmt.Sprintf("init_%s.mp4", hash(data))
	return name, t.once(ctx, t.key(rendition, name), data, initClass)
}

// Segment writes a media segment and returns its name in the rendition's folder.
func (t Tree) Segment(ctx context.Context, rendition string, number int, data []byte) (name string, err error) {
	name = fmt.Sprintf("segment_%d_%s.m4s", number, hash(data))
	return name, t.once(ctx, t.key(rendition, name), data, segmentClass)
}

// once writes an object whose name says its content: if it is there, it is the same.
func (t Tree) once(ctx context.Context, key string, data []byte, m r2.Meta) error {
	err := t.bucket.Create(ctx, key, data, m)
	if errors.Is(err, job.ErrConflict) {
		return nil
	}
	return err
}

// hash is enough of SHA-256 that no two segments of a video share it.
func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// Publish makes the video playable: first each rendition's media playlist, then the master. All that the playlists name
// must have been written.
func (t Tree) Publish(ctx context.Context, playlists map[string][]byte, master []byte) error {
	g, gctx := errgroup.WithContext(ctx)
	for rendition, data := range playlists {
		g.Go(func() error { return t.bucket.Write(gctx, t.key(rendition, PlaylistName), data, playlistClass) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return t.bucket.Write(ctx, t.key(MasterName), master, playlistClass)
}

// Sweep removes media that attempts left behind which lost a race: all in the tree that the renditions do not name.
func (t Tree) Sweep(ctx context.Context, renditions []media.Rendition) error {
	keep := map[string]bool{t.key(MasterName): true}
	for _, r := range renditions {
		keep[t.key(r.Name, PlaylistName)] = true
		keep[t.key(r.Name, r.Init)] = true
		for _, s := range r.Segments {
			keep[t.key(r.Name, s.Name)] = true
		}
	}
	return t.remove(ctx, t.key(), func(key string) bool { return !keep[key] })
}

// Withdraw removes the whole tree, the master playlist first: from then on nothing can be played.
func (t Tree) Withdraw(ctx context.Context) error {
	if err := t.bucket.Delete(ctx, t.key(MasterName)); err != nil {
		return err
	}
	return t.remove(ctx, t.prefix(), func(string) bool { return true })
}

func (t Tree) remove(ctx context.Context, prefix string, doomed func(key string) bool) error {
	var keys []string
	for o, err := range t.bucket.List(ctx, prefix) {
		if err != nil {
			return err
		}
		if doomed(o.Key) {
			keys = append(keys, o.Key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	return t.bucket.Delete(ctx, keys...)
}

// Package publish writes what players see: the keys, the class of each object, and the order of writing.
//
// Media is written once under a name that carries its content's hash; playlists follow when all that they name is there,
// the master playlist last, and at the end of the job the MPD and the manifest. So a reader of the bucket never meets a name
// that leads nowhere, and an immutable URL never changes its meaning. A playlist only ever grows, whoever writes it and however
// late. Start at [Tree]. What is written is the business of packages hls, dash and manifest.
package publish

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"path"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"weir/transcoder/internal/job"
	"weir/transcoder/internal/r2"
)

// Bucket takes the tree. Create answers job.ErrConflict if the object is there already, and Replace if another version of
// it is there than the one with the given ETag. Read answers job.ErrNotFound.
type Bucket interface {
	Read(ctx context.Context, key string) (data []byte, etag string, err error)
	Create(ctx context.Context, key string, data []byte, m r2.Meta) error
	Replace(ctx context.Context, key, etag string, data []byte, m r2.Meta) error
	Delete(ctx context.Context, keys ...string) error
	List(ctx context.Context, prefix string) iter.Seq2[r2.Object, error]
}

// The classes of objects. The Worker at the edge has the same table.
var (
	initClass     = r2.Meta{ContentType: "video/mp4", CacheControl: "public, max-age=31536000, immutable"}
	segmentClass  = r2.Meta{ContentType: "video/iso.segment", CacheControl: "public, max-age=31536000, immutable"}
	streamClass   = r2.Meta{ContentType: "video/mp2t", CacheControl: "public, max-age=31536000, immutable"}
	playlistClass = r2.Meta{ContentType: "application/vnd.apple.mpegurl", CacheControl: "public, max-age=60"}
	// growingClass is for playlists that will be longer in a moment.
	growingClass  = r2.Meta{ContentType: "application/vnd.apple.mpegurl", CacheControl: "public, max-age=1"}
	mpdClass      = r2.Meta{ContentType: "application/dash+xml", CacheControl: "public, max-age=60"}
	manifestClass = r2.Meta{ContentType: "application/json", CacheControl: "public, max-age=60"}
)

// MasterName is the multivariant playlist, whose appearance makes the video playable.
const MasterName = "master.m3u8"

// Where in the video's folder players begin, and what says all that is there.
const (
	MasterPath   = "hls/" + MasterName
	MPDPath      = "dash/manifest.mpd"
	ManifestPath = "manifest.json"
)

// PlaylistName is the name of a version's media playlists in the renditions' folders. Each version has its own, so that a
// player that has begun with one version finds all of it, also when the master playlist leads to the next.
func PlaylistName(version int) string {
	if version <= 1 {
		return "playlist.m3u8"
	}
	return fmt.Sprintf("playlist_%d.m3u8", version)
}

// IFramesName is the name of a version's I-frame playlists in the renditions' folders.
func IFramesName(version int) string {
	return strings.Replace(PlaylistName(version), "playlist", "iframes", 1)
}

// MasterKey is the key of a video's multivariant playlist; its path at the edge is the same.
func MasterKey(videoID string) string { return Tree{videoID: videoID}.key(MasterName) }

// MPDKey is the key of a video's MPD, and its path at the edge.
func MPDKey(videoID string) string { return Tree{videoID: videoID}.prefix() + MPDPath }

// ManifestKey is the key of a video's manifest, and its path at the edge.
func ManifestKey(videoID string) string { return Tree{videoID: videoID}.prefix() + ManifestPath }

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

// Stream writes a media segment that is a transport stream and returns its name in the rendition's folder.
func (t Tree) Stream(ctx context.Context, rendition string, number int, data []byte) (name string, err error) {
	name = fmt.Sprintf("segment_%d_%s.ts", number, hash(data))
	return name, t.once(ctx, t.key(rendition, name), data, streamClass)
}

// KeyURI leads from a media playlist to the key of the video's encrypted segments, which the Worker makes: no object is there.
func KeyURI(videoID string) string { return "../../../../keys/" + videoID }

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

// Grow writes a version's media playlists, by rendition, as far as they go so far. All that they name must have been
// written. Where a longer one is there already, it stays.
func (t Tree) Grow(ctx context.Context, version int, playlists map[string][]byte) error {
	return t.playlists(ctx, PlaylistName(version), playlists, growingClass)
}

// Complete writes a version's media playlists for good.
func (t Tree) Complete(ctx context.Context, version int, playlists map[string][]byte) error {
	return t.playlists(ctx, PlaylistName(version), playlists, playlistClass)
}

// IFrames writes a version's I-frame playlists, by rendition, for good.
func (t Tree) IFrames(ctx context.Context, version int, playlists map[string][]byte) error {
	return t.playlists(ctx, IFramesName(version), playlists, playlistClass)
}

func (t Tree) playlists(ctx context.Context, name string, playlists map[string][]byte, m r2.Meta) error {
	g, gctx := errgroup.WithContext(ctx)
	for rendition, data := range playlists {
		g.Go(func() error {
			return t.replace(gctx, t.key(rendition, name), data, m, func(old []byte) bool { return follows(old, data) })
		})
	}
	return g.Wait()
}

// end is the tag of a playlist that grows no more (RFC 8216, section 4.3.3.4).
const end = "#EXT-X-ENDLIST"

// follows tells whether a playlist says all that the old one says and more. One node may be far behind another, and both
// believe that the job is theirs.
func follows(old, data []byte) bool {
	complete := bytes.Contains(old, []byte(end))
	return !complete && (bytes.Contains(data, []byte(end)) || len(data) > len(old) && bytes.HasPrefix(data, old))
}

// Master writes the master playlist: from then on players are led to what it names. ours is asked whether the caller is
// still the one to do so, after it is certain what will be replaced: whoever takes over from then on makes this write fail,
// and it is tried again.
func (t Tree) Master(ctx context.Context, data []byte, growing bool, ours func() error) error {
	class := playlistClass
	if growing {
		class = growingClass
	}
	return t.pointer(ctx, t.key(MasterName), data, class, ours)
}

// MPD writes the MPD for DASH players, which leads to what the complete master playlist leads to. ours is as with Master.
func (t Tree) MPD(ctx context.Context, data []byte, ours func() error) error {
	return t.pointer(ctx, MPDKey(t.videoID), data, mpdClass, ours)
}

// WithdrawMPD removes the MPD of a version that was replaced by one without. ours is as with Master.
func (t Tree) WithdrawMPD(ctx context.Context, ours func() error) error {
	if err := ours(); err != nil {
		return err
	}
	return t.bucket.Delete(ctx, MPDKey(t.videoID))
}

// Manifest writes the manifest, when all that it names is there. ours is as with Master.
func (t Tree) Manifest(ctx context.Context, data []byte, ours func() error) error {
	return t.pointer(ctx, ManifestKey(t.videoID), data, manifestClass, ours)
}

// pointer writes what leads to a version under a name that all versions share.
func (t Tree) pointer(ctx context.Context, key string, data []byte, m r2.Meta, ours func() error) error {
	var refused error
	err := t.replace(ctx, key, data, m, func(old []byte) bool {
		refused = ours()
		return refused == nil && !bytes.Equal(old, data)
	})
	return errors.Join(refused, err)
}

// replace writes an object if what is there, nil for nothing, is to be replaced, and was not replaced by another meanwhile.
func (t Tree) replace(ctx context.Context, key string, data []byte, m r2.Meta, wanted func(old []byte) bool) error {
	for {
		old, etag, err := t.bucket.Read(ctx, key)
		missing := errors.Is(err, job.ErrNotFound)
		switch {
		case err != nil && !missing:
			return err
		case !wanted(old):
			return nil
		case missing:
			err = t.bucket.Create(ctx, key, data, m)
		default:
			err = t.bucket.Replace(ctx, key, etag, data, m)
		}
		if !errors.Is(err, job.ErrConflict) {
			return err
		}
	}
}

// Published says what is published in whole: the version that the master playlist leads to, 0 if there is none, and whether it has an MPD.
func (t Tree) Published(ctx context.Context) (version int, mpd bool, err error) {
	there := func(key string) (data []byte, found bool, err error) {
		data, _, err = t.bucket.Read(ctx, key)
		if errors.Is(err, job.ErrNotFound) {
			return nil, false, nil
		}
		return data, err == nil, err
	}
	if _, whole, err := there(ManifestKey(t.videoID)); !whole {
		return 0, false, err
	}
	master, found, err := there(t.key(MasterName))
	if !found {
		return 0, false, err
	}
	version = 1
	for _, uri := range uris(string(master)) {
		n := 1
		_, _ = fmt.Sscanf(path.Base(uri), "playlist_%d.m3u8", &n) // the first has no number
		version = max(version, n)
	}
	_, mpd, err = there(MPDKey(t.videoID))
	return version, mpd, err
}

// Sweep removes all media and playlists that the master playlist does not lead to: what attempts left behind that lost a race,
// and versions that were replaced. The MPD leads to the same; the manifest names the subtitles' files.
func (t Tree) Sweep(ctx context.Context) error {
	keep, err := t.reachable(ctx)
	if err != nil {
		return fmt.Errorf("sweep the tree: %w", err)
	}
	texts, err := t.textTracks(ctx)
	if err != nil {
		return fmt.Errorf("sweep the tree: %w", err)
	}
	for _, key := range texts {
		keep[key] = true
	}
	doomed := func(key string) bool { return !keep[key] && key != StoryboardKey(t.videoID) }
	return errors.Join(t.remove(ctx, t.key(), doomed), t.remove(ctx, t.prefix()+storyboardFolder, doomed))
}

// Withdraw removes the whole tree, the master playlist and the MPD first: from then on nothing can be played.
func (t Tree) Withdraw(ctx context.Context) error {
	if err := t.bucket.Delete(ctx, t.key(MasterName), MPDKey(t.videoID)); err != nil {
		return err
	}
	return t.remove(ctx, t.prefix(), func(string) bool { return true })
}

// reachable are the keys of the master playlist and of all that it leads to.
func (t Tree) reachable(ctx context.Context) (map[string]bool, error) {
	master := t.key(MasterName)
	keys, playlists := map[string]bool{}, []string{master}
	for len(playlists) > 0 {
		list := playlists[0]
		playlists = playlists[1:]
		data, _, err := t.bucket.Read(ctx, list)
		if errors.Is(err, job.ErrNotFound) && list == master {
			return keys, nil
		}
		if err != nil {
			return nil, err
		}
		keys[list] = true
		for _, uri := range uris(string(data)) {
			key := path.Join(path.Dir(list), uri)
			if strings.HasSuffix(key, ".m3u8") && !keys[key] {
				playlists = append(playlists, key)
			}
			keys[key] = true
		}
	}
	return keys, nil
}

// uris are those that a playlist of ours names, on lines of their own and in attributes.
func uris(playlist string) []string {
	var out []string
	for line := range strings.Lines(playlist) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "#") {
			out = append(out, line)
		} else if _, rest, ok := strings.Cut(line, `URI="`); ok {
			uri, _, _ := strings.Cut(rest, `"`)
			out = append(out, uri)
		}
	}
	return slices.DeleteFunc(out, func(uri string) bool { return uri == "" })
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

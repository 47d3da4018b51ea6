package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/Eyevinn/hls-m3u8/m3u8"

	"weir/transcoder/internal/job"
)

// As long as a video is encoded, whoever looks at it at any moment finds playlists that are valid, that name only what is
// there, and that have only become longer since the last look.
func TestAVideoGrowsUnderItsViewers(t *testing.T) {
	n, hook := start(t, t.TempDir(), nil), receive(t)
	key := upload(t, clip(t, "clip.mp4", "-f", "lavfi", "-i", "testsrc2=d=60:s=1280x720:r=30", "-f", "lavfi", "-i", "sine=d=60", "-c:v", "libx264", "-preset", "ultrafast"))
	posted := time.Now()
	n.post(id(t), key, hook.URL)

	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	looked := make(chan []string)
	go func() { looked <- look(ctx, t, id(t)) }()

	var e event
	select {
	case e = <-hook.playable:
	case <-time.After(patience):
		t.Fatal("it was not playable")
	}
	playable := time.Since(posted)
	if e.Type != "video.playable" || e.VideoID != id(t) {
		t.Errorf("told %+v", e)
	}
	var v video
	n.do("GET", "/videos/"+id(t), nil, &v)
	if v.State != "playable" || v.Progress >= 100 {
		t.Errorf("the job is %+v", v)
	}
	if r := n.do("GET", "/videos/"+id(t)+"/playback", nil, nil); r.StatusCode != 200 {
		t.Errorf("playback answered %s", r.Status)
	}
	if e := hook.next(t, patience); e.Type != "video.processed" {
		t.Fatalf("told %+v", e)
	}
	t.Logf("playable after %v, processed after %v", playable, time.Since(posted))
	kinds := <-looked
	if len(kinds) < 3 || kinds[0] != "EVENT" || kinds[len(kinds)-1] != "VOD" {
		t.Errorf("saw the playlists as %v, want them to grow and to end", kinds)
	}
	for _, r := range readTree(t, id(t)).renditions {
		r.check(t, 1800, 60, 60)
	}
}

// look reads a video's playlists again and again until they are complete, and returns the kind of the first one each time
// that it had changed.
func look(ctx context.Context, t *testing.T, id string) (kinds []string) {
	root, seen := "videos/"+id+"/hls/", map[string][]string{}
	there := map[string]bool{}
	read := func(key string) (m3u8.Playlist, bool) {
		data, _, err := bucket().Read(ctx, key)
		if ctx.Err() != nil || errors.Is(err, job.ErrNotFound) && strings.HasSuffix(key, "master.m3u8") {
			return nil, false
		}
		if err != nil {
			t.Error(err)
			return nil, false
		}
		list, _, err := m3u8.DecodeFrom(bytes.NewReader(data), true)
		if err != nil {
			t.Errorf("%s: %v\n%s", key, err, data)
			return nil, false
		}
		return list, true
	}
	for ; ctx.Err() == nil && (len(kinds) == 0 || kinds[len(kinds)-1] != "VOD"); time.Sleep(100 * time.Millisecond) {
		list, ok := read(root + "master.m3u8")
		if !ok {
			continue
		}
		master := list.(*m3u8.MasterPlaylist)
		var uris []string
		for _, v := range master.Variants {
			uris = append(uris, v.URI)
		}
		for _, a := range master.GetAllAlternatives() {
			uris = append(uris, a.URI)
		}
		for i, uri := range uris {
			list, ok := read(root + uri)
			if !ok {
				continue
			}
			media := list.(*m3u8.MediaPlaylist)
			now := []string{media.Map.URI}
			for _, s := range media.GetAllSegments() {
				now = append(now, s.URI)
			}
			before := seen[uri]
			if len(now) < len(before) || fmt.Sprint(now[:len(before)]) != fmt.Sprint(before) {
				t.Errorf("%s went from %v to %v", uri, before, now)
			}
			if kind := map[m3u8.MediaType]string{m3u8.EVENT: "EVENT", m3u8.VOD: "VOD"}[media.MediaType]; i == 0 && (len(now) > len(before) || kinds[len(kinds)-1] != kind) {
				kinds = append(kinds, kind)
			}
			seen[uri] = now
			for _, name := range now {
				key := root + path.Join(path.Dir(uri), name)
				if there[key] {
					continue
				}
				if _, err := bucket().Stat(ctx, key); err != nil && ctx.Err() == nil {
					t.Errorf("%s names %s: %v", uri, name, err)
				}
				there[key] = true
			}
		}
	}
	return kinds
}

package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/Eyevinn/hls-m3u8/m3u8"
)

// ready makes a file whose pictures are what would be made of them.
func ready(t *testing.T, seconds string) (file string) {
	t.Helper()
	return clip(t, "clip.mp4", "-f", "lavfi", "-i", "testsrc2=s=640x360:r=25:d="+seconds, "-f", "lavfi", "-i", "sine=r=48000:d="+seconds,
		"-c:v", "libx264", "-preset", "veryfast", "-bf", "0", "-g", "50", "-sc_threshold", "0", "-flags", "+cgop", "-pix_fmt", "yuv420p",
		"-color_range", "tv", "-colorspace", "bt709")
}

// damage changes bytes of a file's media from a share of it on.
func damage(t *testing.T, file string, from float64) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	start, end := bytes.Index(data, []byte("mdat")), bytes.LastIndex(data, []byte("moov"))
	if start < 0 || end < start {
		t.Fatal("the file has no index at its end")
	}
	for at := start + int(from*float64(end-start)) + 8; at < end-8; at += 997 {
		data[at] ^= 0x55
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// stored is a record of the bucket.
func stored[T any](t *testing.T, key string) (record T) {
	t.Helper()
	data, _, err := bucket().Read(t.Context(), key)
	if err == nil {
		err = json.Unmarshal(data, &record)
	}
	if err != nil {
		t.Fatal(err)
	}
	return record
}

// checkCopied looks at which renditions are the source's own pictures, and whether the job started over.
func checkCopied(t *testing.T, id string, copied bool) {
	t.Helper()
	type renditions struct {
		Renditions []struct {
			Name   string
			Copied bool
		}
	}
	for _, r := range stored[renditions](t, "videos/"+id+"/manifest.json").Renditions {
		if r.Copied != (copied && r.Name == "360p") {
			t.Errorf("%s is copied: %v", r.Name, r.Copied)
		}
	}
	type record struct {
		Encode bool `json:"encode"`
	}
	if again := stored[record](t, "jobs/"+id+".json").Encode; again == copied {
		t.Errorf("the job started over: %v", again)
	}
}

// A source that is what would be made of it is published as it is; one that only seems so is encoded, and the backend hears of no
// failure.
func TestTheTopRungIsCopied(t *testing.T) {
	const frames, gop, seconds = 250, 50, 10.0
	for _, copied := range []bool{true, false} {
		name := map[bool]string{true: "whole", false: "damaged"}[copied]
		t.Run(name, func(t *testing.T) {
			file := ready(t, "10")
			if !copied {
				damage(t, file, 0)
			}
			n, hook := start(t, t.TempDir(), map[string]string{"LADDER": "360:2000k:96k,180:300k:96k"}), receive(t)
			n.post(id(t), upload(t, file), hook.URL)
			if e := hook.next(t, patience); e.Status != "processed" {
				t.Fatalf("told %+v", e)
			}
			var v video
			if response := n.do(http.MethodGet, "/videos/"+id(t), nil, &v); response.StatusCode != http.StatusOK || v.Version != 1 {
				t.Errorf("the job is %+v", v)
			}
			for _, r := range readTree(t, id(t)).renditions {
				r.check(t, frames, gop, seconds)
			}
			checkCopied(t, id(t), copied)
			if len(hook.events)+len(hook.playable) > 1 {
				t.Error("the backend is told twice")
			}
		})
	}
}

// Damage that is found when the video is watched already changes nothing of what is watched.
func TestDamageIsFoundWhileAVideoIsWatched(t *testing.T) {
	file := ready(t, "60")
	damage(t, file, 0.9)
	n, hook := start(t, t.TempDir(), map[string]string{"LADDER": "360:2000k:96k,180:300k:96k", "TASKS": "1"}), receive(t)
	n.post(id(t), upload(t, file), hook.URL)
	select {
	case <-hook.playable:
	case <-time.After(patience):
		t.Fatal("it is not playable")
	}
	if e := hook.next(t, patience); e.Status != "processed" {
		t.Fatalf("told %+v", e)
	}
	checkCopied(t, id(t), false)
	var v video
	if response := n.do(http.MethodGet, "/videos/"+id(t), nil, &v); response.StatusCode != http.StatusOK || v.Version != 2 {
		t.Errorf("the job is %+v", v)
	}
	if len(hook.events)+len(hook.playable) > 0 {
		t.Error("the backend is told twice")
	}
	list := func(uri string) *m3u8.MediaPlaylist {
		data, _, err := bucket().Read(t.Context(), "videos/"+id(t)+"/hls/"+uri)
		if err != nil {
			t.Fatal(err)
		}
		list, _, err := m3u8.DecodeFrom(bytes.NewReader(data), true)
		if err != nil {
			t.Fatal(err)
		}
		return list.(*m3u8.MediaPlaylist)
	}
	const frames, gop, seconds = 1500, 50, 60.0
	for _, r := range readMaster(t, id(t)).Variants {
		if r.Iframe {
			continue
		}
		if !strings.HasSuffix(r.URI, "/playlist_2.m3u8") {
			t.Errorf("the master playlist leads to %s", r.URI)
		}
		now, before := list(r.URI), list(path.Dir(r.URI)+"/playlist.m3u8")
		if !now.Closed || len(now.GetAllSegments()) != 11 || before.Closed || len(before.GetAllSegments()) == 0 {
			t.Errorf("%s: %d segments now, %d before", r.URI, len(now.GetAllSegments()), len(before.GetAllSegments()))
		}
		media := func(l *m3u8.MediaPlaylist) (media []byte) {
			for _, uri := range append([]string{l.Map.URI}, uris(l)...) {
				data, _, err := bucket().Read(t.Context(), "videos/"+id(t)+"/hls/"+path.Join(path.Dir(r.URI), uri))
				if err != nil {
					t.Fatal(err)
				}
				media = append(media, data...)
			}
			return media
		}
		name := path.Dir(r.URI)
		rendition{name: name, playlist: now, media: media(now)}.check(t, frames, gop, seconds)
		_ = media(before) // all is there
	}
}

func uris(list *m3u8.MediaPlaylist) (uris []string) {
	for _, s := range list.GetAllSegments() {
		uris = append(uris, s.URI)
	}
	return uris
}

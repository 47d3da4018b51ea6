package main

import (
	"bytes"
	"maps"
	"path"
	"slices"
	"testing"

	"github.com/Eyevinn/hls-m3u8/m3u8"
)

// Sound alone, in two languages, becomes a tree without pictures, of which nothing is there that no playlist leads to.
func TestSoundAloneIsPublished(t *testing.T) {
	n, hook := start(t, t.TempDir(), nil), receive(t)
	file := clip(t, "book.mka", "-f", "lavfi", "-i", "sine=f=300:d=20", "-f", "lavfi", "-i", "sine=f=700:d=20", "-map", "0", "-map", "1",
		"-c:a", "flac", "-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=deu")
	n.post(id(t), upload(t, file), hook.URL)
	if e := hook.next(t, patience); e.Type != "video.processed" {
		t.Fatalf("told %+v", e)
	}
	folder := "videos/" + id(t) + "/hls/"
	named := map[string]bool{}
	read := func(key string) m3u8.Playlist {
		named[key] = true
		text, _, err := bucket().Read(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		p, _, err := m3u8.DecodeFrom(bytes.NewReader(text), true)
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		return p
	}
	master := read(folder + "master.m3u8").(*m3u8.MasterPlaylist)
	var uris []string
	for _, v := range master.Variants {
		if v.Iframe || v.Resolution != "" || v.Codecs != "mp4a.40.2" {
			t.Errorf("there is the variant %+v", v)
		}
		uris = append(uris, v.URI)
	}
	for _, a := range master.GetAllAlternatives() {
		if a.URI != "" {
			uris = append(uris, a.URI)
		}
	}
	if len(uris) != 6 {
		t.Errorf("the master leads to %v", uris)
	}
	for _, uri := range uris {
		list := read(folder + uri).(*m3u8.MediaPlaylist)
		named[path.Join(folder, path.Dir(uri), list.Map.URI)] = true
		for _, s := range list.GetAllSegments() {
			named[path.Join(folder, path.Dir(uri), s.URI)] = true
		}
	}
	checkConclusion(t, id(t), named)
	if keys := list(t, "videos/"+id(t)+"/"); !slices.Equal(keys, slices.Sorted(maps.Keys(named))) {
		t.Errorf("there is\n%v, named are\n%v", keys, slices.Sorted(maps.Keys(named)))
	}
	var v video
	n.do("GET", "/videos/"+id(t), nil, &v)
	if v.State != "processed" || v.Progress != 100 || len(v.Renditions) != 6 {
		t.Errorf("the job is %+v", v)
	}
}

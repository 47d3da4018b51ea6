package hls_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"weir/transcoder/internal/hls"
	"weir/transcoder/internal/media"
)

// repackaged is the rendition in another packaging.
func repackaged(r media.Rendition, stream, encrypted bool) media.Rendition {
	if stream {
		r.Init, r.InitBytes = "", 0
	}
	segments := r.Segments
	r.Segments = nil
	for i, s := range segments {
		if stream {
			s.Name = strings.Replace(s.Name, ".m4s", ".ts", 1)
		}
		if encrypted {
			s.IV, r.KeyURI = strings.Repeat(string(rune('a'+i)), 32), "../../../../keys/intro"
			s.KeyFrames = slices.Clone(s.KeyFrames)
			for j, k := range s.KeyFrames {
				s.KeyFrames[j] = media.KeyFrame{Ticks: k.Ticks, Bytes: k.Bytes, Name: fmt.Sprintf("%d_%s", j, s.Name), IV: strings.Repeat(fmt.Sprint(j), 32)}
			}
		}
		r.Segments = append(r.Segments, s)
	}
	return r
}

func TestPlaylistsOfEveryPackaging(t *testing.T) {
	p, renditions := video()
	for name, c := range map[string]struct{ stream, encrypted bool }{
		"stream": {stream: true}, "encrypted": {encrypted: true}, "encrypted_stream": {stream: true, encrypted: true},
	} {
		var all []media.Rendition
		for _, r := range renditions {
			all = append(all, repackaged(r, c.stream, c.encrypted))
		}
		list, err := hls.Media(all[0], p.TargetDuration(), hls.VOD)
		if err != nil {
			t.Fatal(err)
		}
		check(t, name+"_720p.m3u8", list)
		growing, err := hls.Media(all[0], p.TargetDuration(), hls.Event)
		if err != nil {
			t.Fatal(err)
		}
		all[0].Segments = all[0].Segments[:1]
		shorter, err := hls.Media(all[0], p.TargetDuration(), hls.Event)
		if err != nil || !strings.HasPrefix(string(growing), string(shorter)) {
			t.Errorf("%s: the playlist does not grow, %v:\n%s\n%s", name, err, shorter, growing)
		}
		master, err := hls.Master(p, media.Output{Renditions: all}, "playlist.m3u8", "iframes.m3u8", hls.VOD)
		if err != nil {
			t.Fatal(err)
		}
		version := map[bool]string{false: "#EXT-X-VERSION:7\n", true: "#EXT-X-VERSION:4\n"}[c.stream]
		if text := string(master); !strings.Contains(text, version) || !strings.Contains(text, "I-FRAME") {
			t.Errorf("%s: the master is\n%s", name, text)
		}
		trick, ok, err := hls.IFrames(all[1])
		if err != nil || !ok {
			t.Fatalf("%s: I-frames %v, %v", name, ok, err)
		}
		check(t, name+"_480p_iframes.m3u8", trick)
	}
}

package hls_test

import (
	"bytes"
	"testing"

	"github.com/Eyevinn/hls-m3u8/m3u8"

	"weir/transcoder/internal/hls"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
)

func TestAnImagePlaylistSaysWhereEachTileIs(t *testing.T) {
	p, renditions := video()
	p.Storyboard = &plan.Storyboard{Interval: 60, Width: 160, Height: 90, Columns: 3, Rows: 2}
	sheets := []media.Sheet{{Name: "segment_0_a.jpg", Bytes: 30_000}, {Name: "segment_1_b.jpg", Bytes: 20_000}}
	check(t, "images.m3u8", hls.Images(p, sheets))

	line := hls.ImageStream(p, sheets, "../storyboard/playlist.m3u8")
	// The last sheet shows 3.003 s, for 20,000 bytes.
	if want := "#EXT-X-IMAGE-STREAM-INF:BANDWIDTH=53281,RESOLUTION=160x90,CODECS=\"jpeg\",URI=\"../storyboard/playlist.m3u8\"\n"; string(line) != want {
		t.Errorf("got %swant %s", line, want)
	}
	master, err := hls.Master(p, media.Output{Renditions: renditions}, "playlist.m3u8", "iframes.m3u8", hls.VOD)
	if err != nil {
		t.Fatal(err)
	}
	before, _, err := m3u8.DecodeFrom(bytes.NewReader(master), true)
	if err != nil {
		t.Fatal(err)
	}
	after, _, err := m3u8.DecodeFrom(bytes.NewReader(append(master, line...)), true)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(after.(*m3u8.MasterPlaylist).Variants), len(before.(*m3u8.MasterPlaylist).Variants); got != want {
		t.Errorf("who does not know the tag sees %d variants, not %d", got, want)
	}
}

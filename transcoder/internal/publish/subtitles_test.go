package publish_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"weir/transcoder/internal/publish"
	"weir/transcoder/internal/r2/r2test"
)

// The file of a track is named by the MPD alone, and stays for as long as that leads to it.
func TestSweepKeepsSubtitlesThatAreLedTo(t *testing.T) {
	b := &r2test.Bucket{}
	tree := publish.NewTree(b, "intro")
	subtitle := func(version int) (keys []string) {
		ctx := t.Context()
		segment, err := tree.Text(ctx, "subs_en", 0, fmt.Appendf(nil, "segment of version %d", version))
		if err != nil {
			t.Fatal(err)
		}
		track, err := tree.TextTrack(ctx, "subs_en", fmt.Appendf(nil, "track of version %d", version))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(
			tree.Complete(ctx, version, map[string][]byte{"subs_en": []byte("#EXTM3U\n#EXTINF:6,\n" + segment + "\n#EXT-X-ENDLIST\n")}),
			tree.Master(ctx, []byte(`#EXT-X-MEDIA:TYPE=SUBTITLES,URI="subs_en/`+publish.PlaylistName(version)+"\"\n"), false, ours),
			tree.Manifest(ctx, []byte(`{"subtitles": [{"file": "hls/subs_en/`+track+`"}]}`), ours),
		); err != nil {
			t.Fatal(err)
		}
		return []string{"videos/intro/hls/subs_en/" + publish.PlaylistName(version), "videos/intro/hls/subs_en/" + segment, "videos/intro/hls/subs_en/" + track}
	}
	first := subtitle(1)
	if err := tree.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, key := range first {
		if !slices.Contains(b.Keys(""), key) {
			t.Errorf("%s was swept", key)
		}
	}
	second := subtitle(2)
	if err := tree.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := b.Keys("videos/intro/hls/subs_en/"); !slices.Equal(got, second) {
		t.Errorf("left: %v, want %v", got, second)
	}
	for _, key := range second[1:] {
		if m := b.Meta(key); m.ContentType != "text/vtt" || m.CacheControl != "public, max-age=31536000, immutable" {
			t.Errorf("%s is %+v", key, m)
		}
	}
	if broken := b.Broken(); len(broken) > 0 {
		t.Errorf("invariants: %s", strings.Join(broken, ", "))
	}
}

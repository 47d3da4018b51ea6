package publish_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"weir/transcoder/internal/publish"
	"weir/transcoder/internal/r2/r2test"
)

// A tree of encrypted transport streams is written, found and swept as others are; its key is no object.
func TestATreeOfEncryptedStreams(t *testing.T) {
	b := &r2test.Bucket{}
	tree := publish.NewTree(b, "intro")
	name, err := tree.Stream(t.Context(), "720p", 7, []byte("a segment"))
	if err != nil || !strings.HasPrefix(name, "segment_7_") || !strings.HasSuffix(name, ".ts") {
		t.Fatalf("%q, %v", name, err)
	}
	lost, err := tree.Stream(t.Context(), "720p", 7, []byte("of an attempt that lost"))
	if err != nil || lost == name {
		t.Fatalf("%q, %v", lost, err)
	}
	list := "#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI=\"" + publish.KeyURI("intro") + "\",IV=0x00\n#EXTINF:6,\n" + name + "\n#EXT-X-ENDLIST\n"
	err = errors.Join(
		tree.Complete(t.Context(), 1, map[string][]byte{"720p": []byte(list)}),
		tree.Master(t.Context(), []byte("#EXTM3U\n720p/playlist.m3u8\n"), false, ours),
		tree.Sweep(t.Context()),
	)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"videos/intro/hls/720p/playlist.m3u8", "videos/intro/hls/720p/" + name, "videos/intro/hls/master.m3u8"}
	if got := b.Keys(""); !slices.Equal(got, want) {
		t.Errorf("the bucket holds %v, want %v", got, want)
	}
	if m := b.Meta(want[1]); m.ContentType != "video/mp2t" || m.CacheControl != "public, max-age=31536000, immutable" {
		t.Errorf("the segment is %+v", m)
	}
	if broken := b.Broken(); len(broken) != 0 {
		t.Errorf("invariants: %v", broken)
	}
}

func TestWhoLostTheVideoLeavesItsMPD(t *testing.T) {
	b := &r2test.Bucket{}
	tree := publish.NewTree(b, "intro")
	if err := write(t, tree, 1); err != nil {
		t.Fatal(err)
	}
	lost := errors.New("another run has it")
	if err := tree.WithdrawMPD(t.Context(), func() error { return lost }); !errors.Is(err, lost) || !slices.Contains(b.Keys(""), publish.MPDKey("intro")) {
		t.Errorf("%v, left are %v", err, b.Keys(""))
	}
	for range 2 { // again is no error
		if err := tree.WithdrawMPD(t.Context(), ours); err != nil || slices.Contains(b.Keys(""), publish.MPDKey("intro")) {
			t.Errorf("%v, left are %v", err, b.Keys(""))
		}
	}
}

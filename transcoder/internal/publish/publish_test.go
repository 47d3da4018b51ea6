package publish_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"weir/transcoder/internal/media"
	"weir/transcoder/internal/publish"
	"weir/transcoder/internal/r2/r2test"
)

// write publishes a small video and returns the first error. It is written again in whole when it is called again.
func write(t *testing.T, tree publish.Tree) ([]media.Rendition, error) {
	t.Helper()
	ctx := t.Context()
	var renditions []media.Rendition
	playlists := map[string][]byte{}
	var master strings.Builder
	master.WriteString("#EXTM3U\n")
	for _, name := range []string{"720p", "audio_128k"} {
		r := media.Rendition{Name: name}
		var err error
		if r.Init, err = tree.Init(ctx, name, []byte("init of "+name)); err != nil {
			return nil, err
		}
		list := fmt.Sprintf("#EXTM3U\n#EXT-X-MAP:URI=%q\n", r.Init)
		for n := range 3 {
			object, err := tree.Segment(ctx, name, n, fmt.Appendf(nil, "segment %d of %s", n, name))
			if err != nil {
				return nil, err
			}
			r.Segments = append(r.Segments, media.Segment{Number: n, Name: object})
			list += "#EXTINF:6,\n" + object + "\n"
		}
		playlists[name] = []byte(list)
		fmt.Fprintf(&master, "%s/%s\n", name, publish.PlaylistName)
		renditions = append(renditions, r)
	}
	return renditions, tree.Publish(ctx, playlists, []byte(master.String()))
}

func TestATreeIsWrittenBottomUp(t *testing.T) {
	b := &r2test.Bucket{}
	if _, err := write(t, publish.NewTree(b, "intro")); err != nil {
		t.Fatal(err)
	}
	if broken := b.Broken(); len(broken) != 0 {
		t.Errorf("invariants: %v", broken)
	}
	keys := b.Keys("")
	if len(keys) != 11 || !slices.Contains(keys, publish.MasterKey("intro")) {
		t.Errorf("the bucket holds %v", keys)
	}
	for _, key := range keys {
		var want string
		switch {
		case strings.HasSuffix(key, ".m3u8"):
			want = "application/vnd.apple.mpegurl public, max-age=60"
		case strings.Contains(key, "/init_"):
			want = "video/mp4 public, max-age=31536000, immutable"
		default:
			want = "video/iso.segment public, max-age=31536000, immutable"
		}
		if m := b.Meta(key); m.ContentType+" "+m.CacheControl != want {
			t.Errorf("%s is %+v, want %s", key, m, want)
		}
	}
}

// Whatever operation fails, heard or unheard, the same calls again end in the same tree; and until the last of them the
// master playlist names nothing that is missing.
func TestAFaultAnywhereIsMendedByWritingAgain(t *testing.T) {
	clean := &r2test.Bucket{}
	if _, err := write(t, publish.NewTree(clean, "intro")); err != nil {
		t.Fatal(err)
	}
	for _, fault := range []r2test.Fault{r2test.Lost, r2test.Unheard} {
		for _, victim := range clean.Keys("") {
			b := &r2test.Bucket{}
			hit := false
			b.Inject = func(_, key string) r2test.Fault {
				if key == victim && !hit {
					hit = true
					return fault
				}
				return r2test.None
			}
			if _, err := write(t, publish.NewTree(b, "intro")); !errors.Is(err, r2test.ErrInjected) {
				t.Fatalf("fault %d on %s: %v", fault, victim, err)
			}
			if _, err := write(t, publish.NewTree(b, "intro")); err != nil {
				t.Fatalf("fault %d on %s: again: %v", fault, victim, err)
			}
			if got, want := b.Keys(""), clean.Keys(""); !slices.Equal(got, want) {
				t.Errorf("fault %d on %s: %v, want %v", fault, victim, got, want)
			}
			if broken := b.Broken(); len(broken) != 0 {
				t.Errorf("fault %d on %s: %v", fault, victim, broken)
			}
		}
	}
}

func TestSweepTakesWhatNoPlaylistNames(t *testing.T) {
	b := &r2test.Bucket{}
	tree := publish.NewTree(b, "intro")
	renditions, err := write(t, tree)
	if err != nil {
		t.Fatal(err)
	}
	want := b.Keys("")
	if _, err := tree.Segment(t.Context(), "720p", 1, []byte("of an attempt that lost")); err != nil {
		t.Fatal(err)
	}
	if _, err := publish.NewTree(b, "intro2").Segment(t.Context(), "720p", 1, []byte("of another video")); err != nil {
		t.Fatal(err)
	}
	if err := tree.Sweep(t.Context(), renditions); err != nil {
		t.Fatal(err)
	}
	if got := b.Keys("videos/intro/"); !slices.Equal(got, want) {
		t.Errorf("left: %v, want %v", got, want)
	}
	if got := b.Keys("videos/intro2/"); len(got) != 1 {
		t.Errorf("of another video is left: %v", got)
	}
}

func TestWithdrawnNothingIsLeftAndTheMasterGoesFirst(t *testing.T) {
	b := &r2test.Bucket{}
	tree := publish.NewTree(b, "intro")
	if _, err := write(t, tree); err != nil {
		t.Fatal(err)
	}
	var deleted []string
	b.Inject = func(operation, key string) r2test.Fault {
		if operation == "delete" {
			deleted = append(deleted, key)
		}
		return r2test.None
	}
	if err := tree.Withdraw(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := b.Keys(""); len(got) != 0 || len(deleted) != 2 || deleted[0] != publish.MasterKey("intro") {
		t.Errorf("left %v, deleted %v", got, deleted)
	}
}

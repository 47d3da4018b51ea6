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

// write publishes a version of a small video and returns the first error. It is written again in whole when it is called
// again.
func write(t *testing.T, tree publish.Tree, version int) error {
	t.Helper()
	ctx := t.Context()
	playlists := map[string][]byte{}
	var master, mpd strings.Builder
	master.WriteString("#EXTM3U\n")
	mpd.WriteString("<MPD>\n")
	for _, name := range []string{"720p", "audio_128k"} {
		init, err := tree.Init(ctx, name, []byte("init of "+name))
		if err != nil {
			return err
		}
		list := fmt.Sprintf("#EXTM3U\n#EXT-X-MAP:URI=%q\n", init)
		fmt.Fprintf(&mpd, "<BaseURL>../hls/%s/</BaseURL>\n<Initialization sourceURL=%q/>\n", name, init)
		for n := range 3 {
			object, err := tree.Segment(ctx, name, n, fmt.Appendf(nil, "segment %d of %s, version %d", n, name, version))
			if err != nil {
				return err
			}
			list += "#EXTINF:6,\n" + object + "\n"
			fmt.Fprintf(&mpd, "<SegmentURL media=%q/>\n", object)
		}
		playlists[name] = []byte(list + "#EXT-X-ENDLIST\n")
		fmt.Fprintf(&master, "%s/%s\n", name, publish.PlaylistName(version))
	}
	fmt.Fprintf(&master, "#EXT-X-I-FRAME-STREAM-INF:URI=\"720p/%s\"\n", publish.IFramesName(version))
	if err := tree.IFrames(ctx, version, map[string][]byte{"720p": playlists["720p"]}); err != nil {
		return err
	}
	if err := tree.Complete(ctx, version, playlists); err != nil {
		return err
	}
	if err := tree.Master(ctx, []byte(master.String()), false, ours); err != nil {
		return err
	}
	if err := tree.MPD(ctx, []byte(mpd.String()+"</MPD>\n"), ours); err != nil {
		return err
	}
	return tree.Manifest(ctx, fmt.Appendf(nil, `{"version":%d}`, version), ours)
}

func ours() error { return nil }

func TestATreeIsWrittenBottomUp(t *testing.T) {
	b := &r2test.Bucket{}
	if err := write(t, publish.NewTree(b, "intro"), 1); err != nil {
		t.Fatal(err)
	}
	if broken := b.Broken(); len(broken) != 0 {
		t.Errorf("invariants: %v", broken)
	}
	keys := b.Keys("")
	if len(keys) != 14 {
		t.Errorf("the bucket holds %v", keys)
	}
	for _, key := range []string{publish.MasterKey("intro"), publish.MPDKey("intro"), publish.ManifestKey("intro")} {
		if !slices.Contains(keys, key) {
			t.Errorf("the bucket lacks %s", key)
		}
	}
	for _, key := range keys {
		var want string
		switch {
		case strings.HasSuffix(key, ".m3u8"):
			want = "application/vnd.apple.mpegurl public, max-age=60"
		case strings.HasSuffix(key, ".mpd"):
			want = "application/dash+xml public, max-age=60"
		case strings.HasSuffix(key, ".json"):
			want = "application/json public, max-age=60"
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

// Whatever operation fails, heard or unheard, the same calls again end in the same tree; and until the last of them neither the
// master playlist nor the MPD names anything that is missing.
func TestAFaultAnywhereIsMendedByWritingAgain(t *testing.T) {
	clean := &r2test.Bucket{}
	if err := write(t, publish.NewTree(clean, "intro"), 1); err != nil {
		t.Fatal(err)
	}
	for _, fault := range []r2test.Fault{r2test.Lost, r2test.Unheard} {
		for _, victim := range clean.Keys("") {
			b := &r2test.Bucket{}
			hit := false
			b.Inject(func(operation, key string) r2test.Fault {
				if key == victim && operation != "read" && !hit {
					hit = true
					return fault
				}
				return r2test.None
			})
			if err := write(t, publish.NewTree(b, "intro"), 1); !errors.Is(err, r2test.ErrInjected) {
				t.Fatalf("fault %d on %s: %v", fault, victim, err)
			}
			if err := write(t, publish.NewTree(b, "intro"), 1); err != nil {
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

func TestSweepTakesWhatTheMasterDoesNotLeadTo(t *testing.T) {
	b := &r2test.Bucket{}
	tree := publish.NewTree(b, "intro")
	if err := tree.Sweep(t.Context()); err != nil {
		t.Errorf("nothing there: %v", err)
	}
	if err := write(t, tree, 1); err != nil {
		t.Fatal(err)
	}
	first := b.Keys("")
	if _, err := tree.Segment(t.Context(), "720p", 1, []byte("of an attempt that lost")); err != nil {
		t.Fatal(err)
	}
	if _, err := publish.NewTree(b, "intro2").Segment(t.Context(), "720p", 1, []byte("of another video")); err != nil {
		t.Fatal(err)
	}
	if err := tree.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := b.Keys("videos/intro/"); !slices.Equal(got, first) {
		t.Errorf("left: %v, want %v", got, first)
	}
	if got := b.Keys("videos/intro2/"); len(got) != 1 {
		t.Errorf("of another video is left: %v", got)
	}

	if err := write(t, tree, 2); err != nil {
		t.Fatal(err)
	}
	for _, key := range first {
		if !slices.Contains(b.Keys(""), key) {
			t.Errorf("%s of the version that was replaced is gone before the sweep", key)
		}
	}
	if err := tree.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, key := range b.Keys("videos/intro/hls/") {
		if slices.Contains(first, key) && !strings.Contains(key, "/init_") && key != publish.MasterKey("intro") {
			t.Errorf("%s of the version that was replaced is left", key)
		}
	}
	if got := len(b.Keys("videos/intro/")); got != len(first) {
		t.Errorf("%d objects are left, want %d", got, len(first))
	}
}

// The pictures of a version that was replaced stay until the sweep, as all of it does; what people are led to stays for good.
func TestSweepTakesThePicturesOfAReplacedVersion(t *testing.T) {
	b := &r2test.Bucket{}
	tree := publish.NewTree(b, "intro")
	illustrate := func(version int) (sheet string) {
		ctx := t.Context()
		sheet, err := tree.Sheet(ctx, 0, fmt.Appendf(nil, "sheet of version %d", version))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(
			tree.Images(ctx, version, []byte("#EXTM3U\n#EXT-X-IMAGES-ONLY\n#EXTINF:6,\n"+sheet+"\n#EXT-X-ENDLIST\n")),
			tree.Master(ctx, []byte(`#EXT-X-IMAGE-STREAM-INF:BANDWIDTH=1,URI="`+publish.ImagesURI(version)+"\"\n"), false, ours),
			tree.Storyboard(ctx, []byte("WEBVTT "+sheet), ours),
			tree.Poster(ctx, fmt.Appendf(nil, "poster of version %d", version), ours),
		); err != nil {
			t.Fatal(err)
		}
		return "videos/intro/storyboard/" + sheet
	}
	first := illustrate(1)
	second := illustrate(2)
	if !slices.Contains(b.Keys(""), first) {
		t.Error("the first sheet is gone before the sweep")
	}
	if err := tree.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"videos/intro/hls/master.m3u8", "videos/intro/poster.jpg", "videos/intro/storyboard/playlist_2.m3u8", second, publish.StoryboardKey("intro"),
	}
	if got := b.Keys(""); !slices.Equal(got, want) {
		t.Errorf("left: %v, want %v", got, want)
	}
	for key, want := range map[string]string{
		second:                         "image/jpeg public, max-age=31536000, immutable",
		publish.PosterKey("intro"):     "image/jpeg public, max-age=60",
		publish.StoryboardKey("intro"): "text/vtt public, max-age=60",
	} {
		if m := b.Meta(key); m.ContentType+" "+m.CacheControl != want {
			t.Errorf("%s is %+v, want %s", key, m, want)
		}
	}
	lost := errors.New("lost")
	if err := tree.Poster(t.Context(), []byte("of a straggler"), func() error { return lost }); !errors.Is(err, lost) {
		t.Errorf("written by one who had lost the video: %v", err)
	}
	if data, _, err := b.Read(t.Context(), publish.PosterKey("intro")); err != nil || string(data) != "poster of version 2" {
		t.Errorf("the poster is %q, %v", data, err)
	}
	if broken := b.Broken(); len(broken) > 0 {
		t.Errorf("invariants: %v", broken)
	}
}

func TestWhatIsPublishedIsKnownWithoutARecord(t *testing.T) {
	b := &r2test.Bucket{}
	tree := publish.NewTree(b, "intro")
	published := func(version int, mpd bool) {
		t.Helper()
		if v, m, err := tree.Published(t.Context()); v != version || m != mpd || err != nil {
			t.Errorf("version %d is published, with an MPD: %v, %v", v, m, err)
		}
	}
	published(0, false)
	for _, version := range []int{1, 2, 12} {
		if err := write(t, tree, version); err != nil {
			t.Fatal(err)
		}
		published(version, true)
	}
	if err := tree.WithdrawMPD(t.Context(), ours); err != nil {
		t.Fatal(err)
	}
	published(12, false)
	b.Inject(func(_, key string) r2test.Fault {
		if strings.HasSuffix(key, "master.m3u8") {
			return r2test.Lost
		}
		return r2test.None
	})
	if v, _, err := tree.Published(t.Context()); err == nil {
		t.Errorf("while the bucket is away, it is version %d", v)
	}
}

// Two nodes may both believe that a job is theirs, and one of them be far behind.
func TestAPlaylistOnlyGrows(t *testing.T) {
	const one, two, whole = "#EXTM3U\na\n", "#EXTM3U\na\nb\n", "#EXTM3U\n#VOD\na\nb\nc\n#EXT-X-ENDLIST\n"
	b := &r2test.Bucket{}
	tree := publish.NewTree(b, "intro")
	grow := func(list string) error {
		return tree.Grow(t.Context(), 1, map[string][]byte{"720p": []byte(list)})
	}
	for _, step := range []struct {
		name  string
		write func() error
		want  string
	}{
		{"the first", func() error { return grow(one) }, one},
		{"longer", func() error { return grow(two) }, two},
		{"by one that is behind", func() error { return grow(one) }, two},
		{"by one that made something else", func() error { return grow("#EXTM3U\na\nx\ny\n") }, two},
		{"complete", func() error { return tree.Complete(t.Context(), 1, map[string][]byte{"720p": []byte(whole)}) }, whole},
		{"by one that is behind the end", func() error { return grow(two) }, whole},
	} {
		if err := step.write(); err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
		data, _, err := b.Read(t.Context(), "videos/intro/hls/720p/playlist.m3u8")
		if err != nil || string(data) != step.want {
			t.Errorf("%s: it says %q, %v; want %q", step.name, data, err, step.want)
		}
	}
	if m := b.Meta("videos/intro/hls/720p/playlist.m3u8"); m.CacheControl != "public, max-age=60" {
		t.Errorf("the complete one is kept for %s", m.CacheControl)
	}
}

// A node that was frozen while its run was superseded must not lead players back.
func TestWhoLostTheVideoDoesNotWriteWhatLeadsToIt(t *testing.T) {
	for _, c := range []struct {
		key   string
		write func(tree publish.Tree, text string, ours func() error) error
	}{
		{publish.MasterKey("intro"), func(tree publish.Tree, text string, ours func() error) error {
			return tree.Master(t.Context(), []byte(text), false, ours)
		}},
		{publish.MPDKey("intro"), func(tree publish.Tree, text string, ours func() error) error {
			return tree.MPD(t.Context(), []byte(text), ours)
		}},
		{publish.ManifestKey("intro"), func(tree publish.Tree, text string, ours func() error) error {
			return tree.Manifest(t.Context(), []byte(text), ours)
		}},
	} {
		t.Run(c.key, func(t *testing.T) {
			b := &r2test.Bucket{}
			tree := publish.NewTree(b, "intro")
			if err := c.write(tree, "old", ours); err != nil {
				t.Fatal(err)
			}
			lost := errors.New("lost")
			if err := c.write(tree, "mine", func() error { return lost }); !errors.Is(err, lost) {
				t.Errorf("written by one who had lost it: %v", err)
			}
			asked := 0
			err := c.write(tree, "mine", func() error {
				if asked++; asked > 1 {
					return lost
				}
				// Frozen after it was told that the video is its own; meanwhile another takes over and publishes.
				return c.write(tree, "new", ours)
			})
			if !errors.Is(err, lost) {
				t.Errorf("written after another took over: %v", err)
			}
			if data, _, _ := b.Read(t.Context(), c.key); string(data) != "new" {
				t.Errorf("it says %q", data)
			}
		})
	}
}

func TestWithdrawnNothingIsLeftAndWhatPlayersBeginWithGoesFirst(t *testing.T) {
	b := &r2test.Bucket{}
	tree := publish.NewTree(b, "intro")
	if err := write(t, tree, 1); err != nil {
		t.Fatal(err)
	}
	var deleted []string
	b.Inject(func(operation, key string) r2test.Fault {
		if operation == "delete" {
			deleted = append(deleted, key)
		}
		return r2test.None
	})
	if err := tree.Withdraw(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := b.Keys(""); len(got) != 0 || len(deleted) != 2 || deleted[0] != publish.MasterKey("intro")+" "+publish.MPDKey("intro") {
		t.Errorf("left %v, deleted %v", got, deleted)
	}
}

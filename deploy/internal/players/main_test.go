package players_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"weir/deploy/internal/chromium"
	"weir/deploy/internal/sample"
	"weir/deploy/internal/stack"
	"weir/deploy/local"
)

// startTimeout: the transcoder may have to be compiled.
const startTimeout = 3 * time.Minute

const videoID = "clip"

// clip is what is played. The transcoder makes heights of it.
var (
	clip       = sample.Sample{Width: 854, Height: 480, Duration: 5 * time.Second, Rate: 30}
	clipFrames = int(clip.Duration.Seconds()) * clip.Rate
	heights    = []int{360, 480}
)

// world is what every test uses. TestMain makes it, because a start costs seconds.
type world struct {
	weir    *stack.Stack
	site    *httptest.Server // has the pages, and is another origin than the Worker
	browser context.Context  // chromedp's
}

var theWorld world

func TestMain(m *testing.M) {
	// Players mostly wait for the time to pass: twice as many as a small machine has cores. A flag of the caller's own comes later.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	code, err := testMain(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "players:", err)
		code = 1
	}
	os.Exit(code)
}

func testMain(m *testing.M) (code int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	dir, err := os.MkdirTemp("", "weir-players-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	root, err := local.Root()
	if err != nil {
		return 1, err
	}
	theWorld.site = httptest.NewServer(site(filepath.Join(root, "edge-auth", "node_modules")))
	defer theWorld.site.Close()
	// Browsers send cookies only to whoever names the page's origin.
	theWorld.weir, err = stack.Start(ctx, stack.Options{Settings: map[string]string{"ALLOWED_ORIGINS": theWorld.site.URL}})
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, theWorld.weir.Stop()) }()
	if err := transcode(ctx, filepath.Join(dir, "clip.mp4")); err != nil {
		return 1, err
	}
	browser, stop, err := chromium.Start(context.Background(), filepath.Join(dir, "chromium"))
	defer func() { err = errors.Join(err, stop()) }()
	if err != nil {
		return 1, err
	}
	theWorld.browser = browser
	return m.Run(), nil
}

// transcode makes the clip, by way of a file, and has it made a video.
func transcode(ctx context.Context, file string) error {
	const key = "uploads/clip.mp4"
	if err := errors.Join(clip.Make(ctx, file), theWorld.weir.Upload(ctx, file, key)); err != nil {
		return err
	}
	ctx, unguard := theWorld.weir.Guard(ctx)
	defer unguard()
	if _, err := theWorld.weir.Submit(ctx, videoID, key); err != nil {
		return err
	}
	return theWorld.weir.Processed(ctx, videoID)
}

// mint signs a token for the clip that lives so long.
func mint(t *testing.T, life time.Duration) string { return mintFor(t, videoID, life) }

// mintFor signs one for a video.
func mintFor(t *testing.T, id string, life time.Duration) string {
	t.Helper()
	token, err := theWorld.weir.Cloud.Token(id, life)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

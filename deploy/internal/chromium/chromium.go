// Package chromium starts the browser in which tests play videos.
package chromium

import (
	"context"
	"fmt"
	"os/exec"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// Start starts a headless Chromium that keeps its profile in dir. The context is the browser's, for chromedp; stop waits for
// Chromium's end, and is owed whether or not Start fails.
func Start(ctx context.Context, dir string) (browser context.Context, stop func() error, err error) {
	program, err := exec.LookPath("chromium")
	if err != nil {
		return nil, func() error { return nil }, fmt.Errorf("%w: run `go tool task setup`", err)
	}
	allocator, closeAllocator := chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program),
		chromedp.UserDataDir(dir),
		chromedp.NoSandbox, // tests may run as root, where Chromium's own sandbox does not start
		chromedp.DisableGPU,
		chromedp.WindowSize(1280, 900),
		chromedp.Flag("autoplay-policy", "no-user-gesture-required"),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
	)...)
	browser, closeBrowser := chromedp.NewContext(allocator)
	stop = func() error {
		err := chromedp.Cancel(browser) // waits for Chromium's end
		closeBrowser()
		closeAllocator()
		return err
	}
	if err := chromedp.Run(browser); err != nil {
		return browser, stop, fmt.Errorf("start chromium: %w", err)
	}
	return browser, stop, nil
}

// Window opens a window of a browser that Start has started, until the test ends, with a profile of its own: it shares no cookie and no cache
// with another, and plays while others do, as a tab behind another tab does not. The context is the window's, for chromedp.
func Window(t testing.TB, browser context.Context) context.Context {
	t.Helper()
	ctx := cdp.WithExecutor(browser, chromedp.FromContext(browser).Browser)
	profile, err := target.CreateBrowserContext().Do(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := target.DisposeBrowserContext(profile).Do(ctx); err != nil {
			t.Error(err)
		}
	})
	// chromedp's own option asks for a tab, and a new profile has no window for one.
	id, err := target.CreateTarget("about:blank").WithBrowserContextID(profile).WithNewWindow(true).Do(ctx)
	if err != nil {
		t.Fatal(err)
	}
	window, leave := chromedp.NewContext(browser, chromedp.WithTargetID(id))
	t.Cleanup(leave)
	return window
}

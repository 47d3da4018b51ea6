// Package players has no code but its tests: every player that Weir promises plays a video of Weir, with its token in every
// way that the player can carry it.
//
// They start all of Weir once, transcode a clip, and have players in a headless Chromium and on the command line play it to
// its end, each through a proxy that notes what it asks the Worker for. Start with players_test.go, which has the
// table; pages/ has a page for each player in the browser.
package players

// Package e2e has no code but its tests: Weir from the upload to a picture in a real browser.
//
// They start the local Cloudflare, the transcoder and a headless Chromium once, put videos in at one end, and have
// hls.js play them at the other, through the Worker. What a video looks like is judged by the browser's own buffers.
// Start with play_test.go; main_test.go is what they stand on, source_test.go makes the videos.
package e2e

package r2test_test

import (
	"slices"
	"strings"
	"testing"

	"weir/transcoder/internal/r2"
	"weir/transcoder/internal/r2/r2test"
)

func TestFakeKeepsTheContract(t *testing.T) { r2test.Contract(t, new(r2test.Bucket)) }

func TestFakeNoticesBrokenInvariants(t *testing.T) {
	var b r2test.Bucket
	ctx := t.Context()
	for _, data := range []string{"one", "two"} {
		if err := b.Write(ctx, "v/segment.m4s", []byte(data), r2.Meta{CacheControl: "max-age=1, immutable"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Write(ctx, "v/list.m3u8", []byte("#EXT-X-MAP:URI=\"init.mp4\"\nsegment.m4s\n"), r2.Meta{}); err != nil {
		t.Fatal(err)
	}
	broken := b.Broken()
	for _, want := range []string{"immutable object was rewritten: v/segment.m4s", "names init.mp4"} {
		if !slices.ContainsFunc(broken, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("%q was not noticed: %v", want, broken)
		}
	}
	if len(broken) != 2 {
		t.Errorf("noticed %v", broken)
	}
}

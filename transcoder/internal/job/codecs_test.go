package job_test

import (
	"strings"
	"testing"

	"weir/transcoder/internal/job"
)

func TestCodecsAreOnesThatThereAreOnceEachAndH264(t *testing.T) {
	for text, want := range map[string]string{
		"h264":             "",
		"av1, h264,hevc":   "",
		"":                 `codecs has ""`,
		"h264,h265":        `codecs has "h265": it may have h264, hevc, av1`,
		"h264,av1,av1":     `codecs has "av1" twice`,
		"hevc,av1":         `codecs lacks "h264": add it`,
		"vp9,hevc,vp9":     `codecs lacks "h264"`,
		"h264,H264":        `codecs has "H264"`,
		"h264,hevc,,av1":   `codecs has ""`,
		"h264;hevc":        `codecs has "h264;hevc"`,
		"h264,av1,av1,vp8": `"vp8"`,
	} {
		_, err := job.ParseCodecs(text)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestTheOrderOfCodecsMeansNothing(t *testing.T) {
	at := 1.0
	again := at
	a := job.Spec{VideoID: "a", PosterAt: &at, Codecs: job.Codecs{job.H264, job.AV1}, Priority: 1}
	b := job.Spec{VideoID: "a", PosterAt: &again, Codecs: job.Codecs{job.AV1, job.H264}, Priority: 2}
	if !a.Same(b) || !b.Same(a) {
		t.Error("another order is another request")
	}
	b.Codecs = nil
	if a.Same(b) || b.Same(a) {
		t.Error("the configuration's choice is that of the request")
	}
}

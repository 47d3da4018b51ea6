package hls_test

import (
	"strings"
	"testing"

	"weir/transcoder/internal/hls"
	"weir/transcoder/internal/job"
	"weir/transcoder/internal/media"
)

// A player that takes the first variant it finds gets H.264, whatever rate the others have.
func TestFurtherCodecsComeAfterAllOfH264(t *testing.T) {
	p, renditions := video()
	p = p.In(job.Codecs{job.H264, job.HEVC, job.AV1})
	for _, further := range []struct{ codec, codecs string }{{"hevc", "hvc1.1.6.L93.90"}, {"av1", "av01.0.05M.08"}} {
		for _, r := range renditions[:3] {
			r.Name, r.Codecs = r.Name+"_"+further.codec, further.codecs
			// The topmost has just the rate at which players are to begin.
			segments := r.Segments
			r.Segments = nil
			for _, s := range segments {
				r.Segments = append(r.Segments, media.Segment{Number: s.Number, Name: s.Name, Ticks: s.Ticks, Bytes: s.Bytes * 9 / 10, KeyFrames: s.KeyFrames})
			}
			renditions = append(renditions, r)
		}
	}
	master, err := hls.Master(p, media.Output{Renditions: renditions}, "playlist.m3u8", "iframes.m3u8", hls.VOD)
	if err != nil {
		t.Fatal(err)
	}
	check(t, "codecs_master.m3u8", master)
	var order []string
	for line := range strings.Lines(string(master)) {
		if !strings.HasPrefix(line, "#") {
			order = append(order, strings.TrimSuffix(strings.TrimSpace(line), "/playlist.m3u8"))
		}
	}
	if got := strings.Join(order, " "); got != "720p 480p 360p 720p_hevc 480p_hevc 360p_hevc 720p_av1 480p_av1 360p_av1" {
		t.Errorf("the variants are %s", got)
	}
	growing, err := hls.Master(p.Only(job.H264), media.Output{Renditions: renditions}, "playlist.m3u8", "iframes.m3u8", hls.Event)
	if err != nil || strings.Contains(string(growing), "_av1") {
		t.Errorf("while it grows: %v\n%s", err, growing)
	}
}

package hls

import (
	"bytes"
	"fmt"
	"math"

	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
)

// Images writes the playlist of a storyboard's sheets, by the Image Media Playlist specification, version 0.4: each sheet is a
// segment, and says how many tiles it has and how long one is shown.
func Images(p plan.Plan, sheets []media.Sheet) []byte {
	s := p.Storyboard
	var out bytes.Buffer
	target := 0.0
	for n := range sheets {
		target = max(target, sheetSeconds(p, n))
	}
	fmt.Fprintf(&out, "#EXTM3U\n#EXT-X-VERSION:%d\n#EXT-X-TARGETDURATION:%d\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-IMAGES-ONLY\n",
		version, max(int(math.Round(target)), 1))
	for n, sheet := range sheets {
		fmt.Fprintf(&out, "#EXT-X-TILES:RESOLUTION=%dx%d,LAYOUT=%dx%d,DURATION=%.*f\n#EXTINF:%.*f,\n%s\n",
			s.Width, s.Height, s.Columns, s.Rows, precision, p.Source.Video.Rate.Seconds(s.Interval),
			precision, sheetSeconds(p, n), sheet.Name)
	}
	out.WriteString("#EXT-X-ENDLIST\n")
	return out.Bytes()
}

// ImageStream is the line of a multivariant playlist that names the playlist of [Images]. Players that do not know the tag ignore
// it (RFC 8216, section 6.3.1). The bandwidth is that of the largest sheet over the time that it shows.
func ImageStream(p plan.Plan, sheets []media.Sheet, uri string) []byte {
	peak := 1.0
	for n, sheet := range sheets {
		peak = max(peak, float64(sheet.Bytes)*8/sheetSeconds(p, n))
	}
	return fmt.Appendf(nil, "#EXT-X-IMAGE-STREAM-INF:BANDWIDTH=%.0f,RESOLUTION=%dx%d,CODECS=\"jpeg\",URI=%q\n",
		math.Ceil(peak), p.Storyboard.Width, p.Storyboard.Height, uri)
}

// sheetSeconds is how much of the video a sheet shows.
func sheetSeconds(p plan.Plan, n int) float64 {
	first, end := p.Sheet(n)
	return p.Source.Video.Rate.Seconds(p.Tile(end-1).End - p.Tile(first).First)
}

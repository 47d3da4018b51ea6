package picture

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
)

// chart draws, for each clip, the time and the bytes of each way as bars beside each other, as an SVG.
func chart(r Result) []byte {
	const (
		width, left, bar, gap, top = 760, 90, 18, 26, 64
		scale                      = 500.0 // of the longest bar
	)
	ways := []string{weirName, sequentialName, singleName}
	colours := map[string]string{weirName: "#1f6f8b", sequentialName: "#b0b7bd", singleName: "#d5d9dc"}
	names := slices.Sorted(maps.Keys(r.Clips))
	panels := []struct {
		title, unit string
		of          func(Taken) float64
	}{
		{"How long it takes, in seconds", "s", func(t Taken) float64 { return t.Wall }},
		{"What is stored, in megabytes", "MB", func(t Taken) float64 { return float64(t.Bytes) / 1e6 }},
	}
	panel := top + len(names)*(len(ways)*bar+gap)
	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="13">`+"\n", width, len(panels)*panel+20)
	out.WriteString(`<rect width="100%" height="100%" fill="white"/>` + "\n")
	for i, p := range panels {
		y, longest := i*panel+26, 0.0
		for _, name := range names {
			for _, way := range ways {
				longest = max(longest, p.of(r.Clips[name].Ways[way]))
			}
		}
		fmt.Fprintf(&out, `<text x="%d" y="%d" font-size="15" font-weight="bold">%s</text>`+"\n", left, y, p.title)
		y += 24
		for _, name := range names {
			fmt.Fprintf(&out, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", left-10, y+bar*len(ways)/2+4, name)
			for _, way := range ways {
				value := p.of(r.Clips[name].Ways[way])
				length := scale * value / max(longest, 1e-9)
				fmt.Fprintf(&out, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", left, y, length, bar-3, colours[way])
				fmt.Fprintf(&out, `<text x="%.1f" y="%d">%.1f %s  %s</text>`+"\n", left+length+6, y+bar-6, value, p.unit, way)
				y += bar
			}
			y += gap
		}
	}
	out.WriteString("</svg>\n")
	return out.Bytes()
}

package picture_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weir/deploy/internal/bench/picture"
)

func TestShortRunCompares(t *testing.T) {
	temp, chart := t.TempDir(), filepath.Join(t.TempDir(), "chart.svg")
	t.Setenv("TMPDIR", temp)
	var out bytes.Buffer
	opts := picture.Options{Short: true, Only: []string{"easy"}, Chart: chart}
	if err := picture.Run(t.Context(), opts, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	t.Log(out.String())
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	last, ok := strings.CutPrefix(lines[len(lines)-1], "RESULT ")
	var r picture.Result
	if err := json.Unmarshal([]byte(last), &r); !ok || err != nil {
		t.Fatalf("last line %q: %v", lines[len(lines)-1], err)
	}
	if r.WallSequential <= 0 || r.WallSingle <= 0 || r.CPUSequential <= 0 || r.CPUFloor <= 0 || r.Bytes <= 0 || r.SSIM <= 0.8 || r.SSIM > 1 {
		t.Errorf("result %+v", r)
	}
	if c := r.Clips["easy"]; c.Playable <= 0 || r.BDRate != c.BDRate || c.BDRate == 0 || c.BDRate < -90 || c.BDRate > 500 {
		t.Errorf("clip %+v", c)
	}
	for way, taken := range r.Clips["easy"].Ways {
		if taken.Wall <= 0 || taken.CPU <= 0 || way != "floor" && (taken.Bytes <= 0 || len(taken.Rungs) != 3) {
			t.Errorf("%s: %+v", way, taken)
		}
		for rung, g := range taken.Rungs {
			if g.PSNR <= 20 || g.SSIM <= 0.8 || g.SSIM > 1 {
				t.Errorf("%s, %s: %+v", way, rung, g)
			}
		}
	}
	drawn, err := os.ReadFile(chart)
	if err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(bytes.NewReader(drawn)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the chart is no SVG: %v", err)
		}
	}
}

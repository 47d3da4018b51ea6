package plan_test

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"weir/transcoder/internal/job"
	"weir/transcoder/internal/plan"
)

func TestFurtherCodecsHaveTheSameRungsAtLowerRates(t *testing.T) {
	p := plan.Make("k", "e", 1, source(854, 480, 20, true), ladder(t, plan.DefaultLadder)).In(job.Codecs{job.AV1, job.H264, job.HEVC})
	var got []string
	for _, v := range p.Video {
		got = append(got, fmt.Sprintf("%s %s %dx%d %d %s", v.Name, v.Coding(), v.Width, v.Height, v.Bitrate, v.Audio))
	}
	want := []string{
		"480p h264 854x480 1400000 audio_128k", "360p h264 640x360 800000 audio_96k",
		"480p_hevc hevc 854x480 980000 audio_128k", "360p_hevc hevc 640x360 560000 audio_96k",
		"480p_av1 av1 854x480 840000 audio_128k", "360p_av1 av1 640x360 480000 audio_96k",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if c := p.Codecs().String(); c != "h264, hevc, av1" {
		t.Errorf("the codecs are %s", c)
	}
	if r := fmt.Sprint(p.Only(job.AV1).Renditions()); r != "[480p_av1 360p_av1 audio_128k audio_96k]" {
		t.Errorf("AV1 alone is %s", r)
	}
}

// What is copied is in H.264, and so is the rung below it, from whose decoding one learns of damage: only that is strict, and the
// further codecs encode all of their rungs.
func TestOnlyH264IsStrict(t *testing.T) {
	p := plan.Make("k", "e", 1, source(854, 480, 20, true), ladder(t, plan.DefaultLadder)).In(job.Codecs{job.H264, job.HEVC}).Copy()
	first, further := p.Only(job.H264), p.Only(job.HEVC)
	if r := fmt.Sprint(first.Encoded().Renditions()); !first.Strict || r != "[360p audio_128k audio_96k]" {
		t.Errorf("H.264 encodes %s, strictly: %t", r, first.Strict)
	}
	if r := fmt.Sprint(further.Encoded().Renditions()); further.Strict || r != "[480p_hevc 360p_hevc audio_128k audio_96k]" {
		t.Errorf("HEVC encodes %s, strictly: %t", r, further.Strict)
	}
}

// An encoder that cannot take a picture is not asked to.
func TestPicturesTooSmallForACodecAreLeftOut(t *testing.T) {
	for _, c := range []struct {
		width, height int
		want          string
	}{{128, 96, "[96p 96p_hevc 96p_av1]"}, {100, 62, "[62p 62p_hevc]"}, {640, 14, "[14p]"}} {
		p := plan.Make("k", "e", 1, source(c.width, c.height, 2, false), ladder(t, "96:800k:96k")).In(job.Codecs{job.H264, job.HEVC, job.AV1})
		if got := fmt.Sprint(p.Renditions()); got != c.want {
			t.Errorf("%dx%d: %s, want %s", c.width, c.height, got, c.want)
		}
	}
}

func TestTasksOfFurtherCodecsAreTheLast(t *testing.T) {
	base := plan.Make("k", "e", 1, source(640, 360, 20, true), ladder(t, plan.DefaultLadder)).Illustrate(nil, job.Storyboard{Interval: 1, Columns: 5, Rows: 5, Width: 160})
	p := base.In(job.Codecs{job.H264, job.HEVC, job.AV1})
	tasks := p.Tasks()
	sum := 0.0
	for i, task := range tasks {
		sum += task.Weight
		if before := len(base.Tasks()); task.Further() != (i >= before) || i < before && task.ID != base.Tasks()[i].ID {
			t.Errorf("task %d is %s", i, task.ID)
		}
		if task.Further() && task.First() {
			t.Errorf("%s is what makes the video playable", task.ID)
		}
		again, ok := p.Task(task.ID)
		if !ok || !reflect.DeepEqual(again, task) {
			t.Errorf("%s is not found again", task.ID)
		}
	}
	if last := tasks[len(tasks)-1]; last.ID != fmt.Sprintf("chunk_%d_av1", len(p.Chunks)-1) || last.Outcomes()[0] != last.ID || last.Codec != job.AV1 {
		t.Errorf("the last task is %+v", last)
	}
	if math.Abs(sum-1) > 1e-9 {
		t.Errorf("the weights sum up to %f", sum)
	}
	// A plan from before there were further codecs, and one that has none, are the same.
	var old plan.Plan
	data, err := json.Marshal(base)
	if err == nil {
		err = json.Unmarshal(data, &old)
	}
	if err != nil || strings.Contains(string(data), "codec\":\"h264") || !reflect.DeepEqual(old.Tasks(), base.In(nil).Tasks()) {
		t.Errorf("%v: without further codecs, the plan is %s", err, data)
	}
}

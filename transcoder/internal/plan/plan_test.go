package plan_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
)

func ladder(t *testing.T, text string) plan.Ladder {
	t.Helper()
	l, err := plan.ParseLadder(text)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func source(width, height int, seconds float64, audio bool) media.Source {
	s := media.Source{Demuxer: "mov", Video: media.Video{Width: width, Height: height, Rate: media.Rate{Num: 30, Den: 1}, End: seconds}}
	if audio {
		s.Audio = media.Tracks{{Index: 1, End: seconds}}
	}
	return s
}

func TestRungsFollowTheShortSide(t *testing.T) {
	for _, c := range []struct {
		name          string
		width, height int
		want          string
	}{
		{"full HD gets all rungs", 1920, 1080, "1080p 1920x1080, 720p 1280x720, 480p 854x480, 360p 640x360"},
		{"4K is scaled down", 3840, 2160, "1080p 1920x1080, 720p 1280x720, 480p 854x480, 360p 640x360"},
		{"portrait goes by its width", 1080, 1920, "1080p 1080x1920, 720p 720x1280, 480p 480x854, 360p 360x640"},
		{"nothing is scaled up", 854, 480, "480p 854x480, 360p 640x360"},
		{"one pixel less is its own size", 1916, 1079, "1078p 1916x1078, 720p 1278x720, 480p 852x480, 360p 640x360"},
		{"a wide picture keeps its shape, and a rung nearly as large is left out", 1920, 800, "800p 1920x800, 480p 1152x480, 360p 864x360"},
		{"a rung well below stays", 1920, 864, "864p 1920x864, 720p 1600x720, 480p 1066x480, 360p 800x360"},
		{"odd sizes become even", 607, 1079, "606p 606x1078, 480p 480x854, 360p 360x640"},
		{"one pixel more than a rung is that rung", 641, 361, "360p 640x360"},
		{"an odd long side at its own size is rounded down", 641, 360, "360p 640x360"},
		{"below the lowest rung: one rung of its own size", 320, 240, "240p 320x240"},
		{"below the lowest rung, odd", 177, 145, "144p 176x144"},
		{"a square", 1080, 1080, "1080p 1080x1080, 720p 720x720, 480p 480x480, 360p 360x360"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := plan.Make("k", "e", 1, source(c.width, c.height, 10, true), ladder(t, plan.DefaultLadder))
			got := ""
			for i, v := range p.Video {
				if i > 0 {
					got += ", "
				}
				got += fmt.Sprintf("%s %dx%d", v.Name, v.Width, v.Height)
				if v.Width > c.width || v.Height > c.height {
					t.Errorf("%s is larger than the source", v.Name)
				}
			}
			if got != c.want {
				t.Errorf("rungs of %dx%d:\n got %s\nwant %s", c.width, c.height, got, c.want)
			}
		})
	}
}

func TestAPictureBetweenTwoRungsGetsBitsBetweenTheirs(t *testing.T) {
	for _, c := range []struct{ width, height, video int }{
		{1920, 800, 3_187_640}, // of 2,800k at 720 and 5,000k at 1080
		{1280, 722, 2_800_000}, // by its size it would be fewer than the rung below has
		{320, 240, 800_000},
	} {
		p := plan.Make("k", "e", 1, source(c.width, c.height, 10, true), ladder(t, plan.DefaultLadder))
		if got := p.Video[0].Bitrate; got != c.video {
			t.Errorf("%dx%d: %d bits per second, want %d", c.width, c.height, got, c.video)
		}
	}
}

func TestEachAudioBitrateIsOneRendition(t *testing.T) {
	p := plan.Make("k", "e", 1, source(1920, 1080, 10, true), ladder(t, plan.DefaultLadder))
	if got := fmt.Sprint(p.Audio); got != "[{audio_192k 192000 0} {audio_128k 128000 0} {audio_96k 96000 0}]" {
		t.Errorf("audio renditions: %s", got)
	}
	if p.Video[1].Audio != "audio_128k" || p.Video[3].Audio != "audio_96k" {
		t.Errorf("rungs go with %q and %q", p.Video[1].Audio, p.Video[3].Audio)
	}
	silent := plan.Make("k", "e", 1, source(1920, 1080, 10, false), ladder(t, plan.DefaultLadder))
	if len(silent.Audio) != 0 || silent.Video[0].Audio != "" {
		t.Errorf("a silent source got audio: %v", silent.Audio)
	}
}

func TestChunksCoverAllFramesInWholeSegments(t *testing.T) {
	for _, rate := range []media.Rate{{Num: 24, Den: 1}, {Num: 25, Den: 1}, {Num: 30000, Den: 1001}, {Num: 60, Den: 1}, {Num: 25, Den: 2}, {Num: 1, Den: 1}} {
		for _, seconds := range []float64{0.01, 0.5, 2, 2.04, 5.99, 6, 6.01, 8, 30, 61, 599.5, 7200} {
			s := source(640, 360, seconds, true)
			s.Video.Rate = rate
			p := plan.Make("k", "e", 1, s, ladder(t, plan.DefaultLadder))
			frame, segment, weight := int64(0), 0, 0.0
			for i, c := range p.Chunks {
				first, end := p.Span(c)
				if c.Number != i || c.First != frame || c.End <= c.First || first != segment || end <= first ||
					p.Start(first) != c.First || p.Start(end) != c.End {
					t.Fatalf("%v, %v s: chunk %d is %+v, segments %d to %d, after frame %d and segment %d", rate, seconds, i, c, first, end, frame, segment)
				}
				if long := rate.Seconds(c.End - c.First); long > 66 {
					t.Errorf("%v, %v s: chunk %d has %.1f s", rate, seconds, i, long)
				}
				frame, segment = c.End, end
			}
			if frame != p.Frames || segment != p.Segments() {
				t.Errorf("%v, %v s: chunks end at frame %d of %d, segment %d of %d", rate, seconds, frame, p.Frames, segment, p.Segments())
			}
			outcomes := map[string]bool{}
			for _, task := range p.Tasks() {
				weight += task.Weight
				if found, ok := p.Task(task.ID); !ok || found.ID != task.ID {
					t.Errorf("task %q is not found by its id", task.ID)
				}
				for _, o := range task.Outcomes() {
					if outcomes[o] {
						t.Errorf("two tasks make %s", o)
					}
					outcomes[o] = true
				}
			}
			if len(outcomes) != 2*len(p.Chunks) {
				t.Errorf("%v, %v s: %d outcomes of %d chunks", rate, seconds, len(outcomes), len(p.Chunks))
			}
			if math.Abs(weight-1) > 1e-9 {
				t.Errorf("%v, %v s: weights sum up to %v", rate, seconds, weight)
			}
		}
	}
}

func TestChunksGrowAndBecomeShorterAgain(t *testing.T) {
	for seconds, want := range map[float64]string{
		1.5:  "[1.5]",
		10:   "[2 6 2]",
		30:   "[2 6 6 6 6 4]",
		120:  "[2 6 12 24 24 18 12 6 6 6 4]",
		3600: "[2 6 12 24 48 60 …",
	} {
		p := plan.Make("k", "e", 1, source(1920, 1080, seconds, true), ladder(t, plan.DefaultLadder))
		var lengths []float64
		for _, c := range p.Chunks {
			lengths = append(lengths, p.Source.Video.Rate.Seconds(c.End-c.First))
		}
		got := fmt.Sprint(lengths)
		if prefix, long := strings.CutSuffix(want, "…"); got != want && !(long && strings.HasPrefix(got, prefix)) {
			t.Errorf("%v s are cut into %s, want %s", seconds, got, want)
		}
	}
}

func TestTheTargetDurationIsKnownBeforehand(t *testing.T) {
	for _, c := range []struct {
		rate    media.Rate
		seconds float64
		want    int
	}{
		{media.Rate{Num: 30000, Den: 1001}, 60, 6},
		{media.Rate{Num: 1, Den: 1}, 60, 6},
		{media.Rate{Num: 30, Den: 1}, 3, 2},
		{media.Rate{Num: 30, Den: 1}, 0.2, 1},
		{media.Rate{Num: 30, Den: 1}, 1.47, 2}, // its sound may be longer by some AAC frames
		{media.Rate{Num: 7, Den: 10}, 60, 4},
	} {
		s := source(640, 360, c.seconds, true)
		s.Video.Rate = c.rate
		if got := plan.Make("k", "e", 1, s, ladder(t, plan.DefaultLadder)).TargetDuration(); got != c.want {
			t.Errorf("%v s at %v: %d, want %d", c.seconds, c.rate, got, c.want)
		}
	}
}

func TestKeyFramesEveryTwoSecondsAndSegmentsOfSix(t *testing.T) {
	for _, c := range []struct {
		rate         media.Rate
		gop, segment int64
	}{
		{media.Rate{Num: 24, Den: 1}, 48, 144},
		{media.Rate{Num: 30000, Den: 1001}, 60, 180}, // 2.002 s: whole frames, nearest to 2 s
		{media.Rate{Num: 25, Den: 2}, 25, 75},
	} {
		s := source(640, 360, 30, false)
		s.Video.Rate = c.rate
		p := plan.Make("k", "e", 1, s, ladder(t, plan.DefaultLadder))
		if p.GOP != c.gop || p.Start(2)-p.Start(1) != c.segment {
			t.Errorf("%v: GOP %d, segment %d; want %d and %d", c.rate, p.GOP, p.Start(2)-p.Start(1), c.gop, c.segment)
		}
	}
}

func TestThePlanCoversTheLongerOfPictureAndSound(t *testing.T) {
	s := source(640, 360, 10, true)
	s.Audio[0].End = 12
	p := plan.Make("k", "e", 1, s, ladder(t, plan.DefaultLadder))
	if first, end := p.Pictures(); p.Frames != 360 || first != 0 || end != 300 {
		t.Errorf("%d frames, the picture's from %d to %d; want 360, 0 and 300", p.Frames, first, end)
	}
	s.Video.Start, s.Video.End, s.Audio[0].Start = 3, 13, 1
	p = plan.Make("k", "e", 1, s, ladder(t, plan.DefaultLadder))
	if first, end := p.Pictures(); p.Origin != 1 || p.Frames != 360 || first != 60 || end != 360 {
		t.Errorf("from %v s %d frames, the picture's from %d to %d; want 1, 360, 60 and 360", p.Origin, p.Frames, first, end)
	}
	s.Audio[0].Start = 2.95 // an encoder's run-up
	if p = plan.Make("k", "e", 1, s, ladder(t, plan.DefaultLadder)); p.Origin != 3 {
		t.Errorf("from %v s, want 3", p.Origin)
	}
}

func TestLadderProblemsAreReportedAtOnce(t *testing.T) {
	_, err := plan.ParseLadder("1080:5000k,721:1k:128k,480:1400k:128k,480:1M:9k")
	if err == nil {
		t.Fatal("a bad ladder was accepted")
	}
	for _, want := range []string{`"1080:5000k"`, `"721:1k:128k"`, `"480:1M:9k"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %s: %v", want, err)
		}
	}
	if l := ladder(t, "360:800k:96k, 720:2800k:128k"); l[0].ShortSide != 720 {
		t.Errorf("the ladder is not sorted, highest first: %v", l)
	}
}

package check_test

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"weir/deploy/internal/check"
)

const masterHead = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n"

// german is a second language in the group of a tree's sound.
const german = `#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="sound",NAME="Deutsch",LANGUAGE="de",DEFAULT=NO,AUTOSELECT=YES,CHANNELS="2",URI="sound_de/playlist.m3u8"` + "\n"

// spoken makes the tree one in two languages, each in two groups. The second of both holds what the first does.
func spoken(s site) {
	s.copy("sound", "sound_de")
	s.lines("master.m3u8", "TYPE=AUDIO", func(line string) string {
		line = strings.Replace(line, `NAME="Default",LANGUAGE="und"`, `NAME="English",LANGUAGE="en"`, 1)
		both := line + german
		return both + strings.ReplaceAll(both, `GROUP-ID="sound"`, `GROUP-ID="low"`)
	})
	s.text("master.m3u8", func(text string) string {
		at := strings.LastIndex(text, `AUDIO="sound"`)
		return text[:at] + `AUDIO="low"` + text[at+len(`AUDIO="sound"`):]
	})
}

// alone makes the tree one of sound alone, in two variants and two languages. The second of both holds what the first does.
func alone(s site) {
	s.copy("sound", "sound_de")
	s.copy("sound", "low")
	s.copy("sound", "low_de")
	peak, average := s.rates("sound")
	text := masterHead
	for _, group := range []string{"sound", "low"} {
		text += fmt.Sprintf(`#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="%s",NAME="English",LANGUAGE="en",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2"`+"\n", group) +
			strings.ReplaceAll(german, "sound", group)
	}
	for _, group := range []string{"sound", "low"} {
		text += fmt.Sprintf("#EXT-X-STREAM-INF:BANDWIDTH=%.0f,AVERAGE-BANDWIDTH=%.0f,CODECS=\"mp4a.40.2\",AUDIO=%q\n%s/playlist.m3u8\n", peak, average, group, group)
	}
	s.text("master.m3u8", func(string) string { return text })
}

// copy puts all of a rendition into another folder as well.
func (s site) copy(from, to string) {
	const folder = "videos/v/hls/"
	for key, a := range s {
		if name, ok := strings.CutPrefix(key, folder+from+"/"); ok {
			same := *a
			s[folder+to+"/"+name] = &same
		}
	}
}

// rates are the peak of a rendition's single segments that are long enough, and the average, in bits per second.
func (s site) rates(folder string) (peak, average float64) {
	var bits, seconds float64
	lines := strings.Split(string(s["videos/v/hls/"+folder+"/playlist.m3u8"].body), "\n")
	for i, line := range lines {
		if text, ok := strings.CutPrefix(line, "#EXTINF:"); ok {
			length, err := strconv.ParseFloat(strings.TrimSuffix(text, ","), 64)
			if err != nil {
				panic(err)
			}
			size := float64(len(s["videos/v/hls/"+folder+"/"+lines[i+1]].body)) * 8
			if length > 3 {
				peak = max(peak, size/length)
			}
			bits, seconds = bits+size, seconds+length
		}
	}
	average = bits / seconds
	return math.Ceil(max(peak, average)), math.Ceil(average)
}

func TestRightTreesOfSoundHaveNoFindings(t *testing.T) {
	for name, c := range map[string]struct {
		make      func(s site)
		playlists int
	}{"two languages": {spoken, 8}, "sound alone": {alone, 5}} {
		t.Run(name, func(t *testing.T) {
			s := model(t).write(t)
			c.make(s)
			report, err := check.Run(t.Context(), serve(t, s).URL+"/t/secret/videos/v/hls/master.m3u8", check.Options{})
			if err != nil || len(report.Findings) > 0 || report.Playlists != c.playlists {
				t.Errorf("%+v, %v, error %v", report, report.Findings, err)
			}
		})
	}
}

// soundMutations are what may go wrong with several sounds, or with sound alone.
var soundMutations = []mutation{
	{rule: "RFC 4.3.4.1.1", name: "two sounds of a language that a player may take", site: func(s site) {
		spoken(s)
		s.lines("master.m3u8", "Deutsch", func(line string) string { return strings.Replace(line, `"de"`, `"en"`, 1) })
	}},
	{rule: "RFC 4.3.4.2.1", name: "a language in one group alone", site: func(s site) {
		spoken(s)
		s.edit("master.m3u8", german, "")
	}},
	{rule: "RFC 4.3.4.2.1", name: "a name that differs", site: func(s site) { spoken(s); s.edit("master.m3u8", "Deutsch", "German") }},
	{rule: "RFC 4.3.4.2.1", name: "another default", site: func(s site) {
		spoken(s)
		s.edit("master.m3u8", `LANGUAGE="en",DEFAULT=YES`, `LANGUAGE="en",DEFAULT=NO`)
		s.edit("master.m3u8", `LANGUAGE="de",DEFAULT=NO`, `LANGUAGE="de",DEFAULT=YES`)
	}},
	{rule: "RFC 4.3.4.1", name: "two defaults", site: func(s site) { spoken(s); s.edit("master.m3u8", "DEFAULT=NO", "DEFAULT=YES") }},
	{rule: "W default", name: "no default", site: func(s site) { s.edit("master.m3u8", "DEFAULT=YES", "DEFAULT=NO") }},
	{rule: "W default", name: "sound alone whose default is elsewhere", site: func(s site) {
		alone(s)
		s.edit("master.m3u8", `CHANNELS="2"`+"\n", `CHANNELS="2",URI="low/playlist.m3u8"`+"\n")
	}},
	{rule: "RFC 6.2.1", name: "a language's playlist is missing", site: func(s site) { spoken(s); delete(s, "videos/v/hls/sound_de/playlist.m3u8") }},
	{rule: "RFC 4.3.4.2", name: "sound with a RESOLUTION", site: func(s site) { alone(s); s.edit("master.m3u8", ",CODECS=", ",RESOLUTION=320x180,CODECS=") }},
	{rule: "RFC 4.3.4.2", name: "sound alone with other CODECS", site: func(s site) { alone(s); s.edit("master.m3u8", "mp4a.40.2", "mp4a.40.5") }},
	{rule: "9.9", name: "one variant of sound alone", site: func(s site) { alone(s); s.drop("master.m3u8", "low") }},
	{rule: "9.13", name: "a little less than the peak of sound alone", site: func(s site) { alone(s); s.attribute("master.m3u8", ":BANDWIDTH", 0.95) }},
	{rule: "1.26", name: "a guessed average of sound alone", site: func(s site) { alone(s); s.attribute("master.m3u8", "AVERAGE-BANDWIDTH", 1.2) }},
	{rule: "1.27", name: "a guessed peak of sound alone", site: func(s site) { alone(s); s.attribute("master.m3u8", ":BANDWIDTH", 1.2) }},
	{rule: "8.7", name: "sound alone that ends early in one bit rate", site: func(s site) { alone(s); s.dropLast("low/playlist.m3u8") }},
}

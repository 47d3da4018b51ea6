package players_test

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// way is how a player presents its token.
type way string

const (
	inPath   way = "path"   // /t/{token}/videos/…
	inQuery  way = "query"  // ?token={token}
	inBearer way = "bearer" // Authorization: Bearer {token}
	inCookie way = "cookie" // Cookie: weir_token={token}
)

var ways = []way{inPath, inQuery, inBearer, inCookie}

// player is one that a viewer may have.
type player struct {
	name string
	// list is where it begins: the master playlist, or the MPD.
	list string
	// play plays the clip to its end and tells what was seen. Its error is the player's own, in the player's words.
	play func(*testing.T, access) (viewing, error)
	// refusal is in the error with which the player tells that it was answered 401, or that it failed, if it tells no more.
	refusal string
	// chooses: the player can be told which rungs to play; what it plays otherwise is its own choice.
	chooses bool
	// adapts: the player changes the rung as it sees fit, and then may decode a few frames of both.
	adapts bool
	// cannot says why a player cannot carry a token in a way. It is then not let in.
	cannot map[way]string
}

// Where players begin.
const (
	master = "hls/master.m3u8"
	mpd    = "dash/manifest.mpd"
)

var players = []player{
	{name: "hls.js", list: master, play: page("hlsjs"), chooses: true, adapts: true, refusal: "manifestLoadError 401"},
	{name: "Shaka Player", list: master, play: page("shaka"), chooses: true, adapts: true, refusal: "BAD_HTTP_STATUS 401"},
	{name: "Shaka Player of DASH", list: mpd, play: page("shaka"), chooses: true, adapts: true, refusal: "BAD_HTTP_STATUS 401"},
	{name: "dash.js", list: mpd, play: page("dashjs"), chooses: true, adapts: true, refusal: " 401"},
	{name: "Vidstack", list: master, play: page("vidstack"), chooses: true, adapts: true, refusal: "manifestLoadError 401"},
	// Scripts are not told why the video cannot be read.
	{name: "Chromium's own", list: master, play: page("native"), adapts: true, refusal: "DEMUXER_ERROR", cannot: map[way]string{
		inBearer: "a video element sends no header of the page's",
	}},
	{name: "FFmpeg", list: master, play: ffmpeg, chooses: true, refusal: "401 Unauthorized"},
	{name: "FFmpeg of DASH", list: mpd, play: ffmpegDASH, chooses: true, refusal: "401 Unauthorized"},
	{name: "mpv", list: master, play: mpv, chooses: true, refusal: "http_code=401"},
}

// access is what a player is given.
type access struct {
	url    string // of the master playlist or the MPD
	bearer string // token
	cookie string // token
}

// give puts the token into one of the ways.
func (p player) give(base string, w way, token string) access {
	list := "/videos/" + videoID + "/" + p.list
	switch w {
	case inPath:
		return access{url: base + "/t/" + token + list}
	case inQuery:
		return access{url: base + list + "?token=" + token}
	case inBearer:
		return access{url: base + list, bearer: token}
	default:
		return access{url: base + list, cookie: token}
	}
}

// viewing is what was seen and heard of the clip.
type viewing struct {
	Frames  int     // decoded while it played to its end
	Seconds float64 // at which it ended
	Sound   bool    // some was decoded
	Heights []int   // of the rungs that were chosen and played
}

// and is what was seen and heard in two viewings alike, of the rungs of both.
func (v viewing) and(o viewing) viewing {
	if v.Heights != nil {
		o.Frames, o.Seconds, o.Sound = min(v.Frames, o.Frames), min(v.Seconds, o.Seconds), v.Sound && o.Sound
	}
	o.Heights = slices.Sorted(slices.Values(slices.Concat(v.Heights, o.Heights)))
	o.Heights = slices.Compact(o.Heights)
	return o
}

// late is how far from the clip's end a player may end, in seconds: the sound may be a frame shorter or longer.
const late = 0.05

func TestEveryPlayerPlaysWithItsTokenInEveryWay(t *testing.T) {
	for _, p := range players {
		for _, w := range ways {
			t.Run(p.name+"/"+string(w), func(t *testing.T) {
				t.Parallel()
				token := mint(t, time.Hour)
				seen := watch(t)
				got, err := p.play(t, p.give(seen.URL, w, token))
				if reason, ok := p.cannot[w]; ok {
					if err == nil {
						t.Errorf("it plays, although %s", reason)
					}
					seen.wantRefused(t)
					return
				}
				if err != nil {
					t.Fatalf("%v\n%s", err, seen)
				}
				p.wantAll(t, got)
				seen.wantAdmitted(t, p.list, w, token)
			})
		}
	}
}

// wantAll looks at what was seen: every frame up to the end; and, if the player can choose, every rung.
func (p player) wantAll(t *testing.T, got viewing) {
	t.Helper()
	twice := 0
	if p.adapts {
		twice = clip.Rate // a second of them
	}
	if got.Frames < clipFrames || got.Frames > clipFrames+twice {
		t.Errorf("%d frames were decoded, want %d", got.Frames, clipFrames)
	}
	if got.Seconds < clip.Duration.Seconds()-late || got.Seconds > clip.Duration.Seconds()+late {
		t.Errorf("it ended at %.3f s, want %v", got.Seconds, clip.Duration)
	}
	if !got.Sound {
		t.Error("no sound was decoded")
	}
	if p.chooses && !slices.Equal(got.Heights, heights) {
		t.Errorf("the rungs %d were played, want %d", got.Heights, heights)
	}
}

func TestEveryPlayerSaysThatItsTokenHasExpired(t *testing.T) {
	for _, p := range players {
		for _, w := range ways {
			if _, ok := p.cannot[w]; ok {
				continue
			}
			t.Run(p.name+"/"+string(w), func(t *testing.T) {
				t.Parallel()
				seen := watch(t)
				_, err := p.play(t, p.give(seen.URL, w, mint(t, -time.Hour)))
				if err == nil || !strings.Contains(err.Error(), p.refusal) {
					t.Errorf("the player says %v, want %q\n%s", err, p.refusal, seen)
				}
				seen.wantRefused(t)
			})
		}
	}
}

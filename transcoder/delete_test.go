package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// Whenever a video is deleted, its encoders end and everything of it goes, and nothing comes back.
func TestAVideoIsDeletedAtAnyMoment(t *testing.T) {
	n, hook := start(t, t.TempDir(), map[string]string{"X264_PRESET": "slow"}), receive(t)
	key := upload(t, clip(t, "clip.mp4", "-f", "lavfi", "-i", "testsrc2=d=40:s=640x360:r=30", "-f", "lavfi", "-i", "sine=d=40", "-c:v", "libx264", "-preset", "ultrafast"))
	for i, moment := range []struct {
		name string
		come func(t *testing.T, id string)
	}{
		{"at once", func(*testing.T, string) {}},
		{"when it is encoded", func(t *testing.T, _ string) {
			waitFor(t, "an encoder", func() bool { return len(encoders(t, os.Getpid())) > 0 })
		}},
		{"when it is playable", func(t *testing.T, _ string) {
			select {
			case <-hook.playable:
			case <-time.After(patience):
				t.Fatal("it was not playable")
			}
		}},
	} {
		t.Run(moment.name, func(t *testing.T) {
			video := fmt.Sprintf("%s-%d", id(t), i)
			n.post(video, key, hook.URL)
			moment.come(t, video)
			for range 2 {
				if r := n.do("DELETE", "/videos/"+video, nil, nil); r.StatusCode != http.StatusAccepted {
					t.Fatalf("DELETE answered %s", r.Status)
				}
			}
			waitFor(t, "the encoders to end", func() bool { return len(alive(encoders(t, os.Getpid()))) == 0 })
			gone := func() bool { return len(list(t, "videos/"+video+"/")) == 0 && len(list(t, "work/"+video+"/")) == 0 }
			waitFor(t, "everything to go", gone)
			time.Sleep(2 * time.Second)
			if !gone() {
				t.Errorf("came back: %v %v", list(t, "videos/"+video+"/"), list(t, "work/"+video+"/"))
			}
			if r := n.do("GET", "/videos/"+video+"/playback", nil, nil); r.StatusCode != http.StatusConflict {
				t.Errorf("playback answered %s", r.Status)
			}
		})
	}
	if r := n.do("DELETE", "/videos/never-was", nil, nil); r.StatusCode != http.StatusNotFound {
		t.Errorf("DELETE of a video that never was answered %s", r.Status)
	}
}

// Who watches a video while it is replaced goes on watching; who opens it later sees the new one. Without its record, nobody knows of the
// video before it is looked for in the bucket.
func TestAVideoIsReplacedUnderItsViewers(t *testing.T) {
	for name, lost := range map[string]bool{"by request": false, "when its record was lost": true} {
		t.Run(name, func(t *testing.T) { replaced(t, lost) })
	}
}

func replaced(t *testing.T, lost bool) {
	n, hook := start(t, t.TempDir(), nil), receive(t)
	n.post(id(t), upload(t, short(t)), hook.URL)
	if e := hook.next(t, patience); e.Status != "processed" {
		t.Fatalf("told %+v", e)
	}
	readTree(t, id(t))
	first := list(t, "videos/"+id(t)+"/")

	other := upload(t, clip(t, "other.mp4", "-f", "lavfi", "-i", "testsrc2=d=14:s=128x72:r=25", "-c:v", "libx264", "-preset", "ultrafast"))
	body := map[string]any{"video_id": id(t), "key": other, "webhook_url": hook.URL}
	if lost {
		if err := bucket().Delete(t.Context(), "jobs/"+id(t)+".json", "open/"+id(t)); err != nil {
			t.Fatal(err)
		}
	} else if r := n.do("POST", "/transcode", body, nil); r.StatusCode != http.StatusConflict {
		t.Errorf("another source without replace: %s", r.Status)
	}
	body["replace"] = !lost
	if r := n.do("POST", "/transcode", body, nil); r.StatusCode != http.StatusAccepted {
		t.Fatalf("POST /transcode answered %s", r.Status)
	}
	ended := false
	for !ended {
		select {
		case e := <-hook.events:
			if e.Status != "processed" {
				t.Fatalf("told %+v", e)
			}
			ended = true
		default:
			if r := n.do("GET", "/videos/"+id(t)+"/playback", nil, nil); !lost && r.StatusCode != http.StatusOK {
				t.Errorf("meanwhile, playback answered %s", r.Status)
			}
		}
		// The old version is there in whole, until and after the new one is.
		now := list(t, "videos/"+id(t)+"/")
		for _, key := range first {
			if !strings.Contains(strings.Join(now, "\n"), key) {
				t.Fatalf("%s is gone", key)
			}
		}
	}
	for _, v := range readMaster(t, id(t)).Variants {
		if !strings.HasSuffix(v.URI, "/playlist_2.m3u8") && !strings.HasSuffix(v.URI, "/iframes_2.m3u8") {
			t.Errorf("players are led to %s", v.URI)
		}
	}
	var v video
	n.do("GET", "/videos/"+id(t), nil, &v)
	if v.Version != 2 || v.DurationS != 14 {
		t.Errorf("the job is %+v", v)
	}
	for name, want := range map[string]string{"dash/manifest.mpd": `mediaPresentationDuration="PT14S"`, "manifest.json": `"version": 2`} {
		if text, _, err := bucket().Read(t.Context(), "videos/"+id(t)+"/"+name); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s is not that of the new version: %v\n%s", name, err, text)
		}
	}
}

func list(t *testing.T, prefix string) []string {
	t.Helper()
	var keys []string
	for o, err := range bucket().List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, o.Key)
	}
	return keys
}

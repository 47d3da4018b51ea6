package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// All codecs are made by the ffmpeg of the machine, in its box, and are there when the video is processed.
func TestAVideoInAllCodecs(t *testing.T) {
	const frames, gop, seconds = 250, 50, 10.0
	file := clip(t, "clip.mp4", "-f", "lavfi", "-i", "testsrc2=d=10:s=640x360:r=25", "-f", "lavfi", "-i", "sine=d=10:r=44100",
		"-c:v", "libx264", "-preset", "ultrafast")
	n, hook := start(t, t.TempDir(), map[string]string{"LADDER": "360:800k:96k,180:300k:96k"}), receive(t)
	body := map[string]any{"video_id": id(t), "key": upload(t, file), "webhook_url": hook.URL, "codecs": []string{"av1", "h264", "hevc"}}
	for range 2 { // the same again is the same job
		if answer := n.do("POST", "/transcode", body, &video{}); answer.StatusCode != http.StatusAccepted {
			t.Fatalf("POST /transcode answered %s", answer.Status)
		}
	}
	if e := hook.next(t, 2*patience); e.Status != "processed" {
		t.Fatalf("told %+v", e)
	}
	tree := readTree(t, id(t))
	for _, r := range tree.renditions {
		r.check(t, frames, gop, seconds)
	}
	codecs := map[string]*regexp.Regexp{
		"": regexp.MustCompile(`^avc1\.[0-9a-f]{6},mp4a\.40\.2$`), "hevc": regexp.MustCompile(`^hvc1\.1\.6\.L..\.90,mp4a\.40\.2$`),
		"av1": regexp.MustCompile(`^av01\.0\.0.M\.08,mp4a\.40\.2$`),
	}
	var names []string
	for _, v := range tree.master.Variants {
		if v.Iframe {
			continue
		}
		name, _, _ := strings.Cut(v.URI, "/")
		names = append(names, name)
		_, codec, _ := strings.Cut(name, "_")
		if !codecs[codec].MatchString(v.Codecs) {
			t.Errorf("%s has the CODECS %s", name, v.Codecs)
		}
	}
	if got := strings.Join(names, " "); got != "360p 180p 360p_hevc 180p_hevc 360p_av1 180p_av1" {
		t.Errorf("the variants are %s", got)
	}
	var m struct {
		Encoder    struct{ Codec, Name string }
		Encoders   []struct{ Codec, Name string }
		Renditions []struct{ Name, Codec string }
	}
	data, _, err := bucket().Read(t.Context(), "videos/"+id(t)+"/manifest.json")
	if err == nil {
		err = json.Unmarshal(data, &m)
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(m.Encoder, m.Encoders); got != "{h264 libx264} [{hevc libx265} {av1 libsvtav1}]" {
		t.Errorf("the manifest names the encoders %s", got)
	}
	if got := fmt.Sprint(m.Renditions); got != "[{360p h264} {180p h264} {360p_hevc hevc} {180p_hevc hevc} {360p_av1 av1} {180p_av1 av1} {audio_96k }]" {
		t.Errorf("the manifest has the renditions %s", got)
	}
}

func TestATranscoderThatCannotMakeItsCodecsDoesNotStart(t *testing.T) {
	folder := t.TempDir()
	for name, script := range map[string]string{
		"ffmpeg":  "case \"$*\" in *-encoders*) /usr/bin/ffmpeg \"$@\" | grep -v libsvtav1 ;; *) exec /usr/bin/ffmpeg \"$@\" ;; esac",
		"ffprobe": "exec /usr/bin/ffprobe \"$@\"",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", folder)
	env := environment(t.TempDir())
	env["FFMPEG_SANDBOX"], env["CODECS"] = string(Off), "h264,hevc,av1"
	err := run(t.Context(), func(name string) string { return env[name] }, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "CODECS names av1, for which ffmpeg has no encoder: leave it out") {
		t.Errorf("it ended with %v", err)
	}
}

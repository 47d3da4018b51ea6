package main_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// Each message of the real queue ends by itself, well or in the dead-letter queue, whatever becomes of the others.
func TestQueue(t *testing.T) {
	t.Parallel()
	type post struct {
		VideoID string `json:"video_id"`
		Key     string `json:"key"`
		Webhook string `json:"webhook_url"`
		Replace bool   `json:"replace"`
	}
	var mu sync.Mutex
	posts := map[string][]post{}
	var refusedAt, takenAt time.Time
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var p post
		if err := json.NewDecoder(r.Body).Decode(&p); err != nil || r.Method != "POST" || r.URL.Path != "/transcode" || r.Header.Get("Authorization") != "Bearer key" {
			t.Errorf("got %s %s %v: %v", r.Method, r.URL, r.Header, err)
		}
		mu.Lock()
		defer mu.Unlock()
		posts[p.Key] = append(posts[p.Key], p)
		created, status := time.Now(), http.StatusAccepted
		switch {
		case p.Key == "uploads/later.mp4" && refusedAt.IsZero():
			status, refusedAt = http.StatusServiceUnavailable, time.Now()
			w.Header().Set("Retry-After", "6")
		case p.Key == "uploads/later.mp4":
			takenAt = time.Now()
		case p.Key == "uploads/never.mp4":
			status = http.StatusBadRequest
		case p.Key == "uploads/b/same.mp4" && p.VideoID == "same":
			w.WriteHeader(http.StatusConflict)
			_, _ = io.WriteString(w, `{"error":{"code":"video_id_taken","message":"m"}}`)
			return
		case p.Key == "uploads/again.mp4" && !p.Replace:
			created = created.Add(-time.Hour)
		}
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"created_at": created})
	}))
	defer api.Close()

	message := func(action, key string) string {
		return fmt.Sprintf(`{"account":"a","action":%q,"bucket":"weir","object":{"key":%q,"size":1,"eTag":"e"},"eventTime":%q}`,
			action, key, time.Now().Add(-time.Minute).UTC().Format("2006-01-02T15:04:05.000Z"))
	}
	sent := []string{
		message("PutObject", "uploads/now.mp4"), message("CompleteMultipartUpload", "uploads/later.mp4"), message("PutObject", "uploads/never.mp4"),
		message("CopyObject", "uploads/b/same.mp4"), message("PutObject", "uploads/again.mp4"), message("PutObject", "videos/a/hls/master.m3u8"),
		message("DeleteObject", "uploads/gone.mp4"), `"no notification"`, `null`, `{"action":"PutObject","object":{"key":"uploads/\u0000"}}`,
	}
	dead := map[string]bool{sent[2]: true, sent[7]: true, sent[8]: true, sent[9]: true}

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node_modules/node/bin/node", "--no-warnings", "testdata/queue.mjs")
	cmd.Env = append(os.Environ(), "TRANSCODER_URL="+api.URL, "WEBHOOK_URL=https://example.com/hook", "API_KEY=key", "TOKEN_KEYS=")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, strings.Join(sent, "\n")+"\n"); err != nil {
		t.Fatal(err)
	}
	acknowledged, buried := map[string]int{}, map[string]int{}
	for lines := bufio.NewScanner(out); len(acknowledged) < len(sent) || len(buried) < len(dead); {
		if !lines.Scan() {
			t.Fatalf("%d of %d messages ended, %d of %d as dead letters: %v", len(acknowledged), len(sent), len(buried), len(dead), ctx.Err())
		}
		text, ok := strings.CutPrefix(lines.Text(), "ENDED ")
		if !ok {
			continue
		}
		var end struct {
			Queue string
			Body  json.RawMessage
		}
		if err := json.Unmarshal([]byte(text), &end); err != nil {
			t.Fatal(err)
		}
		if end.Queue == "weir-uploads" {
			acknowledged[string(end.Body)]++
		} else {
			buried[string(end.Body)]++
		}
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, out)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	for _, m := range sent {
		if acknowledged[m] != 1 || (buried[m] == 1) != dead[m] {
			t.Errorf("%s: acknowledged %d times, %d dead letters", m, acknowledged[m], buried[m])
		}
	}
	mu.Lock()
	defer mu.Unlock()
	want := map[string]string{"uploads/now.mp4": "now false", "uploads/later.mp4": "later false, later false", "uploads/never.mp4": "never false",
		"uploads/b/same.mp4": "same false, same-b6c1ea9f5b5f false", "uploads/again.mp4": "again false, again true"}
	for key, list := range posts {
		var got []string
		for _, p := range list {
			got = append(got, fmt.Sprint(p.VideoID, " ", p.Replace))
			if p.Webhook != "https://example.com/hook" {
				t.Errorf("%s: the webhook is %q", key, p.Webhook)
			}
		}
		if strings.Join(got, ", ") != want[key] {
			t.Errorf("%s: posted %q, want %q", key, got, want[key])
		}
	}
	if waited := takenAt.Sub(refusedAt); len(posts) != len(want) || waited < 6*time.Second || waited > 20*time.Second {
		t.Errorf("%d uploads were posted, want %d; a refused one again after %v", len(posts), len(want), waited)
	}
}

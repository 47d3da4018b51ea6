package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"weir/deploy/local"
	"weir/transcoder/internal/r2"
)

// The tests of this package run the whole transcoder, with the real ffmpeg, JetStream and R2 of a local Cloudflare.

var cloud *local.Cloud

// asProgram makes the test binary the transcoder itself, for tests that need a process of its own.
const asProgram = "WEIR_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	var err error
	if cloud, err = local.Start(context.Background(), local.Options{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := cloud.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func bucket() *r2.Bucket {
	return r2.Open(r2.Config{
		Endpoint: cloud.Endpoint, Bucket: cloud.Bucket,
		AccessKeyID: cloud.AccessKeyID, SecretAccessKey: cloud.SecretAccessKey,
	})
}

const (
	apiKey        = "test-key"
	webhookSecret = "whsec_dGhlIHNlY3JldCBvZiB0aGUgdGVzdHMsIDMyIGJ5dGVzIQ=="
)

// node is a running transcoder.
type node struct {
	t    *testing.T
	url  string
	stop func()
}

// in is the node in a test within the one that started it.
func (n *node) in(t *testing.T) *node { return &node{t: t, url: n.url, stop: n.stop} }

// environment is a valid configuration with the queue in dir.
func environment(dir string) map[string]string {
	return map[string]string{
		"LISTEN":      "127.0.0.1:0",
		"API_KEY":     apiKey,
		"R2_ENDPOINT": cloud.Endpoint, "R2_BUCKET": cloud.Bucket,
		"R2_ACCESS_KEY_ID": cloud.AccessKeyID, "R2_SECRET_ACCESS_KEY": cloud.SecretAccessKey,
		"PUBLIC_URL":            cloud.URL,
		"TOKEN_KEY":             cloud.TokenKey,
		"ENCRYPTION_KEY":        cloud.EncryptionKey,
		"WEBHOOK_SECRET":        webhookSecret,
		"WEBHOOK_ALLOW_PRIVATE": "true",
		"DATA_DIR":              dir,
		"X264_PRESET":           "ultrafast",
	}
}

// start runs a transcoder with its queue in dir until the test or stop ends it.
func start(t *testing.T, dir string, overrides map[string]string) *node {
	t.Helper()
	env := environment(dir)
	maps.Copy(env, overrides)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	logs, log := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, func(name string) string { return env[name] }, log)
		log.CloseWithError(io.EOF)
		ended <- err
	}()
	address := make(chan string, 1)
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(logs); lines.Scan(); {
			var line struct{ Msg, Listen string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "the transcoder was started" {
				address <- line.Listen
			}
			t.Log(lines.Text())
		}
	}()
	n := &node{t: t, stop: func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the transcoder ended with: %v", err)
		}
		ended <- nil
		<-read
	}}
	t.Cleanup(func() { n.stop() })
	select {
	case a := <-address:
		n.url = "http://" + a
	case err := <-ended:
		ended <- nil
		t.Fatalf("the transcoder did not start: %v", err)
	case <-time.After(30 * time.Second):
		t.Fatal("the transcoder did not start in time")
	}
	return n
}

// do sends a request and decodes the JSON answer.
func (n *node) do(method, path string, body, answer any) *http.Response {
	n.t.Helper()
	var payload io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			n.t.Fatal(err)
		}
		payload = bytes.NewReader(data)
	}
	r, err := http.NewRequestWithContext(n.t.Context(), method, n.url+path, payload)
	if err != nil {
		n.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+apiKey)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		n.t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	if answer != nil {
		if err := json.Unmarshal(data, answer); err != nil {
			n.t.Fatalf("%s %s answered %s: %s", method, path, response.Status, data)
		}
	}
	return response
}

// request is the body of POST /transcode.
type request struct {
	VideoID    string `json:"video_id"`
	Key        string `json:"key"`
	WebhookURL string `json:"webhook_url"`
}

// post accepts a video.
func (n *node) post(id, key, hook string) video {
	n.t.Helper()
	var v video
	if response := n.do("POST", "/transcode", request{id, key, hook}, &v); response.StatusCode != http.StatusAccepted {
		n.t.Fatalf("POST /transcode answered %s", response.Status)
	} else if got := response.Header.Get("Location"); got != "/videos/"+id {
		n.t.Errorf("Location is %q", got)
	}
	return v
}

// video is the part of a job that backends look at.
type video struct {
	VideoID    string  `json:"video_id"`
	State      string  `json:"state"`
	Progress   float64 `json:"progress"`
	DurationS  float64 `json:"duration_s"`
	Segments   int     `json:"segments"`
	Renditions []struct{ Name, Codecs string }
	Version    int `json:"version"`
	Error      struct{ Code, Message string }
}

// event is a webhook as its receiver sees it.
type event struct {
	ID        string
	Type      string
	Timestamp time.Time
	VideoID   string `json:"video_id"`
	Status    string
	Data      struct {
		Error struct{ Code, Message string }
	}
}

// receiver is a backend that is told. It verifies signatures with the specification's own library. What becomes of a video
// in the end comes through events, that it can be played through playable.
type receiver struct {
	URL              string
	events, playable chan event
}

func receive(t *testing.T) *receiver {
	t.Helper()
	verifier, err := standardwebhooks.NewWebhook(webhookSecret)
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{events: make(chan event, 100), playable: make(chan event, 100)}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err == nil {
			err = verifier.Verify(body, q.Header)
		}
		e := event{ID: q.Header.Get("webhook-id")}
		if err == nil {
			err = json.Unmarshal(body, &e)
		}
		if err != nil {
			t.Errorf("a webhook is not valid: %v: %s", err, body)
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if e.Status == "playable" {
			r.playable <- e
		} else {
			r.events <- e
		}
	}))
	t.Cleanup(s.Close)
	r.URL = s.URL
	return r
}

// next waits for the end of a video. What is published of it must keep the rules of HLS.
func (r *receiver) next(t *testing.T, within time.Duration) event {
	t.Helper()
	select {
	case e := <-r.events:
		if e.Status == "processed" {
			if err := cloud.Check(t.Context(), e.VideoID); err != nil {
				t.Error(err)
			}
		}
		return e
	case <-time.After(within):
		t.Fatal("no webhook came")
		panic("unreachable")
	}
}

// clip makes a video with ffmpeg and returns its file.
func clip(t *testing.T, name string, args ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	args = append(append([]string{"-nostdin", "-v", "error", "-y"}, args...), file)
	if out, err := exec.CommandContext(t.Context(), "ffmpeg", args...).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg %v: %v\n%s", args, err, out)
	}
	return file
}

// upload puts a file into the bucket under a key of its own.
func upload(t *testing.T, file string) (key string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return uploadBytes(t, filepath.Base(file), data)
}

func uploadBytes(t *testing.T, name string, data []byte) (key string) {
	t.Helper()
	key = "uploads/" + id(t) + "/" + name
	if err := bucket().Write(t.Context(), key, data, r2.Meta{ContentType: "application/octet-stream"}); err != nil {
		t.Fatal(err)
	}
	return key
}

var ids sync.Map // from tests to video ids

// id is a video id that belongs to the test alone, and to one run of it.
func id(t *testing.T) string {
	v, _ := ids.LoadOrStore(t, "test-"+rand.Text())
	return v.(string)
}

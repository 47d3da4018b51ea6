package verify

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"weir/deploy/internal/check"
)

const (
	// jobTimeout is for a short video, also on a deployment that has others to do.
	jobTimeout = 15 * time.Minute
	jobPause   = time.Second
	apiTimeout = 30 * time.Second
)

// Job is a video that goes all the way: into the bucket, through the API at the Worker's URL, to a player.
type Job struct {
	Target  Target
	APIKey  string
	Video   string // a file
	Webhook string // who is told; somebody must be
	// Told waits until they were, that the video of this ID is processed; nil where that cannot be known.
	Told func(ctx context.Context, id string) error
}

// Bearer is what requests to the API carry: of several keys of API_KEY the first.
func Bearer(keys string) string {
	key, _, _ := strings.Cut(keys, " ")
	return key
}

// JobResult is what became of it. Times are seconds from the request on.
type JobResult struct {
	PlayableS  float64 `json:"playable_s"`
	ProcessedS float64 `json:"processed_s"`
	Segments   int     `json:"segments"`
	Bytes      int64   `json:"bytes"`
	Warnings   int     `json:"warnings"` // rules of Apple's that should be kept, and are not
}

// Run takes the video through, holds what was published to Apple's rules, and deletes it and the upload again, also when it is
// interrupted. A video that is not published as it should be is [ErrFailed].
func (j Job) Run(ctx context.Context, id string) (result JobResult, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, jobTimeout, fmt.Errorf("the video was not processed within %v", jobTimeout))
	defer cancel()
	key, posted := "uploads/"+id+".mp4", false
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
		defer cancel()
		if posted { // its record stays, as of every video; nobody is told of it any more
			err = errors.Join(err, j.call(ctx, http.MethodDelete, "/videos/"+id, nil, http.StatusAccepted, nil))
		}
		err = errors.Join(err, j.Target.Bucket.Delete(ctx, key))
	}()
	if err := j.upload(ctx, key); err != nil {
		return result, err
	}
	began := time.Now()
	posted = true
	request := map[string]string{"video_id": id, "key": key, "webhook_url": j.Webhook}
	if err := j.call(ctx, http.MethodPost, "/transcode", request, http.StatusAccepted, nil); err != nil {
		return result, err
	}
	for {
		var video struct {
			State string
			Error struct{ Code, Message string }
		}
		if err := j.call(ctx, http.MethodGet, "/videos/"+id, nil, http.StatusOK, &video); err != nil {
			return result, err
		}
		now := time.Since(began).Seconds()
		if result.PlayableS == 0 && (video.State == "playable" || video.State == "processed") {
			result.PlayableS = now
		}
		if video.State == "processed" {
			result.ProcessedS = now
			break
		}
		if video.State == "failed" {
			return result, fmt.Errorf("%w: the video failed: %s: %s", ErrFailed, video.Error.Code, video.Error.Message)
		}
		select {
		case <-ctx.Done():
			return result, fmt.Errorf("%w: %w: it is %s", ErrFailed, context.Cause(ctx), video.State)
		case <-time.After(jobPause):
		}
	}
	var playback struct{ URLs struct{ HLS string } }
	if err := j.call(ctx, http.MethodGet, "/videos/"+id+"/playback", nil, http.StatusOK, &playback); err != nil {
		return result, err
	}
	report, err := check.Run(ctx, playback.URLs.HLS, check.Options{})
	if err != nil {
		return result, err
	}
	if err := report.Err(); err != nil {
		return result, fmt.Errorf("%w: %w", ErrFailed, err)
	}
	if j.Told != nil {
		if err := j.Told(ctx, id); err != nil {
			return result, fmt.Errorf("%w: the backend: %w", ErrFailed, err)
		}
	}
	result.Segments, result.Bytes, result.Warnings = report.Segments, report.Bytes, report.Warnings
	return result, nil
}

// NewID is the ID of a video that nobody else has.
func NewID() string { return "verify-" + rand.Text() }

func (j Job) upload(ctx context.Context, key string) error {
	video, err := os.ReadFile(j.Video)
	if err != nil {
		return fmt.Errorf("upload the video: %w", err)
	}
	return j.Target.Bucket.Put(ctx, key, http.Header{"Content-Type": {"video/mp4"}}, string(video))
}

// call asks the API through the Worker.
func (j Job) call(ctx context.Context, method, path string, request any, want int, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	var body io.Reader
	if request != nil {
		text, err := json.Marshal(request)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, j.Target.URL+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+j.APIKey)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode != want {
		return fmt.Errorf("%w: %s %s is answered %d, not %d: %s", ErrFailed, method, path, resp.StatusCode, want, text)
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

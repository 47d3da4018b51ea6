package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"weir/deploy/internal/stack"
)

// callTimeout is for one answer of the API on a machine that has better things to do.
const callTimeout = 2 * time.Minute

// Client calls a transcoder's API.
type Client struct {
	url, key, hook string
	http           *http.Client
}

// Client returns a client of a node's API. atOnce is how many calls it may have under way.
func (f *Fleet) Client(n *Node, atOnce int) *Client {
	transport := &http.Transport{MaxIdleConnsPerHost: atOnce, MaxConnsPerHost: atOnce}
	return &Client{url: n.URL, key: f.apiKey, hook: f.Ledger.URL, http: &http.Client{Transport: transport, Timeout: callTimeout}}
}

// Post asks for an upload to become a video.
func (c *Client) Post(ctx context.Context, videoID, key string, priority int) (stack.Video, error) {
	body, err := json.Marshal(map[string]any{
		"video_id": videoID, "key": key, "webhook_url": c.hook, "priority": priority,
	})
	if err != nil {
		return stack.Video{}, fmt.Errorf("post %s: %w", videoID, err)
	}
	var v stack.Video
	if err := c.call(ctx, http.MethodPost, "/transcode", body, &v); err != nil {
		return v, fmt.Errorf("post %s: %w", videoID, err)
	}
	return v, nil
}

// Video asks how a video is.
func (c *Client) Video(ctx context.Context, videoID string) (stack.Video, error) {
	var v stack.Video
	if err := c.call(ctx, http.MethodGet, "/videos/"+videoID, nil, &v); err != nil {
		return v, fmt.Errorf("ask for %s: %w", videoID, err)
	}
	return v, nil
}

// Delete deletes a video.
func (c *Client) Delete(ctx context.Context, videoID string) error {
	if err := c.call(ctx, http.MethodDelete, "/videos/"+videoID, nil, nil); err != nil {
		return fmt.Errorf("delete %s: %w", videoID, err)
	}
	return nil
}

// Down tells whether an error means that nobody answered, or that the one who did could not do it now: a reason to ask again.
func Down(err error) bool {
	var answer *stack.APIError
	return !errors.As(err, &answer) || answer.Status >= http.StatusInternalServerError
}

func (c *Client) call(ctx context.Context, method, path string, body []byte, answer any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 || method == http.MethodPost && resp.StatusCode != http.StatusAccepted {
		var e struct {
			Error struct{ Code, Message string }
		}
		if err := json.Unmarshal(text, &e); err != nil || e.Error.Code == "" {
			return &stack.APIError{Status: resp.StatusCode, Message: string(text)}
		}
		return &stack.APIError{Status: resp.StatusCode, Code: e.Error.Code, Message: e.Error.Message}
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("the API's answer %q: %w", text, err)
	}
	return nil
}

// Watchable tells whether the master playlist at a URL of [local.Cloud.WatchURL] is there yet.
func Watchable(ctx context.Context, url string) (bool, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false, fmt.Errorf("ask the Worker: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return false, fmt.Errorf("ask the Worker: %w", err)
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return strings.HasPrefix(string(body), "#EXTM3U"), nil
	case http.StatusNotFound:
		return false, nil
	default:
		return false, fmt.Errorf("ask the Worker: it answers %s", resp.Status)
	}
}

// Upload puts a file into the bucket.
func (f *Fleet) Upload(ctx context.Context, path, key string) error {
	return (&stack.Stack{Cloud: f.Cloud}).Upload(ctx, path, key)
}

package stack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

const (
	// partSize is one of R2's multipart parts, all of which must have one size but the last. 10,000 of them are allowed.
	partSize = 64 << 20
	maxParts = 10_000
	// callTimeout is for one answer of the API, which only reads or writes small objects.
	callTimeout = 30 * time.Second
	abortLimit  = 10 * time.Second
)

// Video is the API's view of a video, as far as it is looked at here.
type Video struct {
	ID       string  `json:"video_id"`
	State    string  `json:"state"`    // queued, processing, playable, processed or failed
	Progress float64 `json:"progress"` // percent
	Bytes    int64   `json:"bytes"`    // of all segments, once it is processed
	Error    struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// Playable says whether a player gets a picture.
func (v Video) Playable() bool { return v.State == "playable" || v.State == "processed" }

// Playback is what the API mints for a player.
type Playback struct {
	Token string `json:"token"`
	URLs  struct {
		HLS        string `json:"hls"`        // token in the path
		HLSQuery   string `json:"hls_query"`  // token in the query
		Poster     string `json:"poster"`     // token in the path, as in the next
		Storyboard string `json:"storyboard"` // "" before the video is processed
	} `json:"urls"`
}

// APIError is an answer of the API that is not what was asked for.
type APIError struct {
	Status  int
	Code    string
	Message string
}

func (e *APIError) Error() string {
	return fmt.Sprintf("the API answers %d %s: %s", e.Status, e.Code, e.Message)
}

// Submit asks for the upload at key to become the video. Its webhook goes to Hooks.
func (s *Stack) Submit(ctx context.Context, videoID, key string) (Video, error) {
	return s.SubmitWith(ctx, videoID, key, nil)
}

// SubmitWith asks for it with further fields of the request.
func (s *Stack) SubmitWith(ctx context.Context, videoID, key string, fields map[string]any) (Video, error) {
	request := map[string]any{"video_id": videoID, "key": key, "webhook_url": s.Hooks.URL}
	maps.Copy(request, fields)
	body, err := json.Marshal(request)
	if err != nil {
		return Video{}, fmt.Errorf("submit %s: %w", videoID, err)
	}
	var v Video
	if err := s.call(ctx, http.MethodPost, "/transcode", body, http.StatusAccepted, &v); err != nil {
		return v, fmt.Errorf("submit %s: %w", videoID, err)
	}
	return v, nil
}

// Video asks how the video is.
func (s *Stack) Video(ctx context.Context, videoID string) (Video, error) {
	var v Video
	if err := s.call(ctx, http.MethodGet, "/videos/"+videoID, nil, http.StatusOK, &v); err != nil {
		return v, fmt.Errorf("ask for %s: %w", videoID, err)
	}
	return v, nil
}

// Playback asks for the URLs that a player may play.
func (s *Stack) Playback(ctx context.Context, videoID string) (Playback, error) {
	var p Playback
	if err := s.call(ctx, http.MethodGet, "/videos/"+videoID+"/playback", nil, http.StatusOK, &p); err != nil {
		return p, fmt.Errorf("ask for the playback of %s: %w", videoID, err)
	}
	return p, nil
}

// Processed waits until a backend is told of a video's end. It is an error if it failed, or if what was published of it breaks a rule
// of HLS.
func (s *Stack) Processed(ctx context.Context, videoID string) error {
	news, err := s.Hooks.End(ctx, videoID)
	if err != nil {
		return err
	}
	if news.Event.Status != "processed" {
		return fmt.Errorf("the webhook of %s: %s", videoID, news.Body)
	}
	return s.Cloud.Check(ctx, videoID)
}

func (s *Stack) call(ctx context.Context, method, path string, body []byte, want int, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.API+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+s.APIKey)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != want {
		var e struct {
			Error struct{ Code, Message string }
		}
		if err := json.Unmarshal(text, &e); err != nil || e.Error.Code == "" {
			return &APIError{Status: resp.StatusCode, Message: string(text)}
		}
		return &APIError{Status: resp.StatusCode, Code: e.Error.Code, Message: e.Error.Message}
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("the API's answer %q: %w", text, err)
	}
	return nil
}

// Upload puts the file at path into the bucket, in parts if it is big, as an application would.
func (s *Stack) Upload(ctx context.Context, path, key string) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	if info.Size() <= partSize {
		_, err = s.Cloud.S3().PutObject(ctx, &s3.PutObjectInput{Bucket: &s.Cloud.Bucket, Key: &key, Body: f})
	} else {
		err = s.uploadParts(ctx, f, info.Size(), key)
	}
	if err != nil {
		return fmt.Errorf("upload %s as %s: %w", path, key, err)
	}
	return nil
}

func (s *Stack) uploadParts(ctx context.Context, f io.ReaderAt, size int64, key string) (err error) {
	client, bucket := s.Cloud.S3(), aws.String(s.Cloud.Bucket)
	upload, err := client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: bucket, Key: &key})
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortLimit)
			defer cancel()
			_, abortErr := client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: bucket, Key: &key, UploadId: upload.UploadId})
			err = errors.Join(err, abortErr)
		}
	}()
	step := max(partSize, (size+maxParts-1)/maxParts)
	var parts []types.CompletedPart
	for from := int64(0); from < size; from += step {
		number := aws.Int32(int32(len(parts) + 1))
		part, err := client.UploadPart(ctx, &s3.UploadPartInput{
			Bucket: bucket, Key: &key, UploadId: upload.UploadId, PartNumber: number,
			Body: io.NewSectionReader(f, from, min(step, size-from)),
		})
		if err != nil {
			return err
		}
		// The local R2 takes ETags without their quotes; R2 takes both.
		etag := strings.Trim(aws.ToString(part.ETag), `"`)
		parts = append(parts, types.CompletedPart{PartNumber: number, ETag: &etag})
	}
	_, err = client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: bucket, Key: &key, UploadId: upload.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
	return err
}

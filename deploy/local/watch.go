package local

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"weir/deploy/internal/check"
)

// watchTime outlasts every run.
const watchTime = 12 * time.Hour

// excused are the rules whose breaking is a matter of the source or of who asked: how many rungs there are pixels for, how short the
// video is, how its bits are spread, what was copied of it.
var excused = map[string]bool{"1.4": true, "1.30": true, "7.5": true, "9.9": true}

// WatchURL returns the URL of a video's multivariant playlist with a token in it. The API hands one out only when there is
// something to watch; whoever measures when that is must ask before.
func (c *Cloud) WatchURL(videoID string) (string, error) {
	token, err := c.Token(videoID, watchTime)
	if err != nil {
		return "", err
	}
	return c.URL + "/t/" + token + "/videos/" + videoID + "/hls/master.m3u8", nil
}

// Token returns one that opens a video for so long; a negative time makes one that has expired.
func (c *Cloud) Token(videoID string, life time.Duration) (string, error) {
	var key struct {
		Kid string `json:"kid"`
		K   string `json:"k"`
	}
	if err := json.Unmarshal([]byte(c.TokenKey), &key); err != nil {
		return "", fmt.Errorf("read the token key: %w", err)
	}
	secret, err := base64.RawURLEncoding.DecodeString(key.K)
	if err != nil {
		return "", fmt.Errorf("read the token key: %w", err)
	}
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.RegisteredClaims{
		Subject: "videos/" + videoID, ExpiresAt: jwt.NewNumericDate(time.Now().Add(life)),
	})
	token.Header["kid"] = key.Kid
	signed, err := token.SignedString(secret)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return signed, nil
}

// Check reads all of a video that is complete, as players get it from the Worker, and holds it to the rules of HLS: to those that
// should be kept, too, unless it may be the source that breaks them.
func (c *Cloud) Check(ctx context.Context, videoID string) error {
	url, err := c.WatchURL(videoID)
	if err != nil {
		return err
	}
	report, err := check.Run(ctx, url, check.Options{})
	if err != nil {
		return fmt.Errorf("check %s: %w", videoID, err)
	}
	var broken []error
	for _, f := range report.Findings {
		if f.Level == check.Error || !excused[f.Rule] {
			broken = append(broken, fmt.Errorf("%s: %s", videoID, f))
		}
	}
	return errors.Join(broken...)
}

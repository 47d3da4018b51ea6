// Package rotate changes the key that signs tokens, while people watch.
//
// The Worker learns of the new key before anybody signs with it, and forgets the old one when no token of it lives any more. So a
// rotation takes two runs: one that ends with the new key in use, and one, two days later, that retires the old one. A run that broke off
// is taken up by the next.
package rotate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"weir/deploy/internal/settings"
	"weir/deploy/internal/verify"
)

const (
	// tokenLife is the longest that a token lives: as long as the longest video that a transcoder takes, and a quarter of an hour.
	tokenLife = 48*time.Hour + 15*time.Minute
	// learned is how often in a row the Worker must take the new key, and learnTimeout how long that may take: Cloudflare tells its
	// places within seconds.
	learned      = 5
	learnPause   = time.Second
	learnTimeout = 3 * time.Minute
	callTimeout  = 30 * time.Second
	// asked is of how many videos a token is asked for, to see who signs it: several transcoders may answer.
	asked = 10
)

// Rotation is what is rotated.
type Rotation struct {
	Settings *settings.File
	// Deploy brings the Worker to the settings.
	Deploy func(context.Context) error
	// Videos are IDs of videos that can be watched, a few are enough; none where there is none.
	Videos func(context.Context) ([]string, error)
	Now    func() time.Time
}

// ErrNotYet is an old key that somebody may still need.
var ErrNotYet = errors.New("not yet")

// Run does what can be done now, and says what comes next.
func Run(ctx context.Context, r Rotation, out io.Writer) error {
	k, err := r.Settings.Keys()
	if err != nil {
		return err
	}
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) }
	if len(k.IDs) > 1 && k.Signs == k.Newest() {
		return r.retire(ctx, k, say)
	}
	if len(k.IDs) == 1 {
		if err := r.Settings.AddKey(r.Now()); err != nil {
			return err
		}
		if k, err = r.Settings.Keys(); err != nil {
			return err
		}
	}
	say("the new key is %s; the Worker is told of it", k.Newest())
	if err := r.Deploy(ctx); err != nil {
		return err
	}
	if err := r.taken(ctx, "TOKEN_KEY_NEXT"); err != nil {
		return err
	}
	if err := r.Settings.SignWithNewest(r.Now()); err != nil {
		return err
	}
	say("the Worker takes it; from now on it signs")
	if err := r.Deploy(ctx); err != nil {
		return err
	}
	say("a transcoder signs with it once it is started again with TOKEN_KEY of %s; one in Cloudflare's containers starts again by itself", r.Settings.Name())
	say("tokens of %s are taken until then, and for %v more: run this again after that, to retire it", strings.Join(old(k), ", "), tokenLife)
	return nil
}

// retire forgets old keys, if nobody needs them.
func (r Rotation) retire(ctx context.Context, k settings.Keys, say func(string, ...any)) error {
	// The run before may have ended before the Worker had the key that signs, which its container takes from there.
	if err := r.Deploy(ctx); err != nil {
		return err
	}
	if k.Since.IsZero() {
		return fmt.Errorf("%w: %s does not say since when %s signs: add TOKEN_KEY_SINCE=%s, and run this again in %v", ErrNotYet, r.Settings.Name(), k.Signs,
			r.Now().UTC().Format(time.RFC3339), tokenLife)
	}
	if left := k.Since.Add(tokenLife).Sub(r.Now()); left > 0 {
		return fmt.Errorf("%w: tokens of %s may live for another %v: run this again after that", ErrNotYet, strings.Join(old(k), ", "), left.Round(time.Minute))
	}
	ids, err := r.signers(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if id != k.Signs {
			// Tokens that it signs now live as long as any.
			if err := r.Settings.Set(settings.Value{Name: "TOKEN_KEY_SINCE", Text: r.Now().UTC().Format(time.RFC3339)}); err != nil {
				return err
			}
			return fmt.Errorf("%w: a transcoder signs with %s still: start it again with TOKEN_KEY of %s, and run this again %v later", ErrNotYet, id,
				r.Settings.Name(), tokenLife)
		}
	}
	if err := r.Settings.RetireOlder(); err != nil {
		return err
	}
	if err := r.Deploy(ctx); err != nil {
		return fmt.Errorf("%w\nthe settings have %s alone: `deploy apply` brings the Worker there", err, k.Signs)
	}
	say("%s is retired; %s is the only key", strings.Join(old(k), ", "), k.Signs)
	return nil
}

// old are the keys that do not sign, or soon will not.
func old(k settings.Keys) []string { return k.IDs[:len(k.IDs)-1] }

// taken waits until the Worker takes tokens of a key: for a video that is not there, it answers 404, and without a good token 401.
func (r Rotation) taken(ctx context.Context, name string) error {
	key, err := verify.ParseKey(r.Settings.Get(name))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, learnTimeout)
	defer cancel()
	for inARow := 0; inARow < learned; {
		var last string
		token, err := key.Token("videos/weir-rotation", r.Now(), time.Hour)
		if err != nil {
			return err
		}
		status, _, err := r.call(ctx, "/videos/weir-rotation/poster.jpg", token)
		switch {
		case err == nil && status == http.StatusNotFound:
			inARow++
			continue
		case err == nil:
			last = fmt.Sprintf("it answers %d", status)
		default:
			last = err.Error()
		}
		inARow = 0
		select {
		case <-ctx.Done():
			return fmt.Errorf("the Worker at %s does not take the new key within %v (%s): the old one signs on; run this again", r.Settings.Get("PUBLIC_URL"), learnTimeout, last)
		case <-time.After(learnPause):
		}
	}
	return nil
}

// signers are the IDs of the keys that sign what transcoders give out now.
func (r Rotation) signers(ctx context.Context) (ids []string, err error) {
	videos, err := r.Videos(ctx)
	if err != nil {
		return nil, err
	}
	for _, video := range videos {
		if len(ids) == asked {
			break
		}
		status, body, err := r.call(ctx, "/videos/"+video+"/playback", verify.Bearer(r.Settings.Get("API_KEY")))
		if err != nil {
			return nil, fmt.Errorf("ask the transcoder which key signs: %w", err)
		}
		if status == http.StatusNotFound || status == http.StatusConflict {
			continue // it cannot be watched
		}
		var playback struct{ Token string }
		if err := json.Unmarshal(body, &playback); status != http.StatusOK || err != nil {
			return nil, fmt.Errorf("ask the transcoder which key signs: it answers %d", status)
		}
		token, _, err := jwt.NewParser().ParseUnverified(playback.Token, jwt.MapClaims{})
		if err != nil {
			return nil, fmt.Errorf("ask the transcoder which key signs: %w", err)
		}
		id, _ := token.Header["kid"].(string)
		ids = append(ids, id)
	}
	return ids, nil
}

func (r Rotation) call(ctx context.Context, path, bearer string) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.Settings.Get("PUBLIC_URL")+path, nil)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+bearer)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, body, err
}

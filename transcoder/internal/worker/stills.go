package worker

import (
	"context"
	"errors"
	"fmt"
	"image"

	"weir/transcoder/internal/hls"
	"weir/transcoder/internal/job"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
	"weir/transcoder/internal/publish"
	"weir/transcoder/internal/r2"
	"weir/transcoder/internal/still"
)

var privatePicture = r2.Meta{ContentType: "image/jpeg", CacheControl: private.CacheControl}

// keep puts a picture beside the records of a run, under a name that says its content, and returns its key.
func (w *Worker) keep(ctx context.Context, t job.Ticket, what string, data []byte) (key string, err error) {
	key = workPrefix(t) + publish.PictureName(what, data)
	if err := w.Bucket.Create(ctx, key, data, privatePicture); err != nil && !errors.Is(err, job.ErrConflict) {
		return "", err
	}
	return key, nil
}

// Tiles keeps a chunk's part of the storyboard until all of it is there.
func (s *sink) Tiles(ctx context.Context, tiles []*image.YCbCr) error {
	data, err := still.Strip(tiles)
	if err != nil {
		return err
	}
	s.tiles, err = s.worker.keep(ctx, s.ticket, "tiles_"+s.task.ID, data)
	return err
}

// picture does a task whose outcome is a picture, and commits it.
func (w *Worker) picture(ctx context.Context, m taskMessage, p plan.Plan, task plan.Task) error {
	do := w.makePoster
	if task.ID == plan.StoryboardTask {
		do = w.makeStoryboard
	}
	out, err := do(ctx, m.Ticket, p)
	if err != nil {
		return err
	}
	return w.commit(ctx, m.Ticket, task.ID, out)
}

func (w *Worker) makePoster(ctx context.Context, t job.Ticket, p plan.Plan) (outcome, error) {
	var picture *image.YCbCr
	err := w.examine(ctx, p, func(url string) (err error) {
		picture, err = w.Encoder.Poster(ctx, p, url)
		return err
	})
	if err != nil {
		return outcome{}, err
	}
	data, err := still.Poster(picture)
	if err != nil {
		return outcome{}, err
	}
	key, err := w.keep(ctx, t, plan.PosterTask, data)
	return outcome{Poster: key}, err
}

// examine lets a decoder read the upload.
func (w *Worker) examine(ctx context.Context, p plan.Plan, decode func(url string) error) error {
	upload, err := w.Sources.OpenVersion(ctx, p.Key, p.ETag, p.Size)
	if err != nil {
		return err
	}
	defer upload.Close()
	err = decode(upload.URL())
	switch {
	case upload.Err() != nil:
		return upload.Err() // whatever the decoder said of a file that it could not read
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("%w: %w", errEncoder, err)
	}
	return nil
}

// makeStoryboard makes the sheets, once all chunks have left their tiles.
func (w *Worker) makeStoryboard(ctx context.Context, t job.Ticket, p plan.Plan) (outcome, error) {
	tree := publish.NewTree(w.Bucket, t.VideoID)
	var sheets []media.Sheet
	strip := func(c plan.Chunk) ([]byte, error) {
		made, err := read[outcome](ctx, w.Bucket, resultKey(t, plan.PictureOf(c)))
		if err != nil {
			return nil, err
		}
		if made.Tiles == "" {
			return w.strip(ctx, p, c)
		}
		data, _, err := w.Bucket.Read(ctx, made.Tiles)
		return data, err
	}
	put := func(data []byte) error {
		name, err := tree.Sheet(ctx, len(sheets), data)
		sheets = append(sheets, media.Sheet{Name: name, Bytes: int64(len(data))})
		return err
	}
	err := still.Sheets(p, strip, put)
	return outcome{Sheets: sheets}, err
}

// strip makes the tiles of a chunk that was encoded by a node of a release that made none.
func (w *Worker) strip(ctx context.Context, p plan.Plan, c plan.Chunk) ([]byte, error) {
	var tiles []*image.YCbCr
	err := w.examine(ctx, p, func(url string) (err error) {
		tiles, err = w.Encoder.Tiles(ctx, p.Only(job.H264), c, url)
		return err
	})
	if err != nil {
		return nil, err
	}
	return still.Strip(tiles)
}

// showPoster publishes the poster that waits under a key, if there is one.
func (w *Worker) showPoster(ctx context.Context, j job.Job, key string) error {
	if key == "" {
		return nil
	}
	data, _, err := w.Bucket.Read(ctx, key)
	if err != nil {
		return err
	}
	if err := publish.NewTree(w.Bucket, j.VideoID).Poster(ctx, data, w.ours(ctx, j)); err != nil {
		return fmt.Errorf("publish the poster: %w", err)
	}
	return nil
}

// images publishes the storyboard's image playlist and returns the line of the master playlist that names it; nil without a
// storyboard.
func (w *Worker) images(ctx context.Context, j job.Job, p plan.Plan, sheets []media.Sheet) ([]byte, error) {
	if p.Storyboard == nil {
		return nil, nil
	}
	if err := publish.NewTree(w.Bucket, j.VideoID).Images(ctx, j.Version, hls.Images(p, sheets)); err != nil {
		return nil, fmt.Errorf("publish the storyboard: %w", err)
	}
	return hls.ImageStream(p, sheets, publish.ImagesURI(j.Version)), nil
}

// illustrate leads people to the poster and the storyboard, once the master playlist leads to this version.
func (w *Worker) illustrate(ctx context.Context, j job.Job, p plan.Plan, out media.Output, result *job.Result) error {
	if p.Poster != nil {
		if err := w.showPoster(ctx, j, out.Poster); err != nil {
			return err
		}
		result.Poster = publish.PosterKey(j.VideoID)
	}
	if p.Storyboard != nil {
		vtt, err := still.VTT(p, out.Sheets)
		if err != nil {
			return err
		}
		if err := publish.NewTree(w.Bucket, j.VideoID).Storyboard(ctx, vtt, w.ours(ctx, j)); err != nil {
			return fmt.Errorf("publish the storyboard: %w", err)
		}
		result.Storyboard = publish.StoryboardKey(j.VideoID)
	}
	return nil
}

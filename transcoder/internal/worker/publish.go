package worker

import (
	"context"
	"fmt"

	"weir/transcoder/internal/dash"
	"weir/transcoder/internal/hls"
	"weir/transcoder/internal/job"
	"weir/transcoder/internal/manifest"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
	"weir/transcoder/internal/publish"
)

// grow shows what there is of the renditions so far. With the first segments of all of them the master playlist appears:
// the video is playable. The media playlists are VOD when nothing will be added to them. The subtitles come with the last master
// playlist alone: nobody has to wait for them, and who began before goes on as he did. It returns the record as it is then.
func (w *Worker) grow(ctx context.Context, j job.Job, p plan.Plan, renditions []media.Rendition, kind hls.Kind) (job.Job, error) {
	tree := publish.NewTree(w.Bucket, j.VideoID)
	playlists, err := mediaPlaylists(p, renditions, kind)
	if err != nil {
		return j, err
	}
	write := tree.Grow
	if kind == hls.VOD {
		write = tree.Complete
	}
	if err := write(ctx, j.Version, playlists); err != nil {
		return j, fmt.Errorf("publish: %w", err)
	}
	if j.State == job.Playable {
		return j, nil
	}
	master, err := hls.Master(p, media.Output{Renditions: renditions}, publish.PlaylistName(j.Version), publish.IFramesName(j.Version), hls.Event)
	if err != nil {
		return j, err
	}
	if err := tree.Master(ctx, master, true, w.ours(ctx, j)); err != nil {
		return j, fmt.Errorf("publish: %w", err)
	}
	now := w.Now().UTC()
	j, err = w.Catalog.Update(ctx, j.Ticket(), func(j *job.Job) { j.Publish(now) })
	if err != nil {
		return j, err
	}
	w.Log.Info("the job was playable", "job", j.VideoID, "run", j.Run, "after_s", now.Sub(j.CreatedAt).Seconds())
	if j.State == job.Playable {
		w.Meter.Playable(j)
	}
	return j, w.Dispatch(ctx, j)
}

// publish writes the playlists for good, then what is written at the end alone, and removes what no playlist names.
func (w *Worker) publish(ctx context.Context, j job.Job, p plan.Plan, out media.Output) (job.Result, error) {
	w.say(j, job.Progress{Phase: job.Publishing, Percent: lastPercent})
	tree := publish.NewTree(w.Bucket, j.VideoID)
	playlists, err := mediaPlaylists(p, out.Renditions, hls.VOD)
	if err != nil {
		return job.Result{}, err
	}
	if err := addTexts(playlists, p, out.Texts); err != nil {
		return job.Result{}, err
	}
	master, err := hls.Master(p, out, publish.PlaylistName(j.Version), publish.IFramesName(j.Version), hls.VOD)
	if err != nil {
		return job.Result{}, err
	}
	iframes, err := iframePlaylists(out.Renditions)
	if err != nil {
		return job.Result{}, err
	}
	if err := tree.IFrames(ctx, j.Version, iframes); err != nil {
		return job.Result{}, fmt.Errorf("publish: %w", err)
	}
	if err := tree.Complete(ctx, j.Version, playlists); err != nil {
		return job.Result{}, fmt.Errorf("publish: %w", err)
	}
	images, err := w.images(ctx, j, p, out.Sheets)
	if err != nil {
		return job.Result{}, err
	}
	if err := tree.Master(ctx, append(master, images...), false, w.ours(ctx, j)); err != nil {
		return job.Result{}, fmt.Errorf("publish: %w", err)
	}
	result := result(p, out.Renditions)
	if err := w.illustrate(ctx, j, p, out, &result); err != nil {
		return job.Result{}, err
	}
	if err := w.conclude(ctx, tree, j, p, out); err != nil {
		return job.Result{}, err
	}
	if !j.Replaces() { // who watches the version before goes on doing so
		if err := tree.Sweep(ctx); err != nil {
			return job.Result{}, err
		}
	}
	result.Manifest = publish.ManifestKey(j.VideoID)
	return result, nil
}

// conclude writes the MPD, if there is one, and the manifest, which are of the whole video.
func (w *Worker) conclude(ctx context.Context, tree publish.Tree, j job.Job, p plan.Plan, out media.Output) error {
	playlists, err := w.entrances(ctx, tree, j, p, out)
	if err != nil {
		return err
	}
	// The record as it is now knows since when the video is playable.
	if j, err = w.Catalog.Update(ctx, j.Ticket(), func(*job.Job) {}); err != nil {
		return err
	}
	paths := manifest.Paths{
		Playlists: playlists,
		Playlist:  publish.PlaylistName(j.Version),
		IFrames:   publish.IFramesName(j.Version),
	}
	if p.Poster != nil {
		paths.Pictures.Poster = publish.PosterPath
	}
	if p.Storyboard != nil {
		paths.Pictures.Storyboard, paths.Pictures.Images = publish.StoryboardPath, publish.ImagesPath(j.Version)
	}
	var encoders []manifest.Encoder
	for _, codec := range p.Codecs() {
		s := w.Encoder.Settings(codec)
		encoders = append(encoders, manifest.Encoder{Codec: string(s.Codec), Name: s.Name, Preset: s.Preset, CRF: s.CRF})
	}
	data, err := manifest.Make(j, p, out, paths, encoders, w.Now().UTC())
	if err != nil {
		return err
	}
	if err := tree.Manifest(ctx, data, w.ours(ctx, j)); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return nil
}

// entrances writes the MPD of a video that has one, and says where players begin.
func (w *Worker) entrances(ctx context.Context, tree publish.Tree, j job.Job, p plan.Plan, out media.Output) (manifest.Playlists, error) {
	paths := manifest.Playlists{HLS: publish.MasterPath}
	if !j.MPD() {
		if err := tree.WithdrawMPD(ctx, w.ours(ctx, j)); err != nil {
			return paths, fmt.Errorf("publish: %w", err)
		}
		return paths, nil
	}
	mpd, err := dash.MPD(p, out)
	if err != nil {
		return paths, err
	}
	if err := tree.MPD(ctx, mpd, w.ours(ctx, j)); err != nil {
		return paths, fmt.Errorf("publish: %w", err)
	}
	paths.DASH = publish.MPDPath
	return paths, nil
}

// ours tells whether the run is still the video's, and goes on.
func (w *Worker) ours(ctx context.Context, j job.Job) func() error {
	return func() error {
		now, err := w.Catalog.Update(ctx, j.Ticket(), func(*job.Job) {})
		if err == nil && now.State.Ended() {
			err = errStopped
		}
		return err
	}
}

func mediaPlaylists(p plan.Plan, renditions []media.Rendition, kind hls.Kind) (map[string][]byte, error) {
	playlists := make(map[string][]byte, len(renditions))
	for _, r := range renditions {
		list, err := hls.Media(r, p.TargetDuration(), kind)
		if err != nil {
			return nil, err
		}
		playlists[r.Name] = list
	}
	return playlists, nil
}

// iframePlaylists are those of the renditions whose key frames are known.
func iframePlaylists(renditions []media.Rendition) (map[string][]byte, error) {
	playlists := make(map[string][]byte, len(renditions))
	for _, r := range renditions {
		list, ok, err := hls.IFrames(r)
		if err != nil {
			return nil, err
		}
		if ok {
			playlists[r.Name] = list
		}
	}
	return playlists, nil
}

func result(p plan.Plan, renditions []media.Rendition) job.Result {
	var result job.Result
	for _, r := range renditions {
		peak, average := hls.Bandwidth(r, p.TargetDuration())
		out := job.Rendition{Name: r.Name, Codecs: r.Codecs, Bandwidth: peak, AverageBandwidth: average}
		for _, v := range p.Video {
			if v.Name == r.Name {
				out.Width, out.Height = v.Width, v.Height
			}
		}
		result.Renditions = append(result.Renditions, out)
		result.Segments += len(r.Segments)
		result.Bytes += r.Bytes()
		result.Duration = max(result.Duration, r.Duration())
	}
	return result
}

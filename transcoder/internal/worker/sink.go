package worker

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"weir/transcoder/internal/cmaf"
	"weir/transcoder/internal/encrypt"
	"weir/transcoder/internal/job"
	"weir/transcoder/internal/media"
	"weir/transcoder/internal/plan"
	"weir/transcoder/internal/publish"
)

// uploadsAtOnce bounds what a task holds in memory: a few segments wait for the bucket, then the encoder does.
const uploadsAtOnce = 4

// sink uploads what an encoder makes while it runs. Sound is committed chunk after chunk as soon as it is there; a picture
// at its end, when it is certain that no frame is missing.
type sink struct {
	worker  *Worker
	ticket  job.Ticket
	plan    plan.Plan
	task    plan.Task
	tree    publish.Tree
	key     *encrypt.Video // of the segments; nil leaves them in the clear
	uploads *errgroup.Group
	ctx     context.Context // ends with the first upload that fails

	committing sync.Mutex // orders the commits
	next       int        // the chunk of the task whose outcome is committed next

	tiles string // the key of the chunk's part of the storyboard

	mu         sync.Mutex
	renditions map[string]*media.Rendition
	packagers  map[string]packager
}

func newSink(ctx context.Context, w *Worker, t job.Ticket, p plan.Plan, task plan.Task, key *encrypt.Video) *sink {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(uploadsAtOnce)
	return &sink{
		worker: w, ticket: t, plan: p, task: task,
		tree: publish.NewTree(w.Bucket, t.VideoID), key: key, uploads: g, ctx: gctx,
		renditions: map[string]*media.Rendition{}, packagers: map[string]packager{},
	}
}

// Init uploads an init segment and starts the rendition, anew if the encoder does.
func (s *sink) Init(ctx context.Context, rendition string, init cmaf.Init) error {
	pack, err := s.packager(init)
	if err != nil {
		return err
	}
	r := &media.Rendition{Name: rendition, Codecs: init.Codecs, Timescale: init.Timescale}
	if s.key != nil {
		r.KeyURI = publish.KeyURI(s.ticket.VideoID)
	}
	if err := pack.init(ctx, r, init); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.renditions[rendition], s.packagers[rendition] = r, pack
	return nil
}

// Segment uploads a segment beside the encoder; it waits only while too many are on their way.
func (s *sink) Segment(_ context.Context, rendition string, segment cmaf.Segment) error {
	s.mu.Lock()
	r, pack := s.renditions[rendition], s.packagers[rendition]
	s.mu.Unlock()
	s.uploads.Go(func() error {
		published, err := pack.segment(s.ctx, rendition, segment)
		if err != nil {
			return err
		}
		s.mu.Lock()
		r.Segments = append(r.Segments, published)
		s.mu.Unlock()
		if s.task.Sound {
			return s.commit(s.ctx)
		}
		return nil
	})
	return s.ctx.Err()
}

// finish commits what is left, once the encoder has ended well and all uploads are done.
func (s *sink) finish(ctx context.Context) error {
	if err := s.commit(ctx); err != nil {
		return err
	}
	if s.next < len(s.task.Chunks) {
		return fmt.Errorf("%w: it ended without all segments of %s", errEncoder, s.task.Outcomes()[s.next])
	}
	return nil
}

// commit records the outcomes of the chunks that are complete.
func (s *sink) commit(ctx context.Context) error {
	s.committing.Lock()
	defer s.committing.Unlock()
	for ; s.next < len(s.task.Chunks); s.next++ {
		renditions := s.take(s.task.Chunks[s.next])
		if renditions == nil {
			return nil
		}
		if err := s.worker.commit(ctx, s.ticket, s.task.Outcomes()[s.next], outcome{Renditions: renditions, Tiles: s.tiles}); err != nil {
			return err
		}
	}
	return nil
}

// take returns a chunk's part of the renditions, in the plan's order; nil if a segment of it is not there yet.
func (s *sink) take(c plan.Chunk) []media.Rendition {
	first, end := s.plan.Span(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []media.Rendition
	for _, name := range s.names() {
		r := s.renditions[name]
		if r == nil {
			return nil
		}
		part := *r
		part.Segments = nil
		for _, segment := range r.Segments {
			if segment.Number >= first && segment.Number < end {
				part.Segments = append(part.Segments, segment)
			}
		}
		if len(part.Segments) != end-first {
			return nil
		}
		slices.SortFunc(part.Segments, func(a, b media.Segment) int { return a.Number - b.Number })
		out = append(out, part)
	}
	return out
}

// names are the renditions that the task makes.
func (s *sink) names() []string {
	var names []string
	if s.task.Sound {
		for _, a := range s.plan.Audio {
			names = append(names, a.Name)
		}
		return names
	}
	for _, v := range s.plan.Video {
		names = append(names, v.Name)
	}
	return names
}

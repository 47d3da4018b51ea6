// Package plan decides, once, how a video is encoded: its ladder and its chunks. Start at [Make].
//
// A plan is a value computed from the source and the policy by pure functions; it is stored in the bucket before the
// first task is dispatched, and every node and every retry uses that one plan. This package does no IO, reads no clock
// and knows nothing of FFmpeg's arguments.
package plan

import (
	"fmt"

	"weir/transcoder/internal/media"
)

const (
	// gopSeconds is the distance of key frames (Apple HLS authoring rule 1.13).
	gopSeconds = 2
	// segmentGOPs makes segments of 6 s (rules 7.5 and 7.6).
	segmentGOPs = 3
	// maxChunkSegments makes chunks of at most about a minute: little to lose in a crash, and the cost of starting an
	// encoder is nothing beside it.
	maxChunkSegments = 10
	// minChunks is how many chunks a short video is cut into where it has the segments, so that several cores work on it.
	minChunks = 4
	// maxLead is how much sound before the first picture is cut off, in seconds: encoders' run-ups, and no more.
	maxLead = 0.1
)

// Plan is how one source is encoded. All nodes share it; it never changes.
type Plan struct {
	Key    string       `json:"key"`
	ETag   string       `json:"etag"` // of the source: another ETag is another video
	Size   int64        `json:"size"`
	Source media.Source `json:"source"`

	// Origin is the time on the source's clock, in seconds, that is 0 in the output: the first picture, or the first sound
	// where that comes well before.
	Origin float64 `json:"origin_s"`
	// Frames is the length of the output at the source's rate. It covers the longer of picture and sound.
	Frames int64 `json:"frames"`
	// GOP is the number of frames from one IDR picture to the next.
	GOP   int64            `json:"gop"`
	Video []VideoRendition `json:"video"` // the ladder, highest first
	Audio []AudioRendition `json:"audio"` // one a bit rate that the ladder asks for, highest first
	// Chunks are the time ranges that are encoded side by side. They touch and cover all frames.
	Chunks []Chunk `json:"chunks"`
}

// VideoRendition is one rung of the ladder as it fits this source.
type VideoRendition struct {
	Name    string `json:"name"`
	Width   int    `json:"width"`
	Height  int    `json:"height"`
	Bitrate int    `json:"bitrate"` // upper bound in bits per second
	Audio   string `json:"audio"`   // the audio rendition that goes with it; "" where the source has none
}

// AudioRendition is one bit rate of the source's audio track.
type AudioRendition struct {
	Name    string `json:"name"`
	Bitrate int    `json:"bitrate"` // bits per second
}

// Chunk is the half-open range of frames [First, End) that one encoder makes. First is the start of a segment.
type Chunk struct {
	Number int   `json:"number"`
	First  int64 `json:"first"`
	End    int64 `json:"end"`
}

// Make plans a source under a ladder.
func Make(key, etag string, size int64, source media.Source, ladder Ladder) Plan {
	rate := source.Video.Rate
	origin, end := source.Video.Start, source.Video.End
	if a := source.Audio; a != nil {
		if a.Start < origin-maxLead {
			origin = a.Start
		}
		end = max(end, a.End)
	}
	p := Plan{
		Key: key, ETag: etag, Size: size, Source: source,
		Origin: origin,
		Frames: max(rate.Frames(end-origin), 1),
		GOP:    max(rate.Frames(gopSeconds), 1),
	}
	p.Video, p.Audio = ladder.fit(source)
	p.Chunks = cut(p.Frames, p.SegmentFrames())
	return p
}

// cut divides frames into chunks of whole segments; the last chunk takes what is left.
func cut(frames, segment int64) []Chunk {
	segments := (frames + segment - 1) / segment
	size := min(max((segments+minChunks-1)/minChunks, 1), maxChunkSegments) * segment
	var chunks []Chunk
	for first := int64(0); first < frames; first += size {
		chunks = append(chunks, Chunk{Number: len(chunks), First: first, End: min(first+size, frames)})
	}
	return chunks
}

// SegmentFrames is the number of frames in a full segment.
func (p Plan) SegmentFrames() int64 { return p.GOP * segmentGOPs }

// Segments is the number of segments in each rendition.
func (p Plan) Segments() int { return p.segment(p.Frames + p.SegmentFrames() - 1) }

// FirstSegment is the number of a chunk's first segment.
func (p Plan) FirstSegment(c Chunk) int { return p.segment(c.First) }

func (p Plan) segment(frame int64) int { return int(frame / p.SegmentFrames()) }

// Duration is the length of the output in seconds.
func (p Plan) Duration() float64 { return p.Source.Video.Rate.Seconds(p.Frames) }

// Pictures is the half-open range of frames that the source's picture fills. Where its sound starts sooner or ends later,
// the frames before repeat the first picture and those after the last.
func (p Plan) Pictures() (first, end int64) {
	v := p.Source.Video
	return v.Rate.Frames(v.Start - p.Origin), min(v.Rate.Frames(v.End-p.Origin), p.Frames)
}

// Renditions names all renditions, the picture's first.
func (p Plan) Renditions() []string {
	var names []string
	for _, v := range p.Video {
		names = append(names, v.Name)
	}
	for _, a := range p.Audio {
		names = append(names, a.Name)
	}
	return names
}

// Task is one unit of work: a chunk of the picture, or the whole of the sound.
type Task struct {
	ID string
	// Chunk is the chunk to encode; nil means the sound.
	Chunk *Chunk
	// Weight is the task's share of the job, for progress; the weights of a plan's tasks sum up to 1.
	Weight float64
}

// audioWeight is the share of the sound in the work of a job that has both.
const audioWeight = 0.05

// Tasks lists the plan's tasks in the order in which they are dispatched.
func (p Plan) Tasks() []Task {
	var tasks []Task
	video := 1.0
	if len(p.Audio) > 0 {
		video -= audioWeight
		tasks = append(tasks, Task{ID: "audio", Weight: audioWeight})
	}
	for i, c := range p.Chunks {
		tasks = append(tasks, Task{
			ID:     fmt.Sprintf("chunk_%d", c.Number),
			Chunk:  &p.Chunks[i],
			Weight: video * float64(c.End-c.First) / float64(p.Frames),
		})
	}
	return tasks
}

// Task finds a task by its id.
func (p Plan) Task(id string) (Task, bool) {
	for _, t := range p.Tasks() {
		if t.ID == id {
			return t, true
		}
	}
	return Task{}, false
}

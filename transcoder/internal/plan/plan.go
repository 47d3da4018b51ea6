// Package plan decides, once, how a video is encoded: its ladder and its chunks. Start at [Make].
//
// A plan is a value computed from the source and the policy by pure functions; it is stored in the bucket before the
// first task is dispatched, and every node and every retry uses that one plan. This package does no IO, reads no clock
// and knows nothing of FFmpeg's arguments.
package plan

import (
	"fmt"
	"math"
	"slices"

	"weir/transcoder/internal/job"
	"weir/transcoder/internal/media"
)

const (
	// gopSeconds is the distance of key frames (Apple HLS authoring rule 1.13).
	gopSeconds = 2
	// segmentGOPs makes segments of 6 s (rules 7.5 and 7.6), all but the first, which is a single GOP: the sooner it is
	// encoded, the sooner the video can be watched.
	segmentGOPs = 3
	// maxChunkSegments makes chunks of at most about a minute: little to lose in a crash, and the cost of starting an
	// encoder is nothing beside it.
	maxChunkSegments = 10
	// tailChunks is how many chunks the rest of a video is cut into at least. So chunks become shorter towards the end, and
	// no node is left with a long one when the others have nothing to do.
	tailChunks = 4
	// maxLead is how much sound before the first picture is cut off, in seconds: encoders' run-ups, and no more.
	maxLead = 0.1
	// soundSlack is by how much a segment of sound may be longer than its picture, in seconds: three AAC frames.
	soundSlack = 0.064
)

// soundRate is that of AAC's frames of 1,024 samples at 48 kHz.
var soundRate = media.Rate{Num: 48000, Den: 1024}

// Plan is how one source is encoded. All nodes share it; it never changes.
type Plan struct {
	Key    string       `json:"key"`
	ETag   string       `json:"etag"` // of the source: another ETag is another video
	Size   int64        `json:"size"`
	Source media.Source `json:"source"`

	// Origin is the time on the source's clock, in seconds, that is 0 in the output: the first picture, or the first sound
	// where that comes well before.
	Origin float64 `json:"origin_s"`
	// Frames is the length of the output at the plan's rate; see [Plan.Rate]. It covers the longest of picture and sounds.
	Frames int64 `json:"frames"`
	// GOP is the number of frames from one IDR picture to the next, or that many frames of sound where it is alone.
	GOP int64 `json:"gop"`
	// Video is the ladder, highest first: in H.264, and then once more in each further codec. None for sound alone.
	Video []VideoRendition `json:"video"`
	Audio []AudioRendition `json:"audio"` // track after track, each in all bit rates that the ladder asks for, highest first
	// Chunks are the time ranges that are encoded side by side. They touch and cover all frames. The first is one segment,
	// which is playable soon; then they become longer.
	Chunks []Chunk `json:"chunks"`

	// Subtitles are those that are published; none in plans that were made before they were.
	Subtitles []Subtitle `json:"subtitles,omitempty"`

	// Poster and Storyboard are nil in plans that were made before there were any.
	Poster     *Poster     `json:"poster,omitempty"`
	Storyboard *Storyboard `json:"storyboard,omitempty"`

	// Strict means that damage in the source's pictures is an error: no decoder hides it in those that are copied.
	Strict bool `json:"strict,omitempty"`

	// SegmentFormat is what the segments are written in. KeyID tells which key they are encrypted with, and nothing of that
	// key; "" leaves them in the clear.
	SegmentFormat job.SegmentFormat `json:"segment_format,omitempty"`
	KeyID         string            `json:"key_id,omitempty"`
}

// VideoRendition is one rung of the ladder as it fits this source.
type VideoRendition struct {
	Name    string `json:"name"`
	Width   int    `json:"width"`
	Height  int    `json:"height"`
	Bitrate int    `json:"bitrate"` // upper bound in bits per second
	Audio   string `json:"audio"`   // the group of audio renditions that goes with it; "" where the source has none
	// Codec is "" for H.264, as in plans that were made before there were others.
	Codec job.Codec `json:"codec,omitempty"`
	// Copied means that the source's own pictures are published, as they are.
	Copied bool `json:"copied,omitempty"`
}

// Chunk is the half-open range of frames [First, End) that one encoder makes. First is the start of a segment.
type Chunk struct {
	Number int   `json:"number"`
	First  int64 `json:"first"`
	End    int64 `json:"end"`
}

// Make plans a source under a ladder.
func Make(key, etag string, size int64, source media.Source, ladder Ladder) Plan {
	source.Audio = named(source.Audio)
	p := Plan{Key: key, ETag: etag, Size: size, Source: source}
	rate := p.Rate()
	origin, end := extent(source)
	p.Origin = origin
	p.Frames = max(rate.Frames(end-origin), 1)
	if !source.HasPicture() {
		p.Frames = int64(math.Ceil((end - origin) * rate.Float())) // nobody is to miss half a frame of sound
	}
	p.GOP = max(rate.Frames(gopSeconds), 1)
	p.Video, p.Audio = ladder.fit(source)
	p.Subtitles = subtitles(source)
	p.Chunks = p.cut()
	return p
}

// extent is when the output starts and ends on the source's clock, in seconds. A picture starts it, unless a sound comes well
// before; sound alone starts with the first of its tracks.
func extent(s media.Source) (origin, end float64) {
	origin, end = s.Video.Start, s.Video.End
	first := origin - maxLead
	for i, a := range s.Audio {
		if alone := i == 0 && !s.HasPicture(); alone || a.Start < first {
			origin, first = a.Start, a.Start
		}
		end = max(end, a.End)
	}
	return origin, end
}

// Rate is that of the frames which the plan counts in: the picture's, or of sound alone that of its own frames, so that
// segments of it are cut exactly.
func (p Plan) Rate() media.Rate {
	if p.Source.HasPicture() {
		return p.Source.Video.Rate
	}
	return soundRate
}

// cut divides the frames into chunks of whole segments; the last chunk takes what is left.
func (p Plan) cut() []Chunk {
	var chunks []Chunk
	segments := p.Segments()
	for segment, size, growing := 0, 1, 1; segment < segments; {
		end := min(segment+size, segments)
		chunks = append(chunks, Chunk{Number: len(chunks), First: p.Start(segment), End: p.Start(end)})
		size = max(min(growing, (segments-end+tailChunks-1)/tailChunks), 1)
		segment, growing = end, min(2*growing, maxChunkSegments)
	}
	return chunks
}

// Start is the frame at which a segment starts; that of the segment after the last is the end of the video.
func (p Plan) Start(segment int) int64 {
	if segment == 0 {
		return 0
	}
	return min(p.GOP+int64(segment-1)*p.GOP*segmentGOPs, p.Frames)
}

// Segments is the number of segments in each rendition.
func (p Plan) Segments() int { return p.segment(p.Frames-1) + 1 }

// Span is the half-open range of segments that a chunk holds.
func (p Plan) Span(c Chunk) (first, end int) { return p.segment(c.First), p.segment(c.End-1) + 1 }

// segment is the segment in which a frame lies.
func (p Plan) segment(frame int64) int {
	if frame < p.GOP {
		return 0
	}
	return int((frame-p.GOP)/(p.GOP*segmentGOPs)) + 1
}

// TargetDuration is the longest segment of all renditions in whole seconds, rounded as RFC 8216, section 4.3.3.1, says. It
// is known before there is one, because a playlist that grows must not change it.
func (p Plan) TargetDuration() int {
	longest := int64(0)
	for n := range min(p.Segments(), 2) {
		longest = max(longest, p.Start(n+1)-p.Start(n))
	}
	return max(int(math.Round(p.Rate().Seconds(longest)+soundSlack)), 1)
}

// Bound is the highest rate that a segment of a rung and its sound may have, in bits per second. The encoder's buffer holds
// two seconds at the rung's bit rate, which a segment of six may use up beside its own share.
func (p Plan) Bound(v VideoRendition) int64 {
	bound := int64(v.Bitrate) * 4 / 3
	if sounds := p.Group(v.Audio); len(sounds) > 0 {
		bound += int64(sounds[0].Bitrate)
	}
	return p.packaged(bound)
}

// packaged is a rate, in bits per second, with what a transport stream adds to it at most: the headers of its packets, a packet
// that is half empty for each picture and each tenth of a second of sound, and what fills up a segment, of picture and of sound.
func (p Plan) packaged(rate int64) int64 {
	if !p.SegmentFormat.Stream() {
		return rate
	}
	const packet, header, segments, full = 188, 4, 2, 20
	packets := p.Rate().Float() + 12 + segments*full/float64(gopSeconds)
	return rate + rate*header/(packet-header) + int64(packets*packet*8)
}

// Copyable tells whether the source's own pictures may be what the top rung is to be: its size, and stored as it is published. There
// must be a rung below it in the same codec, from whose decoding one learns of damage. Transport streams are always encoded.
func (p Plan) Copyable() bool {
	v, rungs := p.Source.Video, p.Only(job.H264).Video
	return len(rungs) > 1 && !p.SegmentFormat.Stream() && p.Source.Demuxer == "mov" && !p.Source.Jumps && v.Plain &&
		v.Width == rungs[0].Width && v.Height == rungs[0].Height
}

// Copy publishes the source's own pictures as the top rung.
func (p Plan) Copy() Plan {
	p.Video = slices.Clone(p.Video)
	p.Video[0].Copied, p.Strict = true, true
	return p
}

// Encoded is the plan as an encoder sees it: without what is copied.
func (p Plan) Encoded() Plan {
	p.Video = slices.DeleteFunc(slices.Clone(p.Video), func(v VideoRendition) bool { return v.Copied })
	return p
}

// Duration is the length of the output in seconds.
func (p Plan) Duration() float64 { return p.Rate().Seconds(p.Frames) }

// Seconds is the length of chunks together.
func (p Plan) Seconds(chunks []Chunk) (sum float64) {
	for _, c := range chunks {
		sum += p.Rate().Seconds(c.End - c.First)
	}
	return sum
}

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

// Task is one unit of work: a chunk of the picture, or the sound of one or more chunks.
type Task struct {
	ID string
	// Chunks are those that the task is for: one of the picture, or those of which it makes the sound.
	Chunks []Chunk
	Sound  bool
	Codec  job.Codec // of a chunk of the picture
	Still  bool      // a task for a picture: the poster or the storyboard, and no chunk
	Text   bool      // the task for the subtitles, and no chunk
	// Weight is the task's share of the job, for progress; the weights of a plan's tasks sum up to 1.
	Weight float64
}

// soundWeight is the work that a track of sound is, where that of a picture with one track is 1.
const soundWeight = 0.05

// Tasks lists the plan's tasks in the order in which they are dispatched. The picture is one task a chunk and codec; those in
// H.264, with which the video can be watched, go before all others. The sound is two tasks: that of the first chunk, which makes
// the video playable, and all the rest in one piece, because the joins of encoders are heard in sound unless much is done about it.
func (p Plan) Tasks() []Task {
	var tasks []Task
	sound, picture, frames := soundWeight*float64(len(p.Tracks())), 1-soundWeight, float64(p.Frames)
	if len(p.Video) == 0 {
		picture = 0
	}
	sound, picture = sound/(sound+picture), picture/(sound+picture)
	if len(p.Audio) > 0 {
		first := float64(p.Chunks[0].End) / frames
		tasks = append(tasks, Task{ID: "audio_0", Chunks: p.Chunks[:1], Sound: true, Weight: sound * first})
		if len(p.Chunks) > 1 {
			tasks = append(tasks, Task{ID: "audio_rest", Chunks: p.Chunks[1:], Sound: true, Weight: sound * (1 - first)})
		}
	}
	if len(p.Video) == 0 {
		return tasks
	}
	efforts := 0.0
	for _, codec := range p.Codecs() {
		efforts += effort(codec)
	}
	for _, codec := range p.Codecs() {
		for i, c := range p.Chunks {
			tasks = append(tasks, Task{
				ID: PictureIn(codec, c), Chunks: p.Chunks[i : i+1], Codec: codec,
				Weight: picture * effort(codec) / efforts * float64(c.End-c.First) / frames,
			})
			if i == 0 && codec == job.H264 {
				tasks = append(tasks, p.stillTasks()...)
				tasks = append(tasks, p.subtitleTasks()...)
			}
		}
	}
	return tasks
}

// First tells whether the video becomes playable with the task.
func (t Task) First() bool { return len(t.Chunks) > 0 && t.Chunks[0].Number == 0 && !t.Further() }

// Decisive tells whether the task makes pictures without which there is no video. In a plan that is strict, it learns of all damage.
func (t Task) Decisive() bool { return !t.Sound && !t.Still && !t.Text && !t.Further() }

// Further tells whether the task makes what can be watched already, in another codec.
func (t Task) Further() bool { return t.Codec != "" && t.Codec != job.H264 }

// Kind says in a word what the task makes: a codec of pictures, sound, stills or subtitles.
func (t Task) Kind() string {
	switch {
	case t.Sound:
		return "sound"
	case t.Still:
		return "stills"
	case t.Text:
		return "subtitles"
	case t.Codec == "":
		return string(job.H264)
	}
	return string(t.Codec)
}

// Outcomes names the task's results, each of which is committed as soon as it is there: one a chunk, or one for a picture
// or the subtitles.
func (t Task) Outcomes() []string {
	if t.Still || t.Text {
		return []string{t.ID}
	}
	var names []string
	for _, c := range t.Chunks {
		if t.Sound {
			names = append(names, SoundOf(c))
		} else {
			names = append(names, PictureIn(t.Codec, c))
		}
	}
	return names
}

// PictureOf and SoundOf name the two results with which a chunk can be watched.
func PictureOf(c Chunk) string { return fmt.Sprintf("chunk_%d", c.Number) }
func SoundOf(c Chunk) string   { return fmt.Sprintf("audio_%d", c.Number) }

// PictureIn names the result of a chunk's picture in a codec.
func PictureIn(codec job.Codec, c Chunk) string {
	if codec == job.H264 {
		return PictureOf(c)
	}
	return PictureOf(c) + "_" + string(codec)
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

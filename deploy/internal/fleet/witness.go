package fleet

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A Kind is a way in which a promise about the bucket can be broken.
type Kind string

// The kinds. Shrunk, Rewritten, Backwards and Doubled are the marks of a writer that does not know that its work has passed
// to another.
const (
	Invalid     Kind = "invalid"     // a playlist or an MPD does not parse, or names an object that is not there
	Shrunk      Kind = "shrunk"      // a media playlist lost or changed what it had listed
	Rewritten   Kind = "rewritten"   // an object that is written once was written again, or is gone
	Backwards   Kind = "backwards"   // a job's state went back, or changed after its end
	Doubled     Kind = "doubled"     // something that happens once happened twice
	Resurrected Kind = "resurrected" // a deleted video is there again
	Leftover    Kind = "leftover"    // something is there that nobody refers to
	Different   Kind = "different"   // the same source became another video
	Unfinished  Kind = "unfinished"  // an accepted job is lost, or stands still
	Slow        Kind = "slow"        // something took longer than is promised
	Wasted      Kind = "wasted"      // finished work was done again
	Refused     Kind = "refused"     // the API or a process did what it must not
)

// A Problem is a promise that was seen broken.
type Problem struct {
	Kind  Kind
	Video string
	Text  string
}

func (p Problem) String() string { return fmt.Sprintf("%s: %s: %s", p.Video, p.Kind, p.Text) }

// Object is what a listing says of an object.
type Object struct {
	ETag     string
	Modified time.Time
}

// Record is the part of a job's record that is looked at.
type Record struct {
	Run     string    `json:"run"`
	State   string    `json:"state"`
	SweepAt time.Time `json:"sweep_at"`
}

// Ended tells whether the job's work is over.
func (r Record) Ended() bool {
	return r.State == "processed" || r.State == "failed" || r.State == "deleted"
}

// states are the states of a job in the order in which it may pass through them.
var states = []string{"", "queued", "processing", "playable", "processed", "failed", "deleted"}

// resurrectionGrace is how long what was under way may still appear after a deletion was answered.
const resurrectionGrace = 10 * time.Second

// Witness remembers what was seen of one video's objects and says what must not be. It knows the layout of the bucket and
// the rules of HLS (RFC 8216, section 6.2.1) and DASH, and nothing of how the objects came to be, nor of keys: it looks into playlists,
// not into segments. It does no IO: see [Watcher].
type Witness struct {
	id        string
	record    Record
	doomed    bool                 // the video's deletion was asked for
	deletedAt time.Time            // when it was answered
	risen     bool                 // it was told that there is something long after
	once      map[string]Object    // objects that are written once, as first seen
	objects   map[string]Object    // the last listing
	lists     map[string]playlist  // and MPDs, by key, as last read
	told      map[string]bool      // problems are told once
	committed map[string]time.Time // when an outcome was first seen
}

// NewWitness returns a witness who has seen nothing yet.
func NewWitness(videoID string) *Witness {
	return &Witness{
		id: videoID, once: map[string]Object{}, objects: map[string]Object{}, lists: map[string]playlist{},
		told: map[string]bool{}, committed: map[string]time.Time{},
	}
}

// outcomes are the records of finished tasks, writtenOnce all objects that never change.
var (
	outcomes    = regexp.MustCompile(`^work/[^/]+/[^/]+/((chunk|audio)_\w+|poster|storyboard|subtitles)\.json$`)
	writtenOnce = regexp.MustCompile(`^work/[^/]+/[^/]+/(plan|(chunk|audio)_\w+|poster|storyboard|subtitles)\.json$|\.(mp4|m4s|ts)$|/segment_\w+\.(jpg|vtt)$|/track_\w+\.vtt$`)
)

// Doom tells the witness that the video is about to be deleted: from now on its objects may be gone.
func (w *Witness) Doom() { w.doomed = true }

// Delete tells the witness that the deletion was answered: soon its objects must be gone.
func (w *Witness) Delete(now time.Time) { w.doomed, w.deletedAt = true, now }

// Objects takes in a listing of everything under videos/{id}/ and work/{id}/. It returns the playlists that are to be read.
func (w *Witness) Objects(now time.Time, all map[string]Object) (read []string, problems []Problem) {
	old := w.objects
	w.objects = all
	if w.doomed {
		if len(all) == 0 || w.deletedAt.IsZero() || now.Sub(w.deletedAt) < resurrectionGrace || w.risen {
			return nil, nil
		}
		w.risen = true
		some := slices.Sorted(maps.Keys(all))[0]
		return nil, w.tell(nil, Resurrected, "%d objects are there %v after the deletion, %s among them", len(all), resurrectionGrace, some)
	}
	for key, o := range all {
		if outcomes.MatchString(key) && w.committed[key].IsZero() {
			w.committed[key] = now
		}
		if writtenOnce.MatchString(key) {
			switch first, ok := w.once[key]; {
			case !ok:
			case first.ETag != o.ETag:
				problems = w.tell(problems, Rewritten, "%s has other content than before", key)
			case !first.Modified.Equal(o.Modified):
				problems = w.tell(problems, Rewritten, "%s was written again at %s, and is the same", key, o.Modified.Format(time.RFC3339Nano))
			}
			w.once[key] = o
		}
		if leads(key) && w.lists[key].etag != o.ETag {
			read = append(read, key)
		}
	}
	for key := range old {
		if _, ok := all[key]; !ok && (outcomes.MatchString(key) || leads(key)) && w.record.State != "failed" {
			problems = w.tell(problems, Rewritten, "%s is gone", key)
		}
	}
	// The master comes last, so that what it leads to has been read.
	slices.SortFunc(read, func(a, b string) int { return strings.Count(b, "/") - strings.Count(a, "/") })
	return read, append(problems, w.dangling(all)...)
}

// Playlist takes in a playlist or an MPD that was read. later is a listing that was made afterwards.
func (w *Witness) Playlist(key, etag string, body []byte, later map[string]Object) []Problem {
	list, err := parse(key, body)
	if err != nil {
		return w.tell(nil, Invalid, "%s: %v", key, err)
	}
	list.etag = etag
	var problems []Problem
	if old, ok := w.lists[key]; ok && !list.master && !list.mpd {
		if why := old.media.grewInto(list.media); why != "" {
			problems = w.tell(problems, Shrunk, "%s: %s", key, why)
		}
	}
	w.lists[key] = list
	return append(problems, w.dangling(later)...)
}

// Record takes in the job's record.
func (w *Witness) Record(r Record) []Problem {
	old := w.record
	w.record = r
	var problems []Problem
	switch {
	case old.Run == "":
	case old.Run != r.Run:
		problems = w.tell(problems, Doubled, "the job was started anew: run %s after %s", r.Run, old.Run)
	case slices.Index(states, r.State) < slices.Index(states, old.State), old.State == "processed" && r.State == "failed":
		problems = w.tell(problems, Backwards, "%s after %s", r.State, old.State)
	}
	if !w.deletedAt.IsZero() && r.State != "deleted" {
		problems = w.tell(problems, Resurrected, "%s after it was deleted", r.State)
	}
	return problems
}

// Unreferenced are the keys in the tree that no playlist leads to, and that are no entrance themselves.
func (w *Witness) Unreferenced() []string {
	named := map[string]bool{}
	for _, key := range w.entrances() {
		named[key] = true
	}
	for key, l := range w.lists {
		if l.master || l.mpd {
			named[key] = true
		}
		for _, name := range l.names {
			named[name] = true
		}
	}
	var left []string
	for key := range w.objects {
		if strings.HasPrefix(key, "videos/") && !named[key] {
			left = append(left, strings.TrimPrefix(key, "videos/"+w.id+"/"))
		}
	}
	slices.Sort(left)
	return left
}

// Complete says what is missing from a video that is processed; "" if nothing is.
func (w *Witness) Complete() string {
	masters, mpds, want := 0, 0, 1
	for key, l := range w.lists {
		if l.media.hlsAlone {
			want = 0
		}
		if l.master {
			masters++
		} else if l.mpd {
			mpds++
		} else if !l.media.closed {
			return key + " has no end"
		}
	}
	if masters != 1 || mpds != want {
		return fmt.Sprintf("there are %d master playlists and %d MPDs", masters, mpds)
	}
	for _, key := range w.entrances() {
		if _, ok := w.objects[key]; !ok {
			return "there is no " + key
		}
	}
	return ""
}

// entrances are what every video has beside its master playlist and its MPD: keys that its backend is told. Sound alone has no
// pictures.
func (w *Witness) entrances() []string {
	folder := "videos/" + w.id + "/"
	for _, l := range w.lists {
		if l.sound {
			return []string{folder + "manifest.json"}
		}
	}
	return []string{folder + "manifest.json", folder + "poster.jpg", folder + "storyboard/storyboard.vtt"}
}

// Shape is what the playlists promise of the video: by their names within the tree, the renditions of the master, the
// init segment and the segments' durations of the others. The names of segments are not part of it: with a bit rate that is
// capped, x264's frame threads do not make the same bits twice.
func (w *Witness) Shape() map[string]string {
	shape := map[string]string{}
	for key, l := range w.lists {
		if l.mpd { // its segments are the playlists'
			continue
		}
		text := l.media.init
		for _, s := range l.media.segments {
			text += fmt.Sprintf(" %.3f", s.duration)
		}
		for _, name := range l.names {
			if l.master {
				text += " " + strings.TrimPrefix(name, "videos/"+w.id+"/")
			}
		}
		shape[strings.TrimPrefix(key, "videos/"+w.id+"/")] = text
	}
	return shape
}

// dangling are the names that lead nowhere.
func (w *Witness) dangling(all map[string]Object) []Problem {
	if w.doomed {
		return nil
	}
	var problems []Problem
	for key, l := range w.lists {
		for _, name := range l.names {
			if _, ok := all[name]; !ok {
				problems = w.tell(problems, Invalid, "%s names %s, which is not there", key, name)
			}
		}
	}
	return problems
}

func (w *Witness) tell(problems []Problem, kind Kind, format string, args ...any) []Problem {
	p := Problem{Kind: kind, Video: w.id, Text: fmt.Sprintf(format, args...)}
	if w.told[p.String()] {
		return problems
	}
	w.told[p.String()] = true
	return append(problems, p)
}

// decodeRecord reads a job's record.
func decodeRecord(data []byte) (Record, error) {
	var r Record
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("read a job's record: %w", err)
	}
	return r, nil
}

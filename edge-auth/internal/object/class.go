package object

import (
	"strings"

	"weir/edge-auth/internal/decimal"
	"weir/edge-auth/internal/playlist"
)

// Class is how the objects of one kind are served.
type Class struct {
	Type      string          // Content-Type
	MaxAge    int             // how long a cache may keep it without asking again, in seconds
	Immutable bool            // its name changes when its content does
	Format    playlist.Format // how it refers to other objects, if it does
	Text      bool            // it becomes smaller when it is compressed
	Thumbnail bool            // a picture, or what says which picture is when
}

const (
	year   = 365 * 24 * 60 * 60
	day    = 24 * 60 * 60
	minute = 60
)

// mediaType is the media type of objects whose names have an extension. The edge's table wins over the type that was stored: R2
// guesses one from the body for objects that others wrote without a type. One that is not in the table is served as bytes, never
// as what a browser would run.
func mediaType(extension string) string {
	switch extension {
	case "m3u8":
		return "application/vnd.apple.mpegurl" // RFC 8216 section 10
	case "mpd":
		return "application/dash+xml"
	case "m4s":
		return "video/iso.segment" // ISO/IEC 23009-1
	case "mp4":
		return "video/mp4"
	case "m4a":
		return "audio/mp4"
	case "ts":
		return "video/mp2t"
	case "vtt":
		return "text/vtt"
	case "json":
		return "application/json"
	case "jpg", "jpeg":
		return "image/jpeg"
	case "png":
		return "image/png"
	case "webp":
		return "image/webp"
	}
	return "application/octet-stream"
}

// ClassOf gives the class of the object with this key. Init and media segments, and whole tracks of subtitles, carry a hash of
// their content in their names, so caches may keep them for ever; everything else may be written again under its name and
// is asked for after a minute.
func ClassOf(key string) Class {
	name := key[strings.LastIndexByte(key, '/')+1:]
	extension := ""
	if dot := strings.LastIndexByte(name, '.'); dot >= 0 {
		extension = name[dot+1:]
	}
	class := Class{Type: mediaType(extension), MaxAge: minute}
	switch {
	case extension == "m3u8":
		class.Format = playlist.HLS
	case extension == "mpd":
		class.Format = playlist.DASH
	case name == "storyboard.vtt": // other WebVTT is text to read
		class.Format = playlist.Storyboard
	}
	class.Text = class.Format != playlist.None || extension == "vtt" || extension == "json"
	class.Thumbnail = strings.HasPrefix(class.Type, "image/") || class.Format == playlist.Storyboard
	if strings.HasPrefix(name, "init_") || strings.HasPrefix(name, "segment_") || strings.HasPrefix(name, "track_") {
		class.MaxAge, class.Immutable = year, true
	}
	return class
}

// CacheControl is the header for an object of this class. private keeps the answer out of shared caches.
// stored is the Cache-Control that the object was written with: its max-age shortens the class's, as for a
// playlist that still grows and is written again every second; it never lengthens it.
func (c Class) CacheControl(stored string, private bool) string {
	switch {
	case c.Immutable && private:
		return "private, max-age=31536000, immutable"
	case c.Immutable:
		return "public, max-age=31536000, immutable"
	case private:
		return "private, max-age=" + decimal.Text(c.maxAge(stored))
	}
	return "public, max-age=" + decimal.Text(c.maxAge(stored))
}

// Kept is the Cache-Control under which the cache behind the gate keeps an object: a day at most, because of a video that is
// deleted its media would stay for whoever has a token and knows the names.
func (c Class) Kept(stored string) string {
	return "public, max-age=" + decimal.Text(min(c.maxAge(stored), day)) + ", must-revalidate"
}

// maxAge is the class's max-age, or that in a Cache-Control header if it is shorter.
func (c Class) maxAge(stored string) int64 {
	for stored != "" {
		directive, rest, _ := strings.Cut(stored, ",")
		seconds, _ := strings.CutPrefix(strings.ToLower(strings.TrimSpace(directive)), "max-age=")
		if n, ok := decimal.Parse(seconds); ok {
			return min(n, int64(c.MaxAge))
		}
		stored = rest
	}
	return int64(c.MaxAge)
}

package object

import (
	"strconv"
	"strings"
)

// Class is how the objects of one kind are served.
type Class struct {
	Type      string // Content-Type
	MaxAge    int    // how long a cache may keep it without asking again, in seconds
	Immutable bool   // its name changes when its content does
	Playlist  bool   // an HLS playlist: it refers to other objects
}

const (
	year   = 365 * 24 * 60 * 60
	minute = 60
)

// types maps a name's extension to its media type. The edge's table wins over the type that was stored: R2
// guesses one from the body for objects that others wrote without a type.
var types = map[string]string{
	"m3u8": "application/vnd.apple.mpegurl", // RFC 8216 section 10
	"mpd":  "application/dash+xml",
	"m4s":  "video/iso.segment", // ISO/IEC 23009-1
	"mp4":  "video/mp4",
	"m4a":  "audio/mp4",
	"ts":   "video/mp2t",
	"vtt":  "text/vtt",
	"json": "application/json",
	"jpg":  "image/jpeg",
	"jpeg": "image/jpeg",
	"png":  "image/png",
	"webp": "image/webp",
}

// ClassOf gives the class of the object with this key. Init and media segments carry a hash of their content
// in their names, so caches may keep them for ever; everything else may be written again under its name and
// is asked for after a minute. A type that is not in the table is served as bytes, never as what a browser
// would run.
func ClassOf(key string) Class {
	name := key[strings.LastIndexByte(key, '/')+1:]
	extension := ""
	if dot := strings.LastIndexByte(name, '.'); dot >= 0 {
		extension = name[dot+1:]
	}
	class := Class{Type: types[extension], MaxAge: minute, Playlist: extension == "m3u8"}
	if class.Type == "" {
		class.Type = "application/octet-stream"
	}
	if strings.HasPrefix(name, "init_") || strings.HasPrefix(name, "segment_") {
		class.MaxAge, class.Immutable = year, true
	}
	return class
}

// CacheControl is the header for an object of this class. private keeps the answer out of shared caches.
// stored is the Cache-Control that the object was written with: its max-age shortens the class's, as for a
// playlist that still grows and is written again every second; it never lengthens it.
func (c Class) CacheControl(stored string, private bool) string {
	scope := "public"
	if private {
		scope = "private"
	}
	if c.Immutable {
		return scope + ", max-age=" + strconv.Itoa(c.MaxAge) + ", immutable"
	}
	return scope + ", max-age=" + strconv.Itoa(min(c.MaxAge, maxAge(stored, c.MaxAge)))
}

// maxAge is the max-age in a Cache-Control header, or otherwise.
func maxAge(header string, otherwise int) int {
	for directive := range strings.SplitSeq(header, ",") {
		seconds, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(directive)), "max-age=")
		if !ok {
			continue
		}
		if n, err := strconv.Atoi(seconds); err == nil && n >= 0 {
			return n
		}
	}
	return otherwise
}

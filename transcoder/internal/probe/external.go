package probe

import (
	"errors"
	"fmt"
	"io"

	"weir/transcoder/internal/media"
)

// checkPresent refuses a file that describes a video but leaves its pictures, or the sound that is all of it, to another file,
// as QuickTime's reference movies do. FFmpeg is told to read no other file, and would find a track with nothing in it.
func checkPresent(u Upload, s media.Source) error {
	if s.Demuxer != "mov" {
		return nil
	}
	outside, err := externalTracks(u)
	if err != nil {
		return fmt.Errorf("read the headers of the upload: %w", err)
	}
	what, track := "pictures", s.Video.Index
	if !s.HasPicture() {
		what, track = "sound", s.Audio[0].Index
	}
	if track < len(outside) && outside[track] {
		return unsupported("The file does not hold its " + what + " but names another file that does: " +
			"export it as one that is self-contained.")
	}
	return nil
}

// externalTracks tells of each track of an ISO BMFF file, in order, whether all of its media is in other files: whether no
// entry of its data reference box is self-contained, and each names something (ISO/IEC 14496-12, 8.7.2).
func externalTracks(r io.ReaderAt) ([]bool, error) {
	var outside []bool
	size := int64(1) << 62
	err := eachBox(r, 0, size, func(kind string, from, to int64) error {
		if kind != "moov" {
			return nil
		}
		err := eachBox(r, from, to, func(kind string, from, to int64) error {
			if kind != "trak" {
				return nil
			}
			external, err := external(r, from, to)
			outside = append(outside, external)
			return err
		})
		if err == nil {
			err = errDone // what follows may be thousands of fragments
		}
		return err
	})
	if errors.Is(err, errDone) {
		err = nil
	}
	return outside, err
}

// external looks for the data references of one track.
func external(r io.ReaderAt, from, to int64) (bool, error) {
	entries, named := 0, 0
	path := []string{"mdia", "minf", "dinf", "dref"}
	var descend func(from, to int64, path []string) error
	descend = func(from, to int64, path []string) error {
		if len(path) == 0 { // version, flags, number of entries; the entries are boxes
			return eachBox(r, from+8, to, func(_ string, from, to int64) error {
				var head [4]byte
				if _, err := readUpTo(r, head[:], from); err != nil {
					return err
				}
				entries++
				if sameFile := head[3]&1 == 1; !sameFile && to-from > int64(len(head)) {
					named++
				}
				return nil
			})
		}
		return eachBox(r, from, to, func(kind string, from, to int64) error {
			if kind != path[0] {
				return nil
			}
			return descend(from, to, path[1:])
		})
	}
	err := descend(from, to, path)
	return entries > 0 && named == entries, err
}

var errDone = errors.New("the index was read")

package probe

import (
	"fmt"
	"io"

	"weir/transcoder/internal/isobmff"
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
	const unbounded = 1 << 62
	moov, ok, err := isobmff.Find(r, 0, unbounded, "moov")
	if err != nil || !ok {
		return nil, err
	}
	err = isobmff.Each(r, moov.From, moov.To, func(b isobmff.Box) error {
		if b.Kind != "trak" {
			return nil
		}
		external, err := external(r, b)
		outside = append(outside, external)
		return err
	})
	return outside, err
}

// external looks at the data references of one track.
func external(r io.ReaderAt, trak isobmff.Box) (bool, error) {
	dref, ok, err := isobmff.Find(r, trak.From, trak.To, "mdia", "minf", "dinf", "dref")
	if err != nil || !ok {
		return false, err
	}
	entries, named := 0, 0
	err = isobmff.Each(r, dref.From+8, dref.To, func(b isobmff.Box) error { // after version, flags and number of entries
		var head [4]byte
		if _, err := readUpTo(r, head[:], b.From); err != nil {
			return err
		}
		entries++
		if sameFile := head[3]&1 == 1; !sameFile && b.To-b.From > int64(len(head)) {
			named++
		}
		return nil
	})
	return entries > 0 && named == entries, err
}

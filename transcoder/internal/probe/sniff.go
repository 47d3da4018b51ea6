package probe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"weir/transcoder/internal/ebml"
	"weir/transcoder/internal/isobmff"
	"weir/transcoder/internal/job"
)

// sniffed is how many bytes the magic numbers need: three packets of an MPEG transport stream with timecodes.
const sniffed = 3 * 192

// sniff names, in FFmpeg's words, the format that the first bytes promise.
func sniff(u Upload) (string, error) {
	head := make([]byte, min(sniffed, u.Size()))
	if _, err := u.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the first bytes of the upload: %w", err)
	}
	if demuxer := demuxer(head); demuxer != "" {
		return demuxer, nil
	}
	demuxer, err := sniffSound(u)
	if err != nil {
		return "", fmt.Errorf("read the first frames of the upload: %w", err)
	}
	if demuxer == "" {
		return "", unsupported("The file is not in a known format.")
	}
	return demuxer, nil
}

// boxes are the types that ISO BMFF and QuickTime files start with.
var boxes = []string{"ftyp", "moov", "mdat", "wide", "free", "skip", "pnot", "styp"}

// wavChunks and aiffChunks are those that WAV and AIFF files start with.
var (
	wavChunks  = []string{"fmt ", "JUNK", "junk", "bext", "ds64", "LIST", "FLLR", "fact", "id3 "}
	aiffChunks = []string{"COMM", "FVER", "SSND", "NAME", "AUTH", "ANNO", "COMT", "MARK", "INST", "CHAN", "FLLR", "bext", "ID3 "}
)

func demuxer(head []byte) string {
	at := func(offset int, magic string) bool {
		return len(head) >= offset+len(magic) && bytes.Equal(head[offset:offset+len(magic)], []byte(magic))
	}
	anyAt := func(offset int, magics ...string) bool {
		return slices.ContainsFunc(magics, func(magic string) bool { return at(offset, magic) })
	}
	switch {
	case anyAt(4, boxes...):
		return "mov"
	case at(0, "\x1a\x45\xdf\xa3"):
		return "matroska"
	case at(0, "\x47") && at(188, "\x47") && at(376, "\x47"),
		at(4, "\x47") && at(196, "\x47") && at(388, "\x47"):
		return "mpegts"
	case at(0, "RIFF") && at(8, "AVI "):
		return "avi"
	case anyAt(0, "RIFF", "RF64", "BW64") && at(8, "WAVE") && anyAt(12, wavChunks...):
		return "wav"
	case at(0, "FORM") && anyAt(8, "AIFF", "AIFC") && anyAt(12, aiffChunks...):
		return "aiff"
	case at(0, "FLV\x01"):
		return "flv"
	case at(0, "OggS"):
		return "ogg"
	case at(0, "\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c"):
		return "asf"
	case at(0, "\x00\x00\x01\xba"):
		return "mpeg"
	}
	return ""
}

// checkComplete refuses a file that is shorter than its own headers say. Players and FFmpeg take what is there and stop
// without a word; a backend wants to know that the upload broke off.
func checkComplete(u Upload, demuxer string) error {
	var promised int64
	var err error
	switch demuxer {
	case "mov":
		promised, err = promisedByBoxes(u)
	case "matroska":
		promised, err = promisedByEBML(u)
	case "avi", "wav":
		promised, err = promisedByRIFF(u)
	}
	if err != nil {
		return fmt.Errorf("read the headers of the upload: %w", err)
	}
	if promised > u.Size() {
		return &job.Failure{Code: job.SourceTruncated, Message: fmt.Sprintf(
			"The file has %d bytes but its headers promise at least %d: the upload broke off, upload the complete file again.",
			u.Size(), promised)}
	}
	return nil
}

// maxBoxes bounds the walk over a file's top-level boxes; a fragmented file has thousands, and none of the first ones
// reaches beyond its end.
const maxBoxes = 64

// promisedByBoxes follows the top-level boxes and returns where they end.
func promisedByBoxes(u Upload) (int64, error) {
	end := int64(0)
	for range maxBoxes {
		b, ok, err := isobmff.Read(u, end, u.Size())
		if err != nil || !ok {
			return end, err // no box: what follows is the demuxer's business
		}
		if end = b.To; end >= u.Size() {
			break
		}
	}
	return end, nil
}

// promisedByEBML returns where the Segment of a Matroska file ends (RFC 8794, RFC 9559), or 0 where it doesn't say.
func promisedByEBML(u Upload) (int64, error) {
	var header [64]byte
	n, err := readUpTo(u, header[:], 0)
	if err != nil || n < 5 {
		return 0, err
	}
	size, width := ebml.Vint(header[4:n], false)
	if width == 0 || size == ebml.Unknown || size > 1<<20 {
		return 0, nil
	}
	at := int64(4+width) + size
	n, err = readUpTo(u, header[:16], at)
	if err != nil || n < 5 || !bytes.Equal(header[:4], []byte("\x18\x53\x80\x67")) {
		return 0, err
	}
	size, width = ebml.Vint(header[4:n], false)
	if width == 0 || size == ebml.Unknown {
		return 0, nil
	}
	return at + 4 + int64(width) + size, nil
}

// promisedByRIFF returns where the first RIFF chunk ends, but for its last byte: that may be padding, which some leave out. It is 0
// where nobody knew how long it would become, or a larger number says so (EBU Tech 3306).
func promisedByRIFF(u Upload) (int64, error) {
	var header [8]byte
	n, err := readUpTo(u, header[:], 0)
	if err != nil || n < 8 {
		return 0, err
	}
	size := binary.LittleEndian.Uint32(header[4:])
	if size == math.MaxUint32 {
		return 0, nil
	}
	return 8 + int64(size) - 1, nil
}

// readUpTo fills b as far as the file goes.
func readUpTo(r io.ReaderAt, b []byte, at int64) (int, error) {
	n, err := r.ReadAt(b, at)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

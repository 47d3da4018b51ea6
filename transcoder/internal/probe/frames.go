package probe

import (
	"bytes"
	"encoding/binary"
	"io"
)

const (
	// maxTags are the ID3v2 tags that may stand before the sound, one after the other; most files have one.
	maxTags = 4
	// maxPadding are the zeros that may stand behind them, in bytes.
	maxPadding = 4096
	// frames are how many frames must follow each other, so that no text and no picture is taken for sound.
	frames = 4
)

// sniffSound names the format of a file that is nothing but frames of sound, perhaps behind a tag with its title and its cover
// (ID3v2.4, section 3.1); "" if it is not in one that is known.
func sniffSound(u Upload) (string, error) {
	at := int64(0)
	for range maxTags {
		var header [10]byte
		n, err := readUpTo(u, header[:], at)
		if err != nil {
			return "", err
		}
		size, ok := tag(header[:n])
		if !ok {
			break
		}
		at += size
	}
	padding := make([]byte, maxPadding)
	n, err := readUpTo(u, padding, at)
	if err != nil {
		return "", err
	}
	head := bytes.TrimLeft(padding[:n], "\x00")
	at += int64(n - len(head))
	if bytes.HasPrefix(head, []byte("fLaC\x00\x00\x00\x22")) { // its first block, which has 34 bytes (RFC 9639, section 8.1)
		return "flac", nil
	}
	if ok, err := follow(u, at, mpegFrame); ok || err != nil {
		return "mp3", err
	}
	if ok, err := follow(u, at, adtsFrame); ok || err != nil {
		return "aac", err
	}
	return "", nil
}

// tag is the size of an ID3v2 tag by its header, in bytes.
func tag(header []byte) (size int64, ok bool) {
	if len(header) < 10 || string(header[:3]) != "ID3" || header[3] == 0xff || header[4] == 0xff {
		return 0, false
	}
	for _, b := range header[6:] { // seven bits each
		if b >= 0x80 {
			return 0, false
		}
		size = size<<7 | int64(b)
	}
	const footer = 0x10
	if header[5]&footer != 0 {
		size += 10
	}
	return size + 10, true
}

// follow tells whether frames of one kind follow each other. length is that of a frame by its first eight bytes, 0 if they start
// none, and what all frames of a file have in common.
func follow(u io.ReaderAt, at int64, length func(header uint64) (n int64, common uint64)) (bool, error) {
	var first uint64
	for i := range frames {
		var header [8]byte
		n, err := readUpTo(u, header[:], at)
		if err != nil || n < len(header) {
			return false, err
		}
		size, common := length(binary.BigEndian.Uint64(header[:]))
		if i == 0 {
			first = common
		}
		if size == 0 || common != first {
			return false, nil
		}
		at += size
	}
	return true, nil
}

// The bit rates of MPEG audio in kbit/s, and its sample rates in Hz (ISO/IEC 11172-3, 2.4.2.3; 13818-3 for the lower ones).
var (
	mpegRates = map[bool][4][15]int64{
		true: {
			1: {0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},
			2: {0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384},
			3: {0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448},
		},
		false: {
			1: {0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},
			2: {0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},
			3: {0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256},
		},
	}
	mpegSampleRates = [4][3]int64{0: {11025, 12000, 8000}, 2: {22050, 24000, 16000}, 3: {44100, 48000, 32000}}
)

// mpegFrame reads the header of a frame of MPEG audio, layers I to III.
func mpegFrame(header uint64) (length int64, common uint64) {
	sync, version, layer := header>>53, header>>51&3, header>>49&3
	bitrate, rate, padding := header>>44&15, header>>42&3, int64(header>>41&1)
	if sync != 0x7ff || version == 1 || layer == 0 || bitrate == 0 || bitrate == 15 || rate == 3 {
		return 0, 0
	}
	bits, hertz := mpegRates[version == 3][layer][bitrate]*1000, mpegSampleRates[version][rate]
	const layer1, layer3 = 3, 1
	switch {
	case layer == layer1:
		length = (12*bits/hertz + padding) * 4
	case layer == layer3 && version != 3: // half as many samples
		length = 72*bits/hertz + padding
	default:
		length = 144*bits/hertz + padding
	}
	return length, header >> 42 &^ (15 << 2) // all before the padding, but for the bit rate
}

// adtsFrame reads the header of a frame of AAC in ADTS (ISO/IEC 14496-3, 1.A.2.2).
func adtsFrame(header uint64) (length int64, common uint64) {
	sync, layer, rate, size := header>>52, header>>49&3, header>>42&15, int64(header>>21&0x1fff)
	if sync != 0xfff || layer != 0 || rate > 12 || size <= 7 {
		return 0, 0
	}
	return size, header >> 36
}

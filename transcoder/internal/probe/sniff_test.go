package probe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"weir/transcoder/internal/job"
)

// memory is an upload that lies in memory.
type memory struct{ *bytes.Reader }

func (m memory) URL() string { return "" }
func (m memory) Err() error  { return nil }

func upload(data string) memory { return memory{bytes.NewReader([]byte(data))} }

func box(kind string, size int) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(size))) + kind
}

func TestTheMagicBytesChooseTheDemuxer(t *testing.T) {
	packet := "\x47" + strings.Repeat("\xff", 187)
	id3 := "ID3\x04\x00\x00\x00\x00\x01\x00" + strings.Repeat("t", 128)
	mp3 := "\xff\xfb\x90\xc4" + strings.Repeat("x", 413)             // 128 kbit/s at 44.1 kHz
	adts := "\xff\xf1\x50\x80\x08\x1f\xfc" + strings.Repeat("x", 57) // 64 bytes
	for _, c := range []struct{ name, data, want string }{
		{"MP4", box("ftyp", 24) + "isom", "mov"},
		{"QuickTime of old", box("moov", 100), "mov"},
		{"QuickTime with its media first", box("wide", 8) + box("mdat", 100), "mov"},
		{"Matroska", "\x1a\x45\xdf\xa3\x9f", "matroska"},
		{"MPEG-TS", packet + packet + packet, "mpegts"},
		{"MPEG-TS with timecodes", "\x00\x00\x00\x00" + packet + "\x00\x00\x00\x00" + packet + "\x00\x00\x00\x00" + packet, "mpegts"},
		{"AVI", "RIFF\x00\x00\x00\x00AVI LIST", "avi"},
		{"FLV", "FLV\x01\x05", "flv"},
		{"Ogg", "OggS\x00", "ogg"},
		{"ASF", "\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c", "asf"},
		{"MPEG-PS", "\x00\x00\x01\xba\x44", "mpeg"},
		{"WAV", "RIFF\x00\x00\x00\x00WAVEfmt ", "wav"},
		{"WAV of more than 4 GB", "RF64\xff\xff\xff\xffWAVEds64", "wav"},
		{"AIFF", "FORM\x00\x00\x00\x00AIFFCOMM", "aiff"},
		{"FLAC", "fLaC\x00\x00\x00\x22", "flac"},
		{"FLAC behind a tag", id3 + "fLaC\x00\x00\x00\x22", "flac"},
		{"MP3", strings.Repeat(mp3, 4), "mp3"},
		{"MP3 behind two tags and padding", id3 + id3 + strings.Repeat("\x00", 100) + strings.Repeat(mp3, 4), "mp3"},
		{"MP3 at half the sample rate", strings.Repeat("\xff\xf3\x80\xc4"+strings.Repeat("x", 204), 4), "mp3"},
		{"MPEG audio of layer II", strings.Repeat("\xff\xfd\x84\x04"+strings.Repeat("x", 380), 4), "mp3"},
		{"AAC", strings.Repeat(adts, 4), "aac"},
		{"AAC behind a tag", id3 + strings.Repeat(adts, 4), "aac"},
		{"one frame of MP3, then a text", mp3 + strings.Repeat("#EXTM3U\n", 1000), ""},
		{"frames of MP3 that are not of one kind", mp3 + mp3 + strings.Repeat("\xff\xfb\x94\xc4"+strings.Repeat("x", 380), 2), ""},
		{"one frame of AAC, then a text", adts + strings.Repeat("#EXTM3U\n", 1000), ""},
		{"a tag, then HLS", id3 + strings.Repeat("#EXTM3U\n", 1000), ""},
		{"a tag that says more than the file has", "ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + strings.Repeat(mp3, 4), ""},
		{"a tag whose size is none", "ID3\x04\x00\x00\xff\x00\x00\x00" + strings.Repeat(mp3, 4), ""},
		{"WAV's magic, then a text", "RIFF\x00\x00\x00\x00WAVE#EXTM3U\n", ""},
		{"FLAC's magic, then a text", "fLaC#EXTM3U\n", ""},
		{"HLS", "#EXTM3U\n#EXT-X-VERSION:3\n", ""},
		{"HLS behind a blank line", "\n#EXTM3U\n", ""},
		{"a list of files", "ffconcat version 1.0\n", ""},
		{"SDP", "v=0\no=- 0 0 IN IP4 127.0.0.1\n", ""},
		{"DASH", "<?xml version=\"1.0\"?><MPD", ""},
		{"a picture", "\x89PNG\r\n\x1a\n", ""},
		{"text that starts with a G", strings.Repeat("G", 100), ""},
		{"one byte", "\x47", ""},
	} {
		got, err := sniff(upload(c.data))
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		var failure *job.Failure
		if c.want == "" && (!errors.As(err, &failure) || failure.Code != job.UnsupportedFormat) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestAFileThatIsShorterThanItSays(t *testing.T) {
	ftyp := box("ftyp", 8)
	for _, c := range []struct {
		name, demuxer, data string
		complete            bool
	}{
		{"MP4, whole", "mov", ftyp + box("mdat", 12) + "1234" + box("moov", 8), true},
		{"MP4, cut in its media", "mov", ftyp + box("mdat", 12) + "12", false},
		{"MP4, cut in a header", "mov", ftyp + box("mdat", 12) + "1234" + "\x00\x00", true},
		{"MP4, media to the end", "mov", ftyp + box("mdat", 0) + "12", true},
		{"MP4, media of 64 bits, cut", "mov", ftyp + box("mdat", 1) + "\x00\x00\x00\x01\x00\x00\x00\x00" + "12", false},
		{"MP4, nonsense behind it", "mov", ftyp + "\x00\x00\x00\x03junk", true},
		{"Matroska, whole", "matroska", "\x1a\x45\xdf\xa3\x81\x00\x18\x53\x80\x67\x8412345", true},
		{"Matroska, cut", "matroska", "\x1a\x45\xdf\xa3\x81\x00\x18\x53\x80\x67\x8812345", false},
		{"Matroska, of unknown length", "matroska", "\x1a\x45\xdf\xa3\x81\x00\x18\x53\x80\x67\xff12345", true},
		{"Matroska, a header alone", "matroska", "\x1a\x45\xdf\xa3\x81", true},
		{"AVI, whole", "avi", "RIFF\x04\x00\x00\x00AVI ", true},
		{"WAV, whole but for its padding", "wav", "RIFF\x05\x00\x00\x00WAVE", true},
		{"WAV, cut", "wav", "RIFF\x44\x00\x00\x00WAVE", false},
		{"WAV of unknown length", "wav", "RIFF\xff\xff\xff\xffWAVE", true},
		{"AVI, cut", "avi", "RIFF\x44\x00\x00\x00AVI ", false},
		{"MPEG-TS", "mpegts", "\x47", true},
	} {
		err := checkComplete(upload(c.data), c.demuxer)
		var failure *job.Failure
		if c.complete && err != nil || !c.complete && (!errors.As(err, &failure) || failure.Code != job.SourceTruncated) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func FuzzHeadersNeverPanic(f *testing.F) {
	f.Add([]byte(box("ftyp", 8) + box("mdat", 1) + "\x7f\xff\xff\xff\xff\xff\xff\xff"))
	f.Add([]byte("\x1a\x45\xdf\xa3\x01\xff\xff\xff\xff\xff\xff\xff"))
	f.Add([]byte("RIFF\xff\xff\xff\xffAVI "))
	f.Add([]byte("ID3\x04\x00\x00\x00\x00\x00\x01\xff\xfb\x90\xc4\xff\xf1\x50\x80\x08\x1f\xfc"))
	f.Fuzz(func(t *testing.T, data []byte) {
		u := memory{bytes.NewReader(data)}
		for _, demuxer := range []string{"mov", "matroska", "avi", "wav"} {
			if err := checkComplete(u, demuxer); errors.Is(err, io.EOF) {
				t.Errorf("%s: %v", demuxer, err)
			}
		}
		if len(data) > 0 {
			_, _ = sniff(u)
		}
	})
}

package encrypt_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"weir/transcoder/internal/encrypt"
)

// master is 32 times the letter a.
var master = base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte("a"), 32))

// key is what the Worker gives for the video abc with that secret: made with
//
//	openssl kdf -keylen 16 -kdfopt mode:EXPAND_ONLY -kdfopt digest:SHA256 -kdfopt hexkey:6161… -kdfopt info:"weir aes-128 abc" HKDF
const key = "f7659782c23e445e51c296f71c9c7c66"

func video(t *testing.T, id string) encrypt.Video {
	t.Helper()
	m, err := encrypt.ParseMaster(master)
	if err != nil {
		t.Fatal(err)
	}
	v, err := m.Video(id)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// OpenSSL decrypts what is encrypted, with the key that OpenSSL derives.
func TestSegmentsAreDecryptedByOthers(t *testing.T) {
	for _, size := range []int{0, 1, 15, 16, 17, 188 * 100} {
		data := bytes.Repeat([]byte{0x47}, size)
		encrypted, iv, err := video(t, "abc").Segment(data)
		if err != nil {
			t.Fatal(err)
		}
		if len(encrypted) != size/16*16+16 {
			t.Errorf("%d bytes became %d", size, len(encrypted))
		}
		cmd := exec.CommandContext(t.Context(), "openssl", "enc", "-d", "-aes-128-cbc", "-K", key, "-iv", iv)
		cmd.Stdin = bytes.NewReader(encrypted)
		if got, err := cmd.Output(); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes: %v, got %d", size, err, len(got))
		}
	}
}

func TestTheSameSegmentIsTheSameAndNoOtherLooksAlike(t *testing.T) {
	v := video(t, "abc")
	data := bytes.Repeat([]byte("0123456789abcdef"), 4)
	one, iv, err := v.Segment(data)
	if err != nil {
		t.Fatal(err)
	}
	if again, same, _ := video(t, "abc").Segment(data); !bytes.Equal(one, again) || iv != same {
		t.Error("the same segment was encrypted in two ways")
	}
	later := bytes.Clone(data)
	later[63]++
	for name, other := range map[string]func() ([]byte, string, error){
		"a segment that begins alike":   func() ([]byte, string, error) { return v.Segment(later) },
		"the segment of another video":  func() ([]byte, string, error) { return video(t, "abd").Segment(data) },
		"another part of the same text": func() ([]byte, string, error) { return v.Segment(data[:32]) },
	} {
		got, vector, err := other()
		if err != nil || bytes.Equal(got[:16], one[:16]) || vector == iv {
			t.Errorf("%s begins alike: %x and %x, %v", name, got[:16], one[:16], err)
		}
	}
	if bytes.Contains(one, one[:16]) && bytes.Count(one, one[:16]) > 1 {
		t.Error("blocks repeat")
	}
}

func TestKeysAreToldApartAndNotTold(t *testing.T) {
	a, b := video(t, "abc"), video(t, "abd")
	if a.ID() == b.ID() || a.ID() != video(t, "abc").ID() || strings.Contains(key, a.ID()) {
		t.Errorf("IDs %s and %s", a.ID(), b.ID())
	}
	m, err := encrypt.ParseMaster(master)
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{fmt.Sprint(m), fmt.Sprintf("%+v %#v %s", m, m, m)} {
		if strings.Contains(shown, "97 97") || strings.Contains(shown, "aaa") || strings.Contains(shown, "0x61") {
			t.Errorf("shown: %s", shown)
		}
	}
}

func TestTheSecretIsLongEnough(t *testing.T) {
	for _, bad := range []string{"", "short", master[:41], master + "=", hex.EncodeToString([]byte("!")), strings.Repeat("+", 44)} {
		if m, err := encrypt.ParseMaster(bad); err == nil || m.Known() {
			t.Errorf("accepted %q", bad)
		}
	}
	if m, err := encrypt.ParseMaster(master); err != nil || !m.Known() {
		t.Errorf("refused: %v", err)
	}
}

// What a player does is the inverse, with the vector that the playlist has.
func FuzzSegment(f *testing.F) {
	f.Add([]byte("a segment"))
	f.Fuzz(func(t *testing.T, data []byte) {
		encrypted, iv, err := video(t, "abc").Segment(data)
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := hex.DecodeString(key)
		vector, _ := hex.DecodeString(iv)
		block, _ := aes.NewCipher(raw)
		cipher.NewCBCDecrypter(block, vector).CryptBlocks(encrypted, encrypted)
		padding := int(encrypted[len(encrypted)-1])
		if got := encrypted[:len(encrypted)-padding]; !bytes.Equal(got, data) {
			t.Errorf("got %x", got)
		}
	})
}

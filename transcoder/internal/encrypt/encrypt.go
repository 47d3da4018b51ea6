// Package encrypt encrypts media segments with AES-128 (RFC 8216, sections 4.3.2.4 and 5.2). Start at [ParseMaster].
//
// A video's key is derived from a master secret and the video's ID whenever it is needed, here and by the Worker, which hands it
// out to those who have a token. It is stored nowhere. Everything here is a pure function of its arguments: two nodes that encrypt
// the same segment make the same bytes.
package encrypt

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
)

// minMaster is that of the hash, in bytes: as much as can be made of a secret.
const minMaster = sha256.Size

// Master is the secret that all keys are derived from. It does not show itself. That of the zero value is not set.
type Master struct{ secret []byte }

func (Master) String() string   { return "***" }
func (Master) GoString() string { return "***" }

// ParseMaster reads the secret as the Worker's ENCRYPTION_KEY has it: base64url without padding, of at least 32 bytes.
func ParseMaster(text string) (Master, error) {
	secret, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(secret) < minMaster {
		return Master{}, errors.New("must be what the Worker's ENCRYPTION_KEY is, base64url without padding, of at least 32 bytes, as openssl rand 32 | basenc --base64url | tr -d = makes it")
	}
	return Master{secret}, nil
}

// Known tells whether there is a secret.
func (m Master) Known() bool { return m.secret != nil }

// Video is a video's key, and what belongs to it.
type Video struct {
	key   []byte // of AES-128
	hash  []byte // of the initialization vectors
	check []byte
}

// Video derives the key of a video: HKDF-Expand (RFC 5869, section 2.3) with SHA-256, of 16 bytes, as the Worker does.
func (m Master) Video(videoID string) (Video, error) {
	var errs [3]error
	derive := func(i int, what string, size int) (out []byte) {
		out, errs[i] = hkdf.Expand(sha256.New, m.secret, what+" "+videoID, size)
		return out
	}
	v := Video{
		key:   derive(0, "weir aes-128", aes.BlockSize),
		hash:  derive(1, "weir aes-128 iv", sha256.Size),
		check: derive(2, "weir aes-128 id", 8),
	}
	return v, errors.Join(errs[:]...)
}

// ID tells keys apart and says nothing of them.
func (v Video) ID() string { return hex.EncodeToString(v.check) }

// Segment encrypts a segment as a whole, with CBC and padding by PKCS #7. iv is the initialization vector in hexadecimal, for the
// playlist. It is a hash of the segment that nobody can compute without the master secret. So segments that begin alike, as those
// of two renditions with the same number do, do not look alike, and a segment that is made again is the same.
func (v Video) Segment(data []byte) (encrypted []byte, iv string, err error) {
	block, err := aes.NewCipher(v.key)
	if err != nil {
		return nil, "", err
	}
	mac := hmac.New(sha256.New, v.hash)
	mac.Write(data)
	vector := mac.Sum(nil)[:aes.BlockSize]
	padding := aes.BlockSize - len(data)%aes.BlockSize
	encrypted = append(bytes.Clone(data), bytes.Repeat([]byte{byte(padding)}, padding)...)
	cipher.NewCBCEncrypter(block, vector).CryptBlocks(encrypted, encrypted)
	return encrypted, hex.EncodeToString(vector), nil
}

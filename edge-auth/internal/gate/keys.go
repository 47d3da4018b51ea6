package gate

import (
	"encoding/base64"
	"errors"

	"weir/edge-auth/internal/signature"
)

// keySize is that of AES-128, and minMaster that of the hash, which is as much as can be made of a secret; in bytes.
const keySize, minMaster = 16, 32

// contentKey is the key of a video's encrypted segments (RFC 8216 section 4.3.2.4). It is derived from the master secret and
// the video's ID (HKDF-Expand with SHA-256, RFC 5869 section 2.3: one block of it) whenever it is asked for, and stored nowhere.
func contentKey(master *signature.MAC, videoID string) []byte {
	block := master.Sum([]byte("weir aes-128 " + videoID + "\x01"))
	return block[:keySize]
}

// keyAnswer is the key of a video, for whoever may have it.
func (g *Gate) keyAnswer(r Request, videoID string) Answer {
	if g.master == nil {
		return misconfigured(r, problem{"secret ENCRYPTION_KEY", "it is not set", "Set it to what the transcoder has."})
	}
	return written(r, 200, "application/octet-stream", string(contentKey(g.master, videoID)))
}

func parseMaster(setting string) (*signature.MAC, error) {
	if setting == "" {
		return nil, nil
	}
	master, err := base64.RawURLEncoding.Strict().DecodeString(setting)
	if err != nil || len(master) < minMaster {
		return nil, errors.New("it must be base64url without padding, of at least 32 bytes")
	}
	return signature.NewMAC(master), nil
}

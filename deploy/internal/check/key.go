package check

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// key is what EXT-X-KEY says of the segments that follow it; nil is of those in the clear.
type key struct {
	uri string
	iv  []byte // nil: the media sequence number
}

// readKey reads the attributes of EXT-X-KEY. known is false for one that nothing is known of.
func readKey(attrs map[string]attribute) (k *key, known bool) {
	switch format := attrs["KEYFORMAT"].text; {
	case attrs["METHOD"].text == "NONE":
		return nil, true
	case attrs["METHOD"].text != "AES-128", format != "" && format != "identity":
		return nil, false
	}
	k = &key{uri: attrs["URI"].text}
	if text := attrs["IV"].text; text != "" {
		digits := strings.TrimPrefix(strings.ToLower(text), "0x")
		iv, err := hex.DecodeString(digits)
		if err != nil || len(iv) != aes.BlockSize {
			return nil, false
		}
		k.iv = iv
	}
	return k, true
}

// vector is a segment's initialization vector (RFC 8216, section 5.2).
func (k *key) vector(sequence uint64) []byte {
	if k.iv != nil {
		return k.iv
	}
	iv := make([]byte, aes.BlockSize)
	for i := range 8 {
		iv[aes.BlockSize-1-i] = byte(sequence >> (8 * i))
	}
	return iv
}

// open decrypts an object as a player does: the same data where it is in the clear. It is nil if that cannot be done, which is
// a finding.
func (c *checker) open(ctx context.Context, base *url.URL, name string, data []byte, k *key, sequence uint64) ([]byte, error) {
	if k == nil {
		return data, nil
	}
	secret, err := c.secret(ctx, base, k.uri)
	if secret == nil || err != nil {
		return nil, err
	}
	iv := k.vector(sequence)
	c.mu.Lock()
	pair := string(secret) + string(iv)
	other, used := c.vectors[pair]
	c.vectors[pair] = name
	c.mu.Unlock()
	if used && other != name {
		c.find("W key", name, "an initialization vector of its own", "that of %s", other)
	}
	clear, err := decrypt(data, secret, iv)
	if err != nil {
		c.find("RFC 5.2", name, "AES-128 with CBC and padding by PKCS #7", "%v", err)
		return nil, nil
	}
	return clear, nil
}

// secret fetches a key, once; nil if it cannot be had.
func (c *checker) secret(ctx context.Context, base *url.URL, uri string) ([]byte, error) {
	u, err := base.Parse(uri)
	if err != nil || uri == "" {
		c.find("RFC 4.3.2.4", c.name(base), "a URI of a key", "%q", uri)
		return nil, nil
	}
	c.keys.Lock()
	defer c.keys.Unlock()
	if known, ok := c.secrets[u.String()]; ok {
		return known, nil
	}
	r, err := c.get(ctx, u, "")
	if err != nil {
		return nil, err
	}
	name := "key …/" + u.Path[strings.LastIndexByte(u.Path, '/')+1:]
	c.secrets[u.String()] = nil
	if r.status != http.StatusOK || len(r.body) != aes.BlockSize {
		c.find("RFC 4.3.2.4", name, "status 200 with 16 bytes", "status %d with %d bytes", r.status, len(r.body))
		return nil, nil
	}
	if control := r.header.Get("Cache-Control"); !strings.Contains(control, "no-store") && !strings.Contains(control, "private") {
		c.find("W key", name, "Cache-Control: no-store", "%q", control)
	}
	c.secrets[u.String()] = r.body
	return r.body, nil
}

// decrypt undoes AES-128 with CBC and PKCS #7.
func decrypt(data, secret, iv []byte) ([]byte, error) {
	if len(data) == 0 || len(data)%aes.BlockSize != 0 {
		return nil, fmt.Errorf("%d bytes, which are no whole blocks", len(data))
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	clear := make([]byte, len(data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(clear, data)
	padding := int(clear[len(clear)-1])
	if padding < 1 || padding > aes.BlockSize || !bytes.HasSuffix(clear, bytes.Repeat([]byte{byte(padding)}, padding)) {
		return nil, errors.New("no padding is left by this key and this initialization vector")
	}
	return clear[:len(clear)-padding], nil
}

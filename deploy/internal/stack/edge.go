package stack

import (
	"context"
	"io"
	"path/filepath"
	"strconv"

	"weir/deploy/internal/child"
	"weir/deploy/internal/port"
	"weir/deploy/local"
)

// startEdge starts `weir edge` over the bucket's S3 endpoint, in front of the transcoder, and gives its URL.
func (s *Stack) startEdge(ctx context.Context, log io.Writer) (url string, err error) {
	root, err := local.Root()
	if err != nil {
		return "", err
	}
	binary, err := build(ctx, s.temp, "edge-auth/weir")
	if err != nil {
		return "", err
	}
	listen, err := port.Free(ctx)
	if err != nil {
		return "", err
	}
	address := "127.0.0.1:" + strconv.Itoa(listen)
	if s.edge, err = child.Start(child.Program{Name: "weir edge", Path: binary, Args: []string{"edge"}, Dir: s.temp, Env: []string{
		"LISTEN=" + address,
		"R2_ENDPOINT=" + s.Cloud.Endpoint,
		"R2_BUCKET=" + s.Cloud.Bucket,
		"R2_ACCESS_KEY_ID=" + s.Cloud.AccessKeyID,
		"R2_SECRET_ACCESS_KEY=" + s.Cloud.SecretAccessKey,
		`TOKEN_KEYS={"keys":[` + s.Cloud.TokenKey + `]}`,
		"ENCRYPTION_KEY=" + s.Cloud.EncryptionKey,
		"TRANSCODER_URL=" + s.API,
		"PUBLIC_DIR=" + filepath.Join(root, "edge-auth", "public"),
	}}, log); err != nil {
		return "", err
	}
	return "http://" + address, ready(ctx, s.edge, "http://"+address+"/healthz")
}

package edge

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path"
	"time"
)

// Player is what the page for people loads: files by their paths in URLs. It is for everybody.
type Player map[string]file

type file struct {
	mediaType, etag string
	content         []byte
}

// mediaTypes are those of the files, by extension.
var mediaTypes = map[string]string{
	".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", ".txt": "text/plain; charset=utf-8",
}

// ReadPlayer reads the folder that `go tool task wasm` makes, edge-auth/public.
func ReadPlayer(dir string) (Player, error) {
	p, root := Player{}, os.DirFS(dir)
	err := fs.WalkDir(root, "player", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		mediaType, ok := mediaTypes[path.Ext(name)]
		if !ok {
			return fmt.Errorf("%s is no file of the player", name)
		}
		sum := sha256.Sum256(content)
		p["/"+name] = file{mediaType, `"` + hex.EncodeToString(sum[:16]) + `"`, content}
		return nil
	})
	if _, ok := p["/player/watch.js"]; err == nil && !ok {
		err = errors.New("there is no player/watch.js")
	}
	if err != nil {
		return nil, fmt.Errorf("%q is not the folder with the player that `go tool task wasm` makes, edge-auth/public: %w", dir, err)
	}
	return p, nil
}

// serve answers a request for one of the files, and tells whether it is.
func (p Player) serve(w http.ResponseWriter, r *http.Request) bool {
	f, ok := p[r.URL.Path]
	if !ok || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	header := w.Header()
	header.Set("Content-Type", f.mediaType)
	header.Set("ETag", f.etag)
	header.Set("Cache-Control", "public, max-age=0, must-revalidate")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.content))
	return true
}

package setup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// tinyGoVersion is what set-up builds. A newer one on the PATH is used as it is.
const tinyGoVersion = "v0.41.0"

// tinyGo is a compiler that was found. env is what it needs to be told.
type tinyGo struct {
	path string
	env  []string
}

// findTinyGo looks on the PATH, then in the cache. A path of "" means that there is none.
func findTinyGo(ctx context.Context) (tinyGo, error) {
	if path, err := exec.LookPath("tinygo"); err == nil {
		if out, err := ask(ctx, path, "version"); err == nil && fitTinyGo(out) {
			return tinyGo{path: path}, nil
		}
	}
	dir, err := tinyGoDir()
	if err != nil {
		return tinyGo{}, err
	}
	path := filepath.Join(dir, "bin", "tinygo")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return tinyGo{}, nil
	}
	return tinyGo{path: path, env: []string{"TINYGOROOT=" + filepath.Join(dir, "root")}}, nil
}

// findsWasmOpt looks where TinyGo looks: its releases bring wasm-opt, its Go module does not.
func (t tinyGo) findsWasmOpt(ctx context.Context) bool {
	if os.Getenv("WASMOPT") != "" || has("wasm-opt") {
		return true
	}
	if t.path == "" {
		return false
	}
	root, err := ask(ctx, t.path, "env", "TINYGOROOT")
	if err != nil {
		return false
	}
	_, err = os.Stat(filepath.Join(strings.TrimSpace(root), "bin", "wasm-opt"))
	return err == nil
}

func tinyGoDir() (string, error) {
	dir, err := Cache()
	return filepath.Join(dir, "tinygo-"+tinyGoVersion), err
}

var tinyGoSays = regexp.MustCompile(`^tinygo version (\d+)\.(\d+)\.`)

// fitTinyGo reads the answer of `tinygo version`: 0.41 is the first that knows Go 1.26.
func fitTinyGo(answer string) bool {
	m := tinyGoSays.FindStringSubmatch(answer)
	if m == nil {
		return false
	}
	major, majorErr := strconv.Atoi(m[1])
	minor, minorErr := strconv.Atoi(m[2])
	return majorErr == nil && minorErr == nil && (major > 0 || minor >= 41)
}

// tinyGoFromModule builds TinyGo from its Go module with Debian's LLVM 19.
func tinyGoFromModule(ctx context.Context) error {
	dir, err := tinyGoDir()
	if err != nil {
		return err
	}
	return intoCache(dir, func(temp string) error { return buildTinyGoIn(ctx, temp) })
}

func buildTinyGoIn(ctx context.Context, temp string) error {
	download := exec.CommandContext(ctx, "go", "mod", "download", "-json", "github.com/tinygo-org/tinygo@"+tinyGoVersion)
	download.Dir = temp // outside of the checkout, whose go.mod has no business with it
	out, err := download.Output()
	var module struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &module); err != nil || jsonErr != nil || module.Dir == "" {
		return fmt.Errorf("download TinyGo's module: %w %s", errors.Join(err, jsonErr), module.Error)
	}
	root := filepath.Join(temp, "root")
	if err := os.CopyFS(root, os.DirFS(module.Dir)); err != nil {
		return fmt.Errorf("copy TinyGo's module: %w", err)
	}
	// The module lacks src/net, a git submodule, and TinyGo wants the folder to be there.
	if err := os.MkdirAll(filepath.Join(root, "src", "net"), 0o755); err != nil {
		return fmt.Errorf("copy TinyGo's module: %w", err)
	}
	return quietly(ctx, root, []string{"CGO_ENABLED=1", "GOFLAGS=-buildvcs=false", "GOWORK=off"},
		"go", "build", "-tags", "llvm19", "-o", filepath.Join(temp, "bin", "tinygo"), ".")
}

// Wasm builds edge-auth/edge.wasm of the checkout at root, and what the page for people loads, if their sources are newer. It
// says whether it built one of them.
func Wasm(ctx context.Context, root string) (built bool, err error) {
	page, err := Player(ctx, root)
	if err != nil {
		return false, err
	}
	module, err := module(ctx, root)
	return page || module, err
}

// module builds edge-auth/edge.wasm.
func module(ctx context.Context, root string) (built bool, err error) {
	edge := filepath.Join(root, "edge-auth")
	module := filepath.Join(edge, "edge.wasm")
	if fresh, err := ModuleIsFresh(root); err != nil || fresh {
		return false, err
	}
	tool, err := findTinyGo(ctx)
	if err != nil {
		return false, err
	}
	if tool.path == "" {
		return false, errors.New("build the Worker's module: no TinyGo ≥ 0.41: run `go tool task setup`")
	}
	// A name of its own until it is whole: a running wrangler reads edge.wasm whenever it changes.
	temp, err := os.MkdirTemp(edge, ".wasm-")
	if err != nil {
		return false, fmt.Errorf("build the Worker's module: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	begin, whole := time.Now(), filepath.Join(temp, "edge.wasm")
	if err := quietly(ctx, root, tool.env, tool.path, "build", "-target=./edge-auth/target.json",
		"-opt=2",      // faster than -opt=z and, after compression, hardly larger
		"-no-debug",   // half of the module would be DWARF
		"-panic=trap", // the shim answers a panic, and nobody would read its text
		"-o", whole, "./edge-auth"); err != nil {
		return false, err
	}
	// As old as the moment before the compiler read the sources: an edit during the build makes it stale.
	if err := os.Chtimes(whole, begin, begin); err != nil {
		return false, fmt.Errorf("build the Worker's module: %w", err)
	}
	if err := os.Rename(whole, module); err != nil {
		return false, fmt.Errorf("build the Worker's module: %w", err)
	}
	return true, nil
}

// ModuleIsFresh reports whether edge-auth/edge.wasm of the checkout at root is there and newer than its sources.
func ModuleIsFresh(root string) (bool, error) {
	edge := filepath.Join(root, "edge-auth")
	return newerThanSources(filepath.Join(edge, "edge.wasm"), edge, filepath.Join(root, "go.mod"))
}

// newerThanSources compares times as make does: the module against the Go files, the target and the folders (where a
// file may have gone) below edge, and against also. It does not look into node_modules.
func newerThanSources(module, edge, also string) (bool, error) {
	made, err := os.Stat(module)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	fresh := true
	check := func(info fs.FileInfo) { fresh = fresh && info.ModTime().Before(made.ModTime()) }
	if info, err := os.Stat(also); err != nil {
		return false, err
	} else if check(info); !fresh {
		return false, nil
	}
	err = filepath.WalkDir(edge, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		source := strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") || d.Name() == "target.json"
		switch {
		case path == edge: // changes whenever the module is put there
			return nil
		case d.IsDir() && (d.Name() == "node_modules" || strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return filepath.SkipDir
		case !d.IsDir() && !source:
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		check(info)
		return nil
	})
	return fresh, err
}

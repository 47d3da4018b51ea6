package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Player builds what the page for people loads: edge-auth/public/player of edge-auth/watch and the packages that it names, with
// the esbuild that wrangler brings, if their sources are newer. It says whether it did.
func Player(ctx context.Context, root string) (built bool, err error) {
	edge := filepath.Join(root, "edge-auth")
	sources := filepath.Join(edge, "watch")
	if fresh, err := playerIsFresh(edge); err != nil || fresh {
		return false, err
	}
	bin := filepath.Join(edge, "node_modules", ".bin")
	if _, err := os.Stat(filepath.Join(bin, "esbuild")); err != nil {
		return false, errors.New("build the player: no esbuild in edge-auth/node_modules: run `go tool task setup`")
	}
	entries := []string{"watch.mjs", "watch.css", "icon.svg", "licences.txt"}
	args := []string{filepath.Join(bin, "esbuild")}
	for _, e := range entries {
		args = append(args, filepath.Join(sources, e))
	}
	args = append(args,
		"--bundle", "--minify",
		"--format=iife",       // no module: a frame in a sandbox may load a script, and no module, of its own host
		"--target=es2022",     // browsers since 2022, as Media Chrome's own build
		"--loader:.html=text", // the markup of the player is part of its script
		"--loader:.svg=copy",  // entries that are served as they are
		"--loader:.txt=copy",  //
		"--outdir="+filepath.Join(edge, "public", "player"),
		"--log-level=warning",
	)
	// Where npm ran no install script, esbuild is a script that looks for a node on the PATH.
	env := []string{"PATH=" + bin + string(filepath.ListSeparator) + os.Getenv("PATH")}
	if err := quietly(ctx, edge, env, args...); err != nil {
		return false, fmt.Errorf("build the player: %w", err)
	}
	return true, nil
}

// playerIsFresh compares times as make does: the script against its sources and the list of packages.
func playerIsFresh(edge string) (bool, error) {
	made, err := os.Stat(filepath.Join(edge, "public", "player", "watch.js"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	sources, err := filepath.Glob(filepath.Join(edge, "watch", "*"))
	if err != nil {
		return false, err
	}
	for _, path := range append(sources, filepath.Join(edge, "watch"), filepath.Join(edge, "package-lock.json")) {
		info, err := os.Stat(path)
		if err != nil {
			return false, err
		}
		if !info.ModTime().Before(made.ModTime()) {
			return false, nil
		}
	}
	return true, nil
}

package main

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// folders are those in which Debian's dynamic linker looks without being told.
var folders = []string{"/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib"}

// libraries are the files that a program is linked with, its dynamic linker and those of its libraries included, by their real folders. A
// program that is linked statically has none.
func libraries(program string) ([]string, error) {
	var all []string
	for wanted := []string{program}; len(wanted) > 0; wanted = wanted[1:] {
		needs, err := needs(wanted[0])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", wanted[0], err)
		}
		for _, n := range needs {
			if !slices.Contains(all, n) {
				all, wanted = append(all, n), append(wanted, n)
			}
		}
	}
	return all, nil
}

// needs are the files that one file names.
func needs(name string) ([]string, error) {
	file, err := elf.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	var all []string
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			text, err := io.ReadAll(p.Open())
			if err != nil {
				return nil, err
			}
			all = append(all, strings.TrimRight(string(text), "\x00"))
		}
	}
	names, err := file.ImportedLibraries()
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		path, err := find(n)
		if err != nil {
			return nil, err
		}
		all = append(all, path)
	}
	for i := range all {
		if all[i], err = settled(all[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func find(library string) (string, error) {
	for _, folder := range folders {
		path := filepath.Join(folder, library)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		} else if !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
	}
	return "", fmt.Errorf("no %s in %s", library, strings.Join(folders, ", "))
}

// settled is a path without links among its folders; the file keeps the name by which it is asked for.
func settled(path string) (string, error) {
	folder, err := filepath.EvalSymlinks(filepath.Dir(path))
	return filepath.Join(folder, filepath.Base(path)), err
}

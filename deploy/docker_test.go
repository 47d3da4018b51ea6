package main

import (
	"os"
	"path/filepath"
	"testing"
)

// docker stands in for Docker, which needs minutes to build the image, and a daemon: it says yes to all, or refuses to push, and keeps what
// it was asked, a line each.
type docker string

func standIn(t *testing.T) docker {
	t.Helper()
	d := docker(t.TempDir())
	program := `#!/bin/sh
cd "$(dirname "$0")" || exit
case "$*" in
login*) echo "$* <$(cat)" >>asked ;;
*) echo "$*" >>asked ;;
esac
case "$*" in
"image inspect"*Architecture*) echo linux/amd64 ;;
"image inspect"*) echo 97000000 ;;
push*) [ ! -e refuse ] || { echo 'denied: try again'; exit 1; } ;;
esac
`
	if err := os.WriteFile(filepath.Join(string(d), "docker"), []byte(program), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", string(d)+string(os.PathListSeparator)+os.Getenv("PATH"))
	return d
}

// refuse has images refused, or taken.
func (d docker) refuse(t *testing.T, refused bool) {
	t.Helper()
	file := filepath.Join(string(d), "refuse")
	err := os.RemoveAll(file)
	if refused {
		err = os.WriteFile(file, nil, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// asked returns what it was asked, and forgets it.
func (d docker) asked(t *testing.T) string {
	t.Helper()
	file := filepath.Join(string(d), "asked")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Package settings keeps what one deployment is set to, its secrets among it: a file of lines NAME=value that the operator keeps, and nobody
// else may read.
//
// The names are those of the transcoder's and of the Worker's settings (README.md), so the file is the environment of a transcoder too:
// `docker run --env-file`, Compose, systemd's EnvironmentFile and `kubectl create secret --from-env-file` read it as it is. What else is in
// it, and comments, stay.
//
// Start at [Open]. A change is on the disk when it was made, so that nothing is sent anywhere that could be forgotten.
package settings

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// File is the settings of one deployment.
type File struct {
	name  string
	lines []string
	saved []string // the lines on the disk
}

// Open reads a file of settings. One that is not there has none yet; it is made by the first change. A file that others may read, or with a
// line that means nothing, is an error that says what to do.
func Open(name string) (*File, error) {
	f := &File{name: name}
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	if open := info.Mode().Perm() &^ 0o600; open != 0 {
		return nil, fmt.Errorf("others may read %s, which has secrets: chmod 600 %s, and think about who has seen them", name, name)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		f.lines = append(f.lines, strings.TrimRight(line, "\r\n"))
	}
	f.saved = f.lines
	seen := map[string]bool{}
	for i, line := range f.lines {
		key, value, ok := setting(line)
		switch {
		case comment(line):
		case !ok || strings.Trim(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "":
			return nil, fmt.Errorf("%s, line %d: write NAME=value, with a name of capital letters, or a # before it", name, i+1)
		case value == "":
			return nil, fmt.Errorf("%s, line %d: %s is empty: give it a value, or remove the line", name, i+1, key)
		case seen[key]:
			return nil, fmt.Errorf("%s, line %d: %s is there twice: remove one", name, i+1, key)
		}
		seen[key] = true
	}
	return f, nil
}

// Name is where the file is.
func (f *File) Name() string { return f.name }

// Get returns a setting, "" if it is not set.
func (f *File) Get(name string) string {
	if i := index(f.lines, name); i >= 0 {
		_, value, _ := setting(f.lines[i])
		return value
	}
	return ""
}

// Set changes settings, or adds them at the end: all of them or, with an error, none. "" removes one.
func (f *File) Set(values ...Value) error {
	changed := &File{name: f.name, lines: f.lines}
	if err := changed.Suppose(values...); err != nil {
		return err
	}
	if !slices.Equal(f.saved, changed.lines) {
		if err := changed.save(); err != nil {
			return fmt.Errorf("write the settings: %w", err)
		}
	}
	f.lines, f.saved = changed.lines, changed.lines
	return nil
}

// Suppose is Set, but on the disk with the next Set alone.
func (f *File) Suppose(values ...Value) error {
	lines := slices.Clone(f.lines)
	for _, v := range values {
		if strings.ContainsAny(v.Text, "\r\n") {
			return fmt.Errorf("set %s: a value has one line", v.Name)
		}
		line, i := v.Name+"="+v.Text, index(lines, v.Name)
		switch {
		case i >= 0 && v.Text == "":
			lines = slices.Delete(lines, i, i+1)
		case i >= 0:
			lines[i] = line
		case v.Text != "":
			lines = append(lines, line)
		}
	}
	f.lines = lines
	return nil
}

// Value is a setting.
type Value struct{ Name, Text string }

// save replaces the file at once: whoever reads it finds the old settings or the new ones, also after a power cut.
func (f *File) save() (err error) {
	dir := filepath.Dir(f.name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(dir, ".settings-") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temp.Name())
		}
	}()
	_, err = temp.WriteString(strings.Join(f.lines, "\n") + "\n")
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), f.name); err != nil {
		return err
	}
	folder, err := os.Open(dir) // a name is on the disk once its folder is
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

func index(lines []string, name string) int {
	return slices.IndexFunc(lines, func(line string) bool {
		key, _, ok := setting(line)
		return ok && key == name && !comment(line)
	})
}

func setting(line string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(line, "=")
	return name, value, ok
}

func comment(line string) bool {
	line = strings.TrimSpace(line)
	return line == "" || strings.HasPrefix(line, "#")
}
